// compressed-tensors, pack-quantized: weight_packed [N][K*bits/32] packed along K, code = value + 8 (or 128);
// weight_scale [N][G]; weight_zero_point [N*bits/32][G] packed along N, with the same 8 (or 128) added; weight_g_idx
// [K].
#include "dialects/wq/codecs/Gather.h"

namespace llmc::wq {

static unsigned partCount(EncodedType type) { return groupedPartCount(type); }

static int64_t partBytes(EncodedType type, int64_t n, int64_t k, unsigned part) {
  return groupedPartBytes(type, wordsOf(type, k) * n, groupsOf(type, k) * wordsOf(type, n), n, k, part);
}

static void gather(const StoredWeight &w, llvm::ArrayRef<int64_t> rows, uint8_t *out) {
  int64_t rowBytes = gatheredRowBytes(w.type, w.k), bits = w.type.getBits(), perWord = 32 / bits;
  int64_t words = wordsOf(w.type, w.k), groups = groupsOf(w.type, w.k), scaleBytes = groups * scaleBytesOf(w.type);
  for (size_t r = 0; r < rows.size(); ++r) {
    GatheredRow row(w.type, w.k, out + r * rowBytes);
    for (int64_t i = 0; i < words; ++i)
      unpackWord(load<uint32_t>(w.parts[0].data(), rows[r] * words + i), bits, row.codes + i * perWord);
    memcpy(row.scales, w.parts[1].data() + rows[r] * scaleBytes, scaleBytes);
    if (!w.type.getZeroPoints()) continue;
    for (int64_t g = 0; g < groups; ++g)
      row.zeros[g] = codeOf(load<uint32_t>(w.parts[2].data(), rows[r] / perWord * groups + g), rows[r] % perWord, bits);
  }
}

const GatherCodec kCompressedTensors = {partCount, partBytes, gather};
} // namespace llmc::wq
