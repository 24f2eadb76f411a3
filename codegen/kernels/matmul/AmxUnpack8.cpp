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
  auto nextStep = [&] {
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
    nextStep();
    a.dec(a.r15);
    a.jnz(next, a.T_NEAR);
    return;
  }
  countGroups(loops);
  a.L(next);
  a.lea(a.rbx, a.ptr[a.rax + int(f.codeBytes())]);
  parameters();
  repeat(a, a.r15, f.group / kPerStep(), nextStep);
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
  if (requantised) return lines.constants();
  if (f.kind == WeightKind::I4) broadcast(a, nibbles, 0x0f0f0f0f);
  if (f.offset == Offset::None) broadcast(a, centre(0), f.kind == WeightKind::I4 ? 0x08080808 : 0x80808080);
}

/// The columns' ranges, their scales to the table.
void Int8Strip::ranges(AmxEmitter &loops) {
  a.mov(a.rbx, loops.weights());
  a.add(a.rbx, uint32_t(f.codeBytes()));
  countGroups(loops);
  lines.ranges(a.rbx, a.r14,
               [&](int l, const Zmm &scale) { a.vmovups(a.ptr[base + size_t(2 * kHalfBytes + l * 64)], scale); });
}

/// What the lines of a group need; with exact scales also the table row of its step.
void Int8Strip::parameters() {
  if (requantised) return lines.enterGroup(a.rbx);
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
    if (requantised)
      lines.line(l, a.ptr[a.rax + l * 64], [&](int row, const Zmm &codes) { store(codes, l, row); });
    else
      exactLine(l);
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
