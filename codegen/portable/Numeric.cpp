#include "codegen/portable/Numeric.h"

namespace llmc::portable {

Var fromF16(KernelBuilder &b, Var bits) {
  if (b.hasF16) return b.extendF16(bits);
  Var h = b.zeroExtend(bits, b.i32());
  Var sign = (h & 0x8000) << 16, exponent = h & 0x7c00;
  Var shifted = ((h & 0x7fff) << 13) + (112 << 23); // the bias of f32 is larger by 112
  // An exponent of 0: as a fraction on top of 2^-14, which is then taken off, so that no f32 denormal appears.
  Var denormal = b.asInt(b.asFloat(shifted + (1 << 23)) - b.asFloat(b.constant(shifted.value.getType(), 113 << 23)));
  Var infinite = shifted + (112 << 23);
  return b.asFloat(sign | b.select(exponent == 0, denormal, b.select(exponent == 0x7c00, infinite, shifted)));
}

Var toF16(KernelBuilder &b, Var x) {
  if (b.hasF16) return b.truncateF16(x);
  Var bits = b.asInt(x);
  Var sign = (bits >> 16) & 0x8000, magnitude = bits & 0x7fffffff;
  // Below 2^-14: adding 0.5 leaves the f16 denormal in the last bits, rounded by the addition.
  Var denormal = b.asInt(b.asFloat(magnitude) + 0.5) - 0x3f000000;
  Var normal = (magnitude + ((magnitude >> 13) & 1) + (0xfff - (112 << 23))) >> 13;
  Var special = b.select(Var(0x7f800000) < magnitude, 0x7e00, b.constant(bits.value.getType(), 0x7c00));
  Var result = b.select(magnitude < 0x38800000, denormal, b.select(magnitude < 0x47800000, normal, special));
  return b.truncate(result | sign, b.i16());
}

Var fromBf16(KernelBuilder &b, Var bits) { return b.asFloat(b.zeroExtend(bits, b.i32()) << 16); }

Var toBf16(KernelBuilder &b, Var x) {
  Var bits = b.asInt(x);
  Var rounded = (bits + (((bits >> 16) & 1) + 0x7fff)) >> 16, quiet = (bits >> 16) | 0x40;
  return b.truncate(b.select(Var(0x7f800000) < (bits & 0x7fffffff), quiet, rounded), b.i16());
}

Var toBf16Row(KernelBuilder &b, Var x) {
  Var bits = b.asInt(x), zero = b.truncate((bits >> 16) & 0x8000, b.i16());
  return b.select((bits & 0x7fffffff) < 0x00800000, zero, toBf16(b, x));
}

Var exp(KernelBuilder &b, Var x) {
  // Cephes expf (S. Moshier): n = round(x / ln 2), r = x - n ln 2 in two parts, a polynomial in r, times 2^n. n comes
  // out of the low bits of 1.5 * 2^23 + n; a NaN passes through all of it.
  constexpr double kLow = -87.3, kHigh = 88.3, kRound = 12582912.0;
  Var clamped = b.select(x < kLow, kLow, b.select(Var(kHigh) < x, kHigh, x));
  Var shifted = b.fma(clamped, 1.44269504088896341, b.splat(kRound));
  Var n = shifted - kRound;
  Var r = b.fma(n, 2.12194440e-4, b.fma(n, -0.693359375, clamped));
  Var p = b.splat(1.9875691500e-4);
  for (double c : {1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1})
    p = b.fma(p, r, b.splat(c));
  p = b.fma(p, r * r, r + 1.0);
  Var power = b.asFloat((b.asInt(shifted) << 23) + (127 << 23));
  return b.select(x < kLow, 0.0, p * power);
}

Var erf(KernelBuilder &b, Var x) {
  // Two minimax polynomials (N. Juffa, "erff with maximum error below 1 ulp", forums.developer.nvidia.com).
  Var t = b.abs(x), s = x * x;
  Var large = b.fma(-1.72853470e-5, t, b.splat(3.83197126e-4));
  large = b.fma(large, s, b.fma(-3.88396438e-3, t, b.splat(2.42546219e-2)));
  for (double c : {-1.06777877e-1, -6.34846687e-1, -1.28717512e-1}) large = b.fma(large, t, b.splat(c));
  large = Var(1.0) - exp(b, b.fma(large, t, Var(0.0) - t));
  large = b.asFloat(b.asInt(large) | (b.asInt(x) & int64_t(INT32_MIN)));
  Var small = b.splat(-5.96761703e-4);
  for (double c : {4.99119423e-3, -2.67681349e-2, 1.12819925e-1, -3.76125336e-1, 1.28379166e-1})
    small = b.fma(small, s, b.splat(c));
  return b.select(Var(0.927734375) < t, large, b.fma(small, x, x));
}

/// 1 / (1 + e^-x).
static Var sigmoid(KernelBuilder &b, Var x) { return Var(1.0) / (exp(b, Var(0.0) - x) + 1.0); }

Var activate(KernelBuilder &b, Activation activation, Var x) {
  switch (activation) {
  case Activation::None: return x;
  case Activation::Silu: return x * sigmoid(b, x);
  case Activation::Relu: return b.select(x < 0.0, 0.0, x);
  case Activation::GeluErf: return x * 0.5 * (erf(b, x * 0.70710678118654752) + 1.0);
  case Activation::GeluTanh: // (1 + tanh u) / 2 = sigmoid(2u)
    return x * sigmoid(b, b.fma(x * x * x, 0.044715, x) * (2 * 0.79788456080286536));
  }
  return x;
}

} // namespace llmc::portable
