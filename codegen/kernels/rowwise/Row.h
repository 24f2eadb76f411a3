// What the rowwise emitters share: the loop over rows, 32 columns at a time, and the two row formats they write.
#pragma once
#include "codegen/kernels/rowwise/Lanes.h"
#include <algorithm>

namespace llmc {

/// Code of one rowwise kernel. Registers that stay: rdi = arguments, rsi = x row, r8 = w, rdx = y row, rcx = column,
/// r9 = row, r10 = end of rows, r11 = batch. Free: rax. Vectors: 0..vectors()-1 hold a chunk, the rest is free between
/// `chunks` bodies, but for the tail mask.
class Row {
public:
  Row(Assembler &a, const RowwiseDesc &desc, bool avx512) : a(a), v(a, avx512), d(desc) {}

  /// Loads the registers above, emits `body` once per row, returns. `w` advances by wStride from row to row.
  void rows(llvm::function_ref<void()> body, int64_t wStride = 0);
  /// Emits body(n) for n = 32 columns in a loop, then for the rest of the row if there is one.
  void chunks(llvm::function_ref<void(int n)> body);

  int vectors() const { return 32 / v.count; }
  /// Lanes of vector i of a chunk of n columns: 0..count.
  int lanes(int i, int n) const { return std::clamp(n - i * v.count, 0, v.count); }
  /// Vector i of the chunk at float `offset` of a row.
  void load(int to, const Xbyak::Reg64 &row, int i, int n, int64_t offset = 0);
  /// Writes the chunk in vectors 0..vectors()-1 to y, as the descriptor's format says. Clobbers all other vectors, rax.
  void write(int n);
  /// Behind the chunks of a Q8 row: zeroes the blocks past the columns.
  void padQ8();

  Assembler &a;
  Lanes v;
  const RowwiseDesc &d;

private:
  void writeQ8(int n);
};

/// What every row refuses: another op, a stride or size that the emitted displacements cannot hold.
Refusal refuseRowwise(const RowwiseDesc &d, RowwiseOp op, bool q8Allowed);
/// Seconds for a row: what it reads and writes, times how far the ISA is from the fastest.
double rowwiseCost(const RowwiseDesc &d, const Target &target, double factor);

} // namespace llmc
