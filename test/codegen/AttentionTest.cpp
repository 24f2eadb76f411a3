// Every emitted kernel of the attention family against the scalar reference, on ragged batches whose pages are
// shuffled; and the same bits for a row whatever shares its block, its call or its batch.
#include "codegen/kernels/attention/Half.h"
#include "codegen/kernels/attention/Reference.h"
#include "codegen/portable/Executable.h"
#include "test/support/GuardedBuffer.h"
#include "test/support/isa/Host.h"
#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <random>

using namespace llmc;
using namespace llmc::test;

namespace {

/// Rows of one sequence in the step: positions first..first+count-1.
struct Span {
  int64_t first, count;
};
/// Borders of pages and of blocks of 8 and 16 positions, a decode deep in a cache, prefills that start anywhere.
const std::vector<Span> kRagged = {{1000, 1}, {63, 3}, {0, 21}, {130, 1}, {64, 1}, {0, 1}, {120, 19}, {1, 1}, {7, 9}};

/// Where the layer under test is in a page; 192 bytes of another layer are before it.
constexpr int64_t kLayerOffset = 192;

AttentionDesc makeDesc(int64_t heads, int64_t kvHeads, int64_t headDim, KvType kv, int64_t window = 0) {
  AttentionDesc d;
  d.heads = heads, d.kvHeads = kvHeads, d.headDim = headDim, d.kv = kv, d.window = window;
  d.scale = 1 / std::sqrt(float(headDim));
  d.ropeDim = headDim;
  d.pageBytes = kLayerOffset + d.kvLayerBytes() + 64;
  d.qkvStride = rowStride(RowFormat::F32, (heads + 2 * kvHeads) * headDim);
  d.ropeStride = rowStride(RowFormat::F32, headDim);
  d.yStride = rowStride(RowFormat::F32, heads * headDim);
  return d;
}

std::string describe(const AttentionDesc &d) {
  return std::to_string(d.heads) + "/" + std::to_string(d.kvHeads) + " heads, D " + std::to_string(d.headDim) +
         (d.kv == KvType::F16 ? ", f16" : ", f32") + ", window " + std::to_string(d.window);
}

/// A step with its cache. Operands end at guard pages; what no row may see is NaN.
struct Step {
  Step(const AttentionDesc &d, const std::vector<Span> &spans, float spread = 1);
  llmc_batch batch() const;
  size_t rowCount() const { return positions.size(); }

  const AttentionDesc d;
  std::mt19937 random{11};
  std::vector<int32_t> positions, sequences, lengths;
  std::vector<std::vector<int32_t>> pages;
  std::vector<const int32_t *> tables;
  std::unique_ptr<GuardedBuffer> pool, qkv, rope;

private:
  void shufflePages(const std::vector<Span> &spans);
  void fillCache();
};

Step::Step(const AttentionDesc &d, const std::vector<Span> &spans, float spread) : d(d) {
  for (size_t s = 0; s < spans.size(); ++s)
    for (int64_t i = 0; i < spans[s].count; ++i) {
      positions.push_back(int32_t(spans[s].first + i));
      sequences.push_back(int32_t(s));
    }
  shufflePages(spans);
  fillCache();
  auto fill = [&](std::unique_ptr<GuardedBuffer> &buffer, int64_t stride, int64_t columns, float scale) {
    buffer = std::make_unique<GuardedBuffer>((rowCount() - 1) * stride + columns * 4);
    std::normal_distribution<float> normal(0, scale);
    for (size_t r = 0; r < rowCount(); ++r)
      for (int64_t c = 0; c < columns; ++c)
        *reinterpret_cast<float *>(buffer->as<char>() + r * stride + 4 * c) = normal(random);
  };
  fill(qkv, d.qkvStride, (d.heads + 2 * d.kvHeads) * d.headDim, spread);
  fill(rope, d.ropeStride, std::max<int64_t>(d.ropeDim, 2), 1);
}

void Step::shufflePages(const std::vector<Span> &spans) {
  std::vector<int32_t> free;
  for (const Span &span : spans) {
    lengths.push_back(int32_t(span.first + span.count));
    pages.emplace_back((lengths.back() + 63) / 64);
    for (size_t i = 0; i < pages.back().size(); ++i) free.push_back(int32_t(free.size()));
  }
  pool = std::make_unique<GuardedBuffer>(free.size() * d.pageBytes);
  memset(pool->as(), 0xff, pool->size);
  std::shuffle(free.begin(), free.end(), random);
  for (std::vector<int32_t> &table : pages) {
    for (int32_t &page : table) page = free.back(), free.pop_back();
    tables.push_back(table.data());
  }
}

/// Keys and values of all positions before the end of each sequence; those of the step are written by kv_append.
void Step::fillCache() {
  std::normal_distribution<float> normal;
  const int64_t element = d.kv == KvType::F32 ? 4 : 2;
  for (size_t s = 0; s < pages.size(); ++s)
    for (int64_t p = 0; p < lengths[s]; ++p)
      for (int64_t head = 0; head < 2 * d.kvHeads; ++head)
        for (int64_t i = 0; i < d.headDim; ++i) {
          char *cell = pool->as<char>() + pages[s][p / 64] * d.pageBytes + kLayerOffset +
                       ((head * 64 + p % 64) * d.headDim + i) * element;
          float value = normal(random);
          uint16_t half = f32ToF16(value);
          if (d.kv == KvType::F32)
            memcpy(cell, &value, 4);
          else
            memcpy(cell, &half, 2);
        }
}

llmc_batch Step::batch() const {
  llmc_batch b = {};
  b.rows = b.capacity = int64_t(rowCount());
  b.positions = positions.data(), b.sequences = sequences.data(), b.lengths = lengths.data();
  b.page_tables = tables.data(), b.pages = pool->as<char>();
  return b;
}

template <typename Desc> class FamilyTest : public testing::TestWithParam<const Kernel<Desc> *> {
protected:
  void SetUp() override {
    Features missing = isa::missingHere(this->GetParam()->needs);
    ASSERT_TRUE(missing.empty()) << "this CPU lacks " << toString(missing);
    target = llvm::cantFail(findTarget("x86-64-v4"));
    target.features = this->GetParam()->needs;
    emulation.emplace(this->GetParam()->needs);
  }
  void TearDown() override {
    if (made) { EXPECT_EQ(toString(emulation->neverSeen()), "") << "not emulated, and this CPU lacks it"; }
  }
  std::unique_ptr<Executable> make(const Desc &d) const {
    Refusal reason = refusal(*this->GetParam(), d, target);
    EXPECT_FALSE(reason) << *reason;
    Code code = llvm::cantFail(this->GetParam()->emit(d, target));
    EXPECT_EQ(code.bytes, llvm::cantFail(this->GetParam()->emit(d, target)).bytes);
    made = true;
    return llvm::cantFail(Executable::create(code, target));
  }
  Target target;
  std::optional<isa::EmulationCheck> emulation;
  mutable bool made = false; // a kernel, which then ran
};

using KvAppendTest = FamilyTest<KvAppendDesc>;
using AttentionTest = FamilyTest<AttentionDesc>;

/// Every byte of the cache and of qkv as the reference leaves it.
TEST_P(KvAppendTest, SameBytesAsReference) {
  for (KvType kv : {KvType::F32, KvType::F16})
    for (int64_t headDim : {8, 16, 24, 64, 80, 128})
      for (RopeStyle style : {RopeStyle::None, RopeStyle::Half, RopeStyle::Interleaved})
        for (int64_t ropeDim : {headDim, headDim / 2, headDim / 4 * 2 - 2, int64_t(6)}) {
          if (ropeDim < 2) continue;
          KvAppendDesc d{makeDesc(3, style == RopeStyle::Half ? 1 : 3, headDim, kv)};
          d.rope = style, d.ropeDim = ropeDim;
          const std::vector<Span> spans = {{63, 3}, {130, 1}, {0, 5}, {64, 1}};
          Step found(d, spans), expected(d, spans);
          llmc_batch foundBatch = found.batch(), expectedBatch = expected.batch();
          auto rope = [&](const Step &s) { return style == RopeStyle::None ? nullptr : s.rope->as<float>(); };
          llmc_kv_append_args args = {
              0, int64_t(expected.rowCount()), &expectedBatch, expected.qkv->as<float>(), rope(expected), kLayerOffset};
          referenceKvAppend(d, args);
          auto kernel = make(d);
          int64_t middle = int64_t(found.rowCount()) / 2;
          args = {middle, int64_t(found.rowCount()), &foundBatch, found.qkv->as<float>(), rope(found), kLayerOffset};
          kernel->function(&args);
          args.begin = 0, args.end = middle;
          kernel->function(&args);
          args.begin = middle;
          kernel->function(&args);
          std::string where = describe(d) + ", rope " + std::to_string(int(style)) + " " + std::to_string(ropeDim);
          ASSERT_EQ(memcmp(found.qkv->as(), expected.qkv->as(), found.qkv->size), 0) << where;
          ASSERT_EQ(memcmp(found.pool->as(), expected.pool->as(), found.pool->size), 0) << where;
        }
}

/// Rounding to f16: ties, overflow, denormals, NaN.
TEST_P(KvAppendTest, RoundsToHalf) {
  KvAppendDesc d{makeDesc(1, 1, 16, KvType::F16)};
  d.rope = RopeStyle::None;
  Step step(d, {{0, 1}});
  const float hard[] = {1 + 0x1p-11f, 1 + 3 * 0x1p-11f, 65504,    65519.99f, 65520,     -65520,    0x1p-24f, 0x1p-25f,
                        0x1.8p-25f,   0x1.8p-24f,       0x1p-14f, 0x1p-15f,  -INFINITY, -0x1p-26f, 1e-45f,   -0.0f};
  memcpy(step.qkv->as<float>() + 16, hard, sizeof(hard));
  llmc_batch batch = step.batch();
  llmc_kv_append_args args = {0, 1, &batch, step.qkv->as<float>(), nullptr, kLayerOffset};
  make(d)->function(&args);
  auto *key = reinterpret_cast<uint16_t *>(step.pool->as<char>() + kLayerOffset);
  for (int i = 0; i < 16; ++i) EXPECT_EQ(key[i], f32ToF16(hard[i])) << hard[i];
}

/// Attention over a step, with the units in the order last to first if `backwards`.
std::vector<float> attend(const Step &step, const AttentionDesc &d, llmc_kernel_fn kernel, bool backwards,
                          int64_t firstRow = 0, int64_t rows = -1) {
  llmc_batch batch = step.batch();
  batch.rows = rows < 0 ? batch.rows : rows;
  batch.positions += firstRow, batch.sequences += firstRow;
  GuardedBuffer y((batch.rows - 1) * d.yStride + d.heads * d.headDim * 4);
  llmc_attention_args args = {};
  args.batch = &batch, args.y = y.as<float>(), args.layer_offset = kLayerOffset;
  args.q = reinterpret_cast<float *>(step.qkv->as<char>() + firstRow * d.qkvStride);
  int64_t units = (batch.rows + d.rowBlock - 1) / d.rowBlock * d.kvHeads;
  if (!backwards) {
    args.end = units;
    kernel(&args);
  }
  for (int64_t unit = units; backwards && unit-- > 0;) {
    args.begin = unit, args.end = unit + 1;
    kernel(&args);
  }
  std::vector<float> result;
  for (int64_t r = 0; r < batch.rows; ++r) {
    const char *row = y.as<char>() + r * d.yStride;
    result.insert(result.end(), reinterpret_cast<const float *>(row),
                  reinterpret_cast<const float *>(row) + d.heads * d.headDim);
    for (int64_t i = d.heads * d.headDim * 4; i < d.yStride && r + 1 < batch.rows; ++i)
      EXPECT_EQ(uint8_t(row[i]), 0xA5) << "padding of row " << r;
  }
  return result;
}

std::vector<float> referenceResult(const Step &step, const AttentionDesc &d) {
  std::vector<char> y(step.rowCount() * d.yStride);
  llmc_batch batch = step.batch();
  int64_t units = (batch.rows + d.rowBlock - 1) / d.rowBlock * d.kvHeads;
  llmc_attention_args args = {0,           units, &batch, step.qkv->as<float>(), reinterpret_cast<float *>(y.data()),
                              kLayerOffset};
  referenceAttention(d, args);
  std::vector<float> result;
  for (size_t r = 0; r < step.rowCount(); ++r) {
    auto *row = reinterpret_cast<const float *>(y.data() + r * d.yStride);
    result.insert(result.end(), row, row + d.heads * d.headDim);
  }
  return result;
}

bool sameBits(const std::vector<float> &a, const std::vector<float> &b) {
  return a.size() == b.size() && !memcmp(a.data(), b.data(), a.size() * sizeof(float));
}

/// Values are of size 1 and weights sum up to 1; a score of size `spread` is summed in f32, and exp turns its absolute
/// error into a relative one of the weights.
void checkAttention(const AttentionTest &, const Step &step, AttentionDesc d, float tolerance,
                    llvm::function_ref<std::unique_ptr<Executable>(const AttentionDesc &)> make) {
  d.rowBlock = 1;
  std::vector<float> expected = referenceResult(step, d), decode;
  for (int64_t rowBlock : {int64_t(1), kPrefillRowBlock, int64_t(3)}) {
    d.rowBlock = rowBlock;
    auto kernel = make(d);
    std::vector<float> found = attend(step, d, kernel->function, false);
    for (size_t i = 0; i < found.size(); ++i)
      ASSERT_NEAR(found[i], expected[i], tolerance) << describe(d) << ", row " << i / (d.heads * d.headDim);
    if (rowBlock == 1) decode = found;
    EXPECT_TRUE(sameBits(found, decode)) << describe(d) << ": rowBlock " << rowBlock << " differs from 1";
    EXPECT_TRUE(sameBits(attend(step, d, kernel->function, true), decode)) << describe(d) << ": units one by one";
    int64_t columns = d.heads * d.headDim; // a part of the batch, whose blocks lie differently
    std::vector<float> part = attend(step, d, kernel->function, false, 2, 7);
    std::vector<float> same(decode.begin() + 2 * columns, decode.begin() + 9 * columns);
    EXPECT_TRUE(sameBits(part, same)) << describe(d) << ": rows 2..8 alone differ";
  }
}

TEST_P(AttentionTest, Shapes) {
  struct Shape {
    int64_t heads, kvHeads, headDim;
  };
  for (Shape shape : {Shape{1, 1, 8},
                      {4, 2, 16},
                      {3, 1, 24},
                      {9, 3, 64},
                      {2, 2, 64},
                      {4, 1, 80},
                      {8, 1, 128},
                      {5, 1, 32},
                      {2, 1, 256},
                      {13, 1, 64},
                      {6, 1, 40}})
    for (KvType kv : {KvType::F32, KvType::F16})
      for (int64_t window : {0, 100, 1}) {
        AttentionDesc d = makeDesc(shape.heads, shape.kvHeads, shape.headDim, kv, window);
        checkAttention(*this, Step(d, kRagged), d, 1e-5f, [&](const AttentionDesc &desc) { return make(desc); });
        if (HasFailure()) return;
      }
}

/// Large scores: the softmax is nearly one-hot, maxima grow by hundreds from page to page. And no scores at all.
TEST_P(AttentionTest, Extremes) {
  for (float spread : {0.0f, 60.0f, 1e-30f}) {
    AttentionDesc d = makeDesc(6, 2, 64, KvType::F32);
    checkAttention(*this, Step(d, kRagged, spread), d, spread > 1 ? 2e-4f : 1e-5f,
                   [&](const AttentionDesc &desc) { return make(desc); });
  }
}

/// An infinite or NaN value spoils its own channel and sequence only.
TEST_P(AttentionTest, NotFiniteStaysInItsSequence) {
  AttentionDesc d = makeDesc(3, 1, 64, KvType::F32);
  d.rowBlock = kPrefillRowBlock;
  Step clean(d, {{5, 4}, {9, 4}}), spoilt(d, {{5, 4}, {9, 4}});
  char *value = spoilt.pool->as<char>() + spoilt.pages[1][0] * d.pageBytes + kLayerOffset + (64 + 3) * d.headDim * 4;
  *reinterpret_cast<float *>(value) = NAN;
  auto kernel = make(d);
  std::vector<float> before = attend(clean, d, kernel->function, false);
  std::vector<float> after = attend(spoilt, d, kernel->function, false);
  for (size_t i = 0; i < before.size(); ++i) {
    bool hit = int64_t(i) >= 4 * d.heads * d.headDim && i % d.headDim == 0;
    EXPECT_EQ(std::isnan(after[i]), hit) << i;
    EXPECT_TRUE(hit || after[i] == before[i]) << i;
  }
}

TEST(AttentionTable, Refusals) {
  Target target = llvm::cantFail(findTarget("x86-64-v4"));
  auto reason = [&](const AttentionDesc &d) { return *refusal(kernelTable<AttentionDesc>()[0], d, target); };
  EXPECT_EQ(reason(makeDesc(1, 1, 264, KvType::F32)), "headDim: found 264, expected 8..256");
  EXPECT_EQ(reason(makeDesc(3, 2, 64, KvType::F32)), "heads: found 3, expected a multiple of kvHeads (2)");
  EXPECT_EQ(reason(makeDesc(256, 1, 64, KvType::F32)), "heads per kv head: found 256, expected 1..128");
  KvAppendDesc append{makeDesc(1, 1, 64, KvType::F32)};
  append.ropeDim = 63;
  EXPECT_EQ(*refusal(kernelTable<KvAppendDesc>()[0], append, target),
            "ropeDim: found 63, expected an even number, 2..64");
}

TEST(AttentionTable, PrefersTheWidest) {
  for (auto [cpu, isa] : {std::pair("x86-64-v4", "avx512"), {"haswell", "avx2"}, {"x86-64-v2", "portable"}})
    for (int64_t rowBlock : {int64_t(1), kPrefillRowBlock}) {
      Target target = llvm::cantFail(findTarget(cpu));
      AttentionDesc d = makeDesc(9, 3, 64, KvType::F16);
      d.rowBlock = rowBlock;
      EXPECT_TRUE(llvm::StringRef(select(d, target)->name).ends_with(isa)) << cpu;
      EXPECT_TRUE(llvm::StringRef(select(KvAppendDesc{d}, target)->name).ends_with(isa)) << cpu;
    }
}

template <typename Desc> std::vector<const Kernel<Desc> *> emittedKernels() {
  std::vector<const Kernel<Desc> *> kernels;
  for (const Kernel<Desc> &kernel : kernelTable<Desc>())
    if (!kernel.anyArch) kernels.push_back(&kernel);
  return kernels;
}
constexpr auto kernelName = [](const auto &info) { return std::string(info.param->name); };
INSTANTIATE_TEST_SUITE_P(Table, KvAppendTest, testing::ValuesIn(emittedKernels<KvAppendDesc>()), kernelName);
INSTANTIATE_TEST_SUITE_P(Table, AttentionTest, testing::ValuesIn(emittedKernels<AttentionDesc>()), kernelName);

} // namespace
