// Encodings of Hugging Face checkpoints and of ONNX: a row's codes, scales and zero points are scattered over the parts
// of the weight, so rows are first brought together. One constant of this table type per file of this folder.
#pragma once
#include "dialects/wq/codecs/Codecs.h"
#include "dialects/wq/codecs/Half.h"

namespace llmc::wq {

/// A gathered row, adjacent in memory: codes u8 [k], scales [groups], zero points u8 [groups] (if the type has any).
struct GatheredRow {
  uint8_t *codes, *scales, *zeros;
  GatheredRow(EncodedType type, int64_t k, uint8_t *at);
};

struct GatherCodec {
  unsigned (*partCount)(EncodedType type);
  /// Of a weight of n rows; type, n and k are valid (gatheredPartBytes() checked them).
  int64_t (*partBytes)(EncodedType type, int64_t n, int64_t k, unsigned part);
  void (*gather)(const StoredWeight &weight, llvm::ArrayRef<int64_t> rows, uint8_t *out);
};

/// kMatMulNBits: in act order; without it rows are runs of bytes.
extern const GatherCodec kGptq, kAwq, kCompressedTensors, kNf4, kOnnxBlocks, kMatMulNBits;

/// Null for what is no such encoding.
const GatherCodec *gatherCodec(EncodedType type);

inline int64_t groupsOf(EncodedType type, int64_t k) { return (k + type.getBlock() - 1) / type.getBlock(); }
inline int64_t scaleBytesOf(EncodedType type) { return type.getScale() == ScaleType::F32 ? 4 : 2; }

/// decodeRow and recodeRow of a gathered row.
void decodeGathered(EncodedType type, int64_t k, const RowParts &row, float *out);
void recodeGathered(EncodedType type, int64_t k, const RowParts &row, const SchemeRow<uint8_t> &out);

/// Words that hold `count` codes.
inline int64_t wordsOf(EncodedType type, int64_t count) { return (count * type.getBits() + 31) / 32; }

/// The code at `position` of a word; 0 is the lowest bits.
inline uint8_t codeOf(uint32_t word, int64_t position, int64_t bits) {
  return uint8_t(word >> position * bits & ((1u << bits) - 1));
}

/// The codes of a word, one a byte, lowest first; returns their number.
inline int64_t unpackWord(uint32_t word, int64_t bits, uint8_t *out) {
  if (bits == 8) {
    store(word, out);
    return 4;
  }
  uint64_t x = word;
  x = (x | x << 16) & 0x0000ffff0000ffff;
  x = (x | x << 8) & 0x00ff00ff00ff00ff;
  store((x | x << 4) & 0x0f0f0f0f0f0f0f0f, out);
  return 8;
}

/// The part that all rows share: group indices, or the table of nf4.
inline unsigned sharedPart(EncodedType type) { return 2 + type.getZeroPoints(); }

/// Parts of the integer encodings: codes, scales, zero points if any, group indices if in act order.
inline unsigned groupedPartCount(EncodedType type) { return 2 + type.getZeroPoints() + type.getActOrder(); }
inline int64_t groupedPartBytes(EncodedType type, int64_t codeWords, int64_t zeroWords, int64_t n, int64_t k,
                                unsigned part) {
  if (part == 0) return codeWords * 4;
  if (part == 1) return groupsOf(type, k) * n * scaleBytesOf(type);
  return part == 2 && type.getZeroPoints() ? zeroWords * 4 : k * 4;
}

} // namespace llmc::wq
