// ONNX DequantizeLinear and GatherBlockQuantized in blocks along K: codes [N][K], scales [N][G], zero points [N][G], or
// transposed [K][N], [G][N], [G][N]: scale[g] * (q - zero[g]). 4-bit elements run on from row to row, low nibble first;
// two's complement becomes code + 8 (or 128), the zero of it too.
#include "dialects/wq/codecs/Gather.h"

namespace llmc::wq {
namespace {

/// A run of stored elements as unsigned codes.
struct Elements {
  const uint8_t *bytes;
  bool isBytes;
  uint8_t sign;
  Elements(EncodedType type, const uint8_t *bytes)
      : bytes(bytes), isBytes(type.getBits() == 8), sign(type.getIsSigned() ? 1 << (type.getBits() - 1) : 0) {}
  uint8_t operator[](int64_t i) const { return (isBytes ? bytes[i] : bytes[i / 2] >> i % 2 * 4 & 15) ^ sign; }
};

/// Where element `column` of a row is, in a part of `columns` a row.
struct Place {
  int64_t rowStep, columnStep;
  Place(const StoredWeight &w, int64_t columns)
      : rowStep(w.type.getTransposed() ? 1 : columns), columnStep(w.type.getTransposed() ? w.n : 1) {}
  int64_t operator()(int64_t row, int64_t column) const { return row * rowStep + column * columnStep; }
};

unsigned partCount(EncodedType type) { return 2 + type.getZeroPoints(); }

int64_t partBytes(EncodedType type, int64_t n, int64_t k, unsigned part) {
  if (part == 1) return n * groupsOf(type, k) * scaleBytesOf(type);
  return (n * (part == 0 ? k : groupsOf(type, k)) * type.getBits() + 7) / 8;
}

void gather(const StoredWeight &w, llvm::ArrayRef<int64_t> rows, uint8_t *out) {
  constexpr int64_t kBlock = 64; // of k: lines that are read and written stay in the L1 cache
  int64_t rowBytes = gatheredRowBytes(w.type, w.k), groups = groupsOf(w.type, w.k), scaleBytes = scaleBytesOf(w.type);
  Elements codes(w.type, w.parts[0].data()), zeros(w.type, w.parts[2].data());
  Place code(w, w.k), group(w, groups);
  for (int64_t first = 0; first < w.k; first += kBlock)
    for (size_t r = 0; r < rows.size(); ++r)
      for (int64_t i = first; i < std::min(w.k, first + kBlock); ++i) out[r * rowBytes + i] = codes[code(rows[r], i)];
  for (size_t r = 0; r < rows.size(); ++r) {
    GatheredRow row(w.type, w.k, out + r * rowBytes);
    for (int64_t g = 0; g < groups; ++g) {
      int64_t at = group(rows[r], g);
      memcpy(row.scales + g * scaleBytes, w.parts[1].data() + at * scaleBytes, scaleBytes);
      if (w.type.getZeroPoints()) row.zeros[g] = zeros[at];
    }
  }
}

} // namespace

const GatherCodec kOnnxBlocks = {partCount, partBytes, gather};
} // namespace llmc::wq
