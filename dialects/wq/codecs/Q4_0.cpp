// Q4_0: f16 d, 16 bytes; value i (0..15) is the low nibble of byte i, value 16+i the high one: (q - 8) * d.
#include "dialects/wq/codecs/Block.h"

namespace llmc::wq {
static constexpr int64_t kElements = 32, kBytes = 18;

static void decode(const uint8_t *in, int64_t blocks, float *out) {
  for (; blocks--; in += kBytes, out += kElements) {
    float d = f16ToFloat(load<uint16_t>(in));
    for (int i = 0; i < 16; ++i) {
      out[i] = float((in[2 + i] & 15) - 8) * d;
      out[16 + i] = float((in[2 + i] >> 4) - 8) * d;
    }
  }
}

static void recode(const uint8_t *in, int64_t blocks, uint8_t *codes, uint8_t *scales, uint8_t *) {
  for (int64_t b = 0; b < blocks; ++b, in += kBytes, codes += kElements) {
    memcpy(scales + 2 * b, in, 2);
    for (int i = 0; i < 16; ++i) {
      codes[i] = in[2 + i] & 15;
      codes[16 + i] = in[2 + i] >> 4;
    }
  }
}

const BlockCodec kQ4_0 = {kElements, kBytes, decode, recode};
} // namespace llmc::wq
