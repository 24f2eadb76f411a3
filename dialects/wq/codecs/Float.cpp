#include "dialects/wq/codecs/Float.h"

namespace llmc::wq {

void decodeF16(const uint8_t *in, int64_t count, float *out) {
  for (int64_t i = 0; i < count; ++i) out[i] = f16ToFloat(load<uint16_t>(in, i));
}
void decodeBf16(const uint8_t *in, int64_t count, float *out) {
  for (int64_t i = 0; i < count; ++i) out[i] = bf16ToFloat(load<uint16_t>(in, i));
}
void decodeF32(const uint8_t *in, int64_t count, float *out) { memcpy(out, in, count * sizeof(float)); }

} // namespace llmc::wq
