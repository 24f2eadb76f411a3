// Every emitted kernel of the attention family against the scalar reference, on ragged batches whose pages are
// shuffled; and the same bits for a row whatever shares its block, its call or its batch, however its chunks are
// shared.
#include "codegen/kernels/attention/Half.h"
#include "codegen/kernels/matmul/Quantize.h"
#include "codegen/portable/Executable.h"
#include "test/codegen/AttentionStep.h"
#include "test/support/isa/Host.h"
#include <gtest/gtest.h>
#include <numbers>

using namespace llmc;
using namespace llmc::test;

namespace {

constexpr KvType kTypes[] = {KvType::F32, KvType::F16, KvType::BF16, KvType::I8};

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
    if (reason) return nullptr;
    Code code = llvm::cantFail(this->GetParam()->emit(d, target));
    EXPECT_EQ(code.bytes, llvm::cantFail(this->GetParam()->emit(d, target)).bytes);
    made = true;
    return llvm::cantFail(Executable::create(code, target));
  }
  Target target;
  std::optional<isa::EmulationCheck> emulation;
  mutable bool made = false; // a kernel, which then ran
};

//===- kv_append --------------------------------------------------------------===//
using KvAppendTest = FamilyTest<KvAppendDesc>;

/// Every byte of the cache as the reference leaves it, qkv as it was.
TEST_P(KvAppendTest, SameBytesAsReference) {
  for (KvType kv : kTypes)
    for (int64_t headDim : {8, 16, 24, 64, 80, 128, 200})
      for (RopeStyle style : {RopeStyle::None, RopeStyle::Half, RopeStyle::Interleaved})
        for (int64_t ropeDim : {headDim, headDim / 2, headDim / 4 * 2 - 2, int64_t(6)}) {
          if (ropeDim < 2) continue;
          KvAppendDesc d{makeDesc(3, style == RopeStyle::Half ? 1 : 3, headDim, kv)};
          d.rope = style, d.ropeDim = ropeDim;
          const std::vector<Span> spans = {{63, 3}, {130, 1}, {0, 5}, {64, 1}};
          Step found(d, spans), expected(d, spans);
          llmc_batch foundBatch = found.batch(), expectedBatch = expected.batch();
          llmc_kv_append_args args = {
              0,           int64_t(expected.rowCount()), &expectedBatch, expected.qkv->as<float>(), expected.ropeRows(),
              kLayerOffset};
          referenceKvAppend(d, args);
          auto kernel = make(d);
          ASSERT_TRUE(kernel);
          found.qkv->makeReadOnly();
          int64_t middle = int64_t(found.rowCount()) / 2;
          args = {middle,      int64_t(found.rowCount()), &foundBatch, found.qkv->as<float>(), found.ropeRows(),
                  kLayerOffset};
          kernel->function(&args);
          args.begin = 0, args.end = middle;
          kernel->function(&args);
          args.begin = middle;
          kernel->function(&args);
          std::string where = describe(d) + ", rope " + std::to_string(int(style)) + " " + std::to_string(ropeDim);
          ASSERT_EQ(memcmp(found.pool->as(), expected.pool->as(), found.pool->size), 0) << where;
        }
}

constexpr float kHard[] = {1 + 0x1p-11f, 1 + 3 * 0x1p-11f, 65504,      65519.99f,  65520,       -65520,
                           0x1p-24f,     0x1p-25f,         0x1.8p-25f, 0x1.8p-24f, 0x1p-14f,    0x1p-15f,
                           -INFINITY,    -0x1p-26f,        1e-45f,     -0.0f,      1 + 0x1p-8f, 1 + 3 * 0x1p-8f,
                           0x1.ffp127f,  3.4e38f,          1e-39f,     -1e-39f,    0x1p-133f,   NAN};

/// Rounding to 16 bits: ties, overflow, denormals, NaN. Key channel c of position 0 is at its place in the layout.
TEST_P(KvAppendTest, RoundsTo16Bits) {
  for (KvType kv : {KvType::F16, KvType::BF16}) {
    KvAppendDesc d{makeDesc(1, 1, 24, kv)};
    d.rope = RopeStyle::None;
    Step step(d, {{0, 1}});
    memcpy(step.qkv->as<float>() + 24, kHard, sizeof(kHard));
    llmc_batch batch = step.batch();
    llmc_kv_append_args args = {0, 1, &batch, step.qkv->as<float>(), nullptr, kLayerOffset};
    make(d)->function(&args);
    const char *part = step.pool->as<char>() + kLayerOffset;
    for (int i = 0; i < 24; ++i) {
      uint16_t found = *reinterpret_cast<const uint16_t *>(part + d.layout().keyOffset(i, 0));
      if (std::isnan(kHard[i]))
        EXPECT_TRUE((found & 0x7fff) > (kv == KvType::F16 ? 0x7c00 : 0x7f80)) << found;
      else
        EXPECT_EQ(found, kv == KvType::F16 ? f32ToF16(kHard[i]) : f32ToBf16(kHard[i])) << kHard[i];
    }
  }
}

/// int8 heads that are 0, tiny, infinite or NaN: what is not a number arrives in the scale.
TEST_P(KvAppendTest, ScalesOfHardHeads) {
  for (float value : {0.0f, 1e-38f, 1e-45f, INFINITY, NAN}) {
    KvAppendDesc d{makeDesc(1, 1, 16, KvType::I8)};
    Step found(d, {{5, 1}}), expected(d, {{5, 1}});
    for (Step *step : {&found, &expected})
      for (int i = 0; i < 32; ++i) step->qkv->as<float>()[16 + i] = i % 7 == 3 ? value : 0;
    llmc_batch b = found.batch(), own = expected.batch();
    llmc_kv_append_args args = {0, 1, &b, found.qkv->as<float>(), found.ropeRows(), kLayerOffset};
    make(d)->function(&args);
    args.batch = &own, args.qkv = expected.qkv->as<float>(), args.rope = expected.ropeRows();
    referenceKvAppend(d, args);
    KvCell a(d, b, kLayerOffset, 0, 5, 0), e(d, own, kLayerOffset, 0, 5, 0);
    for (int i = 0; i < 16; ++i) {
      EXPECT_EQ(std::isnan(a.key(i)), std::isnan(e.key(i))) << value;
      EXPECT_TRUE(std::isnan(e.key(i)) || a.key(i) == e.key(i)) << value;
      EXPECT_TRUE(std::isnan(e.value(i)) ? std::isnan(a.value(i)) : a.value(i) == e.value(i)) << value;
    }
  }
}

//===- attention --------------------------------------------------------------===//
using AttentionTest = FamilyTest<AttentionDesc>;

bool serves(const Kernel<AttentionDesc> &kernel, const AttentionDesc &d, const Target &target) {
  return !refusal(kernel, d, target);
}

/// Values are of size 1 and weights sum up to 1; a score of size `spread` is summed in f32, and exp turns its absolute
/// error into a relative one of the weights. Queries and weights of bf16 dot products have 8 bits, those of int8 15.
float toleranceOf(const Kernel<AttentionDesc> &kernel, const AttentionDesc &d) {
  if (d.kv == KvType::I8) return 4e-4f;
  return llvm::StringRef(kernel.name).contains("avx512bf16") ? 4e-2f : 1e-5f;
}

void expectNear(const std::vector<uint8_t> &found, const std::vector<uint8_t> &expected, const AttentionDesc &d,
                float tolerance) {
  ASSERT_EQ(found.size(), expected.size());
  int64_t columns = d.heads * d.headDim;
  for (size_t row = 0; row < found.size() / rowBytes(d); ++row) {
    const uint8_t *f = found.data() + row * rowBytes(d), *e = expected.data() + row * rowBytes(d);
    for (int64_t c = 0; c < columns; ++c) {
      auto value = [&](const uint8_t *y) {
        if (d.out == RowFormat::F32) return reinterpret_cast<const float *>(y)[c];
        Q8Row q8(y, columns, kActivationBlock);
        return float(q8.codes[c]) * q8.scales[c / kActivationBlock];
      };
      float step =
          d.out == RowFormat::F32 ? 0 : Q8Row(e, columns, kActivationBlock).scales[c / kActivationBlock] * 1.01f;
      ASSERT_NEAR(value(f), value(e), tolerance + step) << describe(d) << ", row " << row << ", column " << c;
    }
  }
}

/// All ways to split a step give the same bits, and those are near the reference.
void checkAttention(const Kernel<AttentionDesc> &row, const Executable &kernel, const Step &step,
                    const AttentionDesc &d, float tolerance) {
  std::vector<uint8_t> decode = attend(step, d, kernel.function, {.rowBlock = 1});
  expectNear(decode, referenceResult(step, d), d, tolerance);
  if (testing::Test::HasFailure()) return;
  for (Split split : {Split{.rowBlock = 8},
                      {.rowBlock = 8, .threads = 3},
                      {.rowBlock = 3},
                      {.rowBlock = 40},
                      {.rowBlock = 1, .threads = 1000},
                      {.chunks = true},
                      {.threads = 2, .chunks = true},
                      {.threads = 7, .chunks = true}})
    EXPECT_TRUE(attend(step, d, kernel.function, split) == decode)
        << describe(d) << ": blocks of " << split.rowBlock << ", " << split.threads << " threads, chunks "
        << split.chunks << " differ from rows one by one";
  // A part of the batch, whose blocks lie differently.
  if (step.rowCount() < 9) return;
  std::vector<uint8_t> part = attend(step, d, kernel.function, {.rowBlock = 8, .firstRow = 2, .rows = 7});
  EXPECT_TRUE(std::equal(part.begin(), part.end(), decode.begin() + 2 * rowBytes(d))) << describe(d);
}

struct Shape {
  int64_t heads, kvHeads, headDim;
};
constexpr Shape kShapes[] = {{1, 1, 8},   {4, 2, 16}, {3, 1, 24},  {9, 3, 64},  {2, 2, 64}, {4, 1, 80},
                             {8, 1, 128}, {5, 1, 32}, {2, 1, 256}, {13, 1, 64}, {6, 1, 40}, {71, 1, 64}};

TEST_P(AttentionTest, Shapes) {
  for (Shape shape : kShapes)
    for (KvType kv : kTypes)
      for (int64_t window : {0, 100, 1, 257}) {
        AttentionDesc d = makeDesc(shape.heads, shape.kvHeads, shape.headDim, kv, window);
        if (shape.headDim == 32) d.rope = RopeStyle::None;
        if (!serves(*GetParam(), d, target)) continue;
        auto kernel = make(d);
        ASSERT_TRUE(kernel);
        checkAttention(*GetParam(), *kernel, Step(d, kRagged), d, toleranceOf(*GetParam(), d));
        if (HasFailure()) return;
      }
}

/// Groups whose states do not fit beside each other, heads that are wider than a step of the loops.
TEST_P(AttentionTest, LargeShapes) {
  for (Shape shape : {Shape{128, 1, 192}, {100, 1, 576}, {3, 3, 320}, {2, 1, 456}})
    for (KvType kv : kTypes) {
      AttentionDesc d = makeDesc(shape.heads, shape.kvHeads, shape.headDim, kv, 80);
      if (!serves(*GetParam(), d, target)) continue;
      auto kernel = make(d);
      ASSERT_TRUE(kernel);
      checkAttention(*GetParam(), *kernel, Step(d, {{300, 2}, {20, 1}}), d, toleranceOf(*GetParam(), d));
      if (HasFailure()) return;
    }
}

TEST_P(AttentionTest, Features) {
  for (KvType kv : kTypes)
    for (int features = 1; features < 16; ++features)
      for (Shape shape : {Shape{6, 2, 64}, {5, 1, 32}, {96, 1, 128}}) {
        AttentionDesc d = makeDesc(shape.heads, shape.kvHeads, shape.headDim, kv, features & 1 ? 90 : 0);
        d.alibi = features & 1, d.softcap = features & 2 ? 1.5f : 0, d.sinks = features & 4;
        if (features & 8) d.out = RowFormat::Q8, d.yStride = rowStride(RowFormat::Q8, d.heads * d.headDim);
        if (!serves(*GetParam(), d, target)) continue;
        auto kernel = make(d);
        ASSERT_TRUE(kernel);
        checkAttention(*GetParam(), *kernel, Step(d, {{300, 5}, {60, 7}, {0, 3}}), d, toleranceOf(*GetParam(), d));
        if (HasFailure()) return;
      }
}

/// Rows alone in their sequences may be appended by attention itself: the same cache and the same results.
TEST_P(AttentionTest, AppendsItself) {
  for (KvType kv : kTypes)
    for (Shape shape : {Shape{6, 2, 64}, {2, 2, 80}, {100, 1, 576}})
      for (int64_t window : {0, 100}) {
        AttentionDesc d = makeDesc(shape.heads, shape.kvHeads, shape.headDim, kv, window);
        if (!serves(*GetParam(), d, target)) continue;
        auto kernel = make(d);
        Step before(d, kLone);
        llmc_batch batch = before.batch();
        referenceKvAppend(KvAppendDesc{d},
                          {0, batch.rows, &batch, before.qkv->as<float>(), before.ropeRows(), kLayerOffset});
        std::vector<uint8_t> expected = attend(before, d, kernel->function, {});
        for (Split split : {Split{.append = true},
                            {.rowBlock = 1, .threads = 2, .append = true},
                            {.threads = 3, .chunks = true, .append = true}}) {
          Step step(d, kLone);
          EXPECT_TRUE(attend(step, d, kernel->function, split) == expected) << describe(d);
          EXPECT_EQ(memcmp(step.pool->as(), before.pool->as(), step.pool->size), 0) << describe(d);
        }
      }
}

/// Large scores: the softmax is nearly one-hot, maxima grow by hundreds from page to page. And no scores at all.
TEST_P(AttentionTest, Extremes) {
  for (KvType kv : {KvType::F32, KvType::I8})
    for (float spread : {0.0f, 60.0f, 1e-30f}) {
      AttentionDesc d = makeDesc(6, 2, 64, kv);
      if (!serves(*GetParam(), d, target)) continue;
      auto kernel = make(d);
      float more = spread > 1 ? kv == KvType::I8 ? 100 : 20 : 1;
      checkAttention(*GetParam(), *kernel, Step(d, kRagged, spread), d, more * toleranceOf(*GetParam(), d));
    }
}

/// Operands that bf16 holds exactly: what is left is the rounding of the weights to 8 bits, and their exp2.
TEST_P(AttentionTest, Bf16OfExactOperands) {
  for (KvType kv : {KvType::F16, KvType::BF16})
    for (int64_t headDim : {64, 80}) {
      AttentionDesc d = makeDesc(6, 2, headDim, kv);
      d.rope = RopeStyle::None, d.scale = float(std::numbers::ln2); // 1 in units of log2(e)
      if (!serves(*GetParam(), d, target)) continue;
      Step step(d, kRagged), positive(d, kRagged);
      for (Step *s : {&step, &positive}) s->roundToBf16(s == &positive);
      auto kernel = make(d);
      ASSERT_TRUE(kernel);
      std::vector<uint8_t> found = attend(step, d, kernel->function, {.rowBlock = 5});
      std::vector<uint8_t> expected = referenceResult(step, d), size = referenceResult(positive, d);
      for (size_t i = 0; i < found.size() / 4; ++i)
        ASSERT_NEAR(floats(found)[i], floats(expected)[i], (0x1p-8f + 0x1p-12f) * floats(size)[i] + 1e-6f)
            << describe(d) << " " << i;
    }
}

/// An infinite or NaN value spoils its own channel (int8: its kv head) and sequence only, from its position on.
TEST_P(AttentionTest, NotFiniteStaysInItsSequence) {
  for (KvType kv : kTypes)
    for (int64_t spoiltPosition : {1, 6, 7}) {
      AttentionDesc d = makeDesc(3, 1, 64, kv);
      if (!serves(*GetParam(), d, target)) continue;
      Step clean(d, {{5, 4}, {5, 4}}), spoilt(d, {{5, 4}, {5, 4}});
      llmc_batch batch = spoilt.batch();
      std::vector<float> value(64);
      value[3] = NAN;
      KvCell(d, batch, kLayerOffset, 1, spoiltPosition, 0).setValue(value.data());
      KvCell(d, clean.batch(), kLayerOffset, 1, spoiltPosition, 0).setValue(std::vector<float>(64).data());
      auto kernel = make(d);
      for (int64_t rowBlock : {1, 8}) {
        std::vector<uint8_t> before = attend(clean, d, kernel->function, {.rowBlock = rowBlock});
        std::vector<uint8_t> after = attend(spoilt, d, kernel->function, {.rowBlock = rowBlock});
        for (int64_t i = 0; i < int64_t(before.size() / 4); ++i) {
          int64_t row = i / (3 * 64), channel = i % 64;
          bool hit = row >= 4 && 5 + row - 4 >= spoiltPosition && (channel == 3 || kv == KvType::I8);
          ASSERT_EQ(std::isnan(floats(after)[i]), hit) << describe(d) << " row " << row << " channel " << channel;
          ASSERT_TRUE(hit || floats(after)[i] == floats(before)[i]) << describe(d) << " row " << row;
        }
      }
    }
}

//===- The tables -------------------------------------------------------------===//
TEST(AttentionTable, Refusals) {
  Target target = llvm::cantFail(findTarget("znver4"));
  auto reason = [&](const char *name, const AttentionDesc &d) {
    for (const Kernel<AttentionDesc> &kernel : kernelTable<AttentionDesc>())
      if (kernel.name == std::string(name)) return refusal(kernel, d, target).value_or("");
    return std::string("no such kernel");
  };
  const char *f32 = "attention_f32_avx512";
  EXPECT_EQ(reason(f32, makeDesc(1, 1, 584, KvType::F32)), "headDim: found 584, expected 8..576");
  EXPECT_EQ(reason(f32, makeDesc(1, 1, 100, KvType::F32)), "headDim: found 100, expected a multiple of 8");
  EXPECT_EQ(reason(f32, makeDesc(3, 2, 64, KvType::F32)), "heads: found 3, expected a multiple of kvHeads (2)");
  EXPECT_EQ(reason(f32, makeDesc(256, 1, 64, KvType::F32)), "heads per kv head: found 256, expected 1..128");
  EXPECT_EQ(reason(f32, makeDesc(1, 1, 64, KvType::I8)), "cache type: found int8, expected f32 or f16 or bf16");
  EXPECT_EQ(reason("attention_bf16_avx512bf16", makeDesc(1, 1, 64, KvType::F16)),
            "cache type: found f16, expected bf16");
  EXPECT_EQ(reason("attention_f16_avx512bf16", makeDesc(1, 1, 264, KvType::F16)),
            "headDim: found 264, expected 8..256");
  for (KvType kv : {KvType::F16, KvType::BF16}) {
    AttentionDesc exact = makeDesc(1, 1, 64, kv);
    exact.bf16 = false;
    EXPECT_EQ(reason(kv == KvType::F16 ? "attention_f16_avx512bf16" : "attention_bf16_avx512bf16", exact),
              "products: found f32 (the compute mode does not round as far), expected bf16");
  }
  AttentionDesc q8 = makeDesc(1, 1, 80, KvType::F32);
  q8.out = RowFormat::Q8;
  EXPECT_EQ(reason(f32, q8), "headDim: found 80, expected a multiple of 32 for q8 rows");
  KvAppendDesc append{makeDesc(1, 1, 64, KvType::F32)};
  append.ropeDim = 63;
  EXPECT_EQ(*refusal(kernelTable<KvAppendDesc>()[0], append, target),
            "ropeDim: found 63, expected an even number, 2..64");
}

TEST(AttentionTable, PrefersTheWidest) {
  struct Choice {
    const char *cpu;
    KvType kv;
    const char *isa;
    int64_t minRows = 1;
    bool bf16 = true;
  };
  for (Choice c : {Choice{"x86-64-v4", KvType::F16, "avx512"},
                   {"haswell", KvType::F16, "avx2"},
                   {"x86-64-v2", KvType::F16, "portable"},
                   {"znver4", KvType::BF16, "avx512bf16"},
                   {"znver4", KvType::BF16, "avx512", 1, false},
                   {"znver5", KvType::F16, "f32_avx512"},
                   {"znver5", KvType::F16, "f16_avx512bf16", 7},
                   {"znver5", KvType::F16, "f32_avx512", 7, false},
                   {"icelake-server", KvType::BF16, "avx512"},
                   {"icelake-server", KvType::I8, "avx512vnni"},
                   {"skylake-avx512", KvType::I8, "avx512"},
                   {"haswell", KvType::I8, "avx2"},
                   {"znver5", KvType::F32, "avx512"}}) {
    Target target = llvm::cantFail(findTarget(c.cpu));
    AttentionDesc d = makeDesc(9, 3, 64, c.kv);
    d.minRows = c.minRows, d.bf16 = c.bf16;
    EXPECT_TRUE(llvm::StringRef(select(d, target)->name).ends_with(std::string("_") + c.isa)) << c.cpu;
  }
}

/// The layout as the README draws it, by hand.
TEST(KvLayout, PositionsAndChannelsInLanes) {
  KvLayout f32 = {KvType::F32, 80}, bf16 = {KvType::BF16, 80}, i8 = {KvType::I8, 80};
  EXPECT_EQ(f32.keyOffset(3, 5), (3 * 64 + 5) * 4);
  EXPECT_EQ(f32.valueOffset(3, 5), 80 * 64 * 4 + (5 * 64 + 3) * 4);
  EXPECT_EQ(f32.valueOffset(70, 5), 80 * 64 * 4 + (64 * 64 + 5 * 16 + 6) * 4);
  EXPECT_EQ(bf16.keyOffset(7, 5), ((3 * 64 + 5) * 2 + 1) * 2);
  EXPECT_EQ(bf16.valueOffset(70, 5), 80 * 64 * 2 + (64 * 64 + (2 * 16 + 6) * 2 + 1) * 2);
  EXPECT_EQ(i8.keyOffset(7, 5), (64 + 5) * 4 + 3);
  EXPECT_EQ(i8.keyScaleOffset(5), 80 * 64 + 20);
  EXPECT_EQ(i8.valueOffset(70, 5), 80 * 64 + 256 + 64 * 64 + (16 + 6) * 4 + 1);
  EXPECT_EQ(i8.bytes(), 2 * (80 * 64 + 256));
}

/// Eight heads: 1/2, 1/4, .. 1/256. Twelve: those of eight, then every other one of sixteen.
TEST(Alibi, Slopes) {
  for (int h = 0; h < 8; ++h) EXPECT_EQ(alibiSlope(8, h), std::ldexp(1.0f, -(h + 1)));
  EXPECT_EQ(alibiSlope(12, 7), 0x1p-8f);
  EXPECT_FLOAT_EQ(alibiSlope(12, 8), std::sqrt(0.5f));
  EXPECT_FLOAT_EQ(alibiSlope(12, 9), std::sqrt(0.125f));
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
