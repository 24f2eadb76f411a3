// Rows of 16-bit elements: rounding of every emitted kernel that converts, orders of k, pairs.
#include "codegen/kernels/matmul/Rows16.h"
#include "codegen/portable/Executable.h"
#include "compiler/NativeTarget.h"
#include "test/support/GuardedBuffer.h"
#include <bit>
#include <cmath>
#include <gtest/gtest.h>

namespace llmc::test {
namespace {

using Kind = RowFormat::Kind;

class Rounding : public testing::TestWithParam<const Kernel<RowwiseDesc> *> {};

/// Numbers at the edges of rounding, and what has no nearest number.
TEST_P(Rounding, ToTheNearest) {
  Features missing = GetParam()->needs - hostFeatures();
  ASSERT_TRUE(missing.empty()) << "this CPU lacks " << toString(missing);
  Target target = llvm::cantFail(findTarget("x86-64-v4"));
  target.features = GetParam()->needs;
  bool any = false;
  const uint32_t edges[] = {
      0x3f808000, 0x3f818000, 0x3f807fff, 0x3f808001, // ties of bf16 to even, down and up; beside a tie
      0x3f801000, 0x3f803000, 0x3f800fff, 0x3f801001, // the same of f16
      0x7f7fffff, 0xff7f8000, 0x477fefff, 0x477ff000, // beyond the largest bf16; around that of f16
      0x33000000, 0x33000001, 0x387fffff, 0xb3c00000, // f16 denormals
      0x00000001, 0x80000001, 0x007fffff, 0x807fffff, // f32 denormals
      0x00800000, 0x80000000, 0x7f800000, 0xff800000, // smallest normal, -0, infinities
      0x7fc00000, 0xffc12345, 0x7f800001, 0xff80ffff, // NaN: quiet, signalling, one that rounding would carry into -0
      0x7fffffff, 0xffffffff, 0x3f800000, 0xc2f60000,
  };
  constexpr int64_t kCount = std::size(edges);
  for (RowFormat out : {RowFormat{Kind::BF16, 0, WeightKind::I4}, RowFormat{Kind::F16, 0, WeightKind::I8}}) {
    RowwiseDesc d{.op = RowwiseOp::Quantize, .columns = kCount, .out = out};
    d.xStride = rowStride(RowFormat::F32, kCount), d.yStride = rowStride(out, kCount);
    if (refusal(*GetParam(), d, target)) continue;
    GuardedBuffer x(kCount * 4), y(rowBytes(out, kCount));
    memcpy(x.as(), edges, sizeof(edges));
    llmc_rowwise_args args = {.begin = 0, .end = 1, .batch = nullptr, .x = x.as(), .w = nullptr, .y = y.as()};
    llvm::cantFail(Executable::create(llvm::cantFail(GetParam()->emit(d, target)), target))->function(&args);
    any = true;
    for (int64_t k = 0; k < kCount; ++k) {
      uint32_t bits = edges[k];
      float value = std::bit_cast<float>(bits), found = fromRow16(out, y.as(), kCount, k);
      SCOPED_TRACE(out.name() + " element " + std::to_string(k));
      EXPECT_EQ(std::signbit(found), bits >> 31 == 1);
      if (std::isnan(value)) {
        EXPECT_TRUE(std::isnan(found));
        continue;
      }
      // The nearest of the format, by arithmetic: scale so that its last place is 1, round, scale back.
      int digits = out.kind == Kind::F16 ? 11 : 8, least = out.kind == Kind::F16 ? -24 : -149;
      double nearest = value;
      if (std::isfinite(value) && value != 0) {
        int place = std::max(std::ilogb(value) + 1 - digits, least);
        nearest = std::ldexp(std::nearbyint(std::ldexp(double(value), -place)), place);
      }
      if (std::fabs(nearest) >= (out.kind == Kind::F16 ? 65536.0 : 0x1p128)) nearest = copysign(INFINITY, value);
      if (out.kind == Kind::BF16 && std::fabs(value) < 0x1p-126f) nearest = 0;
      EXPECT_EQ(found, float(nearest)) << value;
    }
  }
  EXPECT_TRUE(any) << "accepts none of the formats";
}

std::vector<const Kernel<RowwiseDesc> *> converters() {
  std::vector<const Kernel<RowwiseDesc> *> kernels;
  for (const Kernel<RowwiseDesc> &kernel : kernelTable<RowwiseDesc>())
    if (llvm::StringRef(kernel.name).starts_with("rowwise_quantize")) kernels.push_back(&kernel);
  return kernels;
}
INSTANTIATE_TEST_SUITE_P(Table, Rounding, testing::ValuesIn(converters()),
                         [](const auto &info) { return std::string(info.param->name); });

/// The orders of k, spelled out.
TEST(Rows16, Orders) {
  float x[8] = {0, 1, 2, 3, 4, 5, 6, 7};
  auto order = [&](WeightKind kind) {
    std::vector<uint16_t> row(paddedK16(8));
    toBf16Row(x, 8, kind, row.data());
    std::string text;
    for (int i = 0; i < 8; ++i) text += char('0' + int(std::bit_cast<float>(uint32_t(row[i]) << 16)));
    return text;
  };
  EXPECT_EQ(order(WeightKind::I4), "02461357");
  EXPECT_EQ(order(WeightKind::I8), "02134657");
  EXPECT_EQ(order(WeightKind::BF16), "01234567");
  EXPECT_EQ(order(WeightKind::F16), "01234567");
}

/// The second of a pair is what the first leaves.
TEST(Rows16, Pair) {
  float x[2] = {1.00390625f + 0x1p-12f, -3.1415927f}; // 1 + 2^-8 is a tie of bf16
  std::vector<uint16_t> row(2 * paddedK16(2));
  toBf16PairRow(x, 2, WeightKind::BF16, row.data());
  EXPECT_EQ(row[0], 0x3f81);   // 1 + 2^-7
  EXPECT_EQ(row[128], 0xbb70); // -(2^-8 - 2^-12)
  EXPECT_EQ(row[1], 0xc049);   // -3.140625
  EXPECT_EQ(row[129], 0xba7e); // -0.00096893
  for (int i : {2, 127, 130, 255}) EXPECT_EQ(row[i], 0);
}

} // namespace
} // namespace llmc::test
