#include "codegen/kernels/matmul/RequantisedLines.h"

namespace llmc::matmul {
using namespace Xbyak;

namespace {
constexpr Isa kIsa{true};
constexpr int kLines = 4;
// vpternlogd: (a & b) ^ c, (a & b) | c.
constexpr uint8_t kAndXor = 0x6a, kAndOr = 0xea;
} // namespace

void RequantisedLines::constants() {
  broadcast(a, topBits, i4 ? 0xf000f000 : 0xff00ff00);
  broadcast(a, signBit, 0x80008000);
  broadcast(a, highByte, 0xff00ff00);
  if (f.offset == Offset::None)
    for (int l = 0; l < kLines; ++l) broadcast(a, added(l), 0x00800080);
}

/// What code H (8, 128) stands for, from the group's scale; clobbers zmm3.
void RequantisedLines::offsetOf(const Zmm &to, const Zmm &scale, const Reg64 &scales, int line) {
  const Zmm &h = a.zmm3;
  if (f.offset == Offset::None) return clear(a, to);
  if (f.offset == Offset::ZeroPoint) {
    loadZeroPoints(a, kIsa, f, to, scales, 0, line);
    broadcast(a, h, halfRange());
    a.vpsubd(to, h, to);
    a.vcvtdq2ps(to, to);
    a.vmulps(to, to, scale);
    return;
  }
  loadMinima(a, kIsa, f, to, scales, 0, line);
  a.vfmadd231ps(to, scale, a.ptr_b[a.rip + a.constantF32(float(halfRange()))]);
}

void RequantisedLines::ranges(const Reg64 &scales, const Reg64 &groups,
                              llvm::function_ref<void(int, const Zmm &)> store) {
  const Zmm &scale = a.zmm0, &offset = a.zmm1, &magnitude = a.zmm2, &noSign = a.zmm4, &most = a.zmm5;
  broadcast(a, noSign, 0x7fffffff);
  for (int l = 0; l < kLines; ++l) clear(a, inverse(l));
  Label next;
  a.L(next);
  for (int l = 0; l < kLines; ++l) {
    loadScales(a, kIsa, f.scale, scale, scales, 0, l);
    offsetOf(offset, scale, scales, l);
    a.vpandd(offset, offset, noSign);
    a.vpandd(magnitude, scale, noSign);
    a.vfmadd231ps(offset, magnitude, a.ptr_b[a.rip + a.constantF32(float(halfRange()))]);
    a.vmaxps(inverse(l), inverse(l), offset);
  }
  a.add(scales, uint32_t(f.blockBytes()));
  a.dec(groups);
  a.jnz(next, a.T_NEAR);
  broadcast(a, most, 0x42fe0000); // 127
  constexpr uint8_t kLess = 1;
  for (int l = 0; l < kLines; ++l) {
    a.vdivps(magnitude, most, inverse(l));
    a.vcmpps(a.k1, magnitude, a.ptr_b[a.rip + a.constant32(0x7f800000)], kLess); // finite
    a.vdivps(scale | a.k1 | a.T_z, inverse(l), most);
    a.vmovaps(inverse(l) | a.k1 | a.T_z, magnitude);
    store(l, scale);
  }
}

/// Dwords that fit in 16 bits to both words of each.
void RequantisedLines::toWords(const Zmm &v) {
  a.vpackssdw(v, v, v);
  a.vpunpcklwd(v, v, v);
}

void RequantisedLines::enterGroup(const Reg64 &scales) {
  const Zmm &scale = a.zmm0, &offset = a.zmm1;
  for (int l = 0; l < kLines; ++l) {
    loadScales(a, kIsa, f.scale, scale, scales, 0, l);
    if (f.offset != Offset::None) {
      offsetOf(offset, scale, scales, l);
      a.vmulps(offset, offset, inverse(l));
      a.vmulps(offset, offset, a.ptr_b[a.rip + a.constantF32(256)]);
      a.vcvtps2dq(added(l), offset);
      a.vpaddd(added(l), added(l), a.ptr_b[a.rip + a.constant32(128)]);
      toWords(added(l));
    }
    a.vmulps(scale, scale, inverse(l));
    a.vmulps(scale, scale, a.ptr_b[a.rip + a.constantF32(256 * float(halfRange()))]);
    a.vcvtps2dq(ratio(l), scale);
    toWords(ratio(l));
  }
}

/// Codes alone in the top bits of words, less H; times the ratio, plus the offset: 8 bits behind the point.
void RequantisedLines::line(int line, const Address &from, llvm::function_ref<void(int, const Zmm &)> store) {
  const Zmm codes[4] = {a.zmm0, a.zmm1, a.zmm2, a.zmm3};
  const int perWord = i4 ? 4 : 2;
  a.vmovdqu32(codes[perWord - 1], from);
  for (int i = 0; i < perWord - 1; ++i) a.vpsllw(codes[i], codes[perWord - 1], uint8_t(16 - 16 / perWord * (i + 1)));
  a.vpxord(codes[0], codes[0], signBit); // nothing below it
  for (int i = 1; i < perWord; ++i) a.vpternlogd(codes[i], topBits, signBit, kAndXor);
  for (int i = 0; i < perWord; ++i) {
    a.vpmulhrsw(codes[i], codes[i], ratio(line));
    a.vpaddsw(codes[i], codes[i], added(line));
  }
  // I4: codes 0..3 of a word are k 0, 4, 1, 5. I8: k 0, 1.
  for (int row = 0; row < perWord / 2; ++row) {
    const Zmm &first = codes[row], &second = codes[row + perWord / 2];
    a.vpsrlw(first, first, 8);
    a.vpternlogd(second, highByte, first, kAndOr);
    store(row, second);
  }
}

} // namespace llmc::matmul
