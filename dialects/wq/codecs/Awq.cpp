// AWQ (gemm): qweight [K][N/8], qzeros [G][N/8], both packed along N: nibble j of a word is output 8*word +
// (0, 2, 4, 6, 1, 3, 5, 7)[j]; scales [G][N]: scale[g] * (q - zero[g]).
#include "dialects/wq/codecs/Gather.h"

namespace llmc::wq {

static unsigned partCount(EncodedType type) { return groupedPartCount(type); }

static int64_t partBytes(EncodedType type, int64_t n, int64_t k, unsigned part) {
  int64_t words = wordsOf(type, n);
  return groupedPartBytes(type, words * k, words * groupsOf(type, k), n, k, part);
}

/// Which nibble holds an output.
static int64_t positionOf(int64_t row) { return row % 8 / 2 + row % 2 * 4; }

static void gather(const StoredWeight &w, llvm::ArrayRef<int64_t> rows, uint8_t *out) {
  constexpr int64_t kBlock = 64; // of k: lines that are read and written stay in the L1 cache
  int64_t rowBytes = gatheredRowBytes(w.type, w.k), words = wordsOf(w.type, w.n), scaleBytes = scaleBytesOf(w.type);
  for (int64_t first = 0; first < w.k; first += kBlock)
    for (size_t r = 0; r < rows.size(); ++r)
      for (int64_t i = first; i < std::min(w.k, first + kBlock); ++i)
        out[r * rowBytes + i] =
            codeOf(load<uint32_t>(w.parts[0].data(), i * words + rows[r] / 8), positionOf(rows[r]), 4);
  for (size_t r = 0; r < rows.size(); ++r) {
    GatheredRow row(w.type, w.k, out + r * rowBytes);
    for (int64_t g = 0; g < groupsOf(w.type, w.k); ++g) {
      memcpy(row.scales + g * scaleBytes, w.parts[1].data() + (g * w.n + rows[r]) * scaleBytes, scaleBytes);
      if (w.type.getZeroPoints())
        row.zeros[g] = codeOf(load<uint32_t>(w.parts[2].data(), g * words + rows[r] / 8), positionOf(rows[r]), 4);
    }
  }
}

const GatherCodec kAwq = {partCount, partBytes, gather};
} // namespace llmc::wq
