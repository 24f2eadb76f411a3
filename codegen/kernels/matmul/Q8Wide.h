// Integer weights by many Q8 rows, first half: a chunk of a panel's K widened to bytes, once for all rows. What the
// tiles (IntQ8Large.cpp) then read is one record per unit; README.md, "Large M", has the picture.
#pragma once
#include "codegen/kernels/matmul/Q8Loops.h"

namespace llmc::matmul {

/// How bytes are multiplied. Vnni: vpdpbusd of x + 128 (u8) and centred weights (s8), or of centred ones with what is
/// left of a zero point as a term of the row. Else vpmaddubsw: of weights as they are stored and x (I4), or of
/// |code - 128| and x with the sign of code - 128 (I8).
struct Q8Isa {
  Isa isa;
  bool vnni;
};

/// What the integer sum of a unit starts with besides Wide::start: nothing, or the sum of the row's codes times a
/// constant or times a number per column (Wide::zeros).
enum class RowTerm : uint8_t { None, Constant, PerColumn };

/// How K is cut: units, and chunks of them. All but the last chunk have `chunkUnits`. A weight with one group may end
/// in a unit that is not full; it is widened with zeros. Units of 16 k come in pairs: the last may be all zeros.
struct Q8Chunks {
  int64_t unit;       // k
  int64_t chunkUnits; // about 256 k, whole groups unless there is one group only
  int64_t chunks, lastUnits;
  int64_t restK; // k of the last unit
  bool oneGroup;
  explicit Q8Chunks(const MatmulDesc &desc);
  /// Of the packed weights of a whole chunk.
  int64_t chunkBytes(const WeightFormat &f) const {
    return oneGroup ? f.codeBytes() / f.group * unit * chunkUnits : f.blockBytes() * (chunkUnits * unit / f.group);
  }
};

/// Offsets in a record, bytes. Vectors of 64 columns: i32 or f32, 256 bytes.
struct Wide {
  RowTerm term;
  int32_t factor; // RowTerm::Constant
  int64_t start;  // i32: what a sum starts with; Vnni only
  int64_t zeros;  // i32: factors of RowTerm::PerColumn
  int64_t codes;  // [unit/4][64 columns][4]
  int64_t scales; // f32
  int64_t minima; // f32
  int64_t bytes;
  Wide(const MatmulDesc &desc, Q8Isa isa);
};

/// Emits the widening of `units` units, packed at g.w, into records at g.xk, the last of them of `restK` k (the rest,
/// and all of an extra unit if `restK` is 0, being zeros); moves g.w past what it read. Uses all vectors and g.scales,
/// g.block, g.outer, g.inner.
void emitWiden(Assembler &a, const MatmulDesc &desc, Q8Isa isa, const Q8Chunks &chunks, int64_t units, int64_t restK);

} // namespace llmc::matmul
