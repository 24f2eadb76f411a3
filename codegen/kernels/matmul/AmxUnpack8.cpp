#include "codegen/kernels/matmul/Amx.h"
#include "codegen/kernels/matmul/AmxUnpack.h"
#include <array>

namespace llmc::matmul {
using namespace Xbyak;

namespace {
constexpr Isa kIsa{true};
constexpr int kLines = 4;
/// How far ahead weights are prefetched: the row blocks between two chunks leave the hardware's streams behind.
constexpr int64_t kAhead = 4096;
// vpternlogd: (a & b) ^ c, (a & b) | c.
constexpr uint8_t kAndXor = 0x6a, kAndOr = 0xea;

/// vpshufb: the first byte of each dword four times.
std::array<uint8_t, 64> firstBytes() {
  std::array<uint8_t, 64> bytes;
  for (int i = 0; i < 64; ++i) bytes[size_t(i)] = uint8_t(i % 16 / 4 * 4);
  return bytes;
}
} // namespace

int64_t Int8Strip::chunkBytes() const {
  if (perColumn) return kRequantiseBlock * f.codeBytes() / f.group;
  return kRequantiseBlock / f.group * f.blockBytes();
}

void Int8Strip::unpack(AmxEmitter &loops) {
  constants();
  if (requantised) ranges(loops);
  a.mov(a.rax, loops.weights());
  a.lea(a.r12, a.ptr[base]);
  a.lea(a.rdx, a.ptr[base + size_t(2 * kHalfBytes)]);
  groups(loops);
  if (oneRow()) clearRest(loops);
}

void Int8Strip::groups(AmxEmitter &loops) {
  auto lines = [&] {
    step();
    a.add(a.rax, kLines * 64);
    a.add(a.r12, uint32_t(kPerStep() * kBytesPerK));
  };
  Label next;
  if (perColumn) { // one group: its scales are behind the whole K
    loops.ifLastChunk([&] { a.mov(a.r15d, uint32_t((loops.lastChunkK() + kPerStep() - 1) / kPerStep())); },
                      [&] { a.mov(a.r15d, uint32_t(kRequantiseBlock / kPerStep())); });
    a.lea(a.rbx, a.ptr[Gpr{}.panel + int(f.codeBytes())]);
    parameters();
    a.L(next);
    lines();
    a.dec(a.r15);
    a.jnz(next, a.T_NEAR);
    return;
  }
  countGroups(loops);
  a.L(next);
  a.lea(a.rbx, a.ptr[a.rax + int(f.codeBytes())]);
  parameters();
  repeat(a, a.r15, f.group / kPerStep(), lines);
  a.add(a.rax, uint32_t(f.scaleBytes() + f.offsetBytes()));
  a.add(a.rdx, uint32_t(kTableRow));
  a.dec(a.r14);
  a.jnz(next, a.T_NEAR);
}

/// r14: groups of the chunk.
void Int8Strip::countGroups(AmxEmitter &loops) {
  loops.ifLastChunk([&] { a.mov(a.r14d, uint32_t((loops.lastChunkK() + f.group - 1) / f.group)); },
                    [&] { a.mov(a.r14d, uint32_t(kRequantiseBlock / f.group)); });
}

void Int8Strip::constants() {
  if (requantised) {
    broadcast(a, topBits, f.kind == WeightKind::I4 ? 0xf000f000 : 0xff00ff00);
    broadcast(a, signBit, 0x80008000);
    broadcast(a, highByte, 0xff00ff00);
    if (f.offset == Offset::None)
      for (int l = 0; l < kLines; ++l) broadcast(a, added(l), 0x00800080);
    return;
  }
  if (f.kind == WeightKind::I4) broadcast(a, nibbles, 0x0f0f0f0f);
  if (f.offset == Offset::None) broadcast(a, centre(0), f.kind == WeightKind::I4 ? 0x08080808 : 0x80808080);
}

/// What code H (8, 128) stands for, from the group's scale; clobbers zmm3.
void Int8Strip::offsetOf(const Zmm &to, const Zmm &scale, int line) {
  const Zmm &h = a.zmm3;
  if (f.offset == Offset::None) return clear(a, to);
  if (f.offset == Offset::ZeroPoint) {
    loadZeroPoints(a, kIsa, f, to, a.rbx, 0, line);
    broadcast(a, h, uint32_t(halfRange()));
    a.vpsubd(to, h, to);
    a.vcvtdq2ps(to, to);
    a.vmulps(to, to, scale);
    return;
  }
  loadMinima(a, kIsa, f, to, a.rbx, 0, line);
  a.vfmadd231ps(to, scale, a.ptr_b[a.rip + a.constantF32(float(halfRange()))]);
}

/// inverse = 127 / largest of each column, the scales to the table: Requantise.h has the formulas.
void Int8Strip::ranges(AmxEmitter &loops) {
  const Zmm &scale = a.zmm0, &offset = a.zmm1, &magnitude = a.zmm2, &noSign = a.zmm4, &most = a.zmm5;
  broadcast(a, noSign, 0x7fffffff);
  for (int l = 0; l < kLines; ++l) clear(a, inverse(l));
  a.mov(a.rbx, loops.weights());
  a.add(a.rbx, uint32_t(f.codeBytes()));
  countGroups(loops);
  Label next;
  a.L(next);
  for (int l = 0; l < kLines; ++l) {
    loadScales(a, kIsa, f.scale, scale, a.rbx, 0, l);
    offsetOf(offset, scale, l);
    a.vpandd(offset, offset, noSign);
    a.vpandd(magnitude, scale, noSign);
    a.vfmadd231ps(offset, magnitude, a.ptr_b[a.rip + a.constantF32(float(halfRange()))]);
    a.vmaxps(inverse(l), inverse(l), offset);
  }
  a.add(a.rbx, uint32_t(f.blockBytes()));
  a.dec(a.r14);
  a.jnz(next, a.T_NEAR);
  broadcast(a, most, 0x42fe0000); // 127
  constexpr uint8_t kLess = 1;
  for (int l = 0; l < kLines; ++l) {
    a.vdivps(magnitude, most, inverse(l));
    a.vcmpps(a.k1, magnitude, a.ptr_b[a.rip + a.constant32(0x7f800000)], kLess); // finite
    a.vdivps(scale | a.k1 | a.T_z, inverse(l), most);
    a.vmovaps(inverse(l) | a.k1 | a.T_z, magnitude);
    a.vmovups(a.ptr[base + size_t(2 * kHalfBytes + l * 64)], scale);
  }
}

/// Dwords that fit in 16 bits to both words of each.
void Int8Strip::toWords(const Zmm &v) {
  a.vpackssdw(v, v, v);
  a.vpunpcklwd(v, v, v);
}

/// ratio and added of a group.
void Int8Strip::ratios() {
  const Zmm &scale = a.zmm0, &offset = a.zmm1;
  for (int l = 0; l < kLines; ++l) {
    loadScales(a, kIsa, f.scale, scale, a.rbx, 0, l);
    if (f.offset != Offset::None) {
      offsetOf(offset, scale, l);
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

/// What the lines of a group need; with exact scales also the table row of its step.
void Int8Strip::parameters() {
  if (requantised) return ratios();
  for (int l = 0; l < kLines; ++l) {
    loadScales(a, kIsa, f.scale, a.zmm0, a.rbx, 0, l);
    a.vmovups(a.ptr[a.rdx + l * 64], a.zmm0);
    if (f.offset == Offset::ZeroPoint) {
      loadZeroPoints(a, kIsa, f, a.zmm0, a.rbx, 0, l);
      if (hasZeroTable())
        a.vmovdqu32(a.ptr[a.rdx + (kTableBytes + l * 64)], a.zmm0);
      else
        a.vpshufb(centre(l), a.zmm0, a.ptr[a.rip + a.constantBytes(firstBytes())]);
    }
    if (f.hasMinimum()) {
      loadMinima(a, kIsa, f, a.zmm0, a.rbx, 0, l);
      a.vmovups(a.ptr[a.rdx + (kTableBytes + l * 64)], a.zmm0);
    }
  }
}

/// A step of codes: 64 bytes for each 16 columns.
void Int8Strip::step() {
  for (int l = 0; l < kLines; ++l) {
    a.prefetcht0(a.ptr[a.rax + (kAhead + l * 64)]);
    requantised ? requantisedLine(l) : exactLine(l);
  }
}

/// Row 0 or 1 (k 0..3, 4..7 of the step) of a line's B tile.
void Int8Strip::store(const Zmm &codes, int line, int row) {
  a.vmovdqa32(a.ptr[a.r12 + (line / 2 * kHalfBytes + line % 2 * 64 + row * kRowBytes)], codes);
}

void Int8Strip::exactLine(int line) {
  const Zmm &low = a.zmm0, &high = a.zmm1;
  Address codes = a.ptr[a.rax + line * 64];
  if (f.kind == WeightKind::I8) {
    if (isUnsigned())
      a.vmovdqu32(low, codes);
    else
      a.vpxord(low, centre(0), codes); // code - 128 in 8 bits
    return store(low, line, 0);
  }
  a.vmovdqu32(high, codes);
  a.vpandd(low, high, nibbles);
  a.vpsrlw(high, high, 4);
  a.vpandd(high, high, nibbles);
  if (!f.hasMinimum()) {
    a.vpsubb(low, low, centre(line));
    a.vpsubb(high, high, centre(line));
  }
  store(low, line, 0);
  store(high, line, 1);
}

/// Codes alone in the top bits of words, less H; times the ratio, plus the offset: 8 bits behind the point.
void Int8Strip::requantisedLine(int line) {
  const Zmm codes[4] = {a.zmm0, a.zmm1, a.zmm2, a.zmm3};
  const bool i4 = f.kind == WeightKind::I4;
  const int perWord = i4 ? 4 : 2;
  a.vmovdqu32(codes[perWord - 1], a.ptr[a.rax + line * 64]);
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
    store(second, line, row);
  }
}

/// Zeros up to the end of the last step.
void Int8Strip::clearRest(AmxEmitter &loops) {
  Label next, done;
  clear(a, a.zmm0);
  a.imul(a.rbx, loops.steps(), int(stepK * kBytesPerK));
  a.lea(a.rbx, a.ptr[base + a.rbx]);
  a.L(next);
  a.cmp(a.r12, a.rbx);
  a.jge(done, a.T_NEAR);
  for (int l = 0; l < kLines; ++l) store(a.zmm0, l, 0);
  a.add(a.r12, uint32_t(kRowBytes));
  a.jmp(next, a.T_NEAR);
  a.L(done);
}

} // namespace llmc::matmul
