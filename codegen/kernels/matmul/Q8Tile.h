// Integer weights by many Q8 rows, second half: up to 3 rows times the columns of a tile, for a chunk of k. Float sums
// are in registers; integer sums of a unit, too.
#pragma once
#include "codegen/kernels/matmul/Q8Wide.h"

namespace llmc::matmul {

inline constexpr int kTileRows = 3;
inline constexpr int64_t kPackedRow = 256; // bytes of a row of x + 128 for a chunk of k

class Q8Tile {
public:
  /// `totals`: place on the stack (from rsp) for 12 vectors.
  Q8Tile(Assembler &a, const MatmulDesc &desc, Q8Isa q8, const Q8Chunks &chunks, int64_t totals)
      : a(a), desc(desc), f(desc.w), isa(q8.isa), vnni(q8.vnni), i4(f.kind == WeightKind::I4), chunks(chunks),
        wide(desc, q8), totalsAt(totals) {}

  /// Vectors of the 64 columns that a tile has: all, or 2 of 8.
  static int width(Isa isa) { return isa.avx512 ? 4 : 2; }
  /// Units come in pairs that share an activation block.
  bool pairs() const { return chunks.unit < kActivationBlock; }

  /// The constant that tiles want in a register, which `emit` keeps.
  void loadConstant();
  /// Emits sums += x times weights for `rows` rows. In: g.w: codes of the first record (of the tile's columns); g.xk:
  /// codes of the rows, VNNI: x + 128 in rows of kPackedRow bytes; g.x: the rows; g.block: offset of the first scale
  /// (4 bytes each); g.outer: units or pairs of them. With `packsAhead`, packs 3 rows at g.y of x to `packed`. Moves
  /// these but g.x.
  void emit(int rows, bool packsAhead);
  static Xbyak::Reg64 packed() { return Gpr().yPanel; }

  Xbyak::Xmm sum(int r, int v) const { return isa.vec((kTileRows + r) * width(isa) + v); }
  /// VNNI: x + 128 of `row` bytes of a vector at g.y, to `packed`.
  void pack(const Xbyak::RegExp &from, const Xbyak::RegExp &to, int bytes, int temp) const;

private:
  void prefetchRows();
  void unit(int half);
  void start(int half);
  void startVnni(int r, const Xbyak::Xmm &sumX);
  void startMaddubs(int r, const Xbyak::Xmm &sumX);
  void steps();
  void step(int index);
  void multiply(int r, int index);
  void addTotals();
  void packAhead();
  void finish(int half);
  void scale();
  void minima(int half);

  // Vectors: integer accumulators and float sums of rows x width, weights, temporaries, a constant (AVX2: in memory).
  Xbyak::Xmm accumulator(int r, int v) const { return isa.vec(r * width(isa) + v); }
  Xbyak::Xmm weight(int v) const { return isa.vec(2 * kTileRows * width(isa) + v); }
  Xbyak::Xmm temp(int i) const { return isa.vec((2 * kTileRows + 1) * width(isa) + i); } // 0, 1; AVX-512: 0..2
  Xbyak::Xmm constant() const { return isa.vec(isa.registers() - 1); } // VNNI: bytes of 128; else words of 1
  Xbyak::Xmm nextTemp() { return temp(isa.avx512 && vnni ? turn = (turn + 1) % 3 : 0); }
  Xbyak::Xmm product(int v) const { return temp(isa.avx512 ? 1 + v % 2 : 1); }

  // Memory: 4 codes, scale and sum of a row; a field of the record; integer sums of a unit.
  Xbyak::RegExp code(int r, int index) const;
  Xbyak::RegExp scaleOf(int r) const;
  Xbyak::RegExp sumOf(int r, int half) const;
  Xbyak::Address record(int64_t field, int v) const;
  Xbyak::Address total(int r, int v) const;
  Xbyak::Address words(int value) const; // in the low halves of dwords
  Xbyak::Address ones() const;
  bool hasTotals() const { return !vnni && i4 && chunks.unit > kActivationBlock; }
  Xbyak::PreferredEncoding encoding() const { return isa.avx512 ? Xbyak::EvexEncoding : Xbyak::VexEncoding; }

  Assembler &a;
  const MatmulDesc &desc;
  const WeightFormat &f;
  const Isa isa;
  const bool vnni, i4;
  const Q8Chunks &chunks;
  const Wide wide;
  const int64_t totalsAt;
  int rows = 0, turn = 0;
  int64_t base = 0;     // the field of the record that g.w points to
  bool started = false; // whether 16-bit sums have a value
  bool packsAhead = false;
};

} // namespace llmc::matmul
