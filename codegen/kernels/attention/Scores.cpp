// scores[row][head][position] = scale * q.k. Each (head, position) is summed in one order: per lane over ascending
// chunks of channels, then across lanes in the tree of `addAcross`.
#include "codegen/kernels/attention/AttentionEmitter.h"
#include <algorithm>

namespace llmc {
using namespace Xbyak;

/// One row: all blocks of `count` positions that hold a visible key, all heads of the group for each, so that the
/// heads share the block's read.
void AttentionEmitter::scores() {
  const int64_t keyBytes = d.headDim * (d.kv == KvType::F16 && !widenKeys ? 2 : 4);
  Label next;
  a.mov(a.r10, a.r8);
  a.and_(a.r10, -v.count);
  a.L(next);
  a.push(a.rsi);
  if (prefetches()) { // rdi = the values of the block's positions
    a.push(a.rdi);
    a.imul(a.rdi, a.r10, int(d.headDim * elementBytes()));
    a.lea(a.rdi, a.ptr[a.rdi + a.r15 + int(d.kvHeads * tileBytes())]);
  }
  a.imul(a.rax, a.r10, int(keyBytes));
  a.add(a.rax, a.r12);
  heads([&] {
    scoreBlock(v.count);
    v.store(a.rbx + a.r10 * 4 + kScores, 0, v.count);
    a.add(a.rsi, int(d.headDim * 4));
  });
  if (prefetches()) a.pop(a.rdi);
  a.pop(a.rsi);
  a.add(a.r10, v.count);
  a.cmp(a.r10, a.r9);
  a.jl(next, a.T_NEAR);
}

/// Vector 0 := scale * (q at rsi).(k at rax, position i) in lane i.
void AttentionEmitter::scoreBlock(int positions) {
  const bool half = d.kv == KvType::F16 && !widenKeys;
  const int64_t keyBytes = d.headDim * (half ? 2 : 4);
  const int q = positions, key = positions + 1;
  // Each head fetches its share of the values, spread over its arithmetic.
  const int64_t lines = prefetches() ? (positions * d.headDim * elementBytes() / kAlign + group - 1) / group : 0;
  const int64_t every = lines ? std::max<int64_t>(1, positions * chunks() / lines) : 0;
  int64_t line = 0;
  for (int c = 0; c < chunks(); ++c) {
    const int lanes = chunkLanes(c), offset = c * v.count;
    v.load(q, a.rsi + 4 * offset, lanes);
    for (int i = 0; i < positions; ++i) {
      RegExp from = a.rax + int(i * keyBytes + offset * (half ? 2 : 4));
      bool direct = !half && lanes == v.count; // else the lanes past the head must be 0
      if (half)
        v.loadHalf(key, from, lanes);
      else if (!direct)
        v.load(key, from, lanes);
      if (c == 0 && direct)
        a.vmulps(v.reg(i), v.reg(q), a.ptr[from]);
      else if (c == 0)
        a.vmulps(v.reg(i), v.reg(q), v.reg(key));
      else if (direct)
        a.vfmadd231ps(v.reg(i), v.reg(q), a.ptr[from]);
      else
        a.vfmadd231ps(v.reg(i), v.reg(q), v.reg(key));
      if (line < lines && (c * positions + i) % every == 0) a.prefetcht0(a.ptr[a.rdi + int(kAlign * line++)]);
    }
  }
  if (lines) a.add(a.rdi, int(kAlign * lines));
  addAcross(positions);
  a.vmulps(v.reg(0), v.reg(0), v.constant(d.scale));
}

/// Vectors 0..n-1, n = lanes: vector 0, lane i := the sum of vector i's lanes. Pairs, then fours within 128 bits, then
/// the 128-bit parts: (n-1) * (2 shuffles, 1 add).
void AttentionEmitter::addAcross(int n) {
  const Xmm t = v.reg(n);
  for (int i = 0; i < n; i += 2) {
    a.vunpckhps(t, v.reg(i), v.reg(i + 1));
    a.vunpcklps(v.reg(i), v.reg(i), v.reg(i + 1));
    a.vaddps(v.reg(i), v.reg(i), t);
  }
  for (int i = 0; i < n; i += 4) {
    a.vunpckhpd(t, v.reg(i), v.reg(i + 2));
    a.vunpcklpd(v.reg(i), v.reg(i), v.reg(i + 2));
    a.vaddps(v.reg(i), v.reg(i), t);
  }
  if (!v.avx512) {
    a.vperm2f128(Ymm(t.getIdx()), Ymm(0), Ymm(4), 0x31);
    a.vperm2f128(Ymm(0), Ymm(0), Ymm(4), 0x20);
    return a.vaddps(v.reg(0), v.reg(0), t);
  }
  const Zmm high(t.getIdx());
  for (int step = 4; step <= 8; step *= 2)
    for (int i = 0; i < n; i += 2 * step) { // parts 1, 3 and 0, 2 of both vectors
      a.vshuff32x4(high, Zmm(i), Zmm(i + step), 0xdd);
      a.vshuff32x4(Zmm(i), Zmm(i), Zmm(i + step), 0x88);
      a.vaddps(v.reg(i), v.reg(i), t);
    }
}

} // namespace llmc
