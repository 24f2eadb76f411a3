// A thread's part of the chunks of few rows: of all (row, chunk, kv head), in this order, a run of equal length in
// pages, so that a thread reads the kv heads of a page, and the pages of a chunk, one after the other.
#include "codegen/kernels/attention/AttentionEmitter.h"
#include <cstddef>

namespace llmc {
using namespace Xbyak;

void AttentionEmitter::shareOfChunks(const Label &done) {
  chunked = true;
  Label row, chunk, heads, next;
  divideShares();
  a.mov(slot(kRow), 0);
  a.mov(slot(kCursor), 0);
  a.L(row);
  firstOfRun();
  chunksOfRun();
  a.mov(a.rax, slot(kChunkFirst));
  a.L(chunk);
  a.mov(slot(kChunk), a.rax);
  headsOfShare(next, done);
  a.L(heads);
  a.mov(a.r14, slot(kHeadEnd));
  a.sub(a.r14, slot(kKvHead));
  a.jle(next, a.T_NEAR);
  if (headsOfUnit() < d.kvHeads) {
    a.mov(a.eax, headsOfUnit());
    a.cmp(a.r14, a.rax);
    a.cmovg(a.r14, a.rax);
  }
  chunkUnit();
  a.add(slot(kKvHead), a.r14);
  a.jmp(heads, a.T_NEAR);
  a.L(next);
  a.mov(a.r14d, 1);
  a.mov(a.rax, slot(kChunk));
  a.inc(a.rax);
  a.cmp(a.rax, slot(kChunkLast));
  a.jle(chunk, a.T_NEAR);
  a.mov(a.rax, slot(kRow));
  a.inc(a.rax);
  a.mov(slot(kRow), a.rax);
  batchField(a.rcx, offsetof(llmc_batch, rows));
  a.cmp(a.rax, a.rcx);
  a.jl(row, a.T_NEAR);
  a.jmp(done, a.T_NEAR);
  chunked = false;
}

/// [kShareBegin, kShareEnd) := pages total*t/threads .. total*(t+1)/threads of all rows and kv heads, for thread t.
void AttentionEmitter::divideShares() {
  Label row;
  a.mov(slot(kRow), 0);
  a.mov(slot(kCursor), 0);
  a.L(row);
  firstOfRun();
  a.mov(a.rcx, a.r8);
  a.shr(a.rcx, 6);
  a.inc(a.rcx);
  if (d.window) {
    a.xor_(a.eax, a.eax);
    a.sub(a.r8, int(d.window - 1));
    a.cmovl(a.r8, a.rax);
    a.shr(a.r8, 6);
    a.sub(a.rcx, a.r8);
  }
  a.add(slot(kCursor), a.rcx);
  a.inc(slot(kRow));
  batchField(a.rcx, offsetof(llmc_batch, rows));
  a.cmp(a.rcx, slot(kRow));
  a.jg(row);
  a.imul(a.r10, slot(kCursor), int(d.kvHeads));
  argument(a.r11, offsetof(llmc_attention_args, step));
  argument(a.r8, offsetof(llmc_attention_args, begin));
  for (Slot share : {kShareBegin, kShareEnd}) {
    a.mov(a.rax, a.r10);
    a.imul(a.rax, a.r8);
    a.cqo();
    a.idiv(a.r11);
    a.mov(slot(share), a.rax);
    a.inc(a.r8);
  }
}

/// [kKvHead, kHeadEnd) := the kv heads of chunk kChunk whose first page is in the share; to `none` if there is none for
/// certain, to `done` if the share has ended. kCursor goes on behind the chunk.
void AttentionEmitter::headsOfShare(Label &none, const Label &done) {
  const Reg64 pages = a.r10, all = a.r11, end = a.r9;
  pagesOfChunk();
  a.mov(pages, a.rdx);
  a.sub(pages, a.rax);
  a.inc(pages);
  a.imul(all, pages, int(d.kvHeads));
  a.mov(end, slot(kShareEnd));
  a.sub(end, slot(kCursor));
  a.jle(done, a.T_NEAR);
  a.mov(a.rax, slot(kShareBegin));
  a.sub(a.rax, slot(kCursor));
  a.add(slot(kCursor), all);
  a.cmp(a.rax, all);
  a.jge(none, a.T_NEAR);
  a.xor_(a.ecx, a.ecx);
  a.test(a.rax, a.rax);
  a.cmovl(a.rax, a.rcx);
  a.cmp(end, all);
  a.cmovg(end, all);
  for (Slot head : {kKvHead, kHeadEnd}) {
    a.lea(a.rax, a.ptr[a.rax + pages - 1]);
    a.cqo();
    a.idiv(pages);
    a.mov(slot(head), a.rax);
    a.mov(a.rax, end);
  }
}

/// Chunk kChunk of row kRow, r14 kv heads from kKvHead on.
void AttentionEmitter::chunkUnit() {
  Label head, appended;
  findHead();
  if (rotation.channels()) {
    a.imul(a.rax, slot(kRow), int(d.ropeStride));
    argument(a.rcx, offsetof(llmc_attention_args, rope));
    a.add(a.rax, a.rcx);
    a.mov(slot(kTableRow), a.rax);
  }
  argument(a.rax, offsetof(llmc_attention_args, append));
  a.test(a.rax, a.rax);
  a.jz(appended, a.T_NEAR);
  a.mov(a.rax, slot(kChunk));
  a.cmp(a.rax, slot(kChunkLast)); // the row's own position is in its last chunk
  a.jne(appended, a.T_NEAR);
  a.mov(slot(kSeen), 0);
  a.L(head);
  append();
  a.inc(slot(kKvHead));
  a.inc(slot(kSeen));
  a.cmp(a.r14, slot(kSeen));
  a.jg(head, a.T_NEAR);
  a.sub(slot(kKvHead), a.r14);
  a.L(appended);
  allParts();
}

} // namespace llmc
