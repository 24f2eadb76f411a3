// Runs of rows: how a unit's rows are divided into them, and which rows of a run see a page.
#include "codegen/kernels/attention/AttentionEmitter.h"

using namespace Xbyak;

namespace llmc {

void AttentionEmitter::unit() {
  Label next, done;
  findHead();
  a.L(next);
  a.mov(a.rax, slot(kRow));
  a.cmp(a.rax, slot(kRowEnd));
  a.jge(done, a.T_NEAR);
  findRun();
  run();
  a.add(slot(kRow), a.r14);
  a.jmp(next, a.T_NEAR);
  a.L(done);
}

/// r14 := 1, and where row kRow is: r8 = its position, r9 = its sequence; rsi, rdi = where those are listed.
void AttentionEmitter::firstOfRun() {
  a.mov(a.rbx, slot(kBatch));
  a.mov(a.rax, slot(kRow));
  a.mov(a.rsi, a.ptr[a.rbx + offsetof(llmc_batch, positions)]);
  a.lea(a.rsi, a.ptr[a.rsi + a.rax * 4]);
  a.mov(a.rdi, a.ptr[a.rbx + offsetof(llmc_batch, sequences)]);
  a.lea(a.rdi, a.ptr[a.rdi + a.rax * 4]);
  a.movsxd(a.r8, a.dword[a.rsi]);
  a.movsxd(a.r9, a.dword[a.rdi]);
  a.mov(slot(kPosition), a.r8);
  a.mov(slot(kSequence), a.r9);
  a.mov(a.r14d, 1);
}

/// r14 := the number of rows from kRow on that are consecutive positions of one sequence, at most runRows.
void AttentionEmitter::findRun() {
  firstOfRun();
  if (runRows == 1) return;
  Label next, done;
  a.mov(a.rcx, slot(kRowEnd));
  a.sub(a.rcx, slot(kRow));
  a.mov(a.eax, runRows);
  a.cmp(a.rcx, a.rax);
  a.cmovg(a.rcx, a.rax);
  a.L(next);
  a.cmp(a.r14, a.rcx);
  a.jge(done);
  a.cmp(a.dword[a.rdi + a.r14 * 4], a.r9d);
  a.jne(done);
  a.lea(a.rax, a.ptr[a.r8 + a.r14]);
  a.cmp(a.dword[a.rsi + a.r14 * 4], a.eax);
  a.jne(done);
  a.inc(a.r14);
  a.jmp(next);
  a.L(done);
}

void AttentionEmitter::run() {
  Label appended;
  auto rowPointer = [&](Slot to, size_t field, int64_t stride) {
    a.imul(a.rax, slot(kRow), int(stride));
    argument(a.rcx, field);
    a.add(a.rax, a.rcx);
    a.mov(slot(to), a.rax);
  };
  rowPointer(kOutput, offsetof(llmc_attention_args, y), d.yStride);
  if (rotation.channels()) rowPointer(kTableRow, offsetof(llmc_attention_args, rope), d.ropeStride);
  chunksOfRun();
  a.cmp(slot(kPhase), LLMC_ATTENTION_MERGE);
  a.je(appended, a.T_NEAR);
  argument(a.rax, offsetof(llmc_attention_args, append));
  a.test(a.rax, a.rax);
  a.jz(appended, a.T_NEAR);
  append();
  a.L(appended);
  allParts();
}

/// Rows of the run that see one of `positions` positions from `begin` on.
void AttentionEmitter::seenRows(const Reg64 &begin, int64_t positions) {
  const Reg64 first = a.rdx, last = a.r8;
  a.xor_(a.r9d, a.r9d);
  a.mov(first, begin);
  a.sub(first, slot(kPosition));
  a.mov(last, first);
  a.cmp(first, a.r9);
  a.cmovl(first, a.r9);
  a.mov(slot(kSeen), first);
  if (d.window) {
    a.add(last, int(positions + d.window - 1));
    a.cmp(last, a.r14);
    a.cmovg(last, a.r14);
    a.mov(slot(kSeenEnd), last);
  } else {
    a.mov(slot(kSeenEnd), a.r14);
  }
}

void AttentionEmitter::seenRowsLoop(llvm::function_ref<void()> body) {
  Label next;
  a.mov(a.r12, slot(kSeen));
  a.L(next);
  body();
  a.inc(a.r12);
  a.cmp(a.r12, slot(kSeenEnd));
  a.jl(next, a.T_NEAR);
}

} // namespace llmc
