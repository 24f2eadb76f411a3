// Integer weights by many Q8 rows, second half: up to 3 rows times the columns of a tile, for a chunk of k. Float sums
// and the integer sums of a unit are in registers.
#pragma once
#include "codegen/kernels/matmul/Q8Wide.h"

namespace llmc::matmul {

inline constexpr int kTileRows = 3;

class Q8Tile : Q8Sums {
public:
  /// `totals`: place on the stack (from rsp) for 12 vectors.
  Q8Tile(Assembler &a, const MatmulDesc &desc, Q8Isa q8, const Q8Chunks &chunks, const Wide &wide, int64_t totals)
      : Q8Sums(a, desc, q8, wide.term, chunks.unit), wide(wide), totals(totals), packedRow(chunks.packedRow()) {
    width = widthOf(isa), xIsUnsigned = true;
  }

  /// Vectors of the 64 columns that a tile has: all, or 2 of 8.
  static int widthOf(Isa isa) { return isa.avx512 ? 4 : 2; }
  /// Units come in pairs that share an activation block.
  bool pairs() const { return unitK < kActivationBlock; }

  /// The constant that tiles want in a register, which `emit` keeps.
  void loadConstant();
  /// Emits sums += x times weights for `rowCount` rows. In: g.w: codes of the first record (of the tile's columns);
  /// g.xk: codes of the rows, VNNI: x + 128 in rows of Q8Chunks::packedRow; g.x: the rows; g.block: offset of the first
  /// scale (4 bytes each); g.outer: units or pairs of them. With `packsAhead`, packs 3 rows at g.y of x to `packed`.
  /// Moves these but g.x.
  void emit(int rowCount, bool packsAhead);
  Xbyak::Xmm sum(int r, int v) const { return isa.vec((kTileRows + r) * width + v); }
  static Xbyak::Reg64 packed() { return Gpr().yPanel; }
  /// VNNI: `bytes` (16, 32, 64) of x at `from`, plus 128, to `to`.
  void pack(const Xbyak::RegExp &from, const Xbyak::RegExp &to, int bytes, int temp) const;

private:
  void prefetchRows();
  void unit(int half);
  void steps();
  void step(int index);
  void packAhead();
  void scale();
  void minima(int half);

  // Vectors: accumulators and float sums of rows x width, weights, temporaries, VNNI: bytes of 128.
  Xbyak::Xmm weight(int v) const { return isa.vec(2 * kTileRows * width + v); }
  Xbyak::Xmm temp(int i) const { return isa.vec((2 * kTileRows + 1) * width + i); } // 0, 1; AVX-512: 0..2
  Xbyak::Xmm offset128() const { return isa.vec(isa.registers() - 1); }
  Xbyak::Xmm nextX() override { return temp(isa.avx512 && vnni ? turn = (turn + 1) % 3 : 0); }
  Xbyak::Xmm product(int v) override { return temp(isa.avx512 ? 1 + v % 2 : 1); }

  Xbyak::RegExp code(int r, int index) const;
  Xbyak::RegExp scaleOf(int r) const;
  Xbyak::RegExp sumOf(int r, int half) override;
  Xbyak::Address record(int64_t field, int v) const;
  Xbyak::Address zeros(int v) override { return record(wide.zeros, v); }
  Xbyak::Address total(int r, int v) override;

  const Wide &wide;
  const int64_t totals, packedRow;
  int turn = 0;
  int64_t base = 0; // the field of the record that g.w points to
  bool packsAhead = false;
};

} // namespace llmc::matmul
