// The queries of a run: rotated, multiplied by what turns scores into powers of 2, in the form that the products take.
#include "codegen/kernels/attention/AttentionEmitter.h"
#include <cstddef>
#include <numbers>

namespace llmc {
using namespace Xbyak;

// Largest code of an integer query: sums of D products with codes up to 127 must stay below 2^31.
static float largestCode(int64_t headDim) { return headDim <= 512 ? 32767.0f : 16383.0f; }

/// Scores are in units of log2(e); with a cap, in units in which exp2(score) is exp(2 score/cap): see `capAndBias`.
float AttentionEmitter::queryScale() const {
  constexpr double log2e = std::numbers::log2e;
  return float(d.softcap > 0 ? d.scale * 2 * log2e / d.softcap : d.scale * log2e);
}

void AttentionEmitter::queries() {
  Label row, head;
  a.imul(a.rsi, slot(kRow), int(d.qkvStride));
  argument(a.rax, offsetof(llmc_attention_args, qkv));
  a.add(a.rsi, a.rax);
  a.imul(a.rax, slot(kKvHead), int(group * d.headDim * 4));
  a.add(a.rsi, a.rax);
  if (parts > 1) {
    a.imul(a.rax, slot(kFirstHead), int(d.headDim * 4));
    a.add(a.rsi, a.rax);
  }
  if (rotation.channels()) a.mov(a.rdx, slot(kTableRow));
  a.lea(a.rdi, a.ptr[a.rsp + int(queryOffset())]);
  a.lea(a.rbx, a.ptr[a.rsp + int(stateOffset())]);
  a.mov(a.r12, a.r14);
  a.L(row);
  a.mov(a.r8, a.rsi);
  loadHeads(a.r13);
  a.L(head);
  query();
  a.add(a.r8, int(d.headDim * 4));
  a.add(a.rdi, int(queryStride()));
  a.add(a.rbx, kEntry);
  a.dec(a.r13);
  a.jnz(head, a.T_NEAR);
  if (chunked) {
    a.mov(a.rsi, a.r8);
  } else {
    a.add(a.rsi, int(d.qkvStride));
    if (rotation.channels()) a.add(a.rdx, int(d.ropeStride));
  }
  a.dec(a.r12);
  a.jnz(row, a.T_NEAR);
}

/// The head at r8 to rdi; rbx = its state, rdx = the row's cosines and sines.
void AttentionEmitter::query() {
  const bool rotated = rotation.channels();
  const RegExp scratch = a.rsp + int(scratchOffset());
  if (rotated) rotation.emit(a.r8, a.rdx, scratch);
  const RegExp from = rotated ? scratch : RegExp(a.r8);
  if (math == Math::Words) {
    if (!rotated) return queryWords();
    a.push(a.r8);
    a.lea(a.r8, a.ptr[a.rsp + int(scratchOffset()) + 8]);
    queryWords();
    return a.pop(a.r8);
  }
  for (int64_t i = 0; i < d.headDim; i += v.count) {
    const int n = int(std::min<int64_t>(v.count, d.headDim - i));
    v.load(0, from + int(4 * i), n);
    a.vmulps(v.reg(0), v.reg(0), v.constant(queryScale()));
    if (math == Math::Float) {
      v.store(a.rdi + int(4 * i), 0, n);
    } else {
      a.vcvtneps2bf16(Ymm(0), Zmm(0));
      n == 16 ? a.vmovups(a.ptr[a.rdi + int(2 * i)], Ymm(0)) : a.vmovups(a.ptr[a.rdi + int(2 * i)], Xmm(0));
    }
  }
}

/// The f32 head at r8: channels 4i..4i+3 become the words 0, 2, 1, 3 at the start of 16 bytes; the factor of all to the
/// state.
void AttentionEmitter::queryWords() {
  enum { kLargest = 2, kTemp = 3, kInverse = 4, kScale = 5 };
  auto sweep = [&](llvm::function_ref<void(int64_t)> body) {
    for (int64_t i = 0; i < d.headDim; i += v.count) {
      v.load(0, a.r8 + int(4 * i), int(std::min<int64_t>(v.count, d.headDim - i)));
      body(i);
    }
  };
  v.zero(kLargest);
  sweep([&](int64_t) {
    a.vandps(v.reg(0), v.reg(0), v.constantBits(0x7fffffff));
    a.vpmaxsd(v.reg(kLargest), v.reg(kLargest), v.reg(0));
  });
  largestToWords(kLargest, kTemp, largestCode(d.headDim), kScale, kInverse);
  a.vmulss(Xmm(kScale), Xmm(kScale), v.scalar(queryScale()));
  a.vmovss(a.ptr[a.rbx + kQueryScale], Xmm(kScale));
  sweep([&](int64_t i) {
    a.vmulps(v.reg(0), v.reg(0), v.reg(kInverse));
    a.vcvtps2dq(v.reg(0), v.reg(0));
    a.vpshufd(v.reg(1), v.reg(0), 0x4e);
    a.vpslld(v.reg(1), v.reg(1), 16);
    a.vandps(v.reg(0), v.reg(0), v.constantBits(0xffff));
    a.vorps(v.reg(0), v.reg(0), v.reg(1));
    v.store(a.rdi + int(4 * i), 0, int(std::min<int64_t>(v.count, d.headDim - i)));
  });
}

/// From the bits of |x| in the lanes of `largest`: scale (lane 0) := max/codes, inverse (all lanes) := codes/max; both
/// 0 where the inverse could overflow. A maximum that is not finite makes the scale so.
void AttentionEmitter::largestToWords(int largest, int temp, float codes, int scale, int inverse) {
  v.maxBits(largest, temp);
  constexpr uint8_t kLess = 1;
  a.vmovss(Xmm(temp), v.scalar(0x1p-100f));
  a.vcmpps(Xmm(temp), Xmm(largest), Xmm(temp), kLess);
  a.vmovss(Xmm(inverse), v.scalar(codes));
  a.vdivss(Xmm(scale), Xmm(largest), Xmm(inverse));
  a.vdivss(Xmm(inverse), Xmm(inverse), Xmm(largest));
  a.vandnps(Xmm(scale), Xmm(temp), Xmm(scale));
  a.vandnps(Xmm(inverse), Xmm(temp), Xmm(inverse));
  a.vbroadcastss(v.reg(inverse), Xmm(inverse));
}

} // namespace llmc
