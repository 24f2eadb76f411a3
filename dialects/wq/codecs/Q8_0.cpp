// Q8_0: f16 d, 32 signed bytes: q * d.
#include "dialects/wq/codecs/Block.h"

namespace llmc::wq {
static constexpr int64_t kElements = 32, kBytes = 34;

static void decode(const uint8_t *in, int64_t blocks, float *out) {
  for (; blocks--; in += kBytes, out += kElements) {
    float d = f16ToFloat(load<uint16_t>(in));
    for (int i = 0; i < kElements; ++i) out[i] = float(int8_t(in[2 + i])) * d;
  }
}

static void recode(const uint8_t *in, int64_t blocks, uint8_t *codes, uint8_t *scales, uint8_t *) {
  for (int64_t b = 0; b < blocks; ++b, in += kBytes, codes += kElements) {
    memcpy(scales + 2 * b, in, 2);
    for (int i = 0; i < kElements; ++i) codes[i] = in[2 + i] ^ 128; // q + 128
  }
}

const BlockCodec kQ8_0 = {kElements, kBytes, decode, recode};
} // namespace llmc::wq
