// f32 to 16-bit floats, for the scalar reference of the cache.
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>

namespace llmc {

/// Rounds to nearest even; too large gives infinity, NaN a quiet NaN (as vcvtps2ph).
inline uint16_t f32ToF16(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return uint16_t(sign | 0x7e00 | (magnitude >> 13 & 0x3ff));
  if (magnitude >= 0x477ff000) return uint16_t(sign | 0x7c00); // 65520 and more
  if (magnitude < 0x38800000)                                  // below 2^-14: a multiple of 2^-24
    return uint16_t(sign | uint32_t(std::nearbyint(std::ldexp(std::bit_cast<float>(magnitude), 24))));
  uint32_t rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
  return uint16_t(sign | ((rounded - 0x38000000) >> 13));
}

/// bfloat16: rounds to nearest even; NaN gives a quiet NaN. Denormals are rounded as all other numbers.
inline uint16_t f32ToBf16(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffff) > 0x7f800000) return uint16_t(bits >> 16 | 0x40);
  return uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

} // namespace llmc
