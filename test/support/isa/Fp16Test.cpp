// Emulated AVX512-FP16 against exact integers: a half is a multiple of 2^-24, a product one of 2^-48.
#include "test/support/isa/Program.h"
#include <bit>
#include <cmath>

namespace llmc::test::isa {
namespace {

using Fp16 = StateTest;
using Exact = __int128; // in units of 2^-48

uint16_t half(const State &s, int reg, int lane) {
  uint16_t bits;
  memcpy(&bits, s.zmm[reg] + 2 * lane, 2);
  return bits;
}

/// A finite half in units of 2^-24.
Exact units(uint16_t bits) {
  int exponent = bits >> 10 & 31;
  Exact magnitude = exponent ? Exact(1024 + (bits & 1023)) << (exponent - 1) : Exact(bits & 1023);
  return bits >> 15 ? -magnitude : magnitude;
}

/// To nearest even. A zero is positive unless `negativeZero`.
uint16_t rounded(Exact value, bool negativeZero = false) {
  uint16_t sign = value < 0 || (value == 0 && negativeZero) ? 0x8000 : 0;
  Exact magnitude = value < 0 ? -value : value;
  int shift = 24; // to units of the last place: those of denormals and of exponent 1
  while (magnitude >> shift >= 2048) ++shift;
  Exact quotient = magnitude >> shift, rest = magnitude - (quotient << shift), tie = Exact(1) << (shift - 1);
  if (rest > tie || (rest == tie && (quotient & 1))) ++quotient;
  Exact bits = (Exact(shift - 24) << 10) + quotient; // carries into the exponent as it should
  return uint16_t(sign | (bits >= 0x7c00 ? 0x7c00 : uint16_t(bits)));
}

/// `expected(a, b, c)` of the lanes of zmm1, 2, 3 where k1 is set; zmm1 = the result, nothing else changes.
void check(std::mt19937 &random, void (*emit)(Assembler &), uint16_t (*expected)(uint16_t, uint16_t, uint16_t)) {
  StateProgram program([&](Assembler &a) {
    a.ud2();
    emit(a);
  });
  for (int run = 0; run < 500; ++run) {
    State s;
    s.fillWithHalves(random);
    State wanted = s;
    for (int lane = 0; lane < 32; ++lane) {
      if (!(s.k1 >> lane & 1)) continue;
      uint16_t bits = expected(half(s, 1, lane), half(s, 2, lane), half(s, 3, lane));
      memcpy(wanted.zmm[1] + 2 * lane, &bits, 2);
    }
    program(&s);
    for (int lane = 0; lane < 32; ++lane)
      ASSERT_EQ(half(s, 1, lane), half(wanted, 1, lane)) << std::hex << half(s, 2, lane) << " " << half(s, 3, lane);
    ASSERT_EQ(s, wanted);
  }
}

bool negative(uint16_t bits) { return bits >> 15; }
/// Sign of an exact sum of 0: negative only if both parts are.
uint16_t sum(Exact a, bool negativeA, Exact b, bool negativeB) {
  return rounded(a + b, a == 0 && b == 0 && negativeA && negativeB);
}
uint16_t fused(uint16_t x, uint16_t y, uint16_t z, bool negateProduct = false, bool negateAddend = false) {
  Exact product = units(x) * units(y), addend = units(z) << 24;
  bool negativeProduct = (negative(x) != negative(y)) != negateProduct;
  return sum(negateProduct ? -product : product, negativeProduct, negateAddend ? -addend : addend,
             negative(z) != negateAddend);
}

TEST_F(Fp16, FusedMultiplyAdd) {
  check(
      random, [](Assembler &a) { a.vfmadd231ph(a.zmm1 | a.k1, a.zmm2, a.zmm3); },
      [](uint16_t a, uint16_t b, uint16_t c) { return fused(b, c, a); });
  check(
      random, [](Assembler &a) { a.vfmadd213ph(a.zmm1 | a.k1, a.zmm2, a.zmm3); },
      [](uint16_t a, uint16_t b, uint16_t c) { return fused(b, a, c); });
  check(
      random, [](Assembler &a) { a.vfmadd132ph(a.zmm1 | a.k1, a.zmm2, a.zmm3); },
      [](uint16_t a, uint16_t b, uint16_t c) { return fused(a, c, b); });
  check(
      random, [](Assembler &a) { a.vfnmadd231ph(a.zmm1 | a.k1, a.zmm2, a.zmm3); },
      [](uint16_t a, uint16_t b, uint16_t c) { return fused(b, c, a, true); });
  check(
      random, [](Assembler &a) { a.vfmsub231ph(a.zmm1 | a.k1, a.zmm2, a.zmm3); },
      [](uint16_t a, uint16_t b, uint16_t c) { return fused(b, c, a, false, true); });
  check(
      random, [](Assembler &a) { a.vfnmsub213ph(a.zmm1 | a.k1, a.zmm2, a.zmm3); },
      [](uint16_t a, uint16_t b, uint16_t c) { return fused(b, a, c, true, true); });
}

TEST_F(Fp16, Arithmetic) {
  check(
      random, [](Assembler &a) { a.vaddph(a.zmm1 | a.k1, a.zmm2, a.zmm3); },
      [](uint16_t, uint16_t b, uint16_t c) { return sum(units(b) << 24, negative(b), units(c) << 24, negative(c)); });
  check(
      random, [](Assembler &a) { a.vsubph(a.zmm1 | a.k1, a.zmm2, a.zmm3); },
      [](uint16_t, uint16_t b, uint16_t c) {
        return sum(units(b) << 24, negative(b), -(units(c) << 24), !negative(c));
      });
  check(
      random, [](Assembler &a) { a.vmulph(a.zmm1 | a.k1, a.zmm2, a.zmm3); },
      [](uint16_t, uint16_t b, uint16_t c) { return rounded(units(b) * units(c), negative(b) != negative(c)); });
  check(
      random, [](Assembler &a) { a.vminph(a.zmm1 | a.k1, a.zmm2, a.zmm3); },
      [](uint16_t, uint16_t b, uint16_t c) { return units(b) < units(c) ? b : c; });
  check(
      random, [](Assembler &a) { a.vmaxph(a.zmm1 | a.k1, a.zmm2, a.zmm3); },
      [](uint16_t, uint16_t b, uint16_t c) { return units(b) > units(c) ? b : c; });
  check(
      random, [](Assembler &a) { a.vdivph(a.zmm1 | a.k1, a.zmm2, a.zmm3); },
      [](uint16_t, uint16_t b, uint16_t c) {
        uint16_t sign = negative(b) != negative(c) ? 0x8000 : 0;
        if (units(c) == 0) return uint16_t(units(b) == 0 ? 0x7e00 | sign : 0x7c00 | sign);
        // 40 bits below the last place of any half, and one for the rest that a tie must not have.
        Exact x = units(b) << 64, y = units(c), quotient = x / y;
        if (x % y != 0)
          quotient = (quotient * 2 + ((x < 0) == (y < 0) ? 1 : -1));
        else
          quotient *= 2;
        Exact scaled = quotient >> 17, lost = quotient - (scaled << 17); // 2^-65 to 2^-48, the rest kept odd
        return rounded(scaled | (lost != 0), sign);
      });
}

TEST_F(Fp16, FromIntegers) {
  check(
      random, [](Assembler &a) { a.vcvtw2ph(a.zmm1 | a.k1, a.zmm2); },
      [](uint16_t, uint16_t b, uint16_t) { return rounded(Exact(int16_t(b)) << 48); });
  check(
      random, [](Assembler &a) { a.vcvtuw2ph(a.zmm1 | a.k1, a.zmm2); },
      [](uint16_t, uint16_t b, uint16_t) { return rounded(Exact(b) << 48); });
}

void expectSame(const StateProgram &emulated, const StateProgram &native, std::mt19937 &random) {
  for (int run = 0; run < 500; ++run) {
    State a;
    a.fillWithHalves(random);
    State b = a;
    emulated(&a), native(&b);
    ASSERT_EQ(a, b) << "run " << run;
  }
}

/// F16C's conversions, which this CPU has, are the same.
TEST_F(Fp16, Conversions) {
  expectSame(StateProgram([](Assembler &a) {
               a.ud2(), a.vcvtph2psx(a.zmm1, a.ymm2);
               a.ud2(), a.vcvtph2psx(a.zmm18 | a.k1, a.ptr[a.rsi + 32]);
               a.ud2(), a.vcvtph2psx(a.ymm3 | a.k1 | a.T_z, a.xmm4);
             }),
             StateProgram([](Assembler &a) {
               a.vcvtph2ps(a.zmm1, a.ymm2);
               a.vcvtph2ps(a.zmm18 | a.k1, a.ptr[a.rsi + 32]);
               a.vcvtph2ps(a.ymm3 | a.k1 | a.T_z, a.xmm4);
             }),
             random);
  auto squares = [](Assembler &a) {
    a.vcvtph2ps(a.zmm2, a.ymm2);
    a.vmulps(a.zmm2, a.zmm2, a.zmm2);
  };
  expectSame(StateProgram([&](Assembler &a) { squares(a), a.ud2(), a.vcvtps2phx(a.ymm1, a.zmm2); }),
             StateProgram([&](Assembler &a) { squares(a), a.vcvtps2ph(a.ymm1, a.zmm2, 4); }), random);
}

TEST_F(Fp16, BroadcastAndWords) {
  expectSame(StateProgram([](Assembler &a) {
               a.ud2(), a.vaddph(a.zmm1 | a.k1, a.zmm2, a.ptr_b[a.rsi + 34]);
               a.ud2(), a.vmovw(a.xmm7, a.ptr[a.rsi + 6]);
               a.ud2(), a.vmovw(a.ptr[a.rsi + 8], a.xmm5);
               a.ud2(), a.vmovw(a.eax, a.xmm6);
               a.mov(a.ptr[a.rsi + 16], a.rax);
             }),
             StateProgram([](Assembler &a) {
               a.vpbroadcastw(a.zmm7, a.ptr[a.rsi + 34]);
               a.ud2(), a.vaddph(a.zmm1 | a.k1, a.zmm2, a.zmm7);
               a.movzx(a.eax, a.word[a.rsi + 6]);
               a.vmovd(a.xmm7, a.eax);
               a.vpextrw(a.word[a.rsi + 8], a.xmm5, 0);
               a.vpextrw(a.eax, a.xmm6, 0);
               a.mov(a.ptr[a.rsi + 16], a.rax);
             }),
             random);
}

/// What the CPU has itself, if it has it, agrees.
TEST_F(Fp16, EqualsNative) {
  if (!nativeFeatures().has(Feature::Avx512fp16)) return; // the tests above are what there is then
  auto both = [&](void (*emit)(Assembler &)) {
    expectSame(StateProgram([&](Assembler &a) { a.ud2(), emit(a); }), StateProgram(emit), random);
  };
  both([](Assembler &a) { a.vfmadd231ph(a.zmm1 | a.k1, a.zmm2, a.zmm3); });
  both([](Assembler &a) { a.vdivph(a.zmm1 | a.k1 | a.T_z, a.zmm2, a.zmm3); });
  both([](Assembler &a) { a.vcvtps2phx(a.ymm1, a.zmm2); });
}

} // namespace
} // namespace llmc::test::isa
