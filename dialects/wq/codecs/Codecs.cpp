#include "dialects/wq/codecs/Codecs.h"
#include "dialects/wq/codecs/Block.h"
#include "dialects/wq/codecs/Float.h"
#include "dialects/wq/codecs/Gather.h"
#include "dialects/wq/codecs/MatMulNBits.h"
#include "llvm/Support/raw_ostream.h"

namespace llmc::wq {
namespace {

/// By Encoding; those after these are no runs of blocks.
constexpr const BlockCodec *kBlockCodecs[] = {&kQ4_0, &kQ4_1, &kQ5_0, &kQ5_1, &kQ8_0, &kQ4_K, &kQ5_K, &kQ6_K};

const BlockCodec *blockCodec(EncodedType encoded) {
  unsigned index = unsigned(encoded.getEncoding());
  return index < std::size(kBlockCodecs) ? kBlockCodecs[index] : nullptr;
}

NBitsRow nBitsRow(EncodedType e, const RowParts &row) {
  return {e.getBits(), e.getBlock(), row[0], e.getFloatZeros() ? nullptr : row[2]};
}

llvm::Expected<int64_t> nBitsRowBytes(EncodedType e, int64_t k, unsigned part) {
  bool known = e.getBits() == 2 || e.getBits() == 4 || e.getBits() == 8;
  if (!known || e.getBlock() < 16 || e.getBlock() % 16)
    return llvm::createStringError("matmul_nbits: found " + std::to_string(e.getBits()) + " bits in blocks of " +
                                   std::to_string(e.getBlock()) + ", expected 2, 4 or 8 bits and a multiple of 16");
  int64_t blocks = (k + e.getBlock() - 1) / e.getBlock();
  if (part == 0) return blocks * (e.getBlock() * e.getBits() / 8);
  if (part == 1 || e.getFloatZeros()) return blocks * (e.getScale() == ScaleType::F32 ? 4 : 2);
  return (blocks * e.getBits() + 7) / 8;
}

void decodeNBits(EncodedType e, int64_t k, const RowParts &row, float *out) {
  NBitsRow codes = nBitsRow(e, row);
  uint8_t q[256];
  for (int64_t first = 0; first < k; first += 256) { // in pieces that fit q
    NBitsRow piece = {codes.bits, codes.block, codes.codes + first * codes.bits / 8, codes.zeros};
    int64_t count = std::min<int64_t>(256, k - first);
    piece.unpack(count, q);
    for (int64_t i = 0; i < count; ++i) {
      int64_t block = (first + i) / e.getBlock();
      float scale = scaleToFloat(e.getScale(), row[1], block);
      out[first + i] = e.getFloatZeros() ? (float(q[i]) - scaleToFloat(e.getScale(), row[2], block)) * scale
                                         : float(q[i] - codes.zero(block)) * scale;
    }
  }
}

void recodeNBits(EncodedType e, int64_t k, const RowParts &row, const SchemeRow<uint8_t> &out) {
  NBitsRow codes = nBitsRow(e, row);
  codes.unpack(k, out.codes);
  int64_t blocks = (k + e.getBlock() - 1) / e.getBlock();
  memcpy(out.scales, row[1], blocks * (e.getScale() == ScaleType::F32 ? 4 : 2));
  if (e.getBits() == 2 && !row[2]) // a scheme without offsets is centred at 8
    for (int64_t i = 0; i < k; ++i) out.codes[i] += 8 - 2;
  if (e.getFloatZeros())
    for (int64_t b = 0; b < blocks; ++b)
      store(-scaleToFloat(e.getScale(), row[2], b) * scaleToFloat(e.getScale(), row[1], b), out.offsets + 4 * b);
  if (codes.zeros)
    for (int64_t b = 0; b < blocks; ++b) out.offsets[b] = codes.zero(b);
}

} // namespace

float scaleToFloat(ScaleType type, const void *scales, int64_t index) {
  if (type == ScaleType::F32) return load<float>(scales, index);
  uint16_t bits = load<uint16_t>(scales, index);
  return type == ScaleType::F16 ? f16ToFloat(bits) : bf16ToFloat(bits);
}

unsigned partCount(mlir::Type element) {
  auto encoded = mlir::dyn_cast<EncodedType>(element);
  if (isGathered(element)) return gatherCodec(encoded)->partCount(encoded);
  if (!encoded || encoded.getEncoding() != Encoding::MatMulNBits) return 1;
  return encoded.getZeroPoints() ? 3 : 2;
}

llvm::Expected<int64_t> rowBytes(mlir::Type element, int64_t k, unsigned part) {
  if (element.isF32()) return 4 * k;
  if (element.isF16() || element.isBF16()) return 2 * k;
  auto encoded = mlir::dyn_cast<EncodedType>(element);
  if (!encoded) {
    std::string name;
    llvm::raw_string_ostream(name) << element;
    return llvm::createStringError("found element type " + name + ", expected f32, f16, bf16 or an encoding");
  }
  const BlockCodec *codec = blockCodec(encoded);
  if (!codec) return nBitsRowBytes(encoded, k, part);
  if (k % codec->elements)
    return llvm::createStringError(stringifyEncoding(encoded.getEncoding()).str() + ": found rows of " +
                                   std::to_string(k) + " elements, expected a multiple of " +
                                   std::to_string(codec->elements));
  return k / codec->elements * codec->bytes;
}

void decodeRow(mlir::Type element, int64_t k, const RowParts &row, float *out) {
  if (element.isF32()) return decodeF32(row[0], k, out);
  if (element.isF16()) return decodeF16(row[0], k, out);
  if (element.isBF16()) return decodeBf16(row[0], k, out);
  auto encoded = mlir::cast<EncodedType>(element);
  if (const BlockCodec *codec = blockCodec(encoded)) return codec->decode(row[0], k / codec->elements, out);
  isGathered(encoded) ? decodeGathered(encoded, k, row, out) : decodeNBits(encoded, k, row, out);
}

void recodeRow(EncodedType encoded, int64_t k, const RowParts &row, const SchemeRow<uint8_t> &out) {
  if (const BlockCodec *codec = blockCodec(encoded))
    return codec->recode(row[0], k / codec->elements, out.codes, out.scales, out.offsets);
  isGathered(encoded) ? recodeGathered(encoded, k, row, out) : recodeNBits(encoded, k, row, out);
}

int64_t scaleBytes(SchemeAttr scheme) { return scheme.getScale() == ScaleType::F32 ? 4 : 2; }

int64_t offsetBytes(SchemeAttr scheme) {
  constexpr int64_t kBytes[] = {0, 1, 2, 4}; // by Offset
  return kBytes[unsigned(scheme.getOffset())];
}

void dequantiseRow(SchemeAttr scheme, int64_t k, const SchemeRow<const uint8_t> &row, float *out) {
  int centre = scheme.getOffset() != Offset::None ? 0 : scheme.getKind() == Kind::I4 ? 8 : 128;
  for (int64_t g = 0; g < groupCount(scheme, k); ++g) {
    int64_t first = g * scheme.getGroup(), end = std::min(k, first + scheme.getGroup());
    float scale = scaleToFloat(scheme.getScale(), row.scales, g);
    int zero = scheme.getOffset() == Offset::ZeroPoint ? row.offsets[g] : centre;
    if (scheme.getOffset() == Offset::MinF16 || scheme.getOffset() == Offset::MinF32) {
      bool wide = scheme.getOffset() == Offset::MinF32;
      float min = scaleToFloat(wide ? ScaleType::F32 : ScaleType::F16, row.offsets, g);
      for (int64_t i = first; i < end; ++i) out[i] = float(row.codes[i]) * scale + min;
    } else {
      for (int64_t i = first; i < end; ++i) out[i] = float(row.codes[i] - zero) * scale;
    }
  }
}

void RowBlock::reset(SchemeAttr newScheme, int64_t newK, int64_t capacity) {
  scheme = newScheme, k = newK, rows = 0;
  auto grow = [](std::vector<uint8_t> &v, int64_t bytes) {
    if (int64_t(v.size()) < bytes) v.resize(bytes);
  };
  grow(codes, capacity * k);
  grow(scales, capacity * scaleStride());
  grow(offsets, capacity * offsetStride());
}

} // namespace llmc::wq
