#include "codegen/kernels/attention/AttentionEmitter.h"
#include "codegen/kernels/attention/Emitters.h"
#include <algorithm>
#include <cstddef>

namespace llmc {
using namespace Xbyak;

// The state of a run stays in L1 beside a tile: 384 bytes for each of at most 48 (row, head), or for one row's heads.
static constexpr int kRunHeads = 48;

AttentionEmitter::AttentionEmitter(Assembler &a, const AttentionDesc &d, bool avx512)
    : a(a), v(a, avx512), d(d), group(int(d.heads / d.kvHeads)),
      runRows(int(std::min<int64_t>(d.rowBlock, std::max(1, kRunHeads / group)))),
      widenKeys(d.kv == KvType::F16 && runRows * group > 1), widenValues(d.kv == KvType::F16 && runRows > 1) {}

int64_t AttentionEmitter::frameBytes() const {
  return tileOffset() + (widenKeys || widenValues ? LLMC_PAGE_POSITIONS * d.headDim * 4 : 0);
}

void AttentionEmitter::emit() {
  Label next, done;
  a.enter({a.rbx, a.r12, a.r13, a.r14, a.r15}, int(frameBytes()));
  a.mov(slot(kArgs), a.rdi);
  a.mov(a.rax, a.ptr[a.rdi + offsetof(llmc_attention_args, batch)]);
  a.mov(slot(kBatch), a.rax);
  a.mov(a.rax, a.ptr[a.rdi + offsetof(llmc_attention_args, end)]);
  a.mov(slot(kUnits), a.rax);
  a.mov(a.rax, a.ptr[a.rdi + offsetof(llmc_attention_args, begin)]);
  a.L(next);
  a.mov(slot(kUnit), a.rax);
  a.cmp(a.rax, slot(kUnits));
  a.jge(done, a.T_NEAR);
  unit();
  a.mov(a.rax, slot(kUnit));
  a.inc(a.rax);
  a.jmp(next, a.T_NEAR);
  a.L(done);
  a.leave();
}

/// rax = unit: its rows, and where its kv head is in q, y and the cache.
void AttentionEmitter::unit() {
  Label next, done;
  a.mov(a.ecx, uint32_t(d.kvHeads));
  a.cqo();
  a.idiv(a.rcx); // rax = row block, rdx = kv head
  a.imul(a.r8, a.rax, int(d.rowBlock));
  a.mov(slot(kRow), a.r8);
  a.lea(a.r9, a.ptr[a.r8 + int(d.rowBlock)]);
  a.mov(a.rbx, slot(kBatch));
  a.mov(a.rax, a.ptr[a.rbx + offsetof(llmc_batch, rows)]);
  a.cmp(a.r9, a.rax);
  a.cmovg(a.r9, a.rax);
  a.mov(slot(kRowEnd), a.r9);
  a.mov(a.rdi, slot(kArgs));
  a.imul(a.r10, a.rdx, int(group * d.headDim * 4));
  auto rowPointer = [&](Slot to, size_t field, int64_t stride) {
    a.imul(a.rax, a.r8, int(stride));
    a.add(a.rax, a.r10);
    a.add(a.rax, a.ptr[a.rdi + field]);
    a.mov(slot(to), a.rax);
  };
  rowPointer(kQ, offsetof(llmc_attention_args, q), d.qkvStride);
  rowPointer(kY, offsetof(llmc_attention_args, y), d.yStride);
  a.imul(a.rdx, a.rdx, int(tileBytes()));
  a.add(a.rdx, a.ptr[a.rdi + offsetof(llmc_attention_args, layer_offset)]);
  a.add(a.rdx, a.ptr[a.rbx + offsetof(llmc_batch, pages)]);
  a.mov(slot(kHeadOffset), a.rdx);
  a.L(next);
  a.mov(a.rax, slot(kRow));
  a.cmp(a.rax, slot(kRowEnd));
  a.jge(done, a.T_NEAR);
  run();
  a.imul(a.rax, a.r14, int(d.qkvStride));
  a.add(slot(kQ), a.rax);
  a.imul(a.rax, a.r14, int(d.yStride));
  a.add(slot(kY), a.rax);
  a.add(slot(kRow), a.r14);
  a.jmp(next, a.T_NEAR);
  a.L(done);
}

/// The pages that a row of the run sees, in order.
void AttentionEmitter::run() {
  static_assert(LLMC_PAGE_POSITIONS == 64);
  findRun();
  rows([&] { startRow(); });
  a.mov(a.rax, slot(kPosition));
  a.lea(a.rcx, a.ptr[a.rax + a.r14 - 1]);
  a.shr(a.rcx, 6);
  a.mov(slot(kLastPage), a.rcx);
  if (d.window) { // page of the first row's first key
    a.xor_(a.ecx, a.ecx);
    a.sub(a.rax, int(d.window - 1));
    a.cmovl(a.rax, a.rcx);
    a.shr(a.rax, 6);
  } else {
    a.xor_(a.eax, a.eax);
  }
  Label next;
  a.L(next);
  a.mov(slot(kPage), a.rax);
  page();
  a.mov(a.rax, slot(kPage));
  a.inc(a.rax);
  a.cmp(a.rax, slot(kLastPage));
  a.jle(next, a.T_NEAR);
  rows([&] { finishRow(); });
}

/// r14 := the number of rows from the next one on that are consecutive positions of one sequence, at most runRows.
void AttentionEmitter::findRun() {
  a.mov(a.rbx, slot(kBatch));
  a.mov(a.rax, slot(kRow));
  a.mov(a.rsi, a.ptr[a.rbx + offsetof(llmc_batch, positions)]);
  a.lea(a.rsi, a.ptr[a.rsi + a.rax * 4]);
  a.mov(a.rdi, a.ptr[a.rbx + offsetof(llmc_batch, sequences)]);
  a.lea(a.rdi, a.ptr[a.rdi + a.rax * 4]);
  a.movsxd(a.r8, a.dword[a.rsi]);
  a.movsxd(a.r9, a.dword[a.rdi]);
  a.mov(slot(kPosition), a.r8);
  a.mov(a.rcx, a.ptr[a.rbx + offsetof(llmc_batch, page_tables)]);
  a.mov(a.rcx, a.ptr[a.rcx + a.r9 * 8]);
  a.mov(slot(kPageTable), a.rcx);
  a.mov(a.r14d, 1);
  if (runRows == 1) return;
  Label next, done;
  a.mov(a.rcx, slot(kRowEnd));
  a.sub(a.rcx, a.rax);
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

/// rax = page of the sequence. All scores first, then all weights, then all sums: a tile stays in L1 for the run's
/// rows, and the serial chains of several softmaxes overlap.
void AttentionEmitter::page() {
  auto tileOf = [&](const Reg64 &to, const Reg64 &pageOfSequence) {
    a.movsxd(to, a.dword[a.rcx + pageOfSequence * 4]);
    a.imul(to, to, int(d.pageBytes));
    a.add(to, slot(kHeadOffset));
  };
  a.mov(a.rcx, slot(kPageTable));
  tileOf(a.r15, a.rax);
  if (prefetches()) {
    a.lea(a.r8, a.ptr[a.rax + 1]);
    a.cmp(a.rax, slot(kLastPage));
    a.cmovge(a.r8, a.rax);
    tileOf(a.r9, a.r8);
    a.mov(slot(kNextTile), a.r9);
  }
  a.shl(a.rax, 6);
  a.mov(a.r13, slot(kPosition));
  a.sub(a.r13, a.rax);
  a.mov(a.r12, a.r15);
  if (widenKeys) widenTile();
  visibleRows([&] { scores(); });
  visibleRows([&] { softmax(); });
  a.lea(a.r12, a.ptr[a.r15 + int(d.kvHeads * tileBytes())]);
  if (widenValues) widenTile();
  visibleRows([&] { values(); });
}

/// The f16 tile at r12, as far as the run sees it, to f32 on the stack; r12 := that.
void AttentionEmitter::widenTile() {
  constexpr int kUnroll = 4;
  Label next;
  a.lea(a.r9, a.ptr[a.r13 + a.r14]);
  a.mov(a.eax, LLMC_PAGE_POSITIONS);
  a.cmp(a.r9, a.rax);
  a.cmovg(a.r9, a.rax);
  // Whole blocks of 16 positions: what `scores` reads, and a multiple of the unrolled step.
  a.add(a.r9, 15);
  a.and_(a.r9, -16);
  a.imul(a.r9, a.r9, int(d.headDim));
  a.lea(a.r11, a.ptr[a.rsp + int(tileOffset())]);
  a.xor_(a.r10d, a.r10d);
  a.L(next);
  for (int i = 0; i < kUnroll; ++i) {
    v.loadHalf(i, a.r12 + a.r10 * 2 + 2 * i * v.count, v.count);
    v.store(a.r11 + a.r10 * 4 + 4 * i * v.count, i, v.count);
  }
  a.add(a.r10, kUnroll * v.count);
  a.cmp(a.r10, a.r9);
  a.jl(next, a.T_NEAR);
  a.mov(a.r12, a.r11);
}

void AttentionEmitter::rows(llvm::function_ref<void()> body) {
  Label next;
  a.mov(a.rsi, slot(kQ));
  a.mov(a.rdi, slot(kY));
  a.lea(a.rdx, a.ptr[a.rsp + int(stateOffset())]);
  a.xor_(a.ecx, a.ecx);
  a.L(next);
  body();
  if (runRows == 1) return;
  a.add(a.rsi, int(d.qkvStride));
  a.add(a.rdi, int(d.yStride));
  a.add(a.rdx, group * kEntry);
  a.inc(a.rcx);
  a.cmp(a.rcx, a.r14);
  a.jl(next, a.T_NEAR);
}

/// Rows that see a key of the page, and which.
void AttentionEmitter::visibleRows(llvm::function_ref<void()> body) {
  rows([&] {
    Label skip;
    a.lea(a.r9, a.ptr[a.r13 + a.rcx + 1]);
    a.xor_(a.r8d, a.r8d);
    if (d.window) {
      a.mov(a.rax, a.r9);
      a.sub(a.rax, int(d.window));
      a.cmovg(a.r8, a.rax);
    }
    a.mov(a.eax, LLMC_PAGE_POSITIONS);
    a.cmp(a.r9, a.rax);
    a.cmovg(a.r9, a.rax);
    a.cmp(a.r8, a.r9);
    a.jge(skip, a.T_NEAR);
    body();
    a.L(skip);
  });
}

/// body once per head of the group, rbx = its state.
void AttentionEmitter::heads(llvm::function_ref<void()> body) {
  Label next;
  a.mov(a.rbx, a.rdx);
  if (group == 1) return body();
  a.lea(a.r11, a.ptr[a.rdx + group * kEntry]);
  a.L(next);
  body();
  a.add(a.rbx, kEntry);
  a.cmp(a.rbx, a.r11);
  a.jb(next, a.T_NEAR);
}

void AttentionEmitter::startRow() {
  v.zero(0);
  a.mov(a.rax, a.rdi);
  heads([&] {
    v.store(a.rbx + kSum, 0, v.count);
    a.mov(a.dword[a.rbx + kMaximum], 0xff800000); // -infinity
    for (int c = 0; c < chunks(); ++c) v.store(a.rax + 4 * c * v.count, 0, chunkLanes(c));
    a.add(a.rax, int(d.headDim * 4));
  });
}

void AttentionEmitter::finishRow() {
  a.mov(a.rax, a.rdi);
  heads([&] {
    v.load(0, a.rbx + kSum, v.count);
    v.sum(0, 1);
    a.vbroadcastss(v.reg(0), Lanes::xmm(0));
    for (int c = 0; c < chunks(); ++c) {
      v.load(1, a.rax + 4 * c * v.count, chunkLanes(c));
      a.vdivps(v.reg(1), v.reg(1), v.reg(0));
      v.store(a.rax + 4 * c * v.count, 1, chunkLanes(c));
    }
    a.add(a.rax, int(d.headDim * 4));
  });
}

llvm::Expected<Code> emitAttention(const AttentionDesc &d, bool avx512) {
  return assemble([&](Assembler &a) { AttentionEmitter(a, d, avx512).emit(); });
}

static Refusal outside(const char *what, int64_t found, int64_t least, int64_t most) {
  if (found >= least && found <= most) return std::nullopt;
  return std::string(what) + ": found " + std::to_string(found) + ", expected " + std::to_string(least) + ".." +
         std::to_string(most);
}

Refusal refuseShape(const AttentionDesc &d) {
  if (Refusal reason = outside("kvHeads", d.kvHeads, 1, 1024)) return reason;
  if (d.heads < 1 || d.heads % d.kvHeads)
    return "heads: found " + std::to_string(d.heads) + ", expected a multiple of kvHeads (" +
           std::to_string(d.kvHeads) + ")";
  if (d.headDim < 8 || d.headDim % 8)
    return "headDim: found " + std::to_string(d.headDim) + ", expected a multiple of 8";
  if (Refusal reason = outside("pageBytes", d.pageBytes, d.kvLayerBytes(), INT32_MAX)) return reason;
  return outside("qkvStride", d.qkvStride, d.heads * d.headDim * 4, INT32_MAX);
}

Refusal refuseAttention(const AttentionDesc &d, const Target &) {
  // A head is unrolled, and a tile of it must stay near L1; a group's state takes 384 bytes a head of the stack.
  constexpr int64_t kMaxHeadDim = 256, kMaxGroup = 128, kMaxRowBlock = 256;
  if (Refusal reason = refuseShape(d)) return reason;
  if (Refusal reason = outside("headDim", d.headDim, 8, kMaxHeadDim)) return reason;
  if (Refusal reason = outside("heads per kv head", d.heads / d.kvHeads, 1, kMaxGroup)) return reason;
  if (Refusal reason = outside("rowBlock", d.rowBlock, 1, kMaxRowBlock)) return reason;
  if (Refusal reason = outside("window", d.window, 0, INT32_MAX)) return reason;
  return outside("yStride", d.yStride, d.heads * d.headDim * 4, INT32_MAX);
}

} // namespace llmc
