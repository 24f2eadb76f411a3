// Online softmax over the page's scores (arXiv 1805.02867): scores become weights exp(score - maximum), keys that the
// row does not see weigh 0.
#include "codegen/kernels/attention/AttentionEmitter.h"
#include <cstring>

namespace llmc {
using namespace Xbyak;

namespace {
// Registers of a row: AVX2 keeps the bounds of the visible keys, AVX-512 has them in k1..k4.
enum { kWeights = 0, kMax = 4, kT0 = 5, kT1 = 6, kOld = 7, kMinusInfinity = 12, kBegin = 13, kEnd = 14 };
constexpr uint32_t kMinusInfinityBits = 0xff800000;
} // namespace

void AttentionEmitter::softmax() {
  const int vectors = LLMC_PAGE_POSITIONS / v.count;
  visibleMasks();
  heads([&] {
    Xmm maximum = Lanes::xmm(kMax), old = Lanes::xmm(kOld);
    for (int i = 0; i < vectors; ++i) {
      maskScores(i);
      if (i == 0)
        a.vmovaps(v.reg(kMax), v.reg(kWeights));
      else
        a.vmaxps(v.reg(kMax), v.reg(kMax), v.reg(kWeights));
    }
    v.max(kMax, kT0);
    a.vmovss(old, a.ptr[a.rbx + kMaximum]);
    a.vmaxss(maximum, maximum, old);
    a.vmovss(a.ptr[a.rbx + kMaximum], maximum);
    a.vsubss(old, old, maximum);
    v.exp(kOld, kT0, kT1, /*anySign=*/false);
    a.vmovss(a.ptr[a.rbx + kCorrection], old);
    a.vbroadcastss(v.reg(kOld), old);
    a.vbroadcastss(v.reg(kMax), maximum);
    a.vmulps(v.reg(kOld), v.reg(kOld), a.ptr[a.rbx + kSum]);
    for (int i = 0; i < vectors; ++i) {
      RegExp at = a.rbx + kScores + 4 * i * v.count;
      v.load(kWeights, at, v.count);
      a.vsubps(v.reg(kWeights), v.reg(kWeights), v.reg(kMax));
      v.exp(kWeights, kT0, kT1, /*anySign=*/false);
      v.store(at, kWeights, v.count);
      a.vaddps(v.reg(kOld), v.reg(kOld), v.reg(kWeights));
    }
    v.store(a.rbx + kSum, kOld, v.count);
  });
}

/// From r8, r9: what `maskScores` needs for the row.
void AttentionEmitter::visibleMasks() {
  a.vbroadcastss(v.reg(kMinusInfinity), a.ptr[a.rip + a.constant32(kMinusInfinityBits)]);
  if (v.avx512) {
    a.mov(a.rax, -1);
    a.bzhi(a.r10, a.rax, a.r9);
    a.shlx(a.rax, a.rax, a.r8);
    a.and_(a.rax, a.r10);
    for (int i = 1; i <= 4; ++i) {
      a.kmovw(Opmask(i), a.eax);
      if (i < 4) a.shr(a.rax, 16);
    }
    return;
  }
  a.vmovd(Xmm(kEnd), a.r9d);
  a.vpbroadcastd(Ymm(kEnd), Xmm(kEnd));
  if (!d.window) return;
  a.lea(a.eax, a.ptr[a.r8 - 1]);
  a.vmovd(Xmm(kBegin), a.eax);
  a.vpbroadcastd(Ymm(kBegin), Xmm(kBegin));
}

/// kWeights := vector i of the head's scores, -infinity for keys that are not seen; stores them so.
void AttentionEmitter::maskScores(int i) {
  RegExp at = a.rbx + kScores + 4 * i * v.count;
  if (v.avx512) {
    a.vblendmps(v.reg(kWeights) | Opmask(1 + i), v.reg(kMinusInfinity), a.ptr[at]);
  } else {
    uint8_t positions[32];
    for (int lane = 0; lane < 8; ++lane) {
      int32_t position = i * 8 + lane;
      memcpy(positions + 4 * lane, &position, 4);
    }
    Address index = a.ptr[a.rip + a.constantBytes(positions)];
    a.vpcmpgtd(Ymm(kT0), Ymm(kEnd), index);
    if (d.window) {
      a.vmovups(Ymm(kT1), index);
      a.vpcmpgtd(Ymm(kT1), Ymm(kT1), Ymm(kBegin));
      a.vandps(Ymm(kT0), Ymm(kT0), Ymm(kT1));
    }
    a.vblendvps(Ymm(kWeights), Ymm(kMinusInfinity), a.ptr[at], Ymm(kT0));
  }
  v.store(at, kWeights, v.count);
}

} // namespace llmc
