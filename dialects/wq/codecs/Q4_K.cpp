// Q4_K: 256 values in 8 sub-blocks of 32: f16 d, f16 dmin, 12 bytes of 6-bit scales and minima, 128 bytes. Of each 32
// bytes the low nibbles are one sub-block and the high ones the next: q * (d * scale) - dmin * min.
#include "dialects/wq/codecs/Block.h"

namespace llmc::wq {
static constexpr int64_t kElements = 256, kBytes = 144;

static void codesOf(const uint8_t *block, uint8_t *q) {
  for (const uint8_t *nibbles = block + 16; nibbles < block + kBytes; nibbles += 32, q += 64)
    for (int i = 0; i < 32; ++i) {
      q[i] = nibbles[i] & 15;
      q[32 + i] = nibbles[i] >> 4;
    }
}

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

const BlockCodec kQ4_K = {kElements, kBytes, decode, recode};
} // namespace llmc::wq
