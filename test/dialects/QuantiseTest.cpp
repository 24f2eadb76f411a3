// Round-to-nearest quantisation: bounds on the error for random and extreme rows, and cases worked out by hand.
#include "dialects/wq/codecs/Codecs.h"
#include "dialects/wq/codecs/Half.h"
#include "mlir/IR/MLIRContext.h"
#include <cmath>
#include <gtest/gtest.h>
#include <random>

using namespace llmc::wq;

namespace {

struct Context : mlir::MLIRContext {
  Context() { loadDialect<WqDialect>(); }
};

struct Quantised {
  RowBlock block;
  std::vector<float> values;
  float scale(int64_t group) const {
    if (block.scheme.getScale() == ScaleType::F32) return load<float>(block.scales.data(), group);
    uint16_t bits = load<uint16_t>(block.scales.data(), group);
    return block.scheme.getScale() == ScaleType::F16 ? f16ToFloat(bits) : bf16ToFloat(bits);
  }
};

Quantised quantise(SchemeAttr scheme, const std::vector<float> &x) {
  Quantised q;
  q.block.reset(scheme, x.size(), 1);
  llvm::cantFail(quantiseRow(scheme, x.size(), x.data(), q.block.row(0)));
  q.values.resize(x.size());
  dequantiseRow(scheme, x.size(), std::as_const(q.block).row(0), q.values.data());
  return q;
}

using SchemeCase = std::tuple<Kind, int64_t, ScaleType, Offset>;
class Rtn : public testing::TestWithParam<SchemeCase> {
protected:
  Context context;
  SchemeAttr scheme() {
    auto [kind, group, scale, offset] = GetParam();
    return SchemeAttr::get(&context, kind, group, scale, offset);
  }
  /// Largest step that rounding of the scale adds over a whole group, relative to the scale.
  float slack() {
    constexpr float kUlp[] = {0x1p-11f, 0x1p-8f, 0x1p-23f}; // by ScaleType
    return kUlp[unsigned(scheme().getScale())] * (scheme().getKind() == Kind::I4 ? 16 : 256);
  }
};

TEST_P(Rtn, ErrorIsAtMostHalfAStep) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal(0.01f, 0.05f);
  std::vector<float> x(256 + 48); // a short last group
  for (float &v : x) v = normal(random);
  Quantised q = quantise(scheme(), x);
  bool signedMax = scheme().getKind() == Kind::I4 && scheme().getOffset() == Offset::None;
  bool zeroPoint = scheme().getOffset() == Offset::ZeroPoint;
  for (size_t i = 0; i < x.size(); ++i) {
    float step = std::fabs(q.scale(i / scheme().getGroup()));
    // -8..7 does not reach the mirror image of the largest value: up to a whole step. An integer zero point is itself
    // rounded, which may push an end of the range out by half a step.
    float steps = signedMax && x[i] / q.scale(i / scheme().getGroup()) > 7 ? 1.0f : zeroPoint ? 1.0f : 0.5f;
    EXPECT_LE(std::fabs(q.values[i] - x[i]), step * (steps + slack()) + 1e-6f) << i;
    EXPECT_LE(q.block.codes[i], scheme().getKind() == Kind::I4 ? 15 : 255);
  }
}

TEST_P(Rtn, ZeroRow) {
  Quantised q = quantise(scheme(), std::vector<float>(64, 0.0f));
  EXPECT_EQ(q.values, std::vector<float>(64, 0.0f));
}

TEST_P(Rtn, ZeroStaysZero) {
  std::vector<float> x(64, 0.0f);
  x[3] = 0.7f, x[40] = -0.3f;
  Quantised q = quantise(scheme(), x);
  bool exact = scheme().getOffset() == Offset::None || scheme().getOffset() == Offset::ZeroPoint;
  EXPECT_NEAR(q.values[5], 0, exact ? 0 : 0.04f);
}

TEST_P(Rtn, Constants) {
  for (float value : {0.5f, -0.5f, 3.0f}) {
    Quantised q = quantise(scheme(), std::vector<float>(64, value));
    for (float v : q.values) EXPECT_NEAR(v, value, std::fabs(value) * 0x1p-7f) << value;
  }
}

TEST_P(Rtn, ExtremesStayInRange) {
  for (float tiny : {1e-8f, 1e-30f, 0x1p-149f}) {
    std::vector<float> x(64, tiny);
    x[1] = -tiny, x[2] = 0;
    for (float v : quantise(scheme(), x).values) EXPECT_LE(std::fabs(v), 0x1p-20f);
  }
}

TEST_P(Rtn, RefusesWhatIsNotFinite) {
  for (float bad : {NAN, INFINITY}) {
    std::vector<float> x(64, 1.0f);
    x[37] = bad;
    RowBlock block;
    block.reset(scheme(), 64, 1);
    std::string message = llvm::toString(quantiseRow(scheme(), 64, x.data(), block.row(0)));
    EXPECT_NE(message.find("at k = 37, expected finite weights"), std::string::npos) << message;
  }
}

TEST_P(Rtn, RefusesAScaleThatDoesNotFit) {
  std::vector<float> x(64, 1.0f);
  x[20] = 3e38f;
  RowBlock block;
  block.reset(scheme(), 64, 1);
  std::string message = llvm::toString(quantiseRow(scheme(), 64, x.data(), block.row(0)));
  bool fits = scheme().getScale() != ScaleType::F16;
  EXPECT_EQ(message.find("too large for f16") == std::string::npos, fits) << message;
}

INSTANTIATE_TEST_SUITE_P(Schemes, Rtn,
                         testing::Values(SchemeCase{Kind::I4, 32, ScaleType::F16, Offset::None},
                                         SchemeCase{Kind::I4, 128, ScaleType::BF16, Offset::None},
                                         SchemeCase{Kind::I4, 64, ScaleType::F32, Offset::ZeroPoint},
                                         SchemeCase{Kind::I4, 32, ScaleType::F16, Offset::ZeroPoint},
                                         SchemeCase{Kind::I4, 32, ScaleType::F16, Offset::MinF16},
                                         SchemeCase{Kind::I8, 32, ScaleType::F16, Offset::None},
                                         SchemeCase{Kind::I8, 16, ScaleType::F32, Offset::None},
                                         SchemeCase{Kind::I8, 32, ScaleType::F16, Offset::ZeroPoint},
                                         SchemeCase{Kind::I8, 32, ScaleType::F32, Offset::MinF32}));

TEST(Quantise, SymmetricI4UsesMinus8ForTheLargest) {
  Context context;
  auto scheme = SchemeAttr::get(&context, Kind::I4, 16, ScaleType::F16, Offset::None);
  std::vector<float> x = {4, -4, 2, 1, 0.25f, 0.75f, -0.25f, 0, 3.5f, -3.75f, 0, 0, 0, 0, 0, 0};
  Quantised q = quantise(scheme, x);
  EXPECT_EQ(q.scale(0), -0.5f); // 4 is the first of largest magnitude
  // -8, 8 -> 7, -4, -2, -0.5 -> 0 (even), -1.5 -> -2, 0.5 -> 0, 0, -7, 7.5 -> 8 -> 7
  std::vector<uint8_t> expected = {0, 15, 4, 6, 8, 6, 8, 8, 1, 15, 8, 8, 8, 8, 8, 8};
  EXPECT_EQ(q.block.codes, expected);
}

TEST(Quantise, SymmetricI8) {
  Context context;
  auto scheme = SchemeAttr::get(&context, Kind::I8, 16, ScaleType::F16, Offset::None);
  std::vector<float> x(16, 0.0f);
  x[0] = -127, x[1] = 127, x[2] = 63.4f, x[3] = 0.5f, x[4] = 1.5f;
  Quantised q = quantise(scheme, x);
  EXPECT_EQ(q.scale(0), 1);
  EXPECT_EQ(std::vector<uint8_t>(q.block.codes.begin(), q.block.codes.begin() + 6),
            (std::vector<uint8_t>{1, 255, 191, 128, 130, 128}));
}

TEST(Quantise, ZeroPointExtendsTheRangeToZero) {
  Context context;
  auto scheme = SchemeAttr::get(&context, Kind::I4, 16, ScaleType::F16, Offset::ZeroPoint);
  std::vector<float> positive(16, 7.5f), mixed(16, 0.0f);
  positive[0] = 3;
  mixed[0] = -5, mixed[1] = 2.5f;
  Quantised q = quantise(scheme, positive);
  EXPECT_EQ(q.scale(0), 0.5f);
  EXPECT_EQ(q.block.offsets[0], 0);
  EXPECT_EQ(q.block.codes[0], 6);
  EXPECT_EQ(q.block.codes[1], 15);
  q = quantise(scheme, mixed);
  EXPECT_EQ(q.scale(0), 0.5f);
  EXPECT_EQ(q.block.offsets[0], 10);
  EXPECT_EQ(q.block.codes[0], 0);
  EXPECT_EQ(q.block.codes[1], 15);
  EXPECT_EQ(q.block.codes[2], 10);
}

TEST(Quantise, CodesAreChosenForTheRoundedScale) {
  Context context;
  auto scheme = SchemeAttr::get(&context, Kind::I8, 32, ScaleType::BF16, Offset::None);
  std::vector<float> x(32);
  for (int i = 0; i < 32; ++i) x[i] = 1.0f - i / 40.0f;
  Quantised q = quantise(scheme, x);
  for (int i = 0; i < 32; ++i) {
    int code = std::clamp(int(std::nearbyint(x[i] / q.scale(0))), -128, 127);
    EXPECT_EQ(int(q.block.codes[i]) - 128, code) << i;
  }
}

} // namespace
