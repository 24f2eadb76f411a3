// The AMX rows of the matmul table, emulated where this CPU has no tiles: formats, shapes, row counts, extremes, guard
// pages. int8 rows give the bits of Reference.cpp; 16-bit rows round each weight to 16 bits, which is done here, too.
#include "codegen/kernels/attention/Half.h"
#include "codegen/kernels/matmul/Pack.h"
#include "codegen/kernels/matmul/Requantise.h"
#include "codegen/kernels/matmul/Rows16.h"
#include "codegen/portable/Executable.h"
#include "test/codegen/MatmulCase.h"
#include "test/support/isa/Host.h"
#include <bit>
#include <cmath>
#include <gtest/gtest.h>

namespace llmc::test {
namespace {

using Kind = MatmulData::Kind;

std::string describe(const MatmulDesc &d) {
  return d.w.name() + " " + d.x.name() + (d.requantise ? " requantised " : " ") + std::to_string(d.n) + "x" +
         std::to_string(d.k) + " rows " + std::to_string(d.minRows) + ".." + std::to_string(d.maxRows);
}

std::vector<const Kernel<MatmulDesc> *> amxRows() {
  std::vector<const Kernel<MatmulDesc> *> rows;
  for (const Kernel<MatmulDesc> &kernel : kernelTable<MatmulDesc>())
    if (kernel.needs.has(Feature::AmxTile)) rows.push_back(&kernel);
  return rows;
}

/// To f16 from an exact value, rounded once.
uint16_t exactToF16(double value) {
  double magnitude = std::fabs(value);
  int exponent = magnitude < 0x1p-14 ? -14 : std::ilogb(magnitude);
  auto bits = uint32_t(exponent + 14) * 1024 + uint32_t(std::nearbyint(std::ldexp(magnitude, 10 - exponent)));
  return uint16_t(std::min(bits, 0x7c00u) | (std::signbit(value) ? 0x8000 : 0));
}

/// The weight as a B tile has it: README.md, "Numerics".
float tileWeight(const MatmulDesc &d, const PackedElement &e) {
  if (!d.w.isInteger()) return e.value;
  const bool fp16 = d.x.kind == RowFormat::Kind::F16;
  if (fp16 && d.w.scale == ScaleType::F16 && d.w.offset != Offset::MinF32) {
    double product = double(e.code - e.zero) * e.scale; // both exact
    return f16ToF32(exactToF16(product + e.minimum));
  }
  float value = d.w.hasMinimum() ? std::fma(float(e.code), e.scale, e.minimum) : float(e.code - e.zero) * e.scale;
  return fp16 ? f16ToF32(f32ToF16(value)) : bf16ToF32(f32ToBf16(value));
}

class MatmulAmxTest : public testing::TestWithParam<const Kernel<MatmulDesc> *> {
protected:
  void SetUp() override {
    Features missing = isa::missingHere(kernel().needs);
    ASSERT_TRUE(missing.empty()) << "this CPU lacks " << toString(missing) << "; the test needs one that has it";
    target = llvm::cantFail(findTarget("graniterapids"));
    target.features = kernel().needs; // nothing else may be used, or be needed
    for (WeightKind w : {WeightKind::I4, WeightKind::I8, WeightKind::F16, WeightKind::BF16})
      for (RowFormat x :
           {RowFormat::q8(128), RowFormat{RowFormat::Kind::BF16, 0, w}, RowFormat{RowFormat::Kind::F16, 0, w}})
        if (!refusal(kernel(), makeDesc({w, 128}, x, 64, 128, 1, 1), target)) kind = w, rows = x;
    ASSERT_NE(rows, RowFormat::F32) << kernel().name << " refuses everything";
  }
  const Kernel<MatmulDesc> &kernel() const { return *GetParam(); }
  bool isInt8() const { return rows.isQ8(); }
  bool isInteger() const { return kind == WeightKind::I4 || kind == WeightKind::I8; }
  /// A weight of that group, or of floats.
  WeightFormat weight(int64_t group, ScaleType scale = ScaleType::F16, Offset offset = Offset::None) const {
    return isInteger() ? WeightFormat{kind, group, scale, offset} : WeightFormat{kind};
  }
  MatmulDesc desc(const WeightFormat &w, int64_t n, int64_t k, int64_t block = 128) const {
    return makeDesc(w, isInt8() ? RowFormat::q8(block) : rows, n, k, 1, INT64_MAX);
  }

  void check(const MatmulDesc &d, const std::vector<int64_t> &rowCounts, Kind data = Kind::Ordinary);
  std::vector<float> expected(const MatmulDesc &d, const MatmulData &data, int64_t count) const;
  void expectClose(const MatmulDesc &d, const MatmulData &data, int64_t count, const std::vector<float> &y,
                   const std::vector<float> &wanted) const;
  void expectNativeTiles(const MatmulDesc &d, const MatmulData &data, int64_t count, llmc_kernel_fn function,
                         const std::vector<float> &emulated) const;

  Target target;
  WeightKind kind = WeightKind::F32;
  RowFormat rows;
};

/// What 16-bit tiles add up, in f64.
std::vector<float> MatmulAmxTest::expected(const MatmulDesc &d, const MatmulData &data, int64_t count) const {
  if (isInt8()) return data.reference();
  std::vector<float> y(count * data.columns()), w(d.k);
  for (int64_t n = 0; n < data.columns(); ++n) {
    for (int64_t k = 0; k < d.k; ++k) w[k] = tileWeight(d, unpackElement(d.w, d.k, data.packed(), n, k));
    for (int64_t r = 0; r < count; ++r) {
      double sum = 0;
      for (int64_t k = 0; k < d.k; ++k) sum += double(w[k]) * fromRow16(d.x, &data.rows()[r * d.xStride], d.k, k);
      y[r * data.columns() + n] = float(sum);
    }
  }
  return data.withBiasAndY(std::move(y));
}

/// int8: the same bits, up to the sign of a zero.
void MatmulAmxTest::expectClose(const MatmulDesc &d, const MatmulData &data, int64_t count, const std::vector<float> &y,
                                const std::vector<float> &wanted) const {
  for (int64_t i = 0; i < count * data.columns(); ++i) {
    float bound = isInt8() ? 0 : data.bound(i);
    ASSERT_TRUE(std::fabs(y[i] - wanted[i]) <= bound)
        << "row " << i / data.columns() << " of " << count << ", column " << i % data.columns() << ": found " << y[i]
        << ", expected " << wanted[i] << " within " << bound;
  }
}

/// The CPU's own tiles: the emulated integers exactly; floats within the bound.
void MatmulAmxTest::expectNativeTiles(const MatmulDesc &d, const MatmulData &data, int64_t count,
                                      llmc_kernel_fn function, const std::vector<float> &emulated) const {
  auto bytes = isa::inChild(true, [&] {
    std::vector<float> y = data.run(function, count, {0, data.panels()});
    const char *first = reinterpret_cast<const char *>(y.data());
    return std::vector<char>(first, first + y.size() * sizeof(float));
  });
  ASSERT_TRUE(bytes && bytes->size() == emulated.size() * sizeof(float)) << "the kernel died on this CPU's tiles";
  std::vector<float> native(emulated.size());
  memcpy(native.data(), bytes->data(), bytes->size());
  expectClose(d, data, count, native, emulated);
}

/// Emits and runs the case for all row counts; the result must be the expected one, bit by bit the same for each row
/// count and split, and the code the same when emitted again.
void MatmulAmxTest::check(const MatmulDesc &d, const std::vector<int64_t> &rowCounts, Kind kindOfData) {
  SCOPED_TRACE(describe(d));
  Refusal reason = refusal(kernel(), d, target);
  ASSERT_FALSE(reason) << *reason;
  llvm::Expected<Code> code = kernel().emit(d, target), again = kernel().emit(d, target);
  ASSERT_TRUE(bool(code)) << llvm::toString(code.takeError());
  EXPECT_EQ(code->bytes, llvm::cantFail(std::move(again)).bytes);
  EXPECT_LT(code->bytes.size(), 32u << 10);
  auto callable = llvm::cantFail(Executable::create(*code, target));
  MatmulData data(d, rowCounts.back(), kindOfData);
  std::vector<float> wanted = expected(d, data, rowCounts.back()), previous;
  isa::EmulationCheck emulation(kernel().needs);
  for (int64_t count : rowCounts) {
    std::vector<float> y = data.run(callable->function, count, {0, data.panels()});
    expectClose(d, data, count, y, wanted);
    if (HasFatalFailure()) return;
    EXPECT_TRUE(std::equal(previous.begin(), previous.end(), y.begin(),
                           [](float a, float b) { return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b); }))
        << count << " rows: other bits than fewer";
    if (count == rowCounts.back() && data.panels() > 1) {
      std::vector<float> split = data.run(callable->function, count, {1, data.panels(), 0, 1});
      EXPECT_FALSE(memcmp(y.data(), split.data(), y.size() * 4)) << count << " rows: other bits when split";
    }
    previous = y;
  }
  EXPECT_EQ(toString(emulation.neverSeen()), "") << "not emulated, and this CPU lacks it";
  if (isa::hasNativeTiles(kernel().needs)) expectNativeTiles(d, data, rowCounts.back(), callable->function, previous);
}

/// What an exact int8 row takes: sums over groups of 64 k or more, and of x where an offset needs them.
bool takesExactly(const WeightFormat &w, int64_t k, int64_t block) {
  bool needsSums = w.hasMinimum() || (w.kind == WeightKind::I8 && w.offset == Offset::ZeroPoint);
  if (w.group >= k) return true;
  return w.group >= 64 && block % w.group == 0 && (!needsSums || block == w.group);
}

TEST_P(MatmulAmxTest, Formats) {
  constexpr int64_t kN = 100, kK = 320;
  if (!isInteger()) return check(desc(weight(0), kN, kK), {5, 33});
  int turn = 0;
  for (int64_t group : {int64_t(16), int64_t(32), int64_t(64), int64_t(128), int64_t(256), kK})
    for (ScaleType scale : {ScaleType::F16, ScaleType::BF16, ScaleType::F32})
      for (Offset offset : {Offset::None, Offset::ZeroPoint, Offset::MinF16, Offset::MinF32}) {
        WeightFormat w = weight(group, scale, offset);
        std::vector<int64_t> rowCounts = {turn++ % 2 ? 5 : 19};
        if (!isInt8()) {
          check(desc(w, kN, kK), rowCounts);
          continue;
        }
        for (int64_t block : {128, 256, 512}) {
          MatmulDesc d = desc(w, kN, kK, block);
          EXPECT_EQ(takesExactly(w, kK, block), !refusal(kernel(), d, target)) << describe(d);
          if (takesExactly(w, kK, block)) check(d, rowCounts);
        }
        MatmulDesc d = desc(w, kN, kK, int64_t(128) << turn % 3);
        d.requantise = true;
        check(d, rowCounts);
      }
}

/// Chunks of 512 and 256 k, whole and not; panels, whole and not.
TEST_P(MatmulAmxTest, Shapes) {
  for (int64_t n : {64, 100, 192})
    for (int64_t k : {32, 64, 96, 160, 256, 512, 576, 1056})
      for (int64_t group : {int64_t(16), int64_t(128), k}) {
        if (n != 100 && group != 128) continue;
        MatmulDesc d = desc(weight(group), n, k, group == 16 ? 128 : 256);
        d.requantise = isInt8() && group == 16;
        check(d, {3, 18});
        if (!isInteger()) break;
      }
}

TEST_P(MatmulAmxTest, OddDepths) {
  for (int64_t k : {1, 7, 33, 45, 200, 257, 545})
    for (int64_t group : {64, 256}) {
      check(desc(weight(group), 64, k, 512), {2});
      if (!isInteger()) break;
    }
}

TEST_P(MatmulAmxTest, RowCounts) {
  MatmulDesc d = desc(weight(64), 64, 192);
  check(d, {1, 2, 3, 4, 5, 8, 15, 16, 17, 24, 31, 32, 33, 47, 48, 49, 64, 65, 70});
  check(desc(weight(64), 64, 64), {255, 256, 257, 300});
  d.requantise = isInt8();
  check(d, {1, 17, 40});
}

/// Several chunks and steps for several full row blocks, and a rest: the scales of a step wait for the next one's
/// tiles.
TEST_P(MatmulAmxTest, FullRowBlocks) {
  for (Offset offset : {Offset::None, Offset::ZeroPoint, Offset::MinF32})
    for (bool requantise : {false, true}) {
      MatmulDesc d = desc(weight(128, ScaleType::F16, offset), 64, 1160);
      d.requantise = requantise;
      check(d, {32, 64, 101});
      if (!isInt8()) break;
    }
}

/// The row classes that the compiler may ask for.
TEST_P(MatmulAmxTest, RowClasses) {
  for (auto [least, most] :
       {std::pair<int64_t, int64_t>(1, 1), {2, 6}, {5, 16}, {17, 32}, {17, 64}, {7, 40}, {7, INT64_MAX}}) {
    MatmulDesc d = desc(weight(64), 64, 96);
    d.minRows = least, d.maxRows = most;
    check(d, {least, std::min<int64_t>(most, 66)});
  }
}

TEST_P(MatmulAmxTest, Extremes) {
  for (Kind data : {Kind::LargestCodes, Kind::SmallestCodes, Kind::ZeroScales, Kind::LargeScales, Kind::ZeroX,
                    Kind::HugeX, Kind::DenormalX})
    for (int64_t group : {32, 128})
      for (Offset offset : {Offset::None, Offset::ZeroPoint, Offset::MinF16}) {
        if (rows.kind == RowFormat::Kind::F16 && (data == Kind::HugeX || data == Kind::LargeScales))
          continue;                                                           // infinite
        if (kind == WeightKind::BF16 && data == Kind::LargestCodes) continue; // 2^97, products are infinite
        MatmulDesc d = desc(weight(group, ScaleType::F16, offset), 64, 256);
        d.requantise = isInt8() && group == 32;
        check(d, {4, 21}, data);
        if (!isInteger()) return;
      }
}

TEST_P(MatmulAmxTest, BiasAndAccumulate) {
  for (bool bias : {false, true}) {
    MatmulDesc d = desc(weight(64), 100, 192);
    d.bias = bias, d.accumulate = true;
    check(d, {5, 33});
    d.bias = true, d.accumulate = bias;
    check(d, {5, 33});
  }
}

TEST_P(MatmulAmxTest, NoPanels) {
  MatmulDesc d = desc(weight(64), 64, 64);
  auto callable = llvm::cantFail(Executable::create(llvm::cantFail(kernel().emit(d, target)), target));
  llmc_matmul_args args = {.begin = 1, .end = 1, .rows = 1}; // touches nothing
  callable->function(&args);
}

TEST_P(MatmulAmxTest, Refusals) {
  auto reason = [&](const MatmulDesc &d) { return refusal(kernel(), d, target).value_or("accepted"); };
  MatmulDesc d = desc(weight(64), 64, 256);
  ASSERT_EQ(reason(d), "accepted");
  d.x = RowFormat::F32;
  EXPECT_EQ(reason(d).find("activations are f32, expected "), 0u) << reason(d);
  d = desc(weight(64), 64, 256);
  d.xStride = (int64_t(1) << 25) + 64;
  EXPECT_EQ(reason(d), "row stride of 33554496 bytes, expected 1..33554432");
  d = desc(weight(64), 64, 256);
  d.minRows = 3, d.maxRows = 2;
  EXPECT_EQ(reason(d), "rows 3..2, expected 1 <= first <= last");
  d = desc(weight(64), 64, 256);
  d.k = int64_t(1) << 26;
  EXPECT_EQ(reason(d), "k (67108864) makes a panel of 2 GB or more");
  d = desc(weight(64), 64, 256);
  if (rows.is16Bit()) {
    d.requantise = true;
    EXPECT_EQ(reason(d), "requantised weights with " + rows.name() + " rows, expected q8");
    d.requantise = false, d.x.order = WeightKind::F32;
    EXPECT_EQ(reason(d).find("activations are in the order of f32 weights, expected "), 0u) << reason(d);
  }
  if (isInteger()) {
    EXPECT_EQ(reason(desc(weight(96), 64, 256)), "group size (96) is neither 16, 32, 64, 128 or 256 nor k (256)");
  }
  if (!isInt8()) return;
  EXPECT_EQ(reason(desc(weight(64), 64, 256, 32)), "activations are q8b32, expected blocks of 128, 256 or 512");
  EXPECT_EQ(reason(desc(weight(32), 64, 256)), "groups of 32 with exact scales, expected 64 or more; f16 and bf16 rows "
                                               "take 32, requantised weights too");
  EXPECT_EQ(reason(desc(weight(256), 64, 512)), "groups of 256 in blocks of 128, expected whole groups");
  WeightFormat w = weight(64, ScaleType::F16, Offset::MinF32);
  EXPECT_EQ(reason(desc(w, 64, 256)), "q8b128 rows have no sums over groups of 64, which " + w.name() +
                                          " weights need; expected blocks of the group, requantised weights, f16 or "
                                          "bf16 rows");
}

INSTANTIATE_TEST_SUITE_P(Table, MatmulAmxTest, testing::ValuesIn(amxRows()),
                         [](const auto &info) { return std::string(info.param->name); });

const Kernel<MatmulDesc> &rowNamed(llvm::StringRef name) {
  for (const Kernel<MatmulDesc> &kernel : kernelTable<MatmulDesc>())
    if (name == kernel.name) return kernel;
  llvm_unreachable("no such row");
}

/// Up to 4 rows dot products cost less, from 5 on tiles do.
TEST(MatmulAmxSelection, TilesFromFiveRows) {
  Target target = llvm::cantFail(findTarget("sapphirerapids"));
  for (WeightKind kind : {WeightKind::I4, WeightKind::I8})
    for (int64_t k : {576, 4096, 11008})
      for (int64_t count : {1, 2, 3, 4, 5, 6, 16, 64, 512}) {
        MatmulDesc d = makeDesc({kind, 128}, RowFormat::q8(128), 4096, k, count, count);
        const char *vnni = kind == WeightKind::I4 ? "matmul_w4a8_large_avx512vnni" : "matmul_w8a8_large_avx512vnni";
        const char *tiles = kind == WeightKind::I4 ? "matmul_w4a8_amxint8" : "matmul_w8a8_amxint8";
        EXPECT_EQ(rowNamed(tiles).cost(d, target) < rowNamed(vnni).cost(d, target), count >= 5) << count << " rows";
      }
}

TEST(MatmulAmxSelection, ManyRows) {
  struct {
    const char *target;
    RowFormat::Kind x;
    WeightKind w;
    bool requantise;
    int64_t group;
    const char *kernel;
  } const choices[] = {
      {"sapphirerapids", RowFormat::Kind::Q8, WeightKind::I4, false, 128, "matmul_w4a8_amxint8"},
      {"sapphirerapids", RowFormat::Kind::Q8, WeightKind::I8, true, 32, "matmul_w8a8_amxint8"},
      {"sapphirerapids", RowFormat::Kind::BF16, WeightKind::I4, false, 32, "matmul_w4_amxbf16"},
      {"sapphirerapids", RowFormat::Kind::BF16, WeightKind::I8, false, 16, "matmul_w8_amxbf16"},
      {"sapphirerapids", RowFormat::Kind::BF16, WeightKind::BF16, false, 0, "matmul_wbf16_amxbf16"},
      {"graniterapids", RowFormat::Kind::F16, WeightKind::I4, false, 32, "matmul_w4_amxfp16"},
      {"graniterapids", RowFormat::Kind::F16, WeightKind::I8, false, 32, "matmul_w8_amxfp16"},
      {"graniterapids", RowFormat::Kind::F16, WeightKind::F16, false, 0, "matmul_wf16_amxfp16"},
  };
  for (const auto &c : choices) {
    RowFormat x = c.x == RowFormat::Kind::Q8 ? RowFormat::q8(128) : RowFormat{c.x, 0, c.w};
    MatmulDesc d = makeDesc({c.w, c.group}, x, 4096, 4096, 7, INT64_MAX);
    d.requantise = c.requantise;
    const Kernel<MatmulDesc> *kernel = select(d, llvm::cantFail(findTarget(c.target)));
    ASSERT_TRUE(kernel) << c.kernel;
    EXPECT_STREQ(kernel->name, c.kernel);
  }
}

} // namespace
} // namespace llmc::test
