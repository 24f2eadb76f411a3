// Round-to-nearest quantisation of one row (WqOps.td, wq.quantize).
#include "dialects/wq/codecs/Codecs.h"
#include "dialects/wq/codecs/Half.h"
#include <algorithm>
#include <cmath>

namespace llmc::wq {
namespace {

/// To the nearest integer, ties to even, for |x| < 2^22: as nearbyint, but the compiler vectorises it for any CPU.
inline float roundToInteger(float x) {
  constexpr float kMagic = 0x1.8p23f; // here one ulp is 1
  return (x + kMagic) - kMagic;
}

/// Stores `value` as `type` and returns what it became.
float storeRounded(ScaleType type, float value, uint8_t *out, int64_t index) {
  switch (type) {
  case ScaleType::F32: store(value, out, index); return value;
  case ScaleType::F16: {
    uint16_t bits = floatToF16(value);
    store(bits, out, index);
    return f16ToFloat(bits);
  }
  case ScaleType::BF16: {
    uint16_t bits = floatToBf16(value);
    store(bits, out, index);
    return bf16ToFloat(bits);
  }
  }
  llvm_unreachable("scale type");
}

/// One group: its values, and where its codes, scale and offset go.
struct Group {
  SchemeAttr scheme;
  const float *x;
  int64_t count, index; // index: among the row's groups
  SchemeRow<uint8_t> row;
  uint8_t *codes;

  float top() const { return scheme.getKind() == Kind::I4 ? 15 : 255; }

  /// codes = clamp(round(x / scale) + zero): rounding first, so that an integer zero point keeps 0 exact. A quotient
  /// beyond `top` cannot come from a scale that fits, only from one that rounded to a denormal; clamping first keeps
  /// roundToInteger in its range.
  void write(float scale, float zero, float shift = 0) const {
    float highest = top();
    for (int64_t i = 0; i < count; ++i) {
      float quotient = std::clamp((x[i] - shift) / scale, -256.0f, 256.0f);
      codes[i] = uint8_t(std::clamp(roundToInteger(quotient) + zero, 0.0f, highest));
    }
  }
  void fill(int code) const { std::fill_n(codes, count, uint8_t(code)); }
};

/// Each returns the scale as stored; not finite if its type cannot hold it.
float quantiseSymmetric(const Group &g) {
  bool four = g.scheme.getKind() == Kind::I4;
  float largest = 0; // of largest magnitude, with its sign; the first of equals
  for (int64_t i = 0; i < g.count; ++i)
    if (std::fabs(g.x[i]) > std::fabs(largest)) largest = g.x[i];
  float ideal = four ? largest / -8 : std::fabs(largest) / 127;
  float scale = storeRounded(g.scheme.getScale(), ideal, g.row.scales, g.index);
  float zero = four ? 8 : 128;
  scale == 0 || !std::isfinite(scale) ? g.fill(int(zero)) : g.write(scale, zero);
  return scale;
}

float quantiseZeroPoint(const Group &g) {
  auto [low, high] = std::minmax_element(g.x, g.x + g.count);
  float min = std::min(*low, 0.0f), max = std::max(*high, 0.0f);
  // Divided before subtracting: max - min may overflow.
  float scale = storeRounded(g.scheme.getScale(), max / g.top() - min / g.top(), g.row.scales, g.index);
  bool usable = scale != 0 && std::isfinite(scale);
  float zero = usable ? std::clamp(roundToInteger(std::clamp(-min / scale, 0.0f, 256.0f)), 0.0f, g.top()) : 0;
  g.row.offsets[g.index] = uint8_t(zero);
  usable ? g.write(scale, zero) : g.fill(0);
  return scale;
}

float quantiseMinimum(const Group &g) {
  auto [low, high] = std::minmax_element(g.x, g.x + g.count);
  ScaleType minType = g.scheme.getOffset() == Offset::MinF16 ? ScaleType::F16 : ScaleType::F32;
  float min = storeRounded(minType, *low, g.row.offsets, g.index);
  // Not negative: min may round up past the largest value.
  float ideal = std::max(0.0f, *high / g.top() - min / g.top());
  float scale = storeRounded(g.scheme.getScale(), ideal, g.row.scales, g.index);
  if (!std::isfinite(min)) return min;
  scale == 0 || !std::isfinite(scale) ? g.fill(0) : g.write(scale, 0, min);
  return scale;
}

using QuantiseGroup = float (*)(const Group &);
constexpr QuantiseGroup kByOffset[] = {quantiseSymmetric, quantiseZeroPoint, quantiseMinimum, quantiseMinimum};

bool allFinite(const float *x, int64_t k) {
  uint32_t largest = 0;
  for (int64_t i = 0; i < k; ++i) largest = std::max(largest, std::bit_cast<uint32_t>(x[i]) & 0x7fffffff);
  return largest < 0x7f800000;
}

} // namespace

llvm::Error quantiseRow(SchemeAttr scheme, int64_t k, const float *x, const SchemeRow<uint8_t> &out) {
  if (!allFinite(x, k)) {
    int64_t i = std::find_if(x, x + k, [](float v) { return !std::isfinite(v); }) - x;
    return llvm::createStringError("found " + std::to_string(x[i]) + " at k = " + std::to_string(i) +
                                   ", expected finite weights");
  }
  QuantiseGroup quantise = kByOffset[unsigned(scheme.getOffset())];
  for (int64_t g = 0; g < groupCount(scheme, k); ++g) {
    int64_t first = g * scheme.getGroup(), count = std::min(scheme.getGroup(), k - first);
    if (!std::isfinite(quantise({scheme, x + first, count, g, out, out.codes + first})))
      return llvm::createStringError(
          "found weights near k = " + std::to_string(first) + " whose scale or minimum is too " + "large for " +
          stringifyScaleType(scheme.getScale()).str() + ", expected smaller weights or f32 scales");
  }
  return llvm::Error::success();
}

} // namespace llmc::wq
