// Chunks of a row: each has a maximum, a sum of weights and a vector of sums of its own; in ascending order they are
// merged to those of the row, by the unit that has them all or by a later one.
#include "codegen/kernels/attention/AttentionEmitter.h"
#include <cstddef>
#include <numbers>

namespace llmc {
using namespace Xbyak;

static constexpr uint32_t kMinusInfinity = 0xff800000;
static constexpr float kLowest = -150; // exp2 of this is 0

/// All pairs of the run: rbx = state, rsi = sums, rdi = merged sums, r12 = pairs left.
void AttentionEmitter::pairsLoop(llvm::function_ref<void()> body) {
  Label next;
  a.lea(a.rbx, a.ptr[a.rsp + int(stateOffset())]);
  a.lea(a.rsi, a.ptr[a.rsp + int(sumOffset())]);
  a.lea(a.rdi, a.ptr[a.rsp + int(mergedOffset())]);
  a.mov(a.r12, a.r14);
  timesHeads(a.r12);
  a.L(next);
  body();
  a.add(a.rbx, kEntry);
  a.add(a.rsi, int(sumStride()));
  a.add(a.rdi, int(sumStride()));
  a.dec(a.r12);
  a.jnz(next, a.T_NEAR);
}

void AttentionEmitter::sweep(llvm::function_ref<void(int, int)> body) {
  for (int64_t i = 0; i < d.headDim; i += v.count) body(int(4 * i), int(std::min<int64_t>(v.count, d.headDim - i)));
}

void AttentionEmitter::startRun() {
  pairsLoop([&] {
    a.mov(a.dword[a.rbx + kMergedSum], 0);
    a.mov(a.dword[a.rbx + kMergedMaximum], kMinusInfinity);
  });
}

void AttentionEmitter::startChunk() {
  v.zero(0);
  pairsLoop([&] {
    v.store(a.rbx + kSum, 0, v.count);
    a.mov(a.dword[a.rbx + kMaximum], kMinusInfinity);
    sweep([&](int at, int n) { v.store(a.rsi + at, 0, n); });
  });
}

/// The chunk of each row that sees some of it, to the merged sums or to memory.
void AttentionEmitter::endChunk() {
  Label next;
  if (chunked) {
    a.mov(slot(kSeen), 0);
    a.mov(slot(kSeenEnd), a.r14);
  } else {
    a.mov(a.rax, slot(kChunk));
    a.imul(a.rax, a.rax, LLMC_CHUNK_POSITIONS);
    seenRows(a.rax, LLMC_CHUNK_POSITIONS);
  }
  softmaxConstants();
  a.mov(a.rax, slot(kSeen));
  a.mov(a.r12, slot(kSeenEnd));
  a.sub(a.r12, a.rax);
  timesHeads(a.rax);
  timesHeads(a.r12);
  a.imul(a.rbx, a.rax, kEntry);
  a.lea(a.rbx, a.ptr[a.rsp + a.rbx + int(stateOffset())]);
  a.imul(a.rax, a.rax, int(sumStride()));
  a.lea(a.rsi, a.ptr[a.rsp + a.rax + int(sumOffset())]);
  a.lea(a.rdi, a.ptr[a.rsp + a.rax + int(mergedOffset())]);
  if (chunked) partials(a.r8, a.r9, slot(kChunk));
  a.L(next);
  v.load(0, a.rbx + kSum, v.count);
  v.sum(0, 1);
  a.vmovss(Xmm(1), a.ptr[a.rbx + kMaximum]);
  if (chunked) {
    sweep([&](int at, int n) {
      v.load(2, a.rsi + at, n);
      v.store(a.r8 + at, 2, n);
    });
    a.vmovss(a.ptr[a.r8 + int(d.headDim * 4)], Xmm(1));
    a.vmovss(a.ptr[a.r8 + int(d.headDim * 4 + 4)], Xmm(0));
    a.add(a.r8, a.r9);
  } else {
    mergePair();
  }
  a.add(a.rbx, kEntry);
  a.add(a.rsi, int(sumStride()));
  a.add(a.rdi, int(sumStride()));
  a.dec(a.r12);
  a.jnz(next, a.T_NEAR);
}

/// to := partial of the unit's row, the part's first head and the chunk; step := bytes from head to head. [row][head]
/// [chunk][D sums, maximum, sum]. Clobbers rax, rcx.
void AttentionEmitter::partials(const Reg64 &to, const Reg64 &step, const Address &chunk) {
  argument(step, offsetof(llmc_attention_args, chunks));
  a.imul(a.rax, slot(kRow), int(d.heads));
  a.imul(a.rcx, slot(kKvHead), group);
  a.add(a.rax, a.rcx);
  if (parts > 1) a.add(a.rax, slot(kFirstHead));
  a.imul(a.rax, step);
  a.add(a.rax, chunk);
  a.imul(a.rax, a.rax, int(d.partialHeadBytes()));
  batchField(to, offsetof(llmc_batch, partials));
  a.add(to, a.rax);
  a.imul(step, step, int(d.partialHeadBytes()));
}

/// Adds a chunk to what is merged: lanes 0 of vectors 0 and 1 = its sum and maximum, rsi = its sums, rbx and rdi as in
/// pairsLoop. Clobbers vectors 0..7.
void AttentionEmitter::mergePair() {
  const Xmm sum(0), max(1), old(2), larger(3), total(4);
  enum { kOldFactor = 2, kFactor = 6 };
  Label other, done;
  a.cmp(a.dword[a.rbx + kMergedSum], 0);
  a.jne(other, a.T_NEAR);
  a.vmovss(a.ptr[a.rbx + kMergedSum], sum);
  a.vmovss(a.ptr[a.rbx + kMergedMaximum], max);
  sweep([&](int at, int n) {
    v.load(2, a.rsi + at, n);
    v.store(a.rdi + at, 2, n);
  });
  a.jmp(done, a.T_NEAR);
  a.L(other);
  a.vmovss(old, a.ptr[a.rbx + kMergedMaximum]);
  a.vmaxss(larger, old, max);
  a.vmovss(a.ptr[a.rbx + kMergedMaximum], larger);
  a.vsubss(old, old, larger);
  a.vsubss(max, max, larger);
  a.vunpcklps(old, old, max);
  a.vbroadcastss(Xmm(3), v.scalar(kLowest));
  a.vmaxps(old, Xmm(3), old);
  exp2(kOldFactor, 4, 5);
  a.vpshufd(Xmm(kFactor), old, 0x55);
  a.vmovss(total, a.ptr[a.rbx + kMergedSum]);
  a.vmulss(total, total, old);
  a.vfmadd231ss(total, sum, Xmm(kFactor));
  a.vmovss(a.ptr[a.rbx + kMergedSum], total);
  a.vbroadcastss(v.reg(kOldFactor), old);
  a.vbroadcastss(v.reg(kFactor), Xmm(kFactor));
  sweep([&](int at, int n) {
    v.load(4, a.rdi + at, n);
    v.load(5, a.rsi + at, n);
    a.vmulps(v.reg(4), v.reg(4), v.reg(kOldFactor));
    a.vfmadd231ps(v.reg(4), v.reg(kFactor), v.reg(5));
    v.store(a.rdi + at, 4, n);
  });
  a.L(done);
}

/// The merged sums of a row from its chunks in memory.
void AttentionEmitter::mergeRow() {
  softmaxConstants();
  partials(a.r8, a.r9, slot(kChunkFirst));
  a.mov(a.r10, slot(kChunkLast));
  a.sub(a.r10, slot(kChunkFirst));
  pairsLoop([&] {
    Label next;
    a.mov(a.rsi, a.r8);
    a.mov(a.r11, a.r10);
    a.L(next);
    a.vmovss(Xmm(1), a.ptr[a.rsi + int(d.headDim * 4)]);
    a.vmovss(Xmm(0), a.ptr[a.rsi + int(d.headDim * 4 + 4)]);
    mergePair();
    a.add(a.rsi, int(d.partialHeadBytes()));
    a.dec(a.r11);
    a.jns(next, a.T_NEAR);
    a.add(a.r8, a.r9);
  });
}

/// y of all rows of the run: merged sums over the sum of weights, with sinks one more weight.
void AttentionEmitter::finishRun() {
  Label row, pair;
  a.lea(a.rbx, a.ptr[a.rsp + int(stateOffset())]);
  a.lea(a.rdi, a.ptr[a.rsp + int(mergedOffset())]);
  a.mov(a.rdx, slot(kOutput));
  a.mov(a.r12, a.r14);
  a.imul(a.r9, slot(kKvHead), group);
  if (parts > 1) a.add(a.r9, slot(kFirstHead)); // r9 = first head
  if (d.sinks) argument(a.r11, offsetof(llmc_attention_args, sinks));
  a.L(row);
  a.imul(a.rcx, a.r9, int(d.headDim)); // channel of the row
  a.mov(a.r10, a.r9);
  loadHeads(a.r13);
  a.L(pair);
  finishPair();
  a.inc(a.r10);
  a.add(a.rbx, kEntry);
  a.add(a.rdi, int(sumStride()));
  a.dec(a.r13);
  a.jnz(pair, a.T_NEAR);
  if (d.out == RowFormat::Q8) {
    Label inner;
    a.cmp(a.r10, int(d.heads));
    a.jne(inner, a.T_NEAR);
    out.finish();
    a.L(inner);
  }
  a.add(a.rdx, int(d.yStride));
  a.dec(a.r12);
  a.jnz(row, a.T_NEAR);
}

/// rdx = row of y, rcx = first channel of head r10 in it; advances rcx by a head. Clobbers rax, all vectors.
void AttentionEmitter::finishPair() {
  if (d.sinks) {
    softmaxConstants();
    a.vmovss(Xmm(0), a.ptr[a.r11 + a.r10 * 4]);
    a.vmulss(Xmm(0), Xmm(0), v.scalar(float(std::numbers::log2e)));
    a.vsubss(Xmm(0), Xmm(0), a.ptr[a.rbx + kMergedMaximum]);
    a.vmaxss(Xmm(0), Xmm(0), v.scalar(kLowest));
    exp2(0, 1, 2, /*anySign=*/true);
    a.vaddss(Xmm(0), Xmm(0), a.ptr[a.rbx + kMergedSum]);
    a.vmovss(a.ptr[a.rbx + kMergedSum], Xmm(0));
  }
  if (d.out == RowFormat::F32) {
    a.vbroadcastss(v.reg(1), a.ptr[a.rbx + kMergedSum]);
    sweep([&](int at, int n) {
      v.load(0, a.rdi + at, n);
      a.vdivps(v.reg(0), v.reg(0), v.reg(1));
      v.store(a.rdx + a.rcx * 4 + at, 0, n);
    });
    return a.add(a.rcx, int(d.headDim));
  }
  for (int64_t first = 0; first < d.headDim; first += kActivationBlock) {
    for (int i = 0; i < out.vectors(); ++i) {
      a.vbroadcastss(v.reg(out.vectors()), a.ptr[a.rbx + kMergedSum]);
      v.load(i, a.rdi + int(4 * (first + i * v.count)), v.count);
      a.vdivps(v.reg(i), v.reg(i), v.reg(out.vectors()));
    }
    out.write(int(kActivationBlock));
    a.add(a.rcx, int(kActivationBlock));
  }
}

} // namespace llmc
