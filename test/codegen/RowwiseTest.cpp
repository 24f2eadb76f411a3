// Every emitted rowwise kernel against the scalar reference: shapes and tails, extremes, memory outside its rows.
#include "codegen/kernels/matmul/Quantize.h"
#include "codegen/kernels/matmul/Rows16.h"
#include "codegen/kernels/rowwise/Reference.h"
#include "codegen/portable/Executable.h"
#include "test/support/GuardedBuffer.h"
#include "test/support/isa/Host.h"
#include <cmath>
#include <gtest/gtest.h>
#include <random>

using namespace llmc;
using namespace llmc::test;

namespace {

constexpr int64_t kRows = 3;
constexpr int64_t kColumns[] = {1, 8, 17, 31, 64, 100, 256, 576, 1536};

using Kind = RowFormat::Kind;
constexpr RowFormat row16(Kind kind, WeightKind order) { return {kind, 0, order}; }
constexpr RowFormat kOuts[] = {
    RowFormat::F32,
    RowFormat::Q8,
    RowFormat::q8(64),
    RowFormat::q8(128),
    RowFormat::q8(256),
    RowFormat::q8(512),
    row16(Kind::BF16, WeightKind::I4),
    row16(Kind::BF16, WeightKind::I8),
    row16(Kind::BF16, WeightKind::BF16),
    row16(Kind::BF16Pair, WeightKind::I4),
    row16(Kind::BF16Pair, WeightKind::I8),
    row16(Kind::BF16Pair, WeightKind::BF16),
    row16(Kind::F16, WeightKind::I4),
    row16(Kind::F16, WeightKind::I8),
    row16(Kind::F16, WeightKind::F16),
};

enum class Fill { Random, Zeros, Huge, Denormals, Infinities };
constexpr Fill kFills[] = {Fill::Random, Fill::Zeros, Fill::Huge, Fill::Denormals, Fill::Infinities};

float makeValue(Fill fill, std::mt19937 &random) {
  float value = std::normal_distribution<float>(0, 2)(random);
  switch (fill) {
  case Fill::Random: return value;
  case Fill::Zeros: return 0;
  case Fill::Huge: return value * 1e30f;
  case Fill::Denormals: return value * 1e-40f;
  case Fill::Infinities: return random() % 16 ? value : value < 0 ? -INFINITY : INFINITY;
  }
  return 0;
}

/// Rows of one operand: only their columns are there, the last row ends at a guard page (or the first starts at one).
struct Rows {
  Rows(int64_t rows, int64_t stride, int64_t rowBytes, bool atEnd)
      : stride(stride), rowBytes(rowBytes), count(rows), buffer((rows - 1) * stride + rowBytes, atEnd) {}
  template <typename T = char> T *row(int64_t r) const { return reinterpret_cast<T *>(buffer.as<char>() + r * stride); }
  std::string bytes() const { return std::string(buffer.as<char>(), buffer.size); }
  bool paddingUntouched() const {
    for (int64_t r = 0; r + 1 < count; ++r)
      for (int64_t i = rowBytes; i < stride; ++i)
        if (uint8_t(row(r)[i]) != 0xA5) return false;
    return true;
  }
  void fill(Fill fill, std::mt19937 &random) {
    for (int64_t r = 0; r < count; ++r)
      for (int64_t i = 0; i < rowBytes / 4; ++i) row<float>(r)[i] = makeValue(fill, random);
  }
  const int64_t stride, rowBytes, count;
  GuardedBuffer buffer;
};

RowwiseDesc makeDesc(RowwiseOp op, int64_t columns, RowFormat out = RowFormat::F32) {
  RowwiseDesc d;
  d.op = op, d.columns = columns, d.out = out, d.epsilon = 1e-5f;
  d.xStride = rowStride(RowFormat::F32, op == RowwiseOp::Glu ? 2 * columns : columns);
  d.yStride = rowStride(out, columns);
  return d;
}

void expectNear(float found, float expected, float relative, const std::string &where) {
  bool near = std::fabs(found - expected) <= std::fabs(expected) * relative + 1e-44f;
  bool same = std::isnan(expected) ? std::isnan(found) : std::isinf(expected) ? found == expected : near;
  EXPECT_TRUE(same) << where << ": found " << found << ", expected " << expected;
}

/// Codes within one of the reference's (its f32 inputs differ in the last bit); sums exactly those of the codes found.
void expectSameQ8(const char *found, const char *expected, int64_t columns, int64_t block, const std::string &where) {
  Q8Row f(found, columns, block), e(expected, columns, block);
  for (int64_t b = 0; b < q8PaddedK(columns, block) / block; ++b) {
    expectNear(f.scales[b], e.scales[b], 3e-6f, where + " scale");
    int32_t sums[2] = {0, 0}; // of the halves
    for (int64_t i = 0; i < block; ++i) {
      int64_t c = b * block + i;
      ASSERT_LE(std::abs(f.codes[c] - e.codes[c]), c < columns ? 1 : 0) << where << " code " << c;
      sums[i * 2 / block] += f.codes[c];
    }
    ASSERT_EQ(f.sums[b], sums[0] + sums[1]) << where;
    if (block > 32) continue;
    ASSERT_EQ(f.halfSums[2 * b], sums[0]) << where;
    ASSERT_EQ(f.halfSums[2 * b + 1], sums[1]) << where;
  }
}

/// Elements within one unit of the last place of the reference's, as above; nothing past the columns.
void expectSame16(RowFormat format, const char *found, const char *expected, int64_t columns,
                  const std::string &where) {
  auto [relative, smallest] = format.kind == Kind::BF16  ? std::pair(0x1p-7f, 0x1p-126f)
                              : format.kind == Kind::F16 ? std::pair(0x1p-10f, 0x1p-24f)
                                                         : std::pair(0x1p-16f, 0x1p-125f);
  for (int64_t k = 0; k < paddedK16(columns); ++k) {
    float f = fromRow16(format, found, columns, k), e = fromRow16(format, expected, columns, k);
    bool near = std::fabs(f - e) <= std::fabs(e) * relative + (k < columns ? smallest : 0);
    bool same = std::isnan(e) ? std::isnan(f) : std::isinf(e) ? f == e : near;
    ASSERT_TRUE(same) << where << " k " << k << ": found " << f << ", expected " << e;
  }
}

class RowwiseTest : public testing::TestWithParam<const Kernel<RowwiseDesc> *> {
protected:
  void SetUp() override {
    Features missing = isa::missingHere(GetParam()->needs);
    ASSERT_TRUE(missing.empty()) << "this CPU lacks " << toString(missing);
    target = llvm::cantFail(findTarget("x86-64-v4"));
    target.features = GetParam()->needs;
    emulation.emplace(GetParam()->needs);
  }
  void TearDown() override {
    if (made) { EXPECT_EQ(toString(emulation->neverSeen()), "") << "not emulated, and this CPU lacks it"; }
  }
  bool accepts(const RowwiseDesc &d) const { return !refusal(*GetParam(), d, target); }
  std::unique_ptr<Executable> make(const RowwiseDesc &d) const {
    Code code = llvm::cantFail(GetParam()->emit(d, target)), again = llvm::cantFail(GetParam()->emit(d, target));
    EXPECT_EQ(code.bytes, again.bytes);
    EXPECT_LE(code.codeBytes, code.bytes.size());
    made = true;
    return llvm::cantFail(Executable::create(code, target));
  }
  /// Runs rows 0..rows-1 at once and one by one, checks that both and the padding agree.
  void run(const RowwiseDesc &d, llmc_rowwise_args args, int64_t rows, Rows &y) const {
    auto kernel = make(d);
    args.y = y.row(0);
    args.begin = 0, args.end = rows;
    kernel->function(&args);
    std::string together = y.bytes();
    for (int64_t r = rows; r-- > 0;) {
      args.begin = r, args.end = r + 1;
      kernel->function(&args);
    }
    args.begin = args.end = rows;
    kernel->function(&args);
    EXPECT_EQ(y.bytes() == together, true) << "rows together and alone differ";
    EXPECT_TRUE(y.paddingUntouched());
  }
  void checkArithmetic(const RowwiseDesc &d, Fill fill, bool atEnd, const std::string &where);
  Target target;
  std::optional<isa::EmulationCheck> emulation;
  mutable bool made = false; // a kernel, which then ran
};

void RowwiseTest::checkArithmetic(const RowwiseDesc &d, Fill fill, bool atEnd, const std::string &where) {
  std::mt19937 random(unsigned(d.columns) * 8 + unsigned(fill));
  Rows x(kRows, d.xStride, d.columns * (d.op == RowwiseOp::Glu ? 8 : 4), atEnd);
  Rows w(kRows, d.xStride, d.columns * 4, atEnd), y(kRows, d.yStride, rowBytes(d.out, d.columns), atEnd);
  Rows expected(kRows, d.yStride, rowBytes(d.out, d.columns), atEnd);
  x.fill(fill, random);
  w.fill(Fill::Random, random);
  llmc_rowwise_args args = {};
  args.x = x.row(0), args.w = w.row(0), args.y = expected.row(0), args.end = kRows;
  referenceRowwise(d, args);
  run(d, args, kRows, y);
  for (int64_t r = 0; r < kRows; ++r) {
    std::string at = where + " row " + std::to_string(r);
    if (d.op == RowwiseOp::Quantize) {
      EXPECT_EQ(memcmp(y.row(r), expected.row(r), y.rowBytes), 0) << at;
      continue;
    }
    if (d.out.isQ8())
      expectSameQ8(y.row(r), expected.row(r), d.columns, d.out.block, at);
    else if (d.out.is16Bit())
      expectSame16(d.out, y.row(r), expected.row(r), d.columns, at);
    else
      for (int64_t c = 0; c < d.columns; ++c)
        expectNear(y.row<float>(r)[c], expected.row<float>(r)[c], d.op == RowwiseOp::Add ? 0 : 2e-6f,
                   at + " column " + std::to_string(c));
  }
}

TEST_P(RowwiseTest, Arithmetic) {
  for (RowwiseOp op : {RowwiseOp::RmsNorm, RowwiseOp::Glu, RowwiseOp::Quantize, RowwiseOp::Add})
    for (RowFormat out : kOuts)
      for (int64_t columns : kColumns) {
        RowwiseDesc d = makeDesc(op, columns, out);
        d.activation = Activation::Silu;
        if (!accepts(d)) continue;
        for (Fill fill : kFills) {
          // The scalar quantiser takes finite rows only: see NotFinite. A pair of an infinity is not a number.
          bool overflows = fill == Fill::Infinities || (fill == Fill::Huge && op == RowwiseOp::Glu);
          if ((out.isQ8() || out.kind == Kind::BF16Pair) && overflows) continue;
          std::string where = std::to_string(columns) + " columns, fill " + std::to_string(int(fill)) + ", " +
                              out.name() + " order " + std::to_string(int(out.order));
          for (bool atEnd : {true, false}) checkArithmetic(d, fill, atEnd, where);
          if (HasFailure()) return;
        }
      }
}

/// A block with an infinity or NaN has no usable codes, and a scale that spoils what is computed from it.
TEST_P(RowwiseTest, NotFinite) {
  RowwiseDesc d = makeDesc(RowwiseOp::Quantize, 100, RowFormat::Q8);
  if (!accepts(d)) return;
  for (int64_t block : {64, 512}) { // the block that the row ends in
    RowwiseDesc large = makeDesc(RowwiseOp::Quantize, 100, RowFormat::q8(block));
    Rows x(1, large.xStride, 400, true), y(1, large.yStride, q8RowBytes(100, block), true);
    for (int i = 0; i < 100; ++i) x.row<float>(0)[i] = i == 99 ? NAN : 1;
    llmc_rowwise_args args = {.begin = 0, .end = 1, .batch = nullptr, .x = x.row(0), .w = nullptr, .y = y.row(0)};
    make(large)->function(&args);
    Q8Row row(y.row(0), 100, block);
    EXPECT_TRUE(std::isnan(row.scales[99 / block]));
    EXPECT_EQ(row.sums[99 / block], 0);
    for (int64_t i = 99 / block * block; i < 100; ++i) EXPECT_EQ(row.codes[i], 0);
    EXPECT_EQ(row.sums[0], block == 64 ? 64 * 127 : 0);
  }
  for (float bad : {INFINITY, -INFINITY, NAN}) {
    Rows x(1, d.xStride, 400, true), y(1, d.yStride, q8RowBytes(100), true);
    for (int i = 0; i < 100; ++i) x.row<float>(0)[i] = i == 40 ? bad : 1;
    llmc_rowwise_args args = {.begin = 0, .end = 1, .batch = nullptr, .x = x.row(0), .w = nullptr, .y = y.row(0)};
    make(d)->function(&args);
    Q8Row row(y.row(0), 100, 32);
    EXPECT_FALSE(std::isfinite(row.scales[1]));
    EXPECT_EQ(row.scales[0], 1 / 127.0f);
    EXPECT_EQ(row.sums[0], 32 * 127);
    for (int i = 32; i < 64; ++i) EXPECT_EQ(row.codes[i], 0);
    EXPECT_EQ(row.sums[1], 0);
  }
}

/// y may be x or w.
TEST_P(RowwiseTest, AddInPlace) {
  RowwiseDesc d = makeDesc(RowwiseOp::Add, 100);
  if (!accepts(d)) return;
  std::mt19937 random(1);
  for (bool first : {true, false}) {
    Rows x(kRows, d.xStride, 400, true), w(kRows, d.xStride, 400, true), expected(kRows, d.xStride, 400, true);
    x.fill(Fill::Random, random);
    w.fill(Fill::Random, random);
    llmc_rowwise_args args = {};
    args.x = x.row(0), args.w = w.row(0), args.y = expected.row(0), args.end = kRows;
    referenceRowwise(d, args);
    args.y = first ? x.row(0) : w.row(0);
    make(d)->function(&args);
    EXPECT_EQ((first ? x : w).bytes(), expected.bytes());
  }
}

/// Dense sweep through the range of each activation: exp at both ends, erf, and what cancels.
TEST_P(RowwiseTest, Activations) {
  constexpr int64_t kCount = 8192;
  for (Activation activation :
       {Activation::None, Activation::Silu, Activation::GeluTanh, Activation::GeluErf, Activation::Relu}) {
    RowwiseDesc d = makeDesc(RowwiseOp::Glu, kCount);
    d.activation = activation;
    if (!accepts(d)) return;
    Rows x(1, d.xStride, kCount * 8, true), y(1, d.yStride, kCount * 4, true);
    std::mt19937 random(5);
    float *values = x.row<float>(0);
    for (int64_t i = 0; i < kCount; ++i) values[i] = -110 + 220.0f * float(i) / kCount, values[kCount + i] = 1;
    for (float special : {0.0f, -0.0f, 1e-30f, -1e-30f, 3e38f, -3e38f, INFINITY, float(NAN)})
      values[random() % kCount] = special;
    llmc_rowwise_args args = {.begin = 0, .end = 1, .batch = nullptr, .x = x.row(0), .w = nullptr, .y = y.row(0)};
    make(d)->function(&args);
    double worst = 0;
    for (int64_t i = 0; i < kCount; ++i) {
      float expected = referenceActivation(activation, values[i]), found = y.row<float>(0)[i];
      if (!std::isfinite(expected)) {
        expectNear(found, expected, 0, "special");
        continue;
      }
      // 1 + erf(x) cancels for negative x, as it does in every f32 implementation that has erff. x / (1 + exp(-x)) is
      // -0 where exp(-x) overflows, the value being above -3e-37 there.
      double slack = activation == Activation::GeluErf ? 4e-7 * std::fabs(values[i]) : 3e-37;
      double error = std::max(0.0, std::fabs(double(found) - expected) - slack);
      if (error > 0) worst = std::max(worst, error / std::fabs(double(expected)));
    }
    // exp(-x) inherits the rounding of its argument: x * 2^-24 at x = 88.
    EXPECT_LT(worst, activation == Activation::GeluTanh ? 3e-5 : 1e-6) << "activation " << int(activation);
  }
}

TEST_P(RowwiseTest, GatherRows) {
  for (int64_t columns : kColumns) {
    RowwiseDesc d = makeDesc(RowwiseOp::GatherRows, columns);
    if (!accepts(d)) return;
    std::mt19937 random(3);
    const int32_t chosen[] = {1, 2, 2, 5};
    Rows x(6, d.xStride, columns * 4, true), y(4, d.yStride, columns * 4, true);
    x.fill(Fill::Random, random);
    llmc_batch batch = {};
    batch.logit_rows = chosen, batch.logit_count = 4;
    llmc_rowwise_args args = {};
    args.batch = &batch, args.x = x.row(0);
    run(d, args, 4, y);
    for (int i = 0; i < 4; ++i) EXPECT_EQ(memcmp(y.row(i), x.row(chosen[i]), columns * 4), 0) << columns;
  }
}

/// A packed table of random codes with plausible scales and offsets.
void fillTable(const WeightFormat &w, int64_t n, int64_t k, char *table, std::mt19937 &random) {
  auto value = [&] { return std::uniform_real_distribution<float>(0.01f, 0.02f)(random); };
  auto put16 = [&](char *at, bool bf16) { // 0x21.. is about 0.01 as f16, 0x3c.. as bf16
    uint16_t bits = uint16_t((bf16 ? 0x3c00 : 0x2100) + random() % 256);
    memcpy(at, &bits, 2);
  };
  int64_t bytes = w.bytes(n, k);
  if (w.kind == WeightKind::F32)
    for (int64_t i = 0; i < bytes; i += 4) {
      float v = value();
      memcpy(table + i, &v, 4);
    }
  else if (!w.isInteger())
    for (int64_t i = 0; i < bytes; i += 2) put16(table + i, w.kind == WeightKind::BF16);
  else
    for (int64_t block = 0; block < bytes; block += w.blockBytes()) {
      for (int64_t i = 0; i < w.blockBytes(); ++i) table[block + i] = char(random());
      char *scales = table + block + w.codeBytes(), *offsets = scales + w.scaleBytes();
      for (int64_t column = 0; column < kPanel; ++column) {
        float v = value();
        if (w.scale == ScaleType::F32)
          memcpy(scales + 4 * column, &v, 4);
        else
          put16(scales + 2 * column, w.scale == ScaleType::BF16);
        v = -value();
        if (w.offset == Offset::MinF32) memcpy(offsets + 4 * column, &v, 4);
        if (w.offset == Offset::MinF16) put16(offsets + 2 * column, false);
      }
    }
}

TEST_P(RowwiseTest, Embed) {
  constexpr int64_t kVocabulary = 130;
  std::vector<WeightFormat> formats = {
      {.kind = WeightKind::F32}, {.kind = WeightKind::F16}, {.kind = WeightKind::BF16}};
  for (WeightKind kind : {WeightKind::I4, WeightKind::I8})
    for (ScaleType scale : {ScaleType::F16, ScaleType::BF16, ScaleType::F32})
      for (Offset offset : {Offset::None, Offset::ZeroPoint, Offset::MinF16, Offset::MinF32})
        for (int64_t group : {16, 32, 128}) formats.push_back({kind, group, scale, offset});
  for (const WeightFormat &format : formats)
    for (int64_t columns : {8, 17, 64, 100, 576}) {
      RowwiseDesc d = makeDesc(RowwiseOp::Embed, columns);
      d.w = format, d.scale = columns == 64 ? 1.0f : 1.7f;
      if (!accepts(d)) return;
      std::mt19937 random(7);
      GuardedBuffer table(format.bytes(kVocabulary, columns));
      fillTable(format, kVocabulary, columns, table.as<char>(), random);
      const int32_t tokens[] = {129, 0, 64, 63};
      Rows y(4, d.yStride, columns * 4, true), expected(4, d.yStride, columns * 4, true);
      llmc_batch batch = {};
      batch.tokens = tokens, batch.rows = 4;
      llmc_rowwise_args args = {};
      args.batch = &batch, args.w = table.as(), args.y = expected.row(0), args.end = 4;
      referenceRowwise(d, args);
      run(d, args, 4, y);
      for (int64_t r = 0; r < 4; ++r)
        for (int64_t c = 0; c < columns; ++c)
          // An absolute part: code * scale + minimum may cancel, and is fused here.
          ASSERT_NEAR(y.row<float>(r)[c], expected.row<float>(r)[c], 1e-6)
              << format.name() << " " << columns << " " << c;
      // The same rows, by position.
      const int32_t others[] = {1, 2, 3, 4};
      batch.tokens = others, batch.positions = tokens, d.byPosition = true;
      Rows again(4, d.yStride, columns * 4, true);
      run(d, args, 4, again);
      for (int64_t r = 0; r < 4; ++r) ASSERT_EQ(memcmp(again.row<char>(r), y.row<char>(r), columns * 4), 0);
    }
}

TEST(RowwiseTable, RefusesWithReasons) {
  Target target = llvm::cantFail(findTarget("x86-64-v4"));
  std::vector<RefusedKernel> refused;
  RowwiseDesc rope = makeDesc(RowwiseOp::RopeTable, 64);
  const Kernel<RowwiseDesc> *chosen = select(rope, target, &refused);
  ASSERT_TRUE(chosen && chosen->anyArch);
  EXPECT_EQ(refused[1].reason, "serves RmsNorm, found RopeTable");
  auto reasonOf = [&](const char *name, const RowwiseDesc &d) {
    for (const Kernel<RowwiseDesc> &kernel : kernelTable<RowwiseDesc>())
      if (llvm::StringRef(kernel.name) == name) return refusal(kernel, d, target).value_or("accepted");
    return std::string("no such kernel");
  };
  EXPECT_EQ(reasonOf("rowwise_add_avx2", makeDesc(RowwiseOp::Add, 64, row16(Kind::F16, WeightKind::I4))),
            "Add: found f16 output, expected f32");
  EXPECT_EQ(reasonOf("rowwise_glu_avx2", makeDesc(RowwiseOp::Glu, 64, row16(Kind::F16, WeightKind::F32))),
            "Glu: found f16 output without an order, expected the consumer's weights");
  EXPECT_EQ(reasonOf("rowwise_quantize_avx2", makeDesc(RowwiseOp::Quantize, 64)),
            "Quantize: found f32 output, expected another format");
  target.features = target.features | Features{Feature::Avx512bf16};
  EXPECT_EQ(reasonOf("rowwise_quantize_avx512bf16", makeDesc(RowwiseOp::Quantize, 64, RowFormat::Q8)),
            "found q8b32 output, expected bf16 or bf16pair");
  RowwiseDesc narrow = makeDesc(RowwiseOp::Add, 64);
  narrow.yStride = 128;
  for (const Kernel<RowwiseDesc> &kernel : kernelTable<RowwiseDesc>())
    if (llvm::StringRef(kernel.name) == "rowwise_add_avx512") {
      EXPECT_EQ(*refusal(kernel, narrow, target), "yStride: found 128, expected 256..2^31-1 bytes");
    }
}

/// What a fresh build for each kind of CPU takes.
TEST(RowwiseTable, PrefersTheWidest) {
  for (auto [cpu, name] : {std::pair("x86-64-v4", "rowwise_glu_avx512"),
                           {"haswell", "rowwise_glu_avx2"},
                           {"aarch64", "rowwise_any_portable"}}) {
    RowwiseDesc d = makeDesc(RowwiseOp::Glu, 64);
    d.activation = Activation::Silu;
    const Kernel<RowwiseDesc> *chosen = select(d, llvm::cantFail(findTarget(cpu)));
    ASSERT_TRUE(chosen);
    EXPECT_STREQ(chosen->name, name);
  }
  RowwiseDesc d = makeDesc(RowwiseOp::RmsNorm, 64, row16(Kind::BF16, WeightKind::I4));
  EXPECT_STREQ(select(d, llvm::cantFail(findTarget("znver4")))->name, "rowwise_rmsnorm_avx512bf16");
  EXPECT_STREQ(select(d, llvm::cantFail(findTarget("icelake-server")))->name, "rowwise_rmsnorm_avx512");
}

std::vector<const Kernel<RowwiseDesc> *> emittedKernels() {
  std::vector<const Kernel<RowwiseDesc> *> kernels;
  for (const Kernel<RowwiseDesc> &kernel : kernelTable<RowwiseDesc>())
    if (!kernel.anyArch) kernels.push_back(&kernel);
  return kernels;
}
INSTANTIATE_TEST_SUITE_P(Table, RowwiseTest, testing::ValuesIn(emittedKernels()),
                         [](const auto &info) { return std::string(info.param->name); });

} // namespace
