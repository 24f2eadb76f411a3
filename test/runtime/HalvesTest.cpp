// Conversions of 16-bit floats against the definition: every f16, and around every rounding border.
#include <cmath>
#include <cstring>
#include <gtest/gtest.h>

#if defined(__x86_64__)
extern "C" {
float __extendhfsf2(_Float16 x);
_Float16 __truncsfhf2(float x);
_Float16 __truncdfhf2(double x);
}

namespace {

_Float16 half(uint16_t bits) {
  _Float16 x;
  memcpy(&x, &bits, 2);
  return x;
}
uint16_t bits(_Float16 x) {
  uint16_t b;
  memcpy(&b, &x, 2);
  return b;
}
/// The value of a pattern that is a number, by the definition.
double valueOf(uint16_t b) {
  int exponent = b >> 10 & 31, mantissa = b & 1023;
  double magnitude = exponent ? std::ldexp(1024 + mantissa, exponent - 25) : std::ldexp(mantissa, -24);
  return b & 0x8000 ? -magnitude : magnitude;
}

TEST(Halves, widen) {
  for (uint32_t b = 0; b < 65536; ++b) {
    float wide = __extendhfsf2(half(uint16_t(b)));
    if ((b & 0x7c00) != 0x7c00) {
      EXPECT_EQ(wide, valueOf(uint16_t(b))) << b;
      EXPECT_EQ(std::signbit(wide), b >= 0x8000) << b;
    } else {
      EXPECT_EQ(std::isnan(wide), (b & 1023) != 0) << b;
      EXPECT_TRUE(std::isnan(wide) || (std::isinf(wide) && std::signbit(wide) == (b >= 0x8000))) << b;
    }
  }
}

/// Each number, what is just beside the middle to the next one, and the middle, which goes to the even pattern.
template <typename T> void checkNarrowing(_Float16 (*narrow)(T)) {
  for (uint16_t b = 0; b < 0x7bff; ++b) {
    T low = T(valueOf(b)), high = T(valueOf(uint16_t(b + 1))), middle = (low + high) / 2;
    EXPECT_EQ(bits(narrow(low)), b);
    EXPECT_EQ(bits(narrow(-low)), b | 0x8000);
    EXPECT_EQ(bits(narrow(middle)), b + (b & 1)) << b;
    EXPECT_EQ(bits(narrow(std::nextafter(middle, low))), b) << b;
    EXPECT_EQ(bits(narrow(std::nextafter(middle, high))), b + 1) << b;
  }
  EXPECT_EQ(bits(narrow(T(65519.99))), 0x7bff);
  EXPECT_EQ(bits(narrow(T(65520))), 0x7c00);
  EXPECT_EQ(bits(narrow(T(-1e30))), 0xfc00);
  EXPECT_EQ(bits(narrow(T(INFINITY))), 0x7c00);
  EXPECT_EQ(bits(narrow(T(NAN))) & 0x7fff, 0x7e00);
  EXPECT_EQ(bits(narrow(T(1e-30))), 0);
}
TEST(Halves, narrowF32) { checkNarrowing<float>(__truncsfhf2); }
TEST(Halves, narrowF64) { checkNarrowing<double>(__truncdfhf2); }

} // namespace
#endif
