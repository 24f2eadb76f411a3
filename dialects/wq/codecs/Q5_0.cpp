// Q5_0: f16 d, 32 high bits, 16 bytes with the nibbles of Q4_0: (q - 16) * d, bit i of the u32 is the fifth of value i.
#include "dialects/wq/codecs/Block.h"

namespace llmc::wq {
static constexpr int64_t kElements = 32, kBytes = 22;

static void codesOf(const uint8_t *block, uint8_t *q) {
  uint32_t high = load<uint32_t>(block + 2);
  for (int i = 0; i < 16; ++i) {
    q[i] = (block[6 + i] & 15) | (high >> i & 1) << 4;
    q[16 + i] = block[6 + i] >> 4 | (high >> (16 + i) & 1) << 4;
  }
}

static void decode(const uint8_t *in, int64_t blocks, float *out) {
  uint8_t q[kElements];
  for (; blocks--; in += kBytes, out += kElements) {
    float d = f16ToFloat(load<uint16_t>(in));
    codesOf(in, q);
    for (int i = 0; i < kElements; ++i) out[i] = float(q[i] - 16) * d;
  }
}

static void recode(const uint8_t *in, int64_t blocks, uint8_t *codes, uint8_t *scales, uint8_t *) {
  for (int64_t b = 0; b < blocks; ++b, in += kBytes, codes += kElements) {
    memcpy(scales + 2 * b, in, 2);
    codesOf(in, codes);
    for (int i = 0; i < kElements; ++i) codes[i] += 128 - 16;
  }
}

const BlockCodec kQ5_0 = {kElements, kBytes, decode, recode};
} // namespace llmc::wq
