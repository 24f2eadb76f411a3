// Q4_1: f16 d, f16 m, 16 bytes with the nibbles of Q4_0: q * d + m.
#include "dialects/wq/codecs/Block.h"

namespace llmc::wq {
static constexpr int64_t kElements = 32, kBytes = 20;

static void decode(const uint8_t *in, int64_t blocks, float *out) {
  for (; blocks--; in += kBytes, out += kElements) {
    float d = f16ToFloat(load<uint16_t>(in)), m = f16ToFloat(load<uint16_t>(in, 1));
    for (int i = 0; i < 16; ++i) {
      out[i] = float(in[4 + i] & 15) * d + m;
      out[16 + i] = float(in[4 + i] >> 4) * d + m;
    }
  }
}

static void recode(const uint8_t *in, int64_t blocks, uint8_t *codes, uint8_t *scales, uint8_t *offsets) {
  for (int64_t b = 0; b < blocks; ++b, in += kBytes, codes += kElements) {
    memcpy(scales + 2 * b, in, 2);
    memcpy(offsets + 2 * b, in + 2, 2);
    for (int i = 0; i < 16; ++i) {
      codes[i] = in[4 + i] & 15;
      codes[16 + i] = in[4 + i] >> 4;
    }
  }
}

const BlockCodec kQ4_1 = {kElements, kBytes, decode, recode};
} // namespace llmc::wq
