/* halves.c: conversions of 16-bit floats that compilers call where a CPU has no instruction: those of f16 on x86
 * without F16C, and from f64. Round to nearest, ties to even. */
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)

static uint32_t bitsOf(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}
static float fromBits(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

/* f32 bits of an f16. */
static uint32_t widen(uint16_t half) {
  uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 31, mantissa = half & 1023;
  if (exponent == 31) return sign | 0x7f800000 | mantissa << 13 | (mantissa ? 0x400000 : 0);
  if (exponent == 0) return sign | bitsOf((float)mantissa * 0x1p-24f);
  return sign | (exponent + 112) << 23 | mantissa << 13;
}

/* f16 of an f32. Below the least normal number, an addition does the rounding: its quantum is 2^-24. */
static uint16_t narrow(uint32_t bits) {
  uint32_t sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return (uint16_t)(sign | 0x7e00);
  if (magnitude >= 0x477ff000) return (uint16_t)(sign | 0x7c00);
  if (magnitude < 0x38800000) return (uint16_t)(sign | (bitsOf(fromBits(magnitude) + 0.5f) - bitsOf(0.5f)));
  uint32_t odd = magnitude >> 13 & 1;
  return (uint16_t)(sign | ((magnitude - 0x38000000 + 0xfff + odd) >> 13));
}

/* To f32 with the last bit set if anything was cut off: then rounding again gives what one rounding would. */
static uint32_t oddOf(double x) {
  float near = (float)x;
  uint32_t bits = bitsOf(near);
  if ((double)near == x || x != x || (bits & 0x7fffffff) == 0x7f800000) return bits;
  double magnitude = x < 0 ? -x : x, rounded = near < 0 ? -(double)near : (double)near;
  if (rounded > magnitude) --bits;
  return bits | 1;
}

/* Their names and types are those of the compiler's own library; with the ABI's f16 in a vector register. */
float __extendhfsf2(_Float16 x);
_Float16 __truncsfhf2(float x);
_Float16 __truncdfhf2(double x);

static _Float16 halfOf(uint16_t bits) {
  _Float16 x;
  memcpy(&x, &bits, sizeof x);
  return x;
}
__attribute__((visibility("hidden"))) float __extendhfsf2(_Float16 x) {
  uint16_t bits;
  memcpy(&bits, &x, sizeof bits);
  return fromBits(widen(bits));
}
__attribute__((visibility("hidden"))) _Float16 __truncsfhf2(float x) { return halfOf(narrow(bitsOf(x))); }
__attribute__((visibility("hidden"))) _Float16 __truncdfhf2(double x) { return halfOf(narrow(oddOf(x))); }

#else
typedef int llmcNoHalves; /* AArch64 has instructions for all of them */
#endif
