// What the rowwise emitters share: the loop over rows, 32 columns at a time, and the row formats they write.
#pragma once
#include "codegen/kernels/rowwise/QuantizeBlock.h"
#include <algorithm>

namespace llmc {

/// Code of one rowwise kernel. Registers that stay: rdi = arguments, rsi = x row, r8 = w, rdx = y row, rcx = column,
/// r9 = row, r10 = end of rows, r11 = batch. Free: rax. Vectors: 0..vectors()-1 hold a chunk, the rest is free between
/// `chunks` bodies, but for the tail mask. Q8 blocks of more than 32 columns are gathered as f32 on the stack first;
/// rbx is then the first column of the block.
class Row {
public:
  /// `bf16`: AVX512-BF16 may be used.
  Row(Assembler &a, const RowwiseDesc &desc, bool avx512, bool bf16 = false)
      : a(a), v(a, avx512), d(desc), bf16(bf16) {}

  /// Loads the registers above, emits `body` once per row, returns. `w` advances by wStride from row to row.
  void rows(llvm::function_ref<void()> body, int64_t wStride = 0);
  /// Emits body(n) for n = 32 columns in a loop, then for the rest of the row if there is one.
  void chunks(llvm::function_ref<void(int n)> body);

  int vectors() const { return 32 / v.count; }
  /// Lanes of vector i of a chunk of n columns: 0..count.
  int lanes(int i, int n) const { return std::clamp(n - i * v.count, 0, v.count); }
  /// Vector i of the chunk at float `offset` of a row.
  void load(int to, const Xbyak::Reg64 &row, int i, int n, int64_t offset = 0);
  /// Writes the chunk in vectors 0..vectors()-1 to y, as the descriptor's format says. Clobbers vectors 0..10,
  /// rax.
  void write(int n);
  /// Behind the chunks of a Q8 or 16-bit row: writes the Q8 block that is not full yet, zeroes what is past the
  /// columns.
  void finish();

  Assembler &a;
  Lanes v;
  const RowwiseDesc &d;
  const bool bf16;

private:
  bool gathers() const { return d.out.isQ8() && d.out.block > kActivationBlock; }
  void writeQ8(int n);
  void gather(int n);
  Q8BlockPlace place(const Xbyak::Reg64 &column);
  void write16(int n); // Row16.cpp
  void roundToBf16(int to, int from);
  void topWords(int first);
  void halfWords();
  void storeWords(int first, int64_t offset);
  void pad16();
};

/// What every row refuses: another op, a stride or size that the emitted displacements cannot hold, a format other than
/// F32 unless `formats`.
Refusal refuseRowwise(const RowwiseDesc &d, RowwiseOp op, bool formats);
/// Seconds for a row: what it reads and writes, times how far the ISA is from the fastest.
double rowwiseCost(const RowwiseDesc &d, const Target &target, double factor);

} // namespace llmc
