// Integer dot products of a unit, rows x vectors of columns, on each x86 ISA: what they start with, 4 k at a time, what
// is left to add. Both kinds of kernels for Q8 rows are made of it.
#pragma once
#include "codegen/kernels/matmul/Q8Loops.h"

namespace llmc::matmul {

/// How bytes are multiplied: by vpdpbusd, else by vpmaddubsw with 16-bit sums over 32 k (I4: 8 pairs of at most 3810)
/// or (I8) of |code - 128| and x with the sign of code - 128: pairs of at most 2*128*127.
struct Q8Isa {
  Isa isa;
  bool vnni;
};

/// What the sum of a unit has besides its products, as the multiplied weights are not code - zero: nothing, or the sum
/// of the row's codes times a constant, or times base - zero point.
struct RowTerm {
  enum Kind : uint8_t { None, Constant, PerColumn } kind = None;
  int32_t factor = 0; // Constant
  int32_t base = 0;   // PerColumn

  /// Of codes as they are stored; of I8 codes - 128.
  static RowTerm ofCodes(const WeightFormat &f);
  static RowTerm ofCentred(const WeightFormat &f);

  /// PerColumn: zero points (i32) become base - zero point in the low words of dwords, the high ones being 0.
  void ofZeroPoints(Assembler &a, const Xbyak::Xmm &zero, const Xbyak::Xmm &temp) const;
};

class Q8Sums {
protected:
  Q8Sums(Assembler &a, const MatmulDesc &desc, Q8Isa q8, RowTerm term, int64_t unit)
      : a(a), desc(desc), f(desc.w), isa(q8.isa), vnni(q8.vnni), i4(f.kind == WeightKind::I4), unitK(unit), term(term) {
  }
  virtual ~Q8Sums() = default;

  // Vectors and memory of the kernel. nextX and product are free between the functions of this class; with vpmaddubsw
  // they differ.
  Xbyak::Xmm accumulator(int r, int v) const { return isa.vec(r * width + v); }
  virtual Xbyak::Xmm nextX() = 0;
  virtual Xbyak::Xmm product(int v) = 0;
  virtual Xbyak::RegExp sumOf(int r, int half) = 0; // sum of the codes of the unit in a row
  virtual Xbyak::Address zeros(int v) = 0;          // base - zero point, in the low words of dwords
  virtual Xbyak::Address total(int r, int v) = 0;   // space for a vector if hasTotals()

  /// Whether accumulators are 16-bit sums, and whether these are added to integer sums of a unit of more than 32 k.
  bool hasWords() const { return !vnni && i4; }
  bool hasTotals() const { return hasWords() && unitK > kActivationBlock; }

  /// Before the first product. VNNI: adds the vectors `startOf` if given.
  void start(int half, llvm::function_ref<Xbyak::Address(int)> startOf = nullptr);
  /// What a piece of 32 k begins and ends with.
  void enterPiece() { started = startsWithTerm; }
  void leavePiece();
  /// accumulator(r, v) += 4 k of x times `weight`. VNNI: one of them is unsigned, xIsUnsigned says which. I8 without
  /// VNNI: `weight` is |w|, `sign` is w.
  void multiply(int r, int v, const Xbyak::Xmm &x, const Xbyak::Xmm &weight, const Xbyak::Operand &sign);
  /// The accumulators become f32.
  void finish(int half);
  Xbyak::Address words(int value) const; // in the low halves of dwords
  Xbyak::Address ones() const;           // in all words
  Xbyak::PreferredEncoding encoding() const { return isa.avx512 ? Xbyak::EvexEncoding : Xbyak::VexEncoding; }

  Assembler &a;
  const MatmulDesc &desc;
  const WeightFormat &f;
  const Isa isa;
  const bool vnni, i4;
  const int64_t unitK;
  const RowTerm term;
  bool xIsUnsigned = false; // VNNI
  int rows = 0, width = 0;  // width: vectors of columns

private:
  void startRow(int r, const Xbyak::Xmm &sumX, llvm::function_ref<Xbyak::Address(int)> startOf);
  bool started = false;        // accumulators have a value
  bool startsWithTerm = false; // they have it before the first product
};

} // namespace llmc::matmul
