// What must hold for every row of the matmul table with integer weights, whatever its numerics: columns do not know
// their place, and a group's scales scale its contribution and nothing else. Bit by bit, and without Reference.cpp.
#include "codegen/kernels/attention/Half.h"
#include "codegen/kernels/matmul/Pack.h"
#include "codegen/kernels/matmul/Quantize.h"
#include "codegen/kernels/matmul/Requantise.h"
#include "codegen/kernels/matmul/Rows16.h"
#include "codegen/portable/Executable.h"
#include "test/codegen/MatmulCase.h"
#include "test/support/isa/Host.h"
#include <algorithm>
#include <gtest/gtest.h>
#include <numeric>
#include <random>

namespace llmc::test {
namespace {

constexpr int64_t kN = 100; // a whole panel and a part of one

std::vector<const Kernel<MatmulDesc> *> integerRows() {
  std::vector<const Kernel<MatmulDesc> *> rows;
  for (const Kernel<MatmulDesc> &kernel : kernelTable<MatmulDesc>())
    if (llvm::StringRef name = kernel.name; name.contains("_w4") || name.contains("_w8") || kernel.anyArch)
      rows.push_back(&kernel);
  return rows;
}

/// Column by column. Scales and minima are multiples of 1/16 and within 4, so that weights are exact in 16 bits, too,
/// and twice as large ones are twice as large in every format.
struct Weights {
  WeightFormat f;
  int64_t k, groups;
  std::vector<uint8_t> codes, zeros; // [kN][k], [kN][groups]
  std::vector<float> scales, minima; // [kN][groups]

  Weights(const WeightFormat &f, int64_t k) : f(f), k(k), groups(k / f.group) {
    std::mt19937 random(7);
    const uint32_t values = f.kind == WeightKind::I4 ? 16 : 256;
    for (int64_t i = 0; i < kN * k; ++i) codes.push_back(uint8_t(random() % values));
    for (int64_t i = 0; i < kN * groups; ++i) {
      zeros.push_back(uint8_t(random() % values));
      scales.push_back(float(8 + random() % 17) / (random() % 2 ? 16 : -16));
      minima.push_back(float(int(random() % 65) - 32) / 16);
    }
  }

  /// Column n becomes column order[n].
  Weights permuted(const std::vector<int64_t> &order) const {
    Weights to = *this;
    for (int64_t n = 0; n < kN; ++n) {
      std::copy_n(&codes[n * k], k, &to.codes[order[n] * k]);
      std::copy_n(&zeros[n * groups], groups, &to.zeros[order[n] * groups]);
      std::copy_n(&scales[n * groups], groups, &to.scales[order[n] * groups]);
      std::copy_n(&minima[n * groups], groups, &to.minima[order[n] * groups]);
    }
    return to;
  }

  /// Groups [begin, end) weigh twice as much.
  Weights doubled(int64_t begin, int64_t end) const {
    Weights to = *this;
    for (int64_t n = 0; n < kN; ++n)
      for (int64_t i = begin; i < end; ++i) to.scales[n * groups + i] *= 2, to.minima[n * groups + i] *= 2;
    return to;
  }

  std::unique_ptr<GuardedBuffer> packed() const {
    auto out = std::make_unique<GuardedBuffer>(f.bytes(kN, k));
    std::vector<uint16_t> s, m;
    for (float value : scales) s.push_back(f32ToF16(value));
    for (float value : minima) m.push_back(f32ToF16(value));
    const bool zeroPoints = f.offset == Offset::ZeroPoint;
    for (int64_t n = 0; n < kN; n += kPanel) {
      PanelSource source{.codes = &codes[n * k], .codeStride = k, .scales = &s[n * groups], .scaleStride = groups * 2};
      source.offsets = zeroPoints ? static_cast<const void *>(&zeros[n * groups]) : &m[n * groups];
      source.offsetStride = groups * (zeroPoints ? 1 : 2);
      packPanel(f, k, std::min(kPanel, kN - n), source, out->as<uint8_t>() + n / kPanel * f.panelBytes(k));
    }
    return out;
  }
};

class MatmulPropertyTest : public testing::TestWithParam<const Kernel<MatmulDesc> *> {
protected:
  const Kernel<MatmulDesc> &kernel() const { return *GetParam(); }

  void SetUp() override {
    Features missing = isa::missingHere(kernel().needs);
    ASSERT_TRUE(missing.empty()) << "this CPU lacks " << toString(missing) << "; the test needs one that has it";
    target = llvm::cantFail(findTarget("graniterapids"));
    target.features = kernel().anyArch ? kAvx2 : kernel().needs;
    for (WeightKind kind : {WeightKind::I4, WeightKind::I8})
      for (int64_t group : {32, 128})
        for (Offset offset : {Offset::None, Offset::ZeroPoint, Offset::MinF16})
          for (RowFormat x : rowFormatsFor(kind))
            for (bool requantise : {false, true}) add({kind, group, ScaleType::F16, offset}, x, requantise);
    ASSERT_FALSE(descs.empty()) << kernel().name << " refuses everything";
  }

  /// Four groups of exact weights; two blocks of requantised ones, and a group.
  void add(const WeightFormat &w, RowFormat x, bool requantise) {
    const int64_t k = requantise ? 2 * kRequantiseBlock + w.group : 4 * w.group;
    for (int64_t most : {INT64_MAX, int64_t(31), int64_t(6), int64_t(1)}) {
      MatmulDesc d = makeDesc(w, x, kN, k, 1, most);
      d.requantise = requantise;
      if (refusal(kernel(), d, target)) continue;
      descs.push_back(d);
      return;
    }
  }

  int64_t rowsOf(const MatmulDesc &d) const {
    const bool emulated = !(kernel().needs - isa::nativeFeatures()).empty();
    return std::min<int64_t>(d.maxRows, emulated ? 3 : 9);
  }

  /// Rows of numbers within 1 from element `begin` to `end`, else of zeros.
  std::vector<char> makeX(const MatmulDesc &d, int64_t begin, int64_t end) const {
    std::mt19937 random(3);
    std::vector<char> x(rowsOf(d) * d.xStride);
    for (int64_t r = 0; r < rowsOf(d); ++r) {
      std::vector<float> row(d.k);
      for (int64_t i = begin; i < end; ++i) row[i] = float(int(random() % 2001) - 1000) / 1000;
      char *to = &x[r * d.xStride];
      if (d.x.isQ8())
        quantiseRowQ8(row.data(), d.k, d.x.block, to);
      else if (d.x.is16Bit())
        toRow16(d.x, row.data(), d.k, to);
      else
        memcpy(to, row.data(), d.k * 4);
    }
    return x;
  }

  /// y as [rows][kN].
  std::vector<float> run(const MatmulDesc &d, const Weights &w, const std::vector<char> &x) {
    auto callable = llvm::cantFail(Executable::create(llvm::cantFail(kernel().emit(d, target)), target));
    GuardedBuffer rows(x.size()), y(rowsOf(d) * d.yStride);
    memcpy(rows.as<char>(), x.data(), x.size());
    std::unique_ptr<GuardedBuffer> packed = w.packed();
    llmc_matmul_args args = {.begin = 0,
                             .end = roundUp(kN, kPanel) / kPanel,
                             .rows = rowsOf(d),
                             .x = rows.as(),
                             .w = packed->as(),
                             .bias = nullptr,
                             .y = y.as<float>()};
    callable->function(&args);
    std::vector<float> result(rowsOf(d) * kN);
    for (int64_t r = 0; r < rowsOf(d); ++r) memcpy(&result[r * kN], y.as<char>() + r * d.yStride, kN * 4);
    return result;
  }

  static bool sameBits(const std::vector<float> &a, const std::vector<float> &b) {
    return !memcmp(a.data(), b.data(), a.size() * 4);
  }
  static std::string describe(const MatmulDesc &d) {
    return d.w.name() + " " + d.x.name() + (d.requantise ? " requantised" : "");
  }

  Target target;
  std::vector<MatmulDesc> descs;
};

TEST_P(MatmulPropertyTest, PermutedColumnsGivePermutedResults) {
  std::vector<int64_t> order(kN);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), std::mt19937(5));
  for (const MatmulDesc &d : descs) {
    SCOPED_TRACE(describe(d));
    Weights w(d.w, d.k);
    std::vector<char> x = makeX(d, 0, d.k);
    std::vector<float> y = run(d, w, x), expected(y.size());
    for (int64_t r = 0; r < rowsOf(d); ++r)
      for (int64_t n = 0; n < kN; ++n) expected[r * kN + order[n]] = y[r * kN + n];
    EXPECT_FALSE(sameBits(y, expected)) << "all columns are the same";
    EXPECT_TRUE(sameBits(run(d, w.permuted(order), x), expected));
  }
}

/// Groups that share a requantised scale count as one.
TEST_P(MatmulPropertyTest, AGroupsScalesScaleItsContributionAlone) {
  for (const MatmulDesc &d : descs) {
    SCOPED_TRACE(describe(d));
    const int64_t together = d.requantise ? kRequantiseBlock / d.w.group : 1, groups = d.k / d.w.group;
    Weights w(d.w, d.k);
    std::vector<char> x = makeX(d, together * d.w.group, 2 * together * d.w.group); // of the second one only
    std::vector<float> y = run(d, w, x), twice = y;
    for (float &value : twice) value *= 2;
    EXPECT_FALSE(sameBits(y, twice)) << "all results are 0";
    EXPECT_TRUE(sameBits(run(d, w.doubled(together, 2 * together), x), twice)) << "the group's own scales";
    EXPECT_TRUE(sameBits(run(d, w.doubled(0, together), x), y)) << "the scales before them";
    EXPECT_TRUE(sameBits(run(d, w.doubled(2 * together, groups), x), y)) << "the scales behind them";
  }
}

INSTANTIATE_TEST_SUITE_P(Table, MatmulPropertyTest, testing::ValuesIn(integerRows()),
                         [](const auto &info) { return std::string(info.param->name); });

} // namespace
} // namespace llmc::test
