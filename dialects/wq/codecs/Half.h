// IEEE binary16 and bfloat16 as bits, and unaligned loads: what the codecs share.
#pragma once
#include <bit>
#include <cstdint>
#include <cstring>

namespace llmc::wq {

template <typename T> inline T load(const void *from, int64_t index = 0) {
  T value;
  memcpy(&value, static_cast<const char *>(from) + index * int64_t(sizeof(T)), sizeof(T));
  return value;
}
template <typename T> inline void store(T value, void *to, int64_t index = 0) {
  memcpy(static_cast<char *>(to) + index * int64_t(sizeof(T)), &value, sizeof(T));
}

inline float bf16ToFloat(uint16_t bits) { return std::bit_cast<float>(uint32_t(bits) << 16); }

/// Exact; infinities and NaNs too.
inline float f16ToFloat(uint16_t bits) {
  uint32_t sign = uint32_t(bits & 0x8000) << 16, rest = uint32_t(bits & 0x7fff) << 13;
  // Moves the exponent's bias from 15 to 127, also of denormals: exact.
  uint32_t finite = std::bit_cast<uint32_t>(std::bit_cast<float>(rest) * 0x1p112f);
  return std::bit_cast<float>(sign | (rest >= 0x7c00u << 13 ? rest | 0x7f800000 : finite));
}

/// Round to nearest even; what is too large gives infinity, NaN a quiet NaN.
inline uint16_t floatToF16(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return uint16_t(sign | 0x7e00);
  if (magnitude >= 0x477ff000) return uint16_t(sign | 0x7c00); // 65520 and more
  if (magnitude < 0x38800000) // below 2^-14: a multiple of 2^-24, which 0.5f + x rounds to
    return uint16_t(sign | (std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - 0x3f000000));
  return uint16_t(sign | ((magnitude + 0xfff + (magnitude >> 13 & 1) - 0x38000000) >> 13));
}
inline uint16_t floatToBf16(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffff) > 0x7f800000) return uint16_t(bits >> 16 | 0x40);
  return uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

} // namespace llmc::wq
