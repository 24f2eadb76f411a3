// Weights of AMX kernels, a chunk of k and 64 columns at a time, to B tiles in L1.
#pragma once
#include "codegen/kernels/matmul/RequantisedLines.h"

namespace llmc::matmul {

class AmxEmitter;

/// k that share one scale of a column and one of a row: what one set of i32 tiles adds up.
inline int64_t int8Step(const MatmulDesc &desc) {
  return requantises(desc) || desc.w.group >= desc.k ? desc.x.block : desc.w.group;
}

/// In the frame: the strip [half][k/4][2 lines][64], then tables of f32 scales and of zero points (i32) or minima
/// (f32), a row of 64 columns for each step, or one for all.
class Int8Strip {
public:
  static constexpr int64_t kRowBytes = 128, kBytesPerK = kRowBytes / 4, kHalfBytes = 512 * kBytesPerK;
  static constexpr int64_t kTableRow = kPanel * 4, kTableBytes = 8 * kTableRow;
  static constexpr int64_t kBytes = 2 * kHalfBytes + 2 * kTableBytes;

  /// `base`: the strip's first byte, from rsp.
  Int8Strip(Assembler &a, const MatmulDesc &desc, const Xbyak::RegExp &base, int64_t stepK)
      : a(a), f(desc.w), base(base), stepK(stepK), requantised(requantises(desc)), perColumn(f.group >= desc.k),
        lines(a, desc.w) {}

  /// The chunk of `loops` (its weights, steps, whether it is the last one).
  void unpack(AmxEmitter &loops);
  int64_t chunkBytes() const;

  /// Codes that are not centred in 8 bits: products are TDPBSUD's.
  bool isUnsigned() const { return f.kind == WeightKind::I8 && f.offset != Offset::None && !requantised; }
  /// Zero points are not in the codes: zero * sum of x has to be subtracted.
  bool hasZeroTable() const { return isUnsigned() && f.offset == Offset::ZeroPoint; }
  bool hasMinima() const { return f.hasMinimum() && !requantised; }
  /// 16 columns of the table row at `step` (a register that counts bytes).
  Xbyak::Address scaleAt(int line, const Xbyak::Reg64 &step) const { return tableAt(0, line, step); }
  Xbyak::Address offsetAt(int line, const Xbyak::Reg64 &step) const { return tableAt(kTableBytes, line, step); }

private:
  void constants();
  void groups(AmxEmitter &loops);
  void countGroups(AmxEmitter &loops);
  void ranges(AmxEmitter &loops);
  void parameters();
  void step();
  void exactLine(int line);
  void store(const Xbyak::Zmm &codes, int line, int row);
  void clearRest(AmxEmitter &loops);
  /// One row for all steps.
  bool oneRow() const { return requantised || perColumn; }
  Xbyak::Address tableAt(int64_t table, int line, const Xbyak::Reg64 &step) const {
    Xbyak::RegExp at = base + size_t(2 * kHalfBytes + table + line * 64);
    return oneRow() ? a.ptr[at] : a.ptr[at + step];
  }
  int64_t kPerStep() const { return f.kind == WeightKind::I4 ? 8 : 4; } // of a line

  Assembler &a;
  const WeightFormat &f;
  const Xbyak::RegExp base;
  const int64_t stepK;
  const bool requantised, perColumn;
  RequantisedLines lines;
  // rax codes, rbx scales of the group, r12 strip, rdx table row, r14 and r15 counters. With exact scales, of each line
  // of 16 columns: what is subtracted from the codes (bytes).
  Xbyak::Zmm centre(int line) const { return Xbyak::Zmm(f.offset == Offset::None ? 16 : 16 + line); }
  const Xbyak::Zmm nibbles{28};
};

/// I4 and I8 weights as BF16 or F16, rounded once after scale and offset (F16 with f16 scales: the product, or the
/// fused multiply-add, in f16). Strip: [half][k pair][2 lines][16 columns][2 k], k in the order of the rows.
class Strip16 {
public:
  static constexpr int64_t kChunk = 256, kRowBytes = 128, kBytesPerK = kRowBytes / 2, kHalfBytes = kChunk * kBytesPerK;
  static constexpr int64_t kBytes = 2 * kHalfBytes;

  Strip16(Assembler &a, const MatmulDesc &desc, const Xbyak::RegExp &base)
      : a(a), f(desc.w), base(base), i4(f.kind == WeightKind::I4), fp16(desc.x.kind == RowFormat::Kind::F16),
        inHalves(fp16 && f.scale == ScaleType::F16 && f.offset != Offset::MinF32), perColumn(f.group >= desc.k) {}

  void unpack(AmxEmitter &loops);
  int64_t chunkBytes() const;

private:
  void groups(AmxEmitter &loops);
  void constants();
  void parameters();
  void halfParameters(int line);
  void wideParameters(int line);
  void toWords(const Xbyak::Zmm &v);
  void step();
  void halfPair(const Xbyak::Zmm &to, int pair, int line);
  void widePair(const Xbyak::Zmm &to, int pair, int line);
  void element(const Xbyak::Zmm &to, int bit, int line);
  void store(const Xbyak::Zmm &weights, int line, int pair);
  void clearRest(AmxEmitter &loops);
  int pairsPerStep() const { return i4 ? 4 : 2; }
  int64_t kPerStep() const { return 2 * pairsPerStep(); }

  Assembler &a;
  const WeightFormat &f;
  const Xbyak::RegExp base;
  const bool i4, fp16, inHalves, perColumn;
  // rax codes, rbx scales of the group, r12 strip, r14 and r15 counters. Of each line of 16 columns: scale; zero point
  // (subtracted from the code) or minimum. f16 in words, or f32.
  Xbyak::Zmm scale(int line) const { return Xbyak::Zmm(16 + line); }
  Xbyak::Zmm offset(int line) const { return Xbyak::Zmm(20 + line); }
  const Xbyak::Zmm table{24}, interleave{25}, lowBytes{26}, centre{27}, codes{0};
};

} // namespace llmc::matmul
