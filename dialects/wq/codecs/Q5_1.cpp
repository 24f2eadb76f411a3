// Q5_1: f16 d, f16 m, 32 high bits, 16 bytes with the nibbles of Q4_0: q * d + m.
#include "dialects/wq/codecs/Block.h"

namespace llmc::wq {
static constexpr int64_t kElements = 32, kBytes = 24;

static void codesOf(const uint8_t *block, uint8_t *q) {
  uint32_t high = load<uint32_t>(block + 4);
  for (int i = 0; i < 16; ++i) {
    q[i] = (block[8 + i] & 15) | (high >> i & 1) << 4;
    q[16 + i] = block[8 + i] >> 4 | (high >> (16 + i) & 1) << 4;
  }
}

static void decode(const uint8_t *in, int64_t blocks, float *out) {
  uint8_t q[kElements];
  for (; blocks--; in += kBytes, out += kElements) {
    float d = f16ToFloat(load<uint16_t>(in)), m = f16ToFloat(load<uint16_t>(in, 1));
    codesOf(in, q);
    for (int i = 0; i < kElements; ++i) out[i] = float(q[i]) * d + m;
  }
}

static void recode(const uint8_t *in, int64_t blocks, uint8_t *codes, uint8_t *scales, uint8_t *offsets) {
  for (int64_t b = 0; b < blocks; ++b, in += kBytes, codes += kElements) {
    memcpy(scales + 2 * b, in, 2);
    memcpy(offsets + 2 * b, in + 2, 2);
    codesOf(in, codes);
  }
}

const BlockCodec kQ5_1 = {kElements, kBytes, decode, recode};
} // namespace llmc::wq
