// Requantised weights with AVX-512: lines of packed codes of 16 columns to s8 codes, for all kernels that unpack them.
#pragma once
#include "codegen/kernels/matmul/Loops.h"
#include "codegen/kernels/matmul/Requantise.h"

namespace llmc::matmul {

/// Makes what requantise() (Requantise.h) makes, bit by bit. Keeps zmm16 to zmm29 and zmm31 from one function to the
/// next; zmm0 to zmm5 are clobbered.
class RequantisedLines {
public:
  RequantisedLines(Assembler &a, const WeightFormat &f) : a(a), f(f), i4(f.kind == WeightKind::I4) {}

  void constants();
  /// The range of each column over `groups` (a register, 1 or more) groups, whose first scales `scales` points to;
  /// moves both. store(line, scale) gets the requantised scales of the 4 lines. Clobbers k1.
  void ranges(const Xbyak::Reg64 &scales, const Xbyak::Reg64 &groups,
              llvm::function_ref<void(int, const Xbyak::Zmm &)> store);
  /// For the lines of a group.
  void enterGroup(const Xbyak::Reg64 &scales);
  /// Line 0..3 of a step of the group: store(row, codes) gets codes of 4 k: row 0, for I4 row 1, too.
  void line(int line, const Xbyak::Address &from, llvm::function_ref<void(int, const Xbyak::Zmm &)> store);

private:
  void offsetOf(const Xbyak::Zmm &to, const Xbyak::Zmm &scale, const Xbyak::Reg64 &scales, int line);
  void toWords(const Xbyak::Zmm &v);
  uint32_t halfRange() const { return i4 ? 8 : 128; }

  Assembler &a;
  const WeightFormat &f;
  const bool i4;
  // Of each line: the ratio and what is added (words), 127 over the largest weight.
  Xbyak::Zmm ratio(int line) const { return Xbyak::Zmm(16 + line); }
  Xbyak::Zmm added(int line) const { return Xbyak::Zmm(20 + line); }
  Xbyak::Zmm inverse(int line) const { return Xbyak::Zmm(24 + line); }
  const Xbyak::Zmm topBits{28}, signBit{29}, highByte{31};
};

} // namespace llmc::matmul
