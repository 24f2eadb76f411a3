// Integer weights by many Q8 rows, first half: a chunk of a panel's K widened to bytes, once for all rows. What the
// tiles (IntQ8Large.cpp) then read is one record per unit; README.md, "Large M", has the picture.
#pragma once
#include "codegen/kernels/matmul/Q8Sums.h"
#include <algorithm>

namespace llmc::matmul {

/// How K is cut: units, and chunks of them. All but the last chunk have `chunkUnits`. A weight with one group may end
/// in a unit that is not full, a requantised one, too; it is widened with zeros. Units of 16 k come in pairs: the last
/// may be all zeros.
struct Q8Chunks {
  int64_t unit;       // k: a block of x, or less if the group is smaller and not requantised
  int64_t chunkUnits; // about 256 k, whole groups unless there is one group only; requantised: 512 k
  int64_t chunks, lastUnits;
  int64_t restK; // k of the last unit
  bool oneGroup;
  explicit Q8Chunks(const MatmulDesc &desc);
  /// Bytes of a row of x for a chunk, as the tiles read it.
  int64_t packedRow() const { return std::max<int64_t>(256, chunkUnits * unit); }
  /// Of the packed weights of a whole chunk.
  int64_t chunkBytes(const WeightFormat &f) const {
    return oneGroup ? f.codeBytes() / f.group * unit * chunkUnits : f.blockBytes() * (chunkUnits * unit / f.group);
  }
};

/// A record: offsets in bytes. Vectors of 64 columns: i32 or f32, 256 bytes. Bytes to multiply: VNNI: s8 code - zero
/// (I4), code - 128 (I8) or the requantised code, by x + 128 as u8; else u8 codes (I4) or s8 code - 128 (I8).
struct Wide {
  RowTerm term;
  int64_t start;  // VNNI, i32: -128 times the sum of the bytes
  int64_t zeros;  // of RowTerm::PerColumn
  int64_t codes;  // [unit/4][64 columns][4]
  int64_t scales; // f32
  int64_t minima; // f32
  bool hasMinima;
  int64_t bytes;
  Wide(const MatmulDesc &desc, Q8Isa isa);
};

/// Emits the widening of `units` units, packed at g.w, into records at g.xk, the last of them of `restK` k (the rest,
/// and all of an extra unit if `restK` is 0, being zeros); moves g.w past what it read. Uses all vectors and g.scales,
/// g.block, g.outer, g.inner.
void emitWiden(Assembler &a, const MatmulDesc &desc, Q8Isa isa, const Q8Chunks &chunks, int64_t units, int64_t restK);
/// The same for requantised weights, AVX-512 VNNI.
void emitWidenRequantised(Assembler &a, const MatmulDesc &desc, const Q8Chunks &chunks, int64_t units, int64_t restK);

} // namespace llmc::matmul
