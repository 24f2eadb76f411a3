// Rows of the matmul table that requantise weights without AMX: the bits of Reference.cpp for formats, shapes, row
// counts, extremes. (MatmulAmxTest has the AMX rows, RequantiseTest the meaning.)
#include "codegen/portable/Executable.h"
#include "test/codegen/MatmulCase.h"
#include "test/support/isa/Host.h"
#include <cmath>
#include <gtest/gtest.h>

namespace llmc::test {
namespace {

using Kind = MatmulData::Kind;

std::vector<const Kernel<MatmulDesc> *> requantisedRows() {
  std::vector<const Kernel<MatmulDesc> *> rows;
  for (const Kernel<MatmulDesc> &kernel : kernelTable<MatmulDesc>())
    if (llvm::StringRef(kernel.name).contains("requantised")) rows.push_back(&kernel);
  return rows;
}

class MatmulRequantisedTest : public testing::TestWithParam<const Kernel<MatmulDesc> *> {
protected:
  void SetUp() override {
    Features missing = isa::missingHere(kernel().needs);
    ASSERT_TRUE(missing.empty()) << "this CPU lacks " << toString(missing) << "; the test needs one that has it";
    target = llvm::cantFail(findTarget("znver5"));
    target.features = kernel().needs; // nothing else may be used, or be needed
    for (WeightKind w : {WeightKind::I4, WeightKind::I8})
      if (!refusal(kernel(), desc({w, 32}, 64, 64, 128), target)) kind = w;
    ASSERT_NE(kind, WeightKind::F32) << kernel().name << " refuses everything";
  }
  const Kernel<MatmulDesc> &kernel() const { return *GetParam(); }

  static MatmulDesc desc(const WeightFormat &w, int64_t n, int64_t k, int64_t block) {
    MatmulDesc d = makeDesc(w, RowFormat::q8(block), n, k, 1, INT64_MAX);
    d.requantise = true;
    return d;
  }

  /// The result must be the reference's, up to the sign of a zero, for each row count and split.
  void check(const MatmulDesc &d, const std::vector<int64_t> &rowCounts, Kind kindOfData = Kind::Ordinary) {
    SCOPED_TRACE(d.w.name() + " " + d.x.name() + " " + std::to_string(d.n) + "x" + std::to_string(d.k));
    Refusal reason = refusal(kernel(), d, target);
    ASSERT_FALSE(reason) << *reason;
    llvm::Expected<Code> code = kernel().emit(d, target), again = kernel().emit(d, target);
    ASSERT_TRUE(bool(code)) << llvm::toString(code.takeError());
    EXPECT_EQ(code->bytes, llvm::cantFail(std::move(again)).bytes);
    EXPECT_LT(code->bytes.size(), 32u << 10);
    auto callable = llvm::cantFail(Executable::create(*code, target));
    isa::EmulationCheck emulation(kernel().needs);
    MatmulData data(d, rowCounts.back(), kindOfData);
    std::vector<float> wanted = data.reference();
    for (int64_t count : rowCounts) {
      std::vector<float> y = data.run(callable->function, count, {0, data.panels()});
      for (int64_t i = 0; i < count * data.columns(); ++i)
        ASSERT_EQ(y[i], wanted[i]) << "row " << i / data.columns() << " of " << count << ", column "
                                   << i % data.columns();
      if (data.panels() == 1) continue;
      EXPECT_EQ(y, data.run(callable->function, count, {1, data.panels(), 0, 1})) << count << " rows, split";
    }
    EXPECT_EQ(toString(emulation.neverSeen()), "") << "not emulated, and this CPU lacks it";
  }

  Target target;
  WeightKind kind = WeightKind::F32;
};

TEST_P(MatmulRequantisedTest, Formats) {
  for (int64_t group : {16, 32, 64, 128, 256})
    for (ScaleType scale : {ScaleType::F16, ScaleType::BF16, ScaleType::F32})
      for (Offset offset : {Offset::None, Offset::ZeroPoint, Offset::MinF16, Offset::MinF32})
        for (int64_t block : {128, 256, 512}) check(desc({kind, group, scale, offset}, 100, 320, block), {4});
}

/// Scale blocks of 512 k and units of each size, whole and not; panels, whole and not.
TEST_P(MatmulRequantisedTest, Shapes) {
  for (int64_t n : {64, 100, 192})
    for (int64_t k : {33, 64, 96, 160, 257, 384, 512, 576, 1056, 1600})
      for (int64_t group : {16, 32, 128, 256})
        for (int64_t block : {128, 256, 512})
          if (group < k && (n == 64 || block == 512)) check(desc({kind, group}, n, k, block), {1, 3, 5});
}

TEST_P(MatmulRequantisedTest, RowCounts) {
  check(desc({kind, 32}, 64, 1088, 256), {1, 2, 3, 4, 5, 6, 7, 13, 24, 191, 192, 193, 400});
  check(desc({kind, 64}, 64, 640, 512), {31, 32, 255, 256, 257, 391});
}

TEST_P(MatmulRequantisedTest, Extremes) {
  for (Kind data : {Kind::LargestCodes, Kind::SmallestCodes, Kind::ZeroScales, Kind::LargeScales, Kind::ZeroX,
                    Kind::HugeX, Kind::DenormalX, Kind::LargestX, Kind::LargestNegativeX})
    for (int64_t block : {128, 512})
      for (Offset offset : {Offset::None, Offset::ZeroPoint, Offset::MinF16})
        check(desc({kind, 32, ScaleType::F16, offset}, 64, 1024, block), {4}, data);
}

TEST_P(MatmulRequantisedTest, BiasAndAccumulate) {
  for (bool bias : {false, true}) {
    MatmulDesc d = desc({kind, 64}, 100, 704, 512);
    d.bias = bias, d.accumulate = !bias;
    check(d, {5, 33});
  }
}

TEST_P(MatmulRequantisedTest, Refusals) {
  auto reason = [&](const MatmulDesc &d) { return refusal(kernel(), d, target).value_or("accepted"); };
  ASSERT_EQ(reason(desc({kind, 32}, 64, 512, 512)), "accepted");
  EXPECT_EQ(reason(desc({kind, 512}, 64, 512, 512)), "exact scales, expected requantised weights");
  EXPECT_EQ(reason(desc({kind, 512}, 64, 1024, 512)), "group size (512) is none of 16, 32, 64, 128 and 256");
  EXPECT_EQ(reason(desc({kind, 32}, 64, 512, 32)), "activations are q8b32, expected blocks of 128, 256 or 512");
  MatmulDesc d = desc({kind, 32}, 64, 512, 512);
  d.requantise = false;
  EXPECT_EQ(reason(d), "exact scales, expected requantised weights");
  d.x = RowFormat::F32;
  EXPECT_EQ(reason(d), "activations are f32, expected q8");
}

INSTANTIATE_TEST_SUITE_P(Table, MatmulRequantisedTest, testing::ValuesIn(requantisedRows()),
                         [](const auto &info) { return std::string(info.param->name); });

/// Requantised only where asked for; one scale per column already is what requantising would make.
TEST(MatmulRequantisedSelection, ManyRows) {
  struct {
    const char *target;
    WeightKind w;
    int64_t group, block;
    bool requantise;
    const char *kernel;
  } const choices[] = {
      {"znver5", WeightKind::I4, 32, 512, true, "matmul_w4a8_requantised_avx512vnni"},
      {"icelake-server", WeightKind::I8, 128, 256, true, "matmul_w8a8_requantised_avx512vnni"},
      {"znver5", WeightKind::I4, 128, 128, false, "matmul_w4a8_large_avx512vnni"},
      {"znver5", WeightKind::I4, 4096, 256, true, "matmul_w4a8_large_avx512vnni"},
      {"haswell", WeightKind::I4, 32, 512, true, "none"},
  };
  for (const auto &c : choices) {
    MatmulDesc d = makeDesc({c.w, c.group}, RowFormat::q8(c.block), 4096, 4096, 512, INT64_MAX);
    d.requantise = c.requantise;
    const Kernel<MatmulDesc> *kernel = select(d, llvm::cantFail(findTarget(c.target)));
    EXPECT_STREQ(kernel ? kernel->name : "none", c.kernel) << c.target;
  }
}

} // namespace
} // namespace llmc::test
