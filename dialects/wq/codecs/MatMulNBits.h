// com.microsoft MatMulNBits: 2, 4 or 8 bits, a scale per block of k, integer or float zero points or none.
#pragma once
#include "dialects/wq/codecs/Half.h"

namespace llmc::wq {

/// One row: blocks of block*bits/8 bytes (lowest bits first; the last block is padded), and the row's integer zero
/// points, packed the same way, or null. Without zero points the zero is 2, 8 or 128.
struct NBitsRow {
  int64_t bits, block;
  const uint8_t *codes, *zeros;

  int64_t blockBytes() const { return block * bits / 8; }
  uint8_t zero(int64_t index) const {
    if (!zeros) return uint8_t(1 << (bits - 1));
    int64_t each = 8 / bits; // codes of a byte
    return uint8_t(zeros[index / each] >> bits * (index % each) & ((1 << bits) - 1));
  }
  /// One code a byte: out[0..k).
  void unpack(int64_t k, uint8_t *out) const;
};

} // namespace llmc::wq
