// Q6_K: 256 values in 16 sub-blocks of 16: 128 bytes of low nibbles, 64 bytes of high bit pairs, 16 signed scales, f16
// d: (d * scale) * (q - 32). Each half of 128 values has 64 bytes of nibbles and 32 of pairs: its quarter c (32 values)
// takes nibble c/2 of byte 32*(c%2)+i and pair c of byte i.
#include "dialects/wq/codecs/Block.h"

namespace llmc::wq {
static constexpr int64_t kElements = 256, kBytes = 210;

static void codesOf(const uint8_t *block, uint8_t *q) {
  const uint8_t *low = block, *high = block + 128;
  for (int half = 0; half < 2; ++half, low += 64, high += 32)
    for (int c = 0; c < 4; ++c, q += 32)
      for (int i = 0; i < 32; ++i) q[i] = (low[32 * (c % 2) + i] >> 4 * (c / 2) & 15) | (high[i] >> 2 * c & 3) << 4;
}

static void scalesOf(const uint8_t *block, float *scales) {
  float d = f16ToFloat(load<uint16_t>(block + 208));
  for (int j = 0; j < 16; ++j) scales[j] = d * float(int8_t(block[192 + j]));
}

static void decode(const uint8_t *in, int64_t blocks, float *out) {
  uint8_t q[kElements];
  float scales[16];
  for (; blocks--; in += kBytes, out += kElements) {
    scalesOf(in, scales);
    codesOf(in, q);
    for (int i = 0; i < kElements; ++i) out[i] = scales[i / 16] * float(q[i] - 32);
  }
}

static void recode(const uint8_t *in, int64_t blocks, uint8_t *codes, uint8_t *scales, uint8_t *) {
  float values[16];
  for (int64_t b = 0; b < blocks; ++b, in += kBytes, codes += kElements) {
    scalesOf(in, values);
    memcpy(scales + b * sizeof(values), values, sizeof(values));
    codesOf(in, codes);
    for (int i = 0; i < kElements; ++i) codes[i] += 128 - 32;
  }
}

const BlockCodec kQ6_K = {kElements, kBytes, decode, recode};
} // namespace llmc::wq
