// What the 16-bit rows of the matmul family round: all of it against arithmetic in double on the f32 activations; the
// order of additions in 16 bits.
#include "codegen/kernels/matmul/Pack.h"
#include "codegen/kernels/matmul/Rows16.h"
#include "codegen/portable/Executable.h"
#include "llmc_kernel.h"
#include "test/support/isa/Host.h"
#include <cmath>
#include <gtest/gtest.h>
#include <random>

namespace llmc::test {
namespace {

using Kind = RowFormat::Kind;

/// One row and one panel, with scales of 1 (integers) and weights of size 1/64 (floats).
struct OneRow {
  OneRow(WeightKind weights, Kind rows, int64_t k) : d{.n = kPanel, .k = k, .maxRows = 1} {
    d.w.kind = weights;
    if (d.w.isInteger()) d.w.group = 64;
    d.x = {rows, 0, weights};
    d.xStride = rowStride(d.x, k), d.yStride = rowStride(RowFormat::F32, kPanel);
    std::mt19937 random(3);
    std::vector<uint8_t> codes(kPanel * k);
    for (uint8_t &code : codes) code = uint8_t(random() % (weights == WeightKind::I4 ? 16 : 256));
    std::vector<uint16_t> values(kPanel * k), scales(kPanel * k, 0x3c00);
    for (uint16_t &value : values)
      value = uint16_t((weights == WeightKind::F16 ? 0x2000 : 0x3c00) + random() % 0x80 + (random() % 2 << 15));
    PanelSource source;
    source.codes = codes.data(), source.codeStride = k;
    source.scales = scales.data(), source.scaleStride = 0;
    source.rows = values.data(), source.rowStride = 2 * k;
    w.resize(d.w.bytes(kPanel, k));
    packPanel(d.w, k, kPanel, source, w.data());
    for (int64_t i = 0; i < k; ++i) x.push_back(std::normal_distribution<float>(0, 1)(random));
    row.resize(d.xStride);
    toRow16(d.x, x.data(), k, row.data());
  }

  /// y by the kernel that serves it; `features` are all there are.
  std::vector<float> run(Features features) const {
    Target target = llvm::cantFail(findTarget("x86-64-v4"));
    target.features = target.features | features;
    const Kernel<MatmulDesc> *kernel = select(d, target);
    std::vector<float> y(kPanel, NAN);
    EXPECT_TRUE(kernel && !kernel->anyArch && isa::missingHere(kernel->needs).empty());
    if (HasFailure()) return y;
    auto callable = llvm::cantFail(Executable::create(llvm::cantFail(kernel->emit(d, target)), target));
    llmc_matmul_args args = {0, 1, 1, row.data(), w.data(), nullptr, y.data()};
    callable->function(&args);
    return y;
  }
  double weight(int64_t n, int64_t k) const { return unpackElement(d.w, d.k, w.data(), n, k).value; }
  static bool HasFailure() { return testing::Test::HasFailure(); }

  MatmulDesc d;
  std::vector<uint8_t> w, row;
  std::vector<float> x;
};

/// Largest error of y relative to sum of |x w|, x before it was rounded.
double errorOf(const OneRow &one, Features features) {
  std::vector<float> y = one.run(features);
  double worst = 0;
  for (int64_t n = 0; n < kPanel; ++n) {
    double sum = 0, magnitude = 0;
    for (int64_t k = 0; k < one.d.k; ++k) {
      sum += one.weight(n, k) * double(one.x[k]);
      magnitude += std::fabs(one.weight(n, k) * double(one.x[k]));
    }
    worst = std::max(worst, std::fabs(y[n] - sum) / magnitude);
  }
  return worst;
}

/// bf16 keeps 8 bits of x, a pair 16, f16 11; random roundings of 512 products cancel, which the bounds count on.
TEST(MatmulRows16, Accuracy) {
  for (WeightKind weights : {WeightKind::I4, WeightKind::I8, WeightKind::BF16}) {
    double single = errorOf(OneRow(weights, Kind::BF16, 512), {Feature::Avx512bf16});
    double pair = errorOf(OneRow(weights, Kind::BF16Pair, 512), {Feature::Avx512bf16});
    EXPECT_LT(single, 0x1p-11);
    EXPECT_GT(single, 0x1p-16); // it was rounded
    EXPECT_LT(pair, 0x1p-18);
  }
  for (WeightKind weights : {WeightKind::I4, WeightKind::I8, WeightKind::F16})
    EXPECT_LT(errorOf(OneRow(weights, Kind::F16, 512), {Feature::Avx512fp16}), 0x1p-12);
}

/// The nearest f16, ties to even.
double roundToHalf(double value) {
  if (value == 0) return 0;
  int place = std::max(std::ilogb(value) - 10, -24);
  return std::ldexp(std::nearbyint(std::ldexp(value, -place)), place);
}

/// F16 rows: the k at even places of the row and those at odd places are summed apart, 32 k at a time, with every sum
/// rounded to f16 (weights are fractions of 8 and 128, so that sums of 16 stay small); then f32.
TEST(MatmulRows16, HalfSums) {
  constexpr int64_t kK = 96;
  for (WeightKind weights : {WeightKind::I4, WeightKind::I8, WeightKind::F16}) {
    OneRow one(weights, Kind::F16, kK);
    double unit = weights == WeightKind::I4 ? 8 : weights == WeightKind::I8 ? 128 : 1;
    std::vector<int64_t> kAt(kK);
    for (int64_t k = 0; k < kK; ++k) kAt[positionInRow16(weights, k)] = k;
    std::vector<float> y = one.run({Feature::Avx512fp16});
    for (int64_t n = 0; n < kPanel; ++n) {
      float sum = 0;
      for (int64_t first = 0; first < kK; first += 32) {
        double lanes[2] = {0, 0};
        for (int64_t at = first; at < first + 32; ++at) {
          double x = fromRow16(one.d.x, one.row.data(), kK, kAt[at]);
          lanes[at % 2] = roundToHalf(lanes[at % 2] + x * one.weight(n, kAt[at]) / unit);
        }
        sum = std::fma(float(lanes[0]) + float(lanes[1]), float(unit), sum);
      }
      ASSERT_EQ(y[n], sum) << "weights " << int(weights) << ", column " << n;
    }
  }
}

} // namespace
} // namespace llmc::test
