// Online softmax over the page's scores (arXiv 1805.02867): scores become weights exp2(score - maximum), keys that the
// row does not see weigh 0. The arithmetic of a pair is in Weights.cpp.
#include "codegen/kernels/attention/AttentionEmitter.h"
#include <cstring>
#include <numbers>

namespace llmc {
using namespace Xbyak;

/// Rows r12 that see the page, pairs of each: rbx = state, rdi = sums, rsi = slope (alibi), r11 = pairs left of the
/// row; [r8, r9) = positions of the page that the row sees. All maxima of a row first, then all weights: short chains,
/// several of which fit into the CPU's schedulers at once.
void AttentionEmitter::softmax() {
  softmaxConstants();
  seenRowsLoop([&] {
    Label masked, done;
    rowBounds();
    a.mov(a.rax, a.r12);
    timesHeads(a.rax);
    a.imul(a.rbx, a.rax, kEntry);
    a.lea(a.rbx, a.ptr[a.rsp + a.rbx + int(stateOffset())]);
    a.imul(a.rdi, a.rax, int(sumStride()));
    a.lea(a.rdi, a.ptr[a.rsp + a.rdi + int(sumOffset())]);
    loadHeads(a.r11);
    if (d.alibi) rowDistances();
    auto pairs = [&](bool isMasked) {
      Label maximum, weights;
      a.mov(a.r10, a.rbx);
      a.L(maximum);
      maximumOfPair(isMasked);
      a.add(a.rbx, kEntry);
      a.add(a.rdi, int(sumStride()));
      if (d.alibi) a.add(a.rsi, 4);
      a.dec(a.r11);
      a.jnz(maximum, a.T_NEAR);
      a.mov(a.rbx, a.r10);
      loadHeads(a.r11);
      a.L(weights);
      weightsOfPair(isMasked);
      a.add(a.rbx, kEntry);
      a.dec(a.r11);
      a.jnz(weights, a.T_NEAR);
    };
    a.cmp(a.r9, LLMC_PAGE_POSITIONS);
    a.jl(masked, a.T_NEAR);
    if (d.window) {
      a.test(a.r8, a.r8);
      a.jnz(masked, a.T_NEAR);
    }
    pairs(false);
    a.jmp(done, a.T_NEAR);
    a.L(masked);
    if (v.avx512) visibleMasks();
    pairs(true);
    a.L(done);
  });
}

/// [r8, r9) := positions of the page that row r12 sees. Clobbers rax.
void AttentionEmitter::rowBounds() {
  a.mov(a.r9, slot(kOffset));
  chunked ? a.inc(a.r9) : a.lea(a.r9, a.ptr[a.r9 + a.r12 + 1]);
  a.xor_(a.r8d, a.r8d);
  if (d.window) {
    a.mov(a.rax, a.r9);
    a.sub(a.rax, int(d.window));
    a.cmovg(a.r8, a.rax);
  }
  a.mov(a.eax, LLMC_PAGE_POSITIONS);
  a.cmp(a.r9, a.rax);
  a.cmovg(a.r9, a.rax);
}

/// AVX-512: k1..k4 := lanes of the page's four vectors of which the row sees the key.
void AttentionEmitter::visibleMasks() {
  a.mov(a.rax, -1);
  a.bzhi(a.r10, a.rax, a.r9);
  a.shlx(a.rax, a.rax, a.r8);
  a.and_(a.rax, a.r10);
  for (int i = 1; i <= 4; ++i) {
    a.kmovw(Opmask(i), a.eax);
    if (i < 4) a.shr(a.rax, 16);
  }
}

template <typename T> static Label &numbersFrom(Assembler &a, T first, int count) {
  std::vector<uint8_t> bytes(sizeof(T) * size_t(count));
  for (int i = 0; i < count; ++i) {
    T number = first + T(i);
    memcpy(&bytes[sizeof(T) * size_t(i)], &number, sizeof(T));
  }
  return a.constantBytes(bytes);
}

/// AVX2: `to` := all ones in the lanes of vector i of which the row sees the key.
void AttentionEmitter::visibleLanes(int i, int to, int temp) {
  const Address index = a.ptr[a.rip + numbersFrom<int32_t>(a, 8 * i, 8)];
  a.vmovd(Xmm(to), a.r9d);
  a.vpbroadcastd(Ymm(to), Xmm(to));
  a.vpcmpgtd(Ymm(to), Ymm(to), index);
  if (!d.window) return;
  a.vmovd(Xmm(temp), a.r8d);
  a.vpbroadcastd(Ymm(temp), Xmm(temp));
  a.vpcmpgtd(Ymm(temp), Ymm(temp), index); // below the first
  a.vandnps(Ymm(to), Ymm(temp), Ymm(to));
}

/// rsi := slopes of the part's heads, in units of log2(e); kDistances.. := key position minus the row's (AVX2: of key 0
/// of the page, in one register).
void AttentionEmitter::rowDistances() {
  std::vector<uint8_t> slopes(size_t(4 * d.heads));
  for (int64_t h = 0; h < d.heads; ++h) {
    float slope = float(alibiSlope(d.heads, h) * std::numbers::log2e);
    memcpy(&slopes[size_t(4 * h)], &slope, 4);
  }
  a.mov(a.rax, slot(kKvHead));
  if (chunked) a.add(a.rax, a.r12);
  a.imul(a.rax, a.rax, group);
  if (parts > 1) a.add(a.rax, slot(kFirstHead));
  a.lea(a.rsi, a.ptr[a.rip + a.constantBytes(slopes)]);
  a.lea(a.rsi, a.ptr[a.rsi + a.rax * 4]);
  a.mov(a.rax, slot(kOffset));
  if (!chunked) a.add(a.rax, a.r12);
  a.neg(a.rax);
  const int first = distanceRegister();
  v.zero(first);
  a.vcvtsi2ss(Xmm(first), Xmm(first), a.eax);
  a.vbroadcastss(v.reg(first), Xmm(first));
  if (!v.avx512) return;
  for (int i = 3; i >= 0; --i)
    a.vaddps(Zmm(first + i), Zmm(first), a.ptr[a.rip + numbersFrom<float>(a, float(16 * i), 16)]);
}

/// score += slope * distance. AVX2: `temp` is free.
void AttentionEmitter::addDistance(int i, int slope, int temp) {
  const int first = distanceRegister();
  if (v.avx512) return a.vfmadd231ps(v.reg(i), v.reg(slope), v.reg(first + i));
  a.vaddps(v.reg(temp), v.reg(first), a.ptr[a.rip + numbersFrom<float>(a, float(8 * i), 8)]);
  a.vfmadd231ps(v.reg(i), v.reg(slope), v.reg(temp));
}

} // namespace llmc
