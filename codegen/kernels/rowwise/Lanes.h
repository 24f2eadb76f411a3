// f32 vector code of one width: AVX2 (8 lanes, 16 registers) and AVX-512 (16 lanes, 32 registers) out of one emitter.
#pragma once
#include "codegen/x64/Assembler.h"
#include <bit>

namespace llmc {

/// Emits into an Assembler. Registers are named by number, 0..15 everywhere and 0..31 with AVX-512. A function that
/// takes registers clobbers those called `t...` and no other. Tails: `n` is how many of the `count` lanes take part;
/// what is outside is neither read nor written in memory, and is 0 in a loaded register.
class Lanes {
public:
  Lanes(Assembler &a, bool avx512) : a(a), avx512(avx512), count(avx512 ? 16 : 8) {}

  Xbyak::Xmm reg(int i) const { return Xbyak::Xmm(avx512 ? Xbyak::Operand::ZMM : Xbyak::Operand::YMM, i); }
  static Xbyak::Xmm xmm(int i) { return Xbyak::Xmm(i); }
  static Xbyak::Ymm ymm(int i) { return Xbyak::Ymm(i); }

  /// Memory operands: a constant in every lane (AVX-512: an embedded broadcast); the same in lane 0 alone.
  Xbyak::Address constant(float value) { return constantBits(std::bit_cast<uint32_t>(value)); }
  Xbyak::Address constantBits(uint32_t bits);
  Xbyak::Address scalar(float value) { return a.ptr[a.rip + a.constantF32(value)]; }
  void broadcast(int v, float value) { a.vbroadcastss(reg(v), scalar(value)); }

  /// Says that tails are of n lanes from here on: loads k1 (clobbers eax) or ymm15. Needed before loads, stores and
  /// `keep` with that n, unless n is `count`; or 8 (half a register with AVX-512), which load and store do without it.
  void setTail(int n);
  void load(int v, const Xbyak::RegExp &from, int n);
  void store(const Xbyak::RegExp &to, int v, int n);
  /// Zeroes the lanes from n on.
  void keep(int v, int n);
  /// n f16 values, n = count or 8. Stores round to nearest even.
  void loadHalf(int v, const Xbyak::RegExp &from, int n);
  void storeHalf(const Xbyak::RegExp &to, int v, int n);
  void zero(int v) { a.vxorps(xmm(v), xmm(v), xmm(v)); }
  /// Zeroes so many bytes of memory, a multiple of 4.
  void clear(const Xbyak::RegExp &to, int64_t bytes, int t);

  /// Lane 0 of v := the sum (maximum) over all lanes. maxBits compares as signed integers.
  void sum(int v, int t);
  void max(int v, int t);
  void maxBits(int v, int t);

  /// v := exp(v), relative error below 2^-22, exact at the ends: 0 from -104 down and at -infinity, infinity from 89 on
  /// (`anySign`; without it v must not be above 0), denormals rounded once, NaN stays NaN.
  void exp(int v, int t0, int t1, bool anySign);
  /// v := erf(v), absolute error below 4e-7.
  void erf(int v, int t0, int t1, int t2);

  Assembler &a;
  const bool avx512;
  const int count;

private:
  template <typename Op> void reduce(int v, int t, Op op);
};

} // namespace llmc
