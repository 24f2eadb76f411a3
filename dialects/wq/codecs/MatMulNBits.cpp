#include "dialects/wq/codecs/MatMulNBits.h"

namespace llmc::wq {

// Blocks follow each other without gaps and hold whole bytes, so a row is one run of codes.
void NBitsRow::unpack(int64_t k, uint8_t *out) const {
  if (bits == 8) {
    memcpy(out, codes, k);
    return;
  }
  for (int64_t i = 0; i < k / 2; ++i) {
    out[2 * i] = codes[i] & 15;
    out[2 * i + 1] = codes[i] >> 4;
  }
  if (k % 2) out[k - 1] = codes[k / 2] & 15;
}

} // namespace llmc::wq
