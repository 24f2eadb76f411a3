// sums[pair][channel] += sum over the positions of a page that the row sees of weight * v. What lies beyond may be NaN:
// units (of `together` positions) that all rows see whole are added for all rows at once, the others row by row. Each
// row adds its units in ascending order, whatever the others see.
#include "codegen/kernels/attention/AttentionEmitter.h"

namespace llmc {
using namespace Xbyak;

void AttentionEmitter::values() {
  Label behind, done;
  const int shift = layout.together() == 4 ? 2 : layout.together() == 2 ? 1 : 0;
  if (math == Math::Words) { // integers have no NaN: what a row does not see has weight 0
    a.mov(a.r12, slot(kSeenEnd));
    a.dec(a.r12);
    rowBounds();
    a.add(a.r9, 3);
    a.shr(a.r9, shift);
    a.mov(slot(kUnitsEnd), a.r9);
    a.mov(a.r12, slot(kSeen));
    rowBounds();
    a.shr(a.r8, shift);
    a.mov(slot(kUnits), a.r8);
    addSeen();
    return;
  }
  commonUnits(shift);
  if (d.window) edges(/*behind=*/false, shift);
  a.mov(a.rax, slot(kCommon));
  a.mov(a.rcx, slot(kCommonEnd));
  a.cmp(a.rax, a.rcx);
  a.jge(behind, a.T_NEAR);
  a.mov(slot(kUnits), a.rax);
  a.mov(slot(kUnitsEnd), a.rcx);
  addSeen();
  a.L(behind);
  a.cmp(slot(kCommonEnd), int(tileUnits()));
  a.je(done, a.T_NEAR);
  edges(/*behind=*/true, shift);
  a.L(done);
}

/// [kCommon, kCommonEnd): from the first unit of the last row to the last of the first; [0, 0) if there are none.
void AttentionEmitter::commonUnits(int shift) {
  Label some;
  a.mov(a.r12, slot(kSeenEnd));
  a.dec(a.r12);
  rowBounds();
  a.lea(a.rdx, a.ptr[a.r8 + (1 << shift) - 1]);
  if (shift) a.shr(a.rdx, shift);
  a.mov(a.r12, slot(kSeen));
  rowBounds();
  if (shift) a.shr(a.r9, shift);
  a.cmp(a.rdx, a.r9);
  a.jl(some);
  a.xor_(a.edx, a.edx);
  a.xor_(a.r9d, a.r9d);
  a.L(some);
  a.mov(slot(kCommon), a.rdx);
  a.mov(slot(kCommonEnd), a.r9);
}

/// Row by row: the units before the common ones, or those behind them.
void AttentionEmitter::edges(bool behind, int shift) {
  seenRowsLoop([&] {
    Label skip;
    rowBounds();
    a.mov(slot(kEdgeBegin), a.r8);
    a.mov(slot(kEdgeEnd), a.r9);
    if (shift) {
      a.shr(a.r8, shift);
      a.inc(a.r9);
      a.shr(a.r9, shift);
    }
    if (behind) {
      a.mov(a.rax, slot(kCommonEnd));
      a.cmp(a.r8, a.rax);
      a.cmovl(a.r8, a.rax);
    } else {
      a.mov(a.r9, slot(kCommon));
    }
    a.cmp(a.r8, a.r9);
    a.jge(skip, a.T_NEAR);
    a.mov(slot(kUnits), a.r8);
    a.mov(slot(kUnitsEnd), a.r9);
    shift ? edgePairs() : addRow();
    a.L(skip);
  });
}

/// Units of two positions of row r12, of which it sees the upper half of the first one or the lower half of the last
/// one only if begin or end is odd.
void AttentionEmitter::edgePairs() {
  Label wholes, last, done;
  if (d.window) {
    a.mov(a.rax, slot(kEdgeBegin));
    a.shr(a.rax, 1);
    a.jnc(wholes, a.T_NEAR);
    a.cmp(a.rax, slot(kUnits));
    a.jne(wholes, a.T_NEAR);
    addHalf(/*upper=*/true);
    a.inc(slot(kUnits));
    a.L(wholes);
  }
  a.mov(a.rdx, slot(kUnitsEnd));
  a.mov(slot(kEdgeBegin), a.rdx); // now: where all units end
  a.mov(a.rax, slot(kEdgeEnd));
  a.shr(a.rax, 1);
  a.cmp(a.rax, a.rdx);
  a.cmovg(a.rax, a.rdx);
  a.mov(slot(kUnitsEnd), a.rax); // whole ones
  a.mov(a.rcx, slot(kUnits));
  a.cmp(a.rcx, a.rax);
  a.jge(last, a.T_NEAR);
  addRow();
  a.mov(a.rcx, slot(kUnitsEnd));
  a.L(last);
  a.cmp(a.rcx, slot(kEdgeBegin));
  a.jge(done, a.T_NEAR);
  a.mov(slot(kUnits), a.rcx);
  addHalf(/*upper=*/false);
  a.L(done);
}

void AttentionEmitter::addSeen() {
  a.mov(a.rax, slot(kSeen));
  a.mov(a.rcx, slot(kSeenEnd));
  a.sub(a.rcx, a.rax);
  timesHeads(a.rcx);
  pairsFrom();
  addUnits();
}

/// r12 = the row, which is kept.
void AttentionEmitter::addRow() {
  a.mov(a.rax, a.r12);
  loadHeads(a.rcx);
  pairsFrom();
  addUnits();
}

/// rdi, rsi := state and sums of row rax's first pair; r8 := first unit.
void AttentionEmitter::pairsFrom() {
  timesHeads(a.rax);
  a.imul(a.rdi, a.rax, kEntry);
  a.lea(a.rdi, a.ptr[a.rsp + a.rdi + int(stateOffset())]);
  a.imul(a.rsi, a.rax, int(sumStride()));
  a.lea(a.rsi, a.ptr[a.rsp + a.rsi + int(sumOffset())]);
  a.mov(a.r8, slot(kUnits));
}

/// Units [kUnits, kUnitsEnd), block of 64 channels by block.
void AttentionEmitter::addUnits() {
  a.mov(a.r9, slot(kUnitsEnd));
  a.sub(a.r9, a.r8);
  for (int64_t first = 0; first < d.headDim; first += 64) {
    const int64_t width = std::min<int64_t>(64, d.headDim - first);
    if (const int beyond = int(first / 64) + aheadBlocks() - valueBlocks(); fetchesWholeParts() || beyond < 0) {
      fetchAhead(aheadBlocks() * blockBytes());
    } else {
      a.mov(a.r13, slot(kNextPart));
      a.sub(a.r13, a.r15);
      a.sub(a.r13, int(layout.valueOffset(first, 0) - beyond * blockBytes()));
    }
    a.imul(a.rdx, a.r8, int(width * layout.together() * layout.elementBytes()));
    a.lea(a.rdx, a.ptr[a.rdx + a.r15 + int(layout.valueOffset(first, 0))]);
    a.call(width == 64 ? fullCode : tailCode);
    if (first + 64 < d.headDim) a.add(a.rsi, 256);
  }
}

/// Unit kUnits of row r12 with the other half zeroed, from a copy.
void AttentionEmitter::addHalf(bool upper) {
  a.mov(a.rax, a.r12);
  loadHeads(a.rcx);
  pairsFrom();
  a.mov(a.r9d, 1);
  a.xor_(a.r13d, a.r13d);
  a.lea(a.rdx, a.ptr[a.rsp + int(cleanOffset())]);
  for (int64_t first = 0; first < d.headDim; first += 64) {
    const int width = int(std::min<int64_t>(64, d.headDim - first));
    a.imul(a.rax, a.r8, 4 * width);
    a.lea(a.rax, a.ptr[a.rax + a.r15 + int(layout.valueOffset(first, 0))]);
    for (int i = 0; i < width; i += v.count) {
      const int n = std::min(v.count, width - i);
      v.load(0, a.rax + 4 * i, n);
      a.vandps(v.reg(0), v.reg(0), v.constantBits(upper ? 0xffff0000 : 0xffff));
      v.store(a.rdx + 4 * i, 0, n);
    }
    a.call(width == 64 ? fullCode : tailCode);
    if (first + 64 < d.headDim) a.add(a.rsi, 256);
  }
}

} // namespace llmc
