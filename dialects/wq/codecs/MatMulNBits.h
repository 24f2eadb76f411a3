// com.microsoft MatMulNBits: 4 or 8 bits, a scale per block of k, integer zero points or none.
#pragma once
#include "dialects/wq/codecs/Half.h"

namespace llmc::wq {

/// One row: blocks of block*bits/8 bytes (low nibble first; the last block is padded), and the row's zero points,
/// packed the same way, or null. Without zero points the zero is 8 or 128.
struct NBitsRow {
  int64_t bits, block;
  const uint8_t *codes, *zeros;

  int64_t blockBytes() const { return block * bits / 8; }
  uint8_t zero(int64_t index) const {
    if (!zeros) return uint8_t(1 << (bits - 1));
    return bits == 8 ? zeros[index] : zeros[index / 2] >> 4 * (index % 2) & 15;
  }
  /// One code a byte: out[0..k).
  void unpack(int64_t k, uint8_t *out) const;
};

} // namespace llmc::wq
