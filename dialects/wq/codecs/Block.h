// GGUF encodings: a row is a run of blocks. One constant of this table type per file of this folder.
#pragma once
#include "dialects/wq/codecs/Half.h"

namespace llmc::wq {

/// `recode` writes the scheme of exactScheme(): one code a byte, one scale and offset (raw bits) per group of k.
struct BlockCodec {
  int64_t elements; // of a block
  int64_t bytes;    // of a block
  /// in: blocks * bytes; out: blocks * elements values, bit for bit those of ggml's dequantize_row.
  void (*decode)(const uint8_t *in, int64_t blocks, float *out);
  void (*recode)(const uint8_t *in, int64_t blocks, uint8_t *codes, uint8_t *scales, uint8_t *offsets);
};

extern const BlockCodec kQ4_0, kQ4_1, kQ5_0, kQ5_1, kQ8_0, kQ4_K, kQ5_K, kQ6_K;

/// Scale and minimum of sub-block j (0..7) of Q4_K and Q5_K: 6 bits each, in 12 bytes. The first four pairs are the low
/// 6 bits of bytes j and j+4; the others take 4 bits of byte j+4 and their top 2 bits from the first eight bytes.
inline void unpackScaleAndMin(const uint8_t *packed, int j, uint8_t &scale, uint8_t &min) {
  if (j < 4) {
    scale = packed[j] & 63;
    min = packed[j + 4] & 63;
  } else {
    scale = (packed[j + 4] & 15) | packed[j - 4] >> 6 << 4;
    min = packed[j + 4] >> 4 | packed[j] >> 6 << 4;
  }
}

/// Scales and minima of a Q4_K or Q5_K block (f16 d, f16 dmin, 12 bytes): d*scale and dmin*min, in f32.
struct KScales {
  float scale[8], min[8];
  explicit KScales(const uint8_t *block) {
    float d = f16ToFloat(load<uint16_t>(block)), dmin = f16ToFloat(load<uint16_t>(block, 1));
    for (int j = 0; j < 8; ++j) {
      uint8_t s, m;
      unpackScaleAndMin(block + 4, j, s, m);
      scale[j] = d * s;
      min[j] = dmin * m;
    }
  }
};

/// Q4_K and Q5_K differ in where the 256 codes of a block of kBytes are.
template <int64_t kBytes, void (*codesOf)(const uint8_t *block, uint8_t *codes)> struct KCodec {
  static constexpr int64_t kElements = 256;

  static void decode(const uint8_t *in, int64_t blocks, float *out) {
    uint8_t q[kElements];
    for (; blocks--; in += kBytes, out += kElements) {
      KScales s(in);
      codesOf(in, q);
      for (int i = 0; i < kElements; ++i) out[i] = s.scale[i / 32] * float(q[i]) - s.min[i / 32];
    }
  }

  static void recode(const uint8_t *in, int64_t blocks, uint8_t *codes, uint8_t *scales, uint8_t *offsets) {
    for (int64_t b = 0; b < blocks; ++b, in += kBytes, codes += kElements) {
      KScales s(in);
      codesOf(in, codes);
      for (int j = 0; j < 8; ++j) {
        store(s.scale[j], scales, 8 * b + j);
        store(-s.min[j], offsets, 8 * b + j);
      }
    }
  }

  static constexpr BlockCodec kCodec = {kElements, kBytes, decode, recode};
};

} // namespace llmc::wq
