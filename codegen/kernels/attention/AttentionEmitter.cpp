#include "codegen/kernels/attention/AttentionEmitter.h"
#include <algorithm>
#include <cstddef>

namespace llmc {
using namespace Xbyak;

// The queries, sums and merged sums of a run stay near L1, in floats each; a run's rows and a group's heads are
// bounded.
static constexpr int64_t kRunFloats = 8192, kMostPairs = 128, kFewestPairs = 6, kMostRows = 32;
static constexpr int kPageShift = 6, kChunkShift = 8;
static_assert(LLMC_PAGE_POSITIONS == 1 << kPageShift && LLMC_CHUNK_POSITIONS == 1 << kChunkShift);

static int64_t mostPairs(const AttentionDesc &d) {
  return std::clamp(kRunFloats / d.headDim, kFewestPairs, kMostPairs);
}
static int evenParts(int64_t whole, int64_t most) { return int((whole + most - 1) / most); }

AttentionEmitter::AttentionEmitter(Assembler &a, const AttentionDesc &d, AttentionIsa isa)
    : a(a), v(a, isa.avx512), d(d), isa(isa), stored(d.layout()), layout{isa.bf16 ? KvType::BF16 : d.kv, d.headDim},
      math(d.kv == KvType::I8 ? Math::Words
           : isa.bf16         ? Math::Bf16
                              : Math::Float),
      group(int(d.heads / d.kvHeads)), headsTogether(evenParts(group, evenParts(group, mostPairs(d)))),
      parts(evenParts(group, headsTogether)),
      runRows(parts > 1 ? 1 : int(std::clamp<int64_t>(mostPairs(d) / group, 1, kMostRows))),
      outRow{.columns = d.heads * d.headDim, .out = d.out, .yStride = d.yStride}, out(a, outRow, isa.avx512),
      writer(v, d), rotation(v, d) {}

void AttentionEmitter::argument(const Reg64 &to, size_t field) {
  a.mov(to, slot(kArgs));
  a.mov(to, a.ptr[to + field]);
}

void AttentionEmitter::batchField(const Reg64 &to, size_t field) {
  a.mov(to, slot(kBatch));
  a.mov(to, a.ptr[to + field]);
}

void AttentionEmitter::timesHeads(const Reg64 &reg) {
  if (parts > 1) return a.imul(reg, slot(kHeads));
  if (group > 1) a.imul(reg, reg, group);
}

void AttentionEmitter::loadHeads(const Reg64 &reg) {
  if (parts > 1) return a.mov(reg, slot(kHeads));
  a.mov(reg.cvt32(), uint32_t(group));
}

void AttentionEmitter::emit() {
  Label units, next, chunks, done;
  a.enter({a.rbx, a.r12, a.r13, a.r14, a.r15}, int(frameBytes()));
  a.mov(slot(kArgs), a.rdi);
  a.mov(a.rax, a.ptr[a.rdi + offsetof(llmc_attention_args, batch)]);
  a.mov(slot(kBatch), a.rax);
  a.mov(a.rax, a.ptr[a.rdi + offsetof(llmc_attention_args, phase)]);
  a.mov(slot(kPhase), a.rax);
  a.cmp(a.rax, LLMC_ATTENTION_CHUNKS);
  a.je(chunks, a.T_NEAR);
  a.cmp(a.rax, LLMC_ATTENTION_ROWS);
  a.jne(units);
  batchField(a.rax, offsetof(llmc_batch, rows));
  argument(a.rcx, offsetof(llmc_attention_args, row_block));
  a.lea(a.rax, a.ptr[a.rax + a.rcx - 1]);
  a.cqo();
  a.idiv(a.rcx);
  a.mov(slot(kBlocks), a.rax);
  a.L(units);
  argument(a.rax, offsetof(llmc_attention_args, begin));
  a.L(next);
  a.mov(slot(kUnit), a.rax);
  a.mov(a.rcx, slot(kArgs));
  a.cmp(a.rax, a.ptr[a.rcx + offsetof(llmc_attention_args, end)]);
  a.jge(done, a.T_NEAR);
  decodeUnit();
  unit();
  a.mov(a.rax, slot(kUnit));
  a.mov(a.rcx, slot(kArgs));
  a.add(a.rax, a.ptr[a.rcx + offsetof(llmc_attention_args, step)]);
  a.jmp(next, a.T_NEAR);
  a.L(chunks);
  shareOfChunks(done);
  a.L(done);
  a.leave();
  keyPanels();
  if (d.headDim >= 64) valuePanels(64);
  if (tail()) valuePanels(tail());
}

/// rax = unit: its rows and kv head (llmc_kernel.h has the numbering).
void AttentionEmitter::decodeUnit() {
  Label even, merge, done;
  a.cmp(slot(kPhase), LLMC_ATTENTION_ROWS);
  a.jne(merge);
  a.cqo();
  a.idiv(slot(kBlocks)); // rax = kv head, rdx = block
  a.test(a.al, 1);
  a.jz(even);
  a.not_(a.rdx);
  a.add(a.rdx, slot(kBlocks)); // counted from the last
  a.L(even);
  a.mov(slot(kKvHead), a.rax);
  argument(a.rcx, offsetof(llmc_attention_args, row_block));
  a.imul(a.rdx, a.rcx);
  a.mov(slot(kRow), a.rdx);
  a.add(a.rdx, a.rcx);
  batchField(a.rcx, offsetof(llmc_batch, rows));
  a.cmp(a.rdx, a.rcx);
  a.cmovg(a.rdx, a.rcx);
  a.mov(slot(kRowEnd), a.rdx);
  a.jmp(done);
  a.L(merge);
  a.mov(a.ecx, uint32_t(d.kvHeads));
  a.cqo();
  a.idiv(a.rcx);
  a.mov(slot(kKvHead), a.rdx);
  a.mov(slot(kRow), a.rax);
  a.inc(a.rax);
  a.mov(slot(kRowEnd), a.rax);
  a.L(done);
}

/// kHeadPart of kKvHead.
void AttentionEmitter::findHead() {
  a.imul(a.rax, slot(kKvHead), int(stored.bytes()));
  argument(a.rcx, offsetof(llmc_attention_args, layer_offset));
  a.add(a.rax, a.rcx);
  batchField(a.rcx, offsetof(llmc_batch, pages));
  a.add(a.rax, a.rcx);
  a.mov(slot(kHeadPart), a.rax);
}

/// Rows [kRow, kRowEnd), run by run.
void AttentionEmitter::allParts() {
  if (parts == 1) return part();
  Label next;
  a.xor_(a.eax, a.eax);
  a.L(next);
  a.mov(slot(kFirstHead), a.rax);
  a.mov(a.ecx, group);
  a.sub(a.rcx, a.rax);
  a.mov(a.eax, headsTogether);
  a.cmp(a.rcx, a.rax);
  a.cmovg(a.rcx, a.rax);
  a.mov(slot(kHeads), a.rcx);
  part();
  a.mov(a.rax, slot(kFirstHead));
  a.add(a.rax, headsTogether);
  a.cmp(a.rax, group);
  a.jl(next, a.T_NEAR);
}

/// The chunks that a row of the run sees.
void AttentionEmitter::chunksOfRun() {
  a.mov(a.rax, slot(kPosition));
  a.lea(a.rcx, a.ptr[a.rax + a.r14 - 1]);
  a.shr(a.rcx, kChunkShift);
  a.mov(slot(kChunkLast), a.rcx);
  a.xor_(a.ecx, a.ecx);
  if (d.window) {
    a.sub(a.rax, int(d.window - 1));
    a.cmovg(a.rcx, a.rax);
    a.shr(a.rcx, kChunkShift);
  }
  a.mov(slot(kChunkFirst), a.rcx);
}

/// Stores k and v of the run's one row.
void AttentionEmitter::append() {
  a.mov(a.rbx, slot(kBatch));
  a.mov(a.rcx, slot(kPosition));
  a.mov(a.rax, slot(kSequence));
  argument(a.r12, offsetof(llmc_attention_args, layer_offset));
  writer.findPage(a.r12);
  a.imul(a.rcx, slot(kKvHead), int(stored.bytes()));
  a.add(a.r9, a.rcx);
  a.imul(a.rsi, slot(kRow), int(d.qkvStride));
  argument(a.rcx, offsetof(llmc_attention_args, qkv));
  a.add(a.rsi, a.rcx);
  a.imul(a.rcx, slot(kKvHead), int(d.headDim * 4));
  a.lea(a.rsi, a.ptr[a.rsi + a.rcx + int(d.heads * d.headDim * 4)]);
  a.lea(a.r8, a.ptr[a.rsi + int(d.kvHeads * d.headDim * 4)]);
  if (rotation.channels()) a.mov(a.rdx, slot(kTableRow));
  writer.store(a.rsp + int(scratchOffset()));
}

/// One part of the group: a row's result, or what its chunks merge to. Chunked: the chunk kChunk.
void AttentionEmitter::part() {
  if (chunked) {
    queries();
    startChunk();
    pages();
    return endChunk();
  }
  Label next, merge, finish;
  startRun();
  a.cmp(slot(kPhase), LLMC_ATTENTION_MERGE);
  a.je(merge, a.T_NEAR);
  queries();
  a.mov(a.rax, slot(kChunkFirst));
  a.L(next);
  a.mov(slot(kChunk), a.rax);
  startChunk();
  pages();
  endChunk();
  a.mov(a.rax, slot(kChunk));
  a.inc(a.rax);
  a.cmp(a.rax, slot(kChunkLast));
  a.jle(next, a.T_NEAR);
  a.jmp(finish, a.T_NEAR);
  a.L(merge);
  mergeRow();
  a.L(finish);
  finishRun();
}

/// [rax, rdx] := pages of chunk kChunk that a row of the run sees.
void AttentionEmitter::pagesOfChunk() {
  constexpr int kPagesShift = kChunkShift - kPageShift;
  a.mov(a.rax, slot(kChunk));
  a.shl(a.rax, kPagesShift);
  a.lea(a.rdx, a.ptr[a.rax + (1 << kPagesShift) - 1]);
  a.mov(a.rcx, slot(kPosition));
  chunked ? a.mov(a.r8, a.rcx) : a.lea(a.r8, a.ptr[a.rcx + a.r14 - 1]);
  a.shr(a.r8, kPageShift);
  a.cmp(a.rdx, a.r8);
  a.cmovg(a.rdx, a.r8);
  if (d.window) { // page of the first row's first key
    a.xor_(a.r9d, a.r9d);
    a.sub(a.rcx, int(d.window - 1));
    a.cmovl(a.rcx, a.r9);
    a.shr(a.rcx, kPageShift);
    a.cmp(a.rax, a.rcx);
    a.cmovl(a.rax, a.rcx);
  }
}

/// The pages of the chunk that a row of the run sees, in order; chunked: of each the kv heads.
void AttentionEmitter::pages() {
  Label next, head;
  pagesOfChunk();
  a.mov(slot(kPageLast), a.rdx);
  a.L(next);
  a.mov(slot(kPage), a.rax);
  if (chunked) {
    a.xor_(a.ecx, a.ecx);
    a.mov(slot(kSeen), a.rcx);
    a.L(head);
    a.inc(a.rcx);
    a.mov(slot(kSeenEnd), a.rcx);
    a.mov(a.rax, slot(kPage));
  }
  page();
  if (chunked) {
    a.mov(a.rcx, slot(kSeenEnd));
    a.mov(slot(kSeen), a.rcx);
    a.cmp(a.rcx, a.r14);
    a.jl(head, a.T_NEAR);
  }
  a.mov(a.rax, slot(kPage));
  a.inc(a.rax);
  a.cmp(a.rax, slot(kPageLast));
  a.jle(next, a.T_NEAR);
}

/// rax = page of the sequence. All scores first, then all weights, then all sums: a tile stays in L1 for the run's
/// pairs, and the serial chains of several softmaxes overlap.
void AttentionEmitter::page() {
  batchField(a.rcx, offsetof(llmc_batch, page_tables));
  a.mov(a.rdx, slot(kSequence));
  a.mov(a.rcx, a.ptr[a.rcx + a.rdx * 8]);
  auto partOf = [&](const Reg64 &to, const Reg64 &page) {
    a.movsxd(to, a.dword[a.rcx + page * 4]);
    a.imul(to, to, int(d.pageBytes));
    a.add(to, slot(kHeadPart));
  };
  partOf(a.r15, a.rax);
  a.mov(a.rdx, slot(kPosition)); // the row's last page; of a run about that
  a.shr(a.rdx, kPageShift);
  a.lea(a.r8, a.ptr[a.rax + 1]);
  a.cmp(a.r8, a.rdx);
  a.cmovg(a.r8, a.rax);
  partOf(a.r9, a.r8);
  if (chunked) nextOfHeads();
  a.mov(slot(kNextPart), a.r9);
  a.shl(a.rax, kPageShift);
  a.mov(a.rcx, slot(kPosition));
  a.sub(a.rcx, a.rax);
  a.mov(slot(kOffset), a.rcx);
  if (!chunked) seenRows(a.rax, LLMC_PAGE_POSITIONS);
  if (converts()) convertPage();
  a.mov(a.rax, slot(kSeen));
  a.mov(a.rcx, slot(kSeenEnd));
  a.mov(a.r9, slot(kOffset));
  chunked ? a.inc(a.r9) : a.add(a.r9, a.rcx);
  a.mov(a.edx, LLMC_PAGE_POSITIONS);
  a.cmp(a.r9, a.rdx);
  a.cmovg(a.r9, a.rdx);
  a.sub(a.rcx, a.rax);
  timesHeads(a.rax);
  timesHeads(a.rcx);
  a.imul(a.rdi, a.rax, int(queryStride()));
  a.lea(a.rdi, a.ptr[a.rsp + a.rdi + int(queryOffset())]);
  a.imul(a.rsi, a.rax, kEntry);
  a.lea(a.rsi, a.ptr[a.rsp + a.rsi + int(stateOffset())]);
  a.mov(a.rdx, a.r15);
  fetchAhead(aheadBlocks() * blockBytes());
  a.call(keyCode);
  softmax();
  values();
}

/// r13 := how far from what is read to what a panel fetches meanwhile: `bytes`, or a whole part if that is short.
void AttentionEmitter::fetchAhead(int bytes) {
  if (!fetchesWholeParts()) return a.mov(a.r13d, uint32_t(bytes));
  a.mov(a.r13, slot(kNextPart));
  a.sub(a.r13, a.r15);
}

/// r15, r9 = parts of kv head kKvHead in this page and in page r8, the next one: r15 := that of kv head kSeen of the
/// unit, r9 := what follows it in memory.
void AttentionEmitter::nextOfHeads() {
  Label same, found;
  const int bytes = int(stored.bytes());
  a.imul(a.rdx, slot(kSeen), bytes);
  a.add(a.r15, a.rdx);
  a.cmp(slot(kSeenEnd), a.r14);
  a.jge(same);
  a.lea(a.r9, a.ptr[a.r15 + bytes]);
  a.jmp(found);
  a.L(same);
  a.cmp(a.r8, slot(kPageLast)); // another chunk begins at kv head 0
  a.jle(found);
  a.imul(a.rdx, slot(kKvHead), bytes);
  a.sub(a.r9, a.rdx);
  a.L(found);
}

llvm::Expected<Code> emitAttention(const AttentionDesc &d, AttentionIsa isa) {
  return assemble([&](Assembler &a) { AttentionEmitter(a, d, isa).emit(); });
}

} // namespace llmc
