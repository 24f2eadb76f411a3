// Every machine-code row of the matmul table against Reference.cpp: formats, shapes, row counts, extremes, guard pages.
#include "codegen/kernels/matmul/Pack.h"
#include "codegen/kernels/matmul/Quantize.h"
#include "codegen/portable/Executable.h"
#include "test/codegen/MatmulCase.h"
#include "test/support/isa/Host.h"
#include <cmath>
#include <gtest/gtest.h>

namespace llmc::test {
namespace {

std::string describe(const MatmulDesc &d) {
  return d.w.name() + " " + d.x.name() + " " + std::to_string(d.n) + "x" + std::to_string(d.k) +
         (d.bias ? " bias" : "") + (d.accumulate ? " accumulate" : "");
}

std::vector<const Kernel<MatmulDesc> *> byteRows() {
  std::vector<const Kernel<MatmulDesc> *> rows;
  for (const Kernel<MatmulDesc> &kernel : kernelTable<MatmulDesc>())
    if (!kernel.anyArch && !kernel.needs.has(Feature::AmxTile) && // MatmulAmxTest, MatmulRequantisedTest
        !llvm::StringRef(kernel.name).contains("requantised"))
      rows.push_back(&kernel);
  return rows;
}

/// What a row of the table is for, read off what it refuses.
struct Serves {
  WeightKind kind = WeightKind::I4;
  RowFormat x = RowFormat::Q8;
  int64_t minRows = 1, maxRows = 1;
};

class MatmulTest : public testing::TestWithParam<const Kernel<MatmulDesc> *> {
protected:
  const Kernel<MatmulDesc> &kernel() const { return *GetParam(); }

  void SetUp() override {
    Features missing = isa::missingHere(kernel().needs);
    ASSERT_TRUE(missing.empty()) << "this CPU lacks " << toString(missing) << "; the test needs one that has it";
    target = llvm::cantFail(findTarget("znver5")); // one that prefetches
    target.features = kernel().needs;              // nothing else may be used, or be needed
    serves = find();
  }

  Serves find() {
    for (WeightKind kind : {WeightKind::I4, WeightKind::I8, WeightKind::F16, WeightKind::BF16, WeightKind::F32})
      for (RowFormat x : rowFormatsFor(kind))
        for (auto [least, most] : {std::pair<int64_t, int64_t>(1, INT64_MAX), {1, 31}, {1, 6}, {1, 1}})
          if (MatmulDesc d = makeDesc({kind, 32}, x, 64, 64, least, most); !refusal(kernel(), d, target))
            return {kind, x, least, most};
    ADD_FAILURE() << kernel().name << " refuses everything";
    return {};
  }

  /// Executed an instruction at a time, microseconds each: fewer shapes do.
  bool emulated() const { return !(kernel().needs - isa::nativeFeatures()).empty(); }
  bool isInteger() const { return serves.kind == WeightKind::I4 || serves.kind == WeightKind::I8; }
  std::vector<int64_t> rowCounts() const {
    if (serves.maxRows == 1) return {1};
    if (serves.maxRows == 31) return {2, 5, 6, 7, 11, 31};
    if (serves.maxRows == 6) return emulated() ? std::vector<int64_t>{2, 5} : std::vector<int64_t>{2, 3, 4, 5, 6};
    if (emulated()) return {1, 3, 8};
    return {1, 2, 3, 4, 5, 6, 7, 13};
  }
  MatmulDesc desc(const WeightFormat &w, int64_t n, int64_t k, int64_t block = 32) const {
    RowFormat x = serves.x.isQ8() ? RowFormat::q8(block) : serves.x;
    return makeDesc(w, x, n, k, serves.maxRows == 6 ? 2 : 1, serves.maxRows);
  }

  /// Emits and runs the case for all row counts; the result must be that of the reference, bit by bit the same for
  /// each row count and split, and the code the same when emitted again.
  void check(const MatmulDesc &d, MatmulData::Kind kind = MatmulData::Kind::Ordinary) { check(d, kind, rowCounts()); }
  void check(const MatmulDesc &d, MatmulData::Kind kind, const std::vector<int64_t> &counts) {
    SCOPED_TRACE(describe(d));
    Refusal reason = refusal(kernel(), d, target);
    ASSERT_FALSE(reason) << *reason;
    llvm::Expected<Code> code = kernel().emit(d, target), again = kernel().emit(d, target);
    ASSERT_TRUE(bool(code)) << llvm::toString(code.takeError());
    ASSERT_TRUE(bool(again)) << llvm::toString(again.takeError());
    EXPECT_EQ(code->bytes, again->bytes);
    EXPECT_LT(code->bytes.size(), 96u << 10); // all row counts together; the loop that runs is a fraction
    auto callable = llvm::cantFail(Executable::create(*code, target));
    int64_t most = counts.back();
    MatmulData data(d, most, kind);
    data.allowFor(kernel().needs);
    isa::EmulationCheck emulation(kernel().needs);
    std::vector<float> expected = data.reference();
    std::vector<float> previous;
    int64_t previousRows = 0;
    for (int64_t rows : counts) {
      std::vector<float> y = data.run(callable->function, rows, {0, data.panels()});
      expectNear(data, rows, y, expected);
      EXPECT_TRUE(equalBits(data, previousRows, y, previous)) << rows << " rows: other bits than " << previousRows;
      if (data.panels() > 1) {
        int64_t middle = data.panels() / 2;
        std::vector<float> split = data.run(callable->function, rows, {middle, data.panels(), 0, middle});
        EXPECT_TRUE(equalBits(data, rows, y, split)) << rows << " rows: other bits when split";
      }
      previous = y, previousRows = rows;
      if (HasFatalFailure()) return;
    }
    EXPECT_EQ(toString(emulation.neverSeen()), "") << "not emulated, and this CPU lacks it";
    if (isa::hasNativeTiles(kernel().needs)) expectNativeTiles(data, most, callable->function, previous);
  }

  /// The CPU's own tiles: the emulated integers exactly; floats within the bound.
  void expectNativeTiles(const MatmulData &data, int64_t rows, llmc_kernel_fn function,
                         const std::vector<float> &emulated) {
    auto bytes = isa::inChild(true, [&] {
      std::vector<float> y = data.run(function, rows, {0, data.panels()});
      const char *first = reinterpret_cast<const char *>(y.data());
      return std::vector<char>(first, first + y.size() * sizeof(float));
    });
    ASSERT_TRUE(bytes && bytes->size() == emulated.size() * sizeof(float)) << "the kernel died on this CPU's tiles";
    std::vector<float> native(emulated.size());
    memcpy(native.data(), bytes->data(), bytes->size());
    if (kernel().needs.has(Feature::AmxInt8))
      EXPECT_TRUE(equalBits(data, rows, native, emulated)) << "this CPU's tiles give other bits";
    else
      expectNear(data, rows, native, emulated);
  }

  static bool equalBits(const MatmulData &data, int64_t rows, const std::vector<float> &a,
                        const std::vector<float> &b) {
    return !memcmp(a.data(), b.data(), size_t(rows * data.columns()) * 4);
  }

  static void expectNear(const MatmulData &data, int64_t rows, const std::vector<float> &y,
                         const std::vector<float> &expected) {
    for (int64_t i = 0; i < rows * data.columns(); ++i) {
      float bound = data.bound(i);
      ASSERT_TRUE(std::fabs(y[i] - expected[i]) <= bound)
          << "row " << i / data.columns() << " of " << rows << ", column " << i % data.columns() << ": found " << y[i]
          << ", expected " << expected[i] << " within " << bound;
    }
  }

  std::vector<WeightFormat> formats(int64_t k) const {
    if (!isInteger()) return {{serves.kind}};
    std::vector<WeightFormat> all;
    for (int64_t group : {int64_t(16), int64_t(32), int64_t(64), int64_t(128), int64_t(256), k})
      for (ScaleType scale : {ScaleType::F16, ScaleType::BF16, ScaleType::F32})
        for (Offset offset : {Offset::None, Offset::ZeroPoint, Offset::MinF16, Offset::MinF32})
          if (group != k || k % 32 == 0) all.push_back({serves.kind, group, scale, offset});
    return all;
  }

  Target target;
  Serves serves;
};

TEST_P(MatmulTest, Formats) {
  for (int64_t k : {96, 320})
    for (const WeightFormat &w : formats(k))
      if (!emulated() || k == 96) check(desc(w, emulated() ? 64 : 100, k));
}

TEST_P(MatmulTest, Shapes) {
  for (int64_t n : {64, 100, 192})
    for (int64_t k : {32, 64, 96, 160, 256, 576})
      for (int64_t group : {int64_t(16), int64_t(32), int64_t(128), k}) {
        if (emulated() && (n > 100 || k > 160)) continue;
        check(desc(isInteger() ? WeightFormat{serves.kind, group} : WeightFormat{serves.kind}, n, k));
        if (!isInteger()) break;
      }
}

/// K that is no multiple of the group, of 32, or large enough for every inner loop.
TEST_P(MatmulTest, OddDepths) {
  for (int64_t k : {8, 24, 40, 48, 72, 200, emulated() ? 344 : 1544})
    for (int64_t group : {16, 32, 64, 256})
      for (Offset offset : {Offset::None, Offset::ZeroPoint, Offset::MinF32}) {
        check(desc(isInteger() ? WeightFormat{serves.kind, group, ScaleType::F16, offset} : WeightFormat{serves.kind},
                   64, k));
        if (!isInteger()) break;
      }
  if (serves.x != RowFormat::F32)
    for (int64_t k : {1, 7, 33, 45, 257}) check(desc({serves.kind, 32}, 64, k));
}

/// Activation blocks up to the group, and any of them with one group for the whole K.
TEST_P(MatmulTest, Blocks) {
  if (!serves.x.isQ8()) return;
  for (int64_t block : {64, 128, 256})
    for (int64_t k : {64, 256, 416, 576})
      for (int64_t group : {int64_t(64), int64_t(128), int64_t(256), k})
        for (Offset offset : {Offset::None, Offset::ZeroPoint, Offset::MinF16}) {
          if (group % block && group < k) continue;
          check(desc({serves.kind, group, ScaleType::F16, offset}, 100, k, block));
        }
}

TEST_P(MatmulTest, BlockExtremes) {
  using Kind = MatmulData::Kind;
  if (!serves.x.isQ8()) return;
  for (Kind kind : {Kind::LargestCodes, Kind::SmallestCodes, Kind::LargestX, Kind::LargestNegativeX, Kind::HugeX})
    for (int64_t block : {32, 128, 256})
      for (Offset offset : {Offset::None, Offset::ZeroPoint, Offset::MinF16})
        check(desc({serves.kind, 256, ScaleType::F16, offset}, 64, 512, block), kind);
}

/// More rows than are taken at once.
TEST_P(MatmulTest, ManyRows) {
  if (serves.maxRows < INT64_MAX) return;
  for (int64_t k : {64, 416}) {
    MatmulDesc d = desc(isInteger() ? WeightFormat{serves.kind, 32} : WeightFormat{serves.kind}, 100, k);
    d.accumulate = true;
    check(d, MatmulData::Kind::Ordinary,
          emulated() ? std::vector<int64_t>{7, 13} : std::vector<int64_t>{29, 191, 192, 194, 391});
  }
}

TEST_P(MatmulTest, BiasAndAccumulate) {
  for (bool bias : {false, true})
    for (bool accumulate : {false, true}) {
      MatmulDesc d = desc(isInteger() ? WeightFormat{serves.kind, 64} : WeightFormat{serves.kind}, 100, 192);
      d.bias = bias, d.accumulate = accumulate;
      check(d);
    }
}

TEST_P(MatmulTest, Extremes) {
  using Kind = MatmulData::Kind;
  for (Kind kind : {Kind::LargestCodes, Kind::SmallestCodes, Kind::ZeroScales, Kind::LargeScales, Kind::ZeroX,
                    Kind::HugeX, Kind::DenormalX})
    for (int64_t group : {16, 32, 128})
      for (Offset offset : {Offset::None, Offset::ZeroPoint, Offset::MinF16}) {
        bool tooLarge = kind == Kind::HugeX || (kind == Kind::LargestCodes && !isInteger()); // for 16 bits
        if (serves.x.kind == RowFormat::Kind::F16 && tooLarge) continue;
        if (!isInteger() && (group != 16 || offset != Offset::None)) continue;
        check(desc(isInteger() ? WeightFormat{serves.kind, group, ScaleType::F16, offset} : WeightFormat{serves.kind},
                   64, emulated() ? 128 : 256),
              kind);
      }
}

TEST_P(MatmulTest, NoPanels) {
  MatmulDesc d = desc(isInteger() ? WeightFormat{serves.kind, 32} : WeightFormat{serves.kind}, 64, 64);
  auto callable = llvm::cantFail(Executable::create(llvm::cantFail(kernel().emit(d, target)), target));
  llmc_matmul_args args = {.begin = 1, .end = 1, .rows = 1}; // touches nothing
  callable->function(&args);
}

TEST_P(MatmulTest, Refusals) {
  WeightFormat w = isInteger() ? WeightFormat{serves.kind, 32} : WeightFormat{serves.kind};
  auto reason = [&](const MatmulDesc &d) { return refusal(kernel(), d, target).value_or("accepted"); };
  MatmulDesc d = desc(w, 64, 64);
  d.w.kind = serves.kind == WeightKind::I4 ? WeightKind::I8 : WeightKind::I4, d.w.group = 32;
  EXPECT_NE(reason(d).find("expected"), std::string::npos) << reason(d);
  d = desc(w, 64, 64);
  d.x = serves.x.isQ8() ? RowFormat::F32 : RowFormat::Q8;
  EXPECT_EQ(reason(d), serves.x.isQ8() ? "activations are f32, expected q8"
                                       : "activations are q8b32, expected " + serves.x.name());
  if (serves.x.is16Bit()) {
    d.x = serves.x, d.x.order = WeightKind::F32;
    EXPECT_NE(reason(d).find("activations are in the order of f32 weights, expected "), std::string::npos) << reason(d);
  }
  if (serves.maxRows < INT64_MAX) {
    d = desc(w, 64, 64);
    d.maxRows = serves.maxRows + 1;
    EXPECT_EQ(reason(d),
              "up to " + std::to_string(d.maxRows) + " rows, expected at most " + std::to_string(serves.maxRows));
  }
  if (serves.x == RowFormat::F32) { EXPECT_EQ(reason(desc(w, 64, 68)), "k (68) is not a multiple of 8"); }
  if (serves.x.isQ8()) {
    EXPECT_EQ(reason(desc(w, 64, 64, 64)), "activation blocks of 64 k do not divide groups of 32");
    EXPECT_EQ(reason(desc(w, 64, 64, 16)), "activation blocks of 16 k, expected 32, 64, 128 or 256");
  }
  if (isInteger()) {
    w.group = 48;
    EXPECT_EQ(reason(desc(w, 64, 96)), "group size (48) is neither 16 nor a multiple of 32");
  }
  d = desc(isInteger() ? WeightFormat{serves.kind, 32} : w, 64, 64);
  d.k = int64_t(1) << 26;
  EXPECT_EQ(reason(d), "k (67108864) makes a panel of 2 GB or more");
  d.k = 64, d.xStride = 0;
  EXPECT_EQ(reason(d), "row stride of 0 bytes, expected 1..134217728");
}

INSTANTIATE_TEST_SUITE_P(Table, MatmulTest, testing::ValuesIn(byteRows()),
                         [](const auto &info) { return std::string(info.param->name); });

struct Choice {
  const char *target;
  WeightFormat w;
  RowFormat x;
  int64_t k, minRows, maxRows;
  const char *kernel;
};

/// Selection as data.
TEST(MatmulSelection, PicksTheRowOfTheClass) {
  constexpr RowFormat q8 = RowFormat::Q8, f32 = RowFormat::F32;
  constexpr int64_t any = INT64_MAX;
  const WeightFormat w4{WeightKind::I4, 32}, w8{WeightKind::I8, 32}, bf16{WeightKind::BF16};
  const Choice choices[] = {
      {"znver5", w4, q8, 4096, 1, 1, "matmul_w4a8_m1_avx512vnni"},
      {"znver5", w4, q8, 4096, 2, 6, "matmul_w4a8_small_avx512vnni"},
      {"znver5", w4, q8, 4096, 7, any, "matmul_w4a8_large_avx512vnni"},
      {"znver5", w8, q8, 4096, 1, 1, "matmul_w8a8_m1_avx512vnni"},
      {"znver5", w4, q8, 4096, 7, 31, "matmul_w4a8_medium_avx512vnni"},
      {"znver5", w4, q8, 4096, 32, any, "matmul_w4a8_large_avx512vnni"},
      {"skylake-avx512", w4, q8, 4096, 1, 1, "matmul_w4a8_m1_avx512bw"},
      {"skylake-avx512", w4, q8, 4096, 32, any, "matmul_w4a8_large_avx512bw"},
      {"skylake-avx512", w8, q8, 4096, 1, 1, "matmul_w8a8_m1_avx2"},
      {"haswell", w4, q8, 4096, 7, any, "matmul_w4a8_large_avx2"},
      {"haswell", w8, f32, 4096, 2, 6, "matmul_w8a32_small_avx2"},
      {"icelake-server", w4, f32, 4096, 7, any, "matmul_w4a32_large_avx512"},
      {"znver4", bf16, f32, 576, 1, 1, "matmul_wbf16a32_m1_avx512"},
      {"haswell", bf16, f32, 576, 7, any, "matmul_wbf16a32_large_avx2"},
      {"haswell", w4, f32, 4100, 1, 1, "matmul_any_portable"}, // k is not a multiple of 8
      {"znver4", w4, row16(RowFormat::Kind::BF16, WeightKind::I4), 4100, 1, 1, "matmul_w4a16_m1_avx512bf16"},
      {"znver5", w8, row16(RowFormat::Kind::BF16, WeightKind::I8), 4096, 2, 6, "matmul_w8a16_small_avx512bf16"},
      {"znver5", bf16, row16(RowFormat::Kind::BF16, WeightKind::BF16), 4096, 7, any,
       "matmul_wbf16a16_large_avx512bf16"},
      {"znver5", w4, row16(RowFormat::Kind::BF16Pair, WeightKind::I4), 4096, 7, any, "matmul_w4a16x2_large_avx512bf16"},
      {"x86-64-v2", w4, q8, 4096, 1, 1, "matmul_any_portable"},
      {"aarch64", w4, q8, 4096, 7, any, "matmul_any_portable"},
  };
  for (const Choice &c : choices) {
    Target target = llvm::cantFail(findTarget(c.target));
    const Kernel<MatmulDesc> *kernel = select(makeDesc(c.w, c.x, 4096, c.k, c.minRows, c.maxRows), target);
    ASSERT_TRUE(kernel) << c.kernel;
    EXPECT_STREQ(kernel->name, c.kernel) << c.target;
  }
}

TEST(MatmulPack, UnpackGivesBackEveryElement) {
  for (const WeightFormat &w :
       {WeightFormat{WeightKind::I4, 32, ScaleType::F16, Offset::ZeroPoint},
        WeightFormat{WeightKind::I4, 64, ScaleType::BF16, Offset::None},
        WeightFormat{WeightKind::I8, 16, ScaleType::F32, Offset::MinF32}, WeightFormat{WeightKind::F16},
        WeightFormat{WeightKind::BF16}, WeightFormat{WeightKind::F32}})
    for (int64_t k : {64, 75}) {
      SCOPED_TRACE(w.name());
      MatmulDesc d = makeDesc(w, RowFormat::F32, 100, k, 1, 1);
      MatmulData data(d, 1, MatmulData::Kind::Ordinary);
      std::vector<float> column(k);
      for (int64_t n = 0; n < 100; ++n) {
        unpackColumn(w, k, data.packed(), n, column.data());
        for (int64_t i = 0; i < k; ++i) ASSERT_EQ(column[i], data.weight(n, i)) << "column " << n << ", k " << i;
      }
      for (int64_t n = 100; n < 128; ++n)
        for (int64_t i = 0; i < k; ++i) ASSERT_EQ(unpackElement(w, k, data.packed(), n, i).value, 0);
      for (int64_t i = k; i < w.paddedK(k) && !w.hasMinimum(); ++i)
        ASSERT_EQ(unpackElement(w, k, data.packed(), 3, i).value, 0);
    }
}

TEST(MatmulQuantize, RowOfKnownValues) {
  std::vector<float> x(40, 0.0f);
  x[0] = 127, x[1] = -63.5f, x[2] = 0.5f, x[3] = 1.5f, x[33] = -2;
  std::vector<char> row(q8RowBytes(40), char(0x5a));
  quantiseRowQ8(x.data(), 40, 32, row.data());
  Q8Row q(row.data(), 40, 32);
  EXPECT_EQ(q.codes[0], 127);
  EXPECT_EQ(q.codes[1], -64); // half to even
  EXPECT_EQ(q.codes[2], 0);
  EXPECT_EQ(q.codes[3], 2);
  EXPECT_EQ(q.codes[33], -127);
  EXPECT_EQ(q.scales[0], 1.0f);
  EXPECT_EQ(q.scales[1], 2.0f / 127.0f);
  EXPECT_EQ(q.sums[0], 65);
  EXPECT_EQ(q.sums[1], -127);
  EXPECT_EQ(q.halfSums[0], 65);
  EXPECT_EQ(q.halfSums[1], 0);
  EXPECT_EQ(q.halfSums[2], -127);
  for (int64_t i = 40; i < 256; ++i) EXPECT_EQ(q.codes[i], 0);
  for (int64_t i = 2; i < 8; ++i) EXPECT_EQ(q.scales[i], 0);
}

TEST(MatmulQuantize, LargerBlocks) {
  std::vector<float> x(600, 0.0f);
  x[0] = 63.5f, x[70] = -127, x[300] = 254, x[599] = 1;
  for (int64_t block : {64, 128, 256, 512}) {
    std::vector<char> row(q8RowBytes(600, block), char(0x5a));
    quantiseRowQ8(x.data(), 600, block, row.data());
    Q8Row q(row.data(), 600, block);
    EXPECT_EQ(q.codes[0], block == 64 ? 127 : block == 512 ? 32 : 64);
    EXPECT_EQ(q.codes[70], block == 512 ? -64 : -127); // -63.5: half to even
    EXPECT_EQ(q.codes[300], 127);
    EXPECT_EQ(q.scales[300 / block], 2.0f);
    EXPECT_EQ(q.scales[599 / block], 1 / 127.0f);
    EXPECT_EQ(q.sums[0], block == 64 ? 127 : block == 512 ? 95 : -63);
    EXPECT_EQ(q.sums[599 / block], 127);
    for (int64_t i = 600; i < q8PaddedK(600, block); ++i) EXPECT_EQ(q.codes[i], 0);
    for (int64_t i = 599 / block + 1; i < q8PaddedK(600, block) / block; ++i) EXPECT_EQ(q.scales[i], 0);
    EXPECT_EQ(q8PaddedK(600, block), block == 512 ? 1024 : 768);
  }
}

} // namespace
} // namespace llmc::test
