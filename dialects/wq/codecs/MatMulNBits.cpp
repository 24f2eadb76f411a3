#include "dialects/wq/codecs/MatMulNBits.h"
#include "dialects/wq/codecs/Gather.h"

namespace llmc::wq {

// Blocks follow each other without gaps and hold whole bytes, so a row is one run of codes.
void NBitsRow::unpack(int64_t k, uint8_t *out) const {
  if (bits == 8) {
    memcpy(out, codes, k);
    return;
  }
  if (bits == 2) {
    for (int64_t i = 0; i < k; ++i) out[i] = codes[i / 4] >> 2 * (i % 4) & 3;
    return;
  }
  for (int64_t i = 0; i < k / 2; ++i) {
    out[2 * i] = codes[i] & 15;
    out[2 * i + 1] = codes[i] >> 4;
  }
  if (k % 2) out[k - 1] = codes[k / 2] & 15;
}

//===- With g_idx -------------------------------------------------------------===//
namespace {

int64_t zeroBytes(EncodedType type, int64_t k) { return (groupsOf(type, k) * type.getBits() + 7) / 8; }
int64_t codeBytes(EncodedType type, int64_t k) { return groupsOf(type, k) * (type.getBlock() * type.getBits() / 8); }

int64_t partBytes(EncodedType type, int64_t n, int64_t k, unsigned part) {
  if (part == 0) return n * codeBytes(type, k);
  if (part == 1) return n * groupsOf(type, k) * scaleBytesOf(type);
  return part == 2 && type.getZeroPoints() ? n * zeroBytes(type, k) : k * 4;
}

void gather(const StoredWeight &w, llvm::ArrayRef<int64_t> rows, uint8_t *out) {
  int64_t rowBytes = gatheredRowBytes(w.type, w.k), groups = groupsOf(w.type, w.k), scaleBytes = scaleBytesOf(w.type);
  for (size_t r = 0; r < rows.size(); ++r) {
    const uint8_t *zeros = w.type.getZeroPoints() ? w.parts[2].data() + rows[r] * zeroBytes(w.type, w.k) : nullptr;
    NBitsRow stored = {w.type.getBits(), w.type.getBlock(), w.parts[0].data() + rows[r] * codeBytes(w.type, w.k),
                       zeros};
    GatheredRow row(w.type, w.k, out + r * rowBytes);
    stored.unpack(w.k, row.codes);
    memcpy(row.scales, w.parts[1].data() + rows[r] * groups * scaleBytes, groups * scaleBytes);
    if (zeros)
      for (int64_t g = 0; g < groups; ++g) row.zeros[g] = stored.zero(g);
  }
}

} // namespace

const GatherCodec kMatMulNBits = {groupedPartCount, partBytes, gather};

} // namespace llmc::wq
