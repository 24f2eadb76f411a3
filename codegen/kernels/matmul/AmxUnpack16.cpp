#include "codegen/kernels/attention/Half.h"
#include "codegen/kernels/matmul/Amx.h"
#include "codegen/kernels/matmul/AmxUnpack.h"
#include "codegen/kernels/matmul/Rows16.h"
#include <array>

namespace llmc::matmul {
using namespace Xbyak;

namespace {
constexpr Isa kIsa{true};
constexpr int kLines = 4;
constexpr int64_t kAhead = 4096; // prefetching, as in AmxUnpack8.cpp

template <typename T, size_t n> std::array<uint8_t, n * sizeof(T)> bytesOf(const std::array<T, n> &values) {
  return std::bit_cast<std::array<uint8_t, n * sizeof(T)>>(values);
}

/// f32 of each 4-bit code less `centre`, for vpermps; f16 twice over, for vpermw (five bits of index).
std::array<float, 16> codeTable(float centre) {
  std::array<float, 16> values;
  for (int i = 0; i < 16; ++i) values[size_t(i)] = float(i) - centre;
  return values;
}
std::array<uint16_t, 32> halfCodeTable(float centre) {
  std::array<uint16_t, 32> values;
  for (int i = 0; i < 32; ++i) values[size_t(i)] = f32ToF16(float(i % 16) - centre);
  return values;
}

/// vpermw: words 0..15 to the low, 16..31 to the high words of dwords.
std::array<uint16_t, 32> interleaved() {
  std::array<uint16_t, 32> words;
  for (int i = 0; i < 32; ++i) words[size_t(i)] = uint16_t(i / 2 + i % 2 * 16);
  return words;
}
} // namespace

int64_t Strip16::chunkBytes() const {
  return perColumn ? kChunk * f.codeBytes() / f.group : kChunk / f.group * f.blockBytes();
}

void Strip16::unpack(AmxEmitter &loops) {
  constants();
  a.mov(a.rax, loops.weights());
  a.lea(a.r12, a.ptr[base]);
  groups(loops);
  clearRest(loops);
}

void Strip16::groups(AmxEmitter &loops) {
  auto lines = [&] {
    step();
    a.add(a.rax, kLines * 64);
    a.add(a.r12, uint32_t(kPerStep() * kBytesPerK));
  };
  auto count = [&](const Reg32 &to, int64_t k) {
    loops.ifLastChunk([&] { a.mov(to, uint32_t((loops.lastChunkK() + k - 1) / k)); },
                      [&] { a.mov(to, uint32_t(kChunk / k)); });
  };
  Label next;
  if (perColumn) { // one group: its scales are behind the whole K
    count(a.r15d, kPerStep());
    a.lea(a.rbx, a.ptr[Gpr{}.panel + int(f.codeBytes())]);
    parameters();
    a.L(next);
    lines();
    a.dec(a.r15);
    a.jnz(next, a.T_NEAR);
    return;
  }
  count(a.r14d, f.group);
  a.L(next);
  a.lea(a.rbx, a.ptr[a.rax + int(f.codeBytes())]);
  parameters();
  repeat(a, a.r15, f.group / kPerStep(), lines);
  a.add(a.rax, uint32_t(f.scaleBytes() + f.offsetBytes()));
  a.dec(a.r14);
  a.jnz(next, a.T_NEAR);
}

void Strip16::constants() {
  auto load = [&](const Zmm &to, llvm::ArrayRef<uint8_t> bytes) {
    a.vmovups(to, a.ptr[a.rip + a.constantBytes(bytes)]);
  };
  float zero = f.offset == Offset::None ? 8 : 0;
  if (!inHalves) load(interleave, bytesOf(interleaved()));
  if (i4 && inHalves) return load(table, bytesOf(halfCodeTable(zero)));
  if (i4) return load(table, bytesOf(codeTable(zero)));
  broadcast(a, lowBytes, inHalves ? 0x00ff00ff : 0xff);
  if (f.offset == Offset::None) broadcast(a, centre, inHalves ? 0x00800080 : 0x80);
}

/// Dwords below 2^16 to both words of each; clobbers zmm1.
void Strip16::toWords(const Zmm &v) {
  a.vpslld(a.zmm1, v, 16);
  a.vpord(v, v, a.zmm1);
}

void Strip16::halfParameters(int line) {
  auto halves = [&](const Zmm &to, int64_t at) {
    a.vpmovzxwd(to, a.ptr[a.rbx + (at + line * 32)]);
    toWords(to);
  };
  halves(scale(line), 0);
  if (f.offset == Offset::MinF16) halves(offset(line), f.scaleBytes());
  if (f.offset != Offset::ZeroPoint) return;
  loadZeroPoints(a, kIsa, f, offset(line), a.rbx, 0, line);
  toWords(offset(line));
  if (i4) a.vcvtw2ph(offset(line), offset(line)); // subtracted from what the table gives
}

void Strip16::wideParameters(int line) {
  loadScales(a, kIsa, f.scale, scale(line), a.rbx, 0, line);
  if (f.hasMinimum()) loadMinima(a, kIsa, f, offset(line), a.rbx, 0, line);
  if (f.offset != Offset::ZeroPoint) return;
  loadZeroPoints(a, kIsa, f, offset(line), a.rbx, 0, line);
  if (i4) a.vcvtdq2ps(offset(line), offset(line));
}

void Strip16::parameters() {
  for (int l = 0; l < kLines; ++l) inHalves ? halfParameters(l) : wideParameters(l);
}

void Strip16::store(const Zmm &weights, int line, int pair) {
  a.vmovdqa32(a.ptr[a.r12 + (line / 2 * kHalfBytes + line % 2 * 64 + pair * kRowBytes)], weights);
}

/// A step of codes: 64 bytes for each 16 columns. Pair i of it: codes i and i + half of the dword's, as the rows have
/// k.
void Strip16::step() {
  for (int l = 0; l < kLines; ++l) {
    a.prefetcht0(a.ptr[a.rax + (kAhead + l * 64)]);
    a.vmovdqu32(codes, a.ptr[a.rax + l * 64]);
    for (int pair = 0; pair < pairsPerStep(); ++pair) {
      const Zmm weights(1 + 2 * (pair % 2)); // and the next one
      inHalves ? halfPair(weights, pair, l) : widePair(weights, pair, l);
      store(weights, l, pair);
    }
  }
}

void Strip16::halfPair(const Zmm &to, int pair, int line) {
  if (i4) {
    if (pair) a.vpsrlw(to, codes, uint8_t(4 * pair));
    a.vpermw(to, pair ? to : codes, table);
    if (f.offset == Offset::ZeroPoint) a.vsubph(to, to, offset(line));
  } else {
    if (pair)
      a.vpsrlw(to, codes, 8);
    else
      a.vpandd(to, codes, lowBytes);
    if (f.offset == Offset::None) a.vpsubw(to, to, centre);
    if (f.offset == Offset::ZeroPoint) a.vpsubw(to, to, offset(line));
    a.vcvtw2ph(to, to);
  }
  if (f.hasMinimum())
    a.vfmadd213ph(to, scale(line), offset(line));
  else
    a.vmulph(to, to, scale(line));
}

/// f32 of the code at `bit` of the dwords.
void Strip16::element(const Zmm &to, int bit, int line) {
  if (bit)
    a.vpsrld(to, codes, uint8_t(bit));
  else if (i4)
    a.vmovdqa32(to, codes);
  if (i4) {
    a.vpermps(to, to, table);
    if (f.offset == Offset::ZeroPoint) a.vsubps(to, to, offset(line));
  } else {
    if (bit < 24) a.vpandd(to, bit ? to : codes, lowBytes);
    if (f.offset == Offset::None) a.vpsubd(to, to, centre);
    if (f.offset == Offset::ZeroPoint) a.vpsubd(to, to, offset(line));
    a.vcvtdq2ps(to, to);
  }
  if (f.hasMinimum())
    a.vfmadd213ps(to, scale(line), offset(line));
  else
    a.vmulps(to, to, scale(line));
}

void Strip16::widePair(const Zmm &to, int pair, int line) {
  const Zmm second(to.getIdx() + 1);
  const int bits = i4 ? 4 : 8;
  element(to, pair * bits, line);
  element(second, pair * bits + 16, line);
  if (fp16) {
    a.vcvtps2phx(Ymm(to.getIdx()), to);
    a.vcvtps2phx(Ymm(second.getIdx()), second);
    a.vinserti64x4(to, to, Ymm(second.getIdx()), 1);
  } else {
    a.vcvtne2ps2bf16(to, second, to);
  }
  a.vpermw(to, interleave, to);
}

/// Zeros up to the end of the last step.
void Strip16::clearRest(AmxEmitter &loops) {
  Label next, done;
  clear(a, a.zmm0);
  a.imul(a.rbx, loops.steps(), int(32 * kBytesPerK));
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
