// Requantise.cpp, which is what kernels with MatmulDesc::requantise are compared with.
#include "codegen/kernels/matmul/Requantise.h"
#include "codegen/kernels/matmul/Reference.h"
#include "test/codegen/MatmulCase.h"
#include <cmath>
#include <gtest/gtest.h>

namespace llmc::test {
namespace {

using Column = std::vector<PackedElement>;

Column column(const MatmulDesc &d, const MatmulData &data, int64_t n) {
  Column w(d.k);
  for (int64_t k = 0; k < d.k; ++k) w[k] = unpackElement(d.w, d.k, data.packed(), n, k);
  return w;
}

TEST(Requantise, KeepsEveryWeightWithinItsStep) {
  for (WeightKind kind : {WeightKind::I4, WeightKind::I8})
    for (int64_t group : {16, 32, 256})
      for (ScaleType scale : {ScaleType::F16, ScaleType::F32})
        for (Offset offset : {Offset::None, Offset::ZeroPoint, Offset::MinF16, Offset::MinF32}) {
          MatmulDesc d = makeDesc({kind, group, scale, offset}, RowFormat::q8(256), 64, 512, 1, 1);
          MatmulData data(d, 1, MatmulData::Kind::Ordinary);
          std::vector<int8_t> codes(d.k);
          for (int64_t n = 0; n < d.n; ++n) {
            Column w = column(d, data, n);
            float step = requantise(d.w, w, codes.data()), largest = 0;
            for (int64_t k = 0; k < d.k; ++k) {
              largest = std::max(largest, std::fabs(w[k].value));
              ASSERT_NEAR(codes[k] * step, w[k].value, step * (0.5f + 1 / 128.0f)) << d.w.name() << " k " << k;
            }
            EXPECT_LT(largest, 127.5f * step);
            EXPECT_GT(largest, 90 * step) << d.w.name(); // the steps are no larger than they must be
          }
        }
}

TEST(Requantise, KnownCodes) {
  const WeightFormat f{WeightKind::I4, 16};
  Column w(32);
  for (size_t k = 0; k < 32; ++k) w[k].code = int(k % 16), w[k].zero = 8, w[k].scale = k < 16 ? 2 : -0.5f;
  std::vector<int8_t> codes(32);
  EXPECT_EQ(requantise(f, w, codes.data()), 16 / 127.0f);
  EXPECT_EQ(codes[0], -127);
  EXPECT_EQ(codes[8], 0);
  EXPECT_EQ(codes[9], 16);   // 15.875
  EXPECT_EQ(codes[12], 64);  // 63.5, half away from 0
  EXPECT_EQ(codes[16], 32);  // 8 * 3.96875 = 31.75
  EXPECT_EQ(codes[31], -28); // 27.78
}

TEST(Requantise, ZeroScales) {
  Column w(16);
  for (PackedElement &e : w) e.code = 3, e.zero = 8, e.scale = 0;
  std::vector<int8_t> codes(16, 1);
  EXPECT_EQ(requantise({WeightKind::I4, 16}, w, codes.data()), 0);
  EXPECT_EQ(codes, std::vector<int8_t>(16, 0));
}

/// The reference of a requantised product is near that of the exact one, and not the same.
TEST(Requantise, MatmulReference) {
  MatmulDesc d = makeDesc({WeightKind::I4, 32}, RowFormat::q8(128), 64, 1056, 1, 1);
  MatmulData exact(d, 3, MatmulData::Kind::Ordinary);
  d.requantise = true;
  MatmulData other(d, 3, MatmulData::Kind::Ordinary);
  std::vector<float> a = exact.reference(), b = other.reference();
  EXPECT_NE(a, b);
  for (size_t i = 0; i < a.size(); ++i) {
    double magnitude = exact.bound(int64_t(i)) / (2.0 * double(d.k + 8)) * 0x1p24; // sum of |x w|
    ASSERT_NEAR(a[i], b[i], magnitude / 60);
  }
  d.w.group = d.k; // one scale per column: exact
  MatmulData perChannel(d, 3, MatmulData::Kind::Ordinary);
  std::vector<float> c = perChannel.reference();
  d.requantise = false;
  EXPECT_EQ(c, MatmulData(d, 3, MatmulData::Kind::Ordinary).reference());
}

} // namespace
} // namespace llmc::test
