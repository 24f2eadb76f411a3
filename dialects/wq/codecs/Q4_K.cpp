// Q4_K: 256 values in 8 sub-blocks of 32: f16 d, f16 dmin, 12 bytes of 6-bit scales and minima, 128 bytes. Of each 32
// bytes the low nibbles are one sub-block and the high ones the next: q * (d * scale) - dmin * min.
#include "dialects/wq/codecs/Block.h"

namespace llmc::wq {
static constexpr int64_t kBytes = 144;

static void codesOf(const uint8_t *block, uint8_t *q) {
  for (const uint8_t *nibbles = block + 16; nibbles < block + kBytes; nibbles += 32, q += 64)
    for (int i = 0; i < 32; ++i) {
      q[i] = nibbles[i] & 15;
      q[32 + i] = nibbles[i] >> 4;
    }
}

const BlockCodec kQ4_K = KCodec<kBytes, codesOf>::kCodec;
} // namespace llmc::wq
