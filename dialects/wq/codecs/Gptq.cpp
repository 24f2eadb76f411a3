// GPTQ: qweight [K*bits/32][N] packed along K, scales [G][N], qzeros [G][N*bits/32] packed along N, g_idx [K]:
// scale[g] * (q - zero[g]). Version 1 stores zero - 1 (so 4 bits give zeros 1..16), version 2 the zero.
#include "dialects/wq/codecs/Gather.h"

namespace llmc::wq {

static unsigned partCount(EncodedType type) { return groupedPartCount(type); }

static int64_t partBytes(EncodedType type, int64_t n, int64_t k, unsigned part) {
  return groupedPartBytes(type, wordsOf(type, k) * n, groupsOf(type, k) * wordsOf(type, n), n, k, part);
}

/// Words of a row are n apart; in blocks of words whose lines, read and written, stay in the L1 cache.
static void gatherCodes(const StoredWeight &w, llvm::ArrayRef<int64_t> rows, int64_t rowBytes, uint8_t *out) {
  constexpr int64_t kBlock = 8;
  const uint8_t *words = w.parts[0].data();
  int64_t count = wordsOf(w.type, w.k), bits = w.type.getBits();
  for (int64_t first = 0; first < count; first += kBlock)
    for (size_t r = 0; r < rows.size(); ++r)
      for (int64_t i = first; i < std::min(count, first + kBlock); ++i)
        unpackWord(load<uint32_t>(words, i * w.n + rows[r]), bits, out + r * rowBytes + i * 32 / bits);
}

static void gather(const StoredWeight &w, llvm::ArrayRef<int64_t> rows, uint8_t *out) {
  int64_t rowBytes = gatheredRowBytes(w.type, w.k), bits = w.type.getBits(), perWord = 32 / bits;
  int64_t scaleBytes = scaleBytesOf(w.type), zeroWords = wordsOf(w.type, w.n);
  uint8_t bias = w.type.getEncoding() == Encoding::Gptq ? 1 : 0;
  gatherCodes(w, rows, rowBytes, out);
  for (size_t r = 0; r < rows.size(); ++r) {
    GatheredRow row(w.type, w.k, out + r * rowBytes);
    for (int64_t g = 0; g < groupsOf(w.type, w.k); ++g) {
      memcpy(row.scales + g * scaleBytes, w.parts[1].data() + (g * w.n + rows[r]) * scaleBytes, scaleBytes);
      if (!w.type.getZeroPoints()) continue;
      uint32_t word = load<uint32_t>(w.parts[2].data(), g * zeroWords + rows[r] / perWord);
      row.zeros[g] = codeOf(word, rows[r] % perWord, bits) + bias;
    }
  }
}

const GatherCodec kGptq = {partCount, partBytes, gather};
} // namespace llmc::wq
