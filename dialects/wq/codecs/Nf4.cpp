// bitsandbytes NF4: weight u8 [N][K/2], high nibble first; absmax, one per block of K in row-major order; quant_map f32
// [16]: quant_map[code] * absmax. Nested: absmax u8, whose value is nested_quant_map[absmax] * nested_absmax[one per
// 256 blocks] + nested_offset, the product rounded first.
#include "dialects/wq/codecs/Gather.h"

namespace llmc::wq {

static constexpr int64_t kNestedBlock = 256;

static unsigned partCount(EncodedType type) { return type.getNested() ? 5 : 3; }

static int64_t partBytes(EncodedType type, int64_t n, int64_t k, unsigned part) {
  int64_t blocks = n * groupsOf(type, k);
  switch (part) {
  case 0: return n * (k / 2);
  case 1: return blocks * (type.getNested() ? 1 : 4);
  case 2: return 16 * 4;
  case 3: return (blocks + kNestedBlock - 1) / kNestedBlock * 4;
  default: return 256 * 4;
  }
}

static float absmaxOf(const StoredWeight &w, int64_t block) {
  if (!w.type.getNested()) return load<float>(w.parts[1].data(), block);
  float product =
      load<float>(w.parts[4].data(), w.parts[1][block]) * load<float>(w.parts[3].data(), block / kNestedBlock);
  return product + float(w.type.getNestedOffset());
}

static void gather(const StoredWeight &w, llvm::ArrayRef<int64_t> rows, uint8_t *out) {
  int64_t rowBytes = gatheredRowBytes(w.type, w.k), groups = groupsOf(w.type, w.k);
  for (size_t r = 0; r < rows.size(); ++r) {
    GatheredRow row(w.type, w.k, out + r * rowBytes);
    const uint8_t *pairs = w.parts[0].data() + rows[r] * (w.k / 2);
    for (int64_t i = 0; i < w.k / 2; ++i) {
      row.codes[2 * i] = pairs[i] >> 4;
      row.codes[2 * i + 1] = pairs[i] & 15;
    }
    for (int64_t g = 0; g < groups; ++g) store(absmaxOf(w, rows[r] * groups + g), row.scales, g);
  }
}

const GatherCodec kNf4 = {partCount, partBytes, gather};
} // namespace llmc::wq
