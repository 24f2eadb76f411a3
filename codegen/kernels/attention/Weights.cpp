// From a pair's scores to its weights: maximum, exp2, sum, and the form that the products with values take.
#include "codegen/kernels/attention/AttentionEmitter.h"
#include <numbers>

namespace llmc {
using namespace Xbyak;

namespace {
/// 2^x on -1/2..1/2 (AVX2) with relative error 1e-7: sum of c[i] x^i; minimax by reweighted least squares, c[0] fixed.
constexpr float kExp2[] = {1.0f,
                           0.6931470036506653f,
                           0.24022242426872253f,
                           0.05550733581185341f,
                           0.009671512991189957f,
                           0.001326472731307149f};
constexpr int kDegree = 5;
/// The same on 0..1 (AVX-512): relative errors 2^-22, 2^-18 and 2^-13, each below what the products lose that take the
/// weights: f32, words of 15 bits, bf16.
struct Polynomial {
  int degree;
  float c[kDegree + 1];
};
constexpr Polynomial kFloatExp2 = {5,
                                   {1.0f, 0.6931512951850891f, 0.24016444385051727f, 0.05579991266131401f,
                                    0.009017030708491802f, 0.0018671300495043397f}},
                     kWordsExp2 = {4,
                                   {1.0f, 0.6930448412895203f, 0.241280198097229f, 0.052242472767829895f,
                                    0.013426684774458408f}},
                     kBf16Exp2 = {3, {1.0f, 0.6951167583465576f, 0.22764499485492706f, 0.07706703990697861f}};
/// exp2 of this rounds to 0 in f32; and a bound above which a cap's tanh is 1.
constexpr float kLowest = -150, kHighest = 126;

// Registers. The scores or weights of the page are in 0..3 (AVX-512) or 0..7 (AVX2).
struct Registers {
  int max, old, n, p, slope, minusInfinity, distances, coefficients;
};
constexpr Registers kRegisters512 = {4, 5, 6, 7, 8, 9, 16, 20}, kRegisters256 = {8, 9, 10, 11, 12, 13, 14, 0};
constexpr uint32_t kMinusInfinity = 0xff800000;
constexpr float kLargestWeight = 32767;
} // namespace

static const Registers &registersOf(const Lanes &v) { return v.avx512 ? kRegisters512 : kRegisters256; }

int AttentionEmitter::distanceRegister() const { return registersOf(v).distances; }

static const Polynomial &polynomialOf(AttentionMath math) {
  return math == AttentionMath::Float ? kFloatExp2 : math == AttentionMath::Words ? kWordsExp2 : kBf16Exp2;
}

/// What stays in registers for pairs, and for `exp2`.
void AttentionEmitter::softmaxConstants() {
  const Registers &r = registersOf(v);
  a.vbroadcastss(v.reg(r.minusInfinity), a.ptr[a.rip + a.constant32(kMinusInfinity)]);
  if (!v.avx512) return;
  const Polynomial &exp2 = polynomialOf(math);
  for (int i = 0; i <= exp2.degree; ++i) v.broadcast(r.coefficients + i, exp2.c[i]);
}

/// The chunk's maximum with the page's scores, which are stored again if they are not yet as the softmax takes them.
void AttentionEmitter::maximumOfPair(bool masked) {
  const Registers &r = registersOf(v);
  const int vectors = LLMC_PAGE_POSITIONS / v.count;
  if (d.alibi) a.vbroadcastss(v.reg(r.slope), a.ptr[a.rsi]);
  for (int i = 0; i < vectors; ++i) {
    loadScores(i, masked);
    if (i) a.vmaxps(v.reg(r.max), v.reg(i == 1 ? 0 : r.max), v.reg(i));
  }
  v.max(r.max, r.n);
  raiseMaximum();
}

void AttentionEmitter::weightsOfPair(bool masked) {
  const Registers &r = registersOf(v);
  const int vectors = LLMC_PAGE_POSITIONS / v.count;
  a.vbroadcastss(v.reg(r.max), a.ptr[a.rbx + kMaximum]);
  for (int i = 0; i < vectors; ++i) {
    v.load(i, a.rbx + kScores + 4 * i * v.count, v.count);
    a.vsubps(v.reg(i), v.reg(i), v.reg(r.max));
    if (masked && !v.avx512) { // whatever is there
      visibleLanes(i, r.n, r.p);
      a.vblendvps(Ymm(i), Ymm(r.minusInfinity), Ymm(i), Ymm(r.n));
    }
    exp2(i, r.n, r.p);
    if (masked && v.avx512) a.vmovaps(v.reg(i) | Opmask(1 + i) | a.T_z, v.reg(i));
  }
  v.load(r.max, a.rbx + kSum, v.count);
  for (int i = 0; i < vectors; i += 2) {
    a.vaddps(v.reg(r.n), v.reg(i), v.reg(i + 1));
    a.vaddps(v.reg(r.max), v.reg(r.max), v.reg(r.n));
  }
  v.store(a.rbx + kSum, r.max, v.count);
  storeWeights(masked);
}

/// Vector i := scores as the softmax takes them; -infinity for keys that are not seen, whatever is there.
void AttentionEmitter::loadScores(int i, bool masked) {
  const Registers &r = registersOf(v);
  const RegExp scores = a.rbx + kScores + 4 * i * v.count;
  v.load(i, scores, v.count);
  if (d.softcap > 0) capScores(i);
  if (d.alibi) addDistance(i, r.slope, r.n);
  if (d.softcap > 0 || d.alibi) v.store(scores, i, v.count);
  if (!masked) return;
  if (v.avx512) return a.vblendmps(v.reg(i) | Opmask(1 + i), v.reg(r.minusInfinity), v.reg(i));
  visibleLanes(i, r.n, r.p);
  a.vblendvps(Ymm(i), Ymm(r.minusInfinity), Ymm(i), Ymm(r.n));
}

/// From 2 s/softcap to softcap * tanh(s/softcap), both in units of log2(e): tanh x = 1 - 2/(exp(2x) + 1).
void AttentionEmitter::capScores(int i) {
  const Registers &r = registersOf(v);
  const float cap = float(d.softcap * std::numbers::log2e);
  exp2(i, r.n, r.p, /*anySign=*/true);
  a.vaddps(v.reg(i), v.reg(i), v.constant(1.0f));
  v.broadcast(r.n, 2 * cap);
  a.vdivps(v.reg(r.n), v.reg(r.n), v.reg(i));
  v.broadcast(i, cap);
  a.vsubps(v.reg(i), v.reg(i), v.reg(r.n));
}

/// r.max, lane 0 = the page's maximum. If that is above the chunk's, what was summed up is scaled. rdi = the pair's
/// sums.
void AttentionEmitter::raiseMaximum() {
  const Registers &r = registersOf(v);
  const Xmm max(r.max), old(r.old);
  Label keep;
  a.vmovss(old, a.ptr[a.rbx + kMaximum]);
  a.vucomiss(max, old);
  a.jbe(keep, a.T_NEAR);
  a.vmovss(a.ptr[a.rbx + kMaximum], max);
  a.vsubss(old, old, max);
  a.vmaxss(old, old, v.scalar(kLowest));
  exp2(r.old, r.n, r.p);
  a.vbroadcastss(v.reg(r.old), old);
  a.vmulps(v.reg(r.n), v.reg(r.old), a.ptr[a.rbx + kSum]);
  v.store(a.rbx + kSum, r.n, v.count);
  for (int64_t i = 0; i < d.headDim; i += v.count) {
    const int n = int(std::min<int64_t>(v.count, d.headDim - i));
    v.load(r.n, a.rdi + int(4 * i), n);
    a.vmulps(v.reg(r.n), v.reg(r.n), v.reg(r.old));
    v.store(a.rdi + int(4 * i), r.n, n);
  }
  a.L(keep);
}

/// x := 2^x, relative error 2^-22 (that of the polynomial); 0 from -150 down (-infinity: AVX2 only, AVX-512 in lanes
/// that are masked or bounded). Without `anySign` x is not above 0; with it AVX2 stops at 2^126. NaN stays. Needs
/// softmaxConstants.
void AttentionEmitter::exp2(int i, int nearest, int polynomial, bool anySign) {
  const Xmm x = v.reg(i), n = v.reg(nearest), p = v.reg(polynomial);
  constexpr uint8_t kNearest = 8, kFloor = 9; // no exception
  if (v.avx512) {
    const int c = registersOf(v).coefficients;
    const int degree = polynomialOf(math).degree;
    a.vreduceps(n, x, kFloor);
    a.vmovaps(p, v.reg(c + degree));
    for (int k = degree; k-- > 0;) a.vfmadd213ps(p, n, v.reg(c + k));
    return a.vscalefps(x, p, x); // by the floor of x
  }
  v.broadcast(polynomial, kLowest);
  a.vmaxps(x, p, x); // the second source if one is NaN
  if (anySign) {
    v.broadcast(polynomial, kHighest);
    a.vminps(x, p, x);
  }
  a.vroundps(n, x, kNearest);
  a.vsubps(x, x, n);
  v.broadcast(polynomial, kExp2[kDegree]);
  for (int k = kDegree; k-- > 0;) a.vfmadd213ps(p, x, v.constant(kExp2[k]));
  // 2^n in two factors: the first changes the exponent of p and cannot leave the normal range, the second rounds.
  a.vcvtps2dq(n, n);
  a.vpsrad(x, n, 1);
  a.vpsubd(n, n, x);
  a.vpslld(x, x, 23);
  a.vpaddd(p, p, x);
  a.vpslld(n, n, 23);
  a.vpaddd(n, n, v.constantBits(127u << 23));
  a.vmulps(x, p, n);
}

void AttentionEmitter::storeWeights(bool masked) {
  if (math == Math::Words) return storeWords(masked);
  for (int i = 0; i < LLMC_PAGE_POSITIONS / v.count; ++i) {
    if (math == Math::Bf16) {
      a.vcvtneps2bf16(Ymm(i), Zmm(i));
      a.vmovups(a.ptr[a.rbx + kScores + 32 * i], Ymm(i));
    } else {
      v.store(a.rbx + kScores + 4 * i * v.count, i, v.count);
    }
  }
}

/// Weights times the scales of their values, as words with one factor for the page; of positions 4i..4i+3 the words 0,
/// 2, 1, 3 are at the start of 16 bytes.
void AttentionEmitter::storeWords(bool masked) {
  const Registers &r = registersOf(v);
  const int vectors = LLMC_PAGE_POSITIONS / v.count, largest = r.max, inverse = r.old;
  for (int i = 0; i < vectors; ++i) {
    const Address scales = a.ptr[a.r15 + int(layout.valueScaleOffset(0)) + 4 * i * v.count];
    if (masked && v.avx512) {
      a.vmulps(v.reg(i) | Opmask(1 + i) | a.T_z, v.reg(i), scales);
    } else {
      a.vmulps(v.reg(i), v.reg(i), scales);
      if (masked) visibleLanes(i, r.n, r.p), a.vandps(v.reg(i), v.reg(i), v.reg(r.n));
    }
  }
  a.vpmaxsd(v.reg(largest), v.reg(0), v.reg(1)); // by their bits, so that NaN arrives in the factor
  for (int i = 2; i < vectors; ++i) a.vpmaxsd(v.reg(largest), v.reg(largest), v.reg(i));
  largestToWords(largest, r.n, kLargestWeight, r.p, inverse);
  a.vmovss(a.ptr[a.rbx + kWeightScale], Xmm(r.p));
  for (int i = 0; i < vectors; ++i) {
    a.vmulps(v.reg(i), v.reg(i), v.reg(inverse));
    a.vcvtps2dq(v.reg(i), v.reg(i));
    a.vpshufd(v.reg(r.n), v.reg(i), 0x4e);
    a.vpslld(v.reg(r.n), v.reg(r.n), 16);
    a.vorps(v.reg(i), v.reg(i), v.reg(r.n));
    v.store(a.rbx + kScores + 4 * i * v.count, i, v.count);
  }
}

} // namespace llmc
