// Q5_K: as Q4_K with 32 bytes of fifth bits before the nibbles: bit j of byte i belongs to value i of sub-block j.
#include "dialects/wq/codecs/Block.h"

namespace llmc::wq {
static constexpr int64_t kBytes = 176;

static void codesOf(const uint8_t *block, uint8_t *q) {
  const uint8_t *high = block + 16, *nibbles = block + 48;
  for (int j = 0; j < 8; j += 2, nibbles += 32, q += 64)
    for (int i = 0; i < 32; ++i) {
      q[i] = (nibbles[i] & 15) | (high[i] >> j & 1) << 4;
      q[32 + i] = nibbles[i] >> 4 | (high[i] >> (j + 1) & 1) << 4;
    }
}

const BlockCodec kQ5_K = KCodec<kBytes, codesOf>::kCodec;
} // namespace llmc::wq
