// I4 and I8 weights by F32 rows, AVX2 and AVX-512: codes are widened to f32 in registers, one k at a time.
// Loops: panel > row block > group > part > step > k > row > vector. The sums of a group are in registers, those over
// groups on the stack. AVX-512: 6 rows, the part is the whole panel. AVX2: 4 rows, parts of 8, 4 or 2 half lines.
// AVX2 by I4 is bound by unpacking: codes are multiplied as they are, and the zero point times the sum of x is taken
// off at the end of a group; one row goes step > nibbles > half line > k, so that masking serves 4 k.
#include "codegen/kernels/matmul/Loops.h"
#include <algorithm>
#include <array>
#include <bit>

namespace llmc::matmul {
using namespace Xbyak;

namespace {
const Gpr g;
constexpr int kMaxRows = 6;

class Emitter {
public:
  Emitter(Assembler &a, const MatmulDesc &desc, const Target &target, Isa isa)
      : a(a), desc(desc), f(desc.w), isa(isa), i4(desc.w.kind == WeightKind::I4), table(isa.avx512 && i4),
        plain(i4 && !isa.avx512), kPerStep(i4 ? 8 : 4), distance(prefetchDistance(desc, target)),
        firstWeight(isa.avx512 ? 24 : 8) {}

  void emit() {
    int stack = int(kMaxRows + 1) * kPanel * 4 + 64; // sums, zeros, sums of x
    emitPanels(a, desc, isa.avx512 ? kMaxRows : 4, stack, [&](int count) { rowBlock(count); }, isa);
  }

private:
  void rowBlock(int count);
  void constants();
  void group(int64_t k);
  void zeroPoints();
  void sumsOfX(int64_t k);
  void part(int64_t k);
  void step(int64_t index);
  void stepOfOneRow(int64_t index);
  void unpack(int vector, int64_t index, int64_t k);
  void addToSums();

  Xmm accumulator(int row, int vector) const { return isa.vec(row * width + vector); }
  Xmm weight(int vector) const { return isa.vec(firstWeight + vector % 4); }
  Xmm broadcastOf(int turn) const { return isa.vec(firstWeight + 4 + turn % 2); }
  Xmm tableOrMask() const { return isa.vec(firstWeight + 6); }
  Xmm zero() const { return isa.vec(firstWeight + 7); }
  Address sumAt(int row, int vector) const { return a.ptr[a.rsp + (row * isa.vectors() + vector) * isa.bytes()]; }
  Address zeroAt(int vector) const { return a.ptr[a.rsp + kMaxRows * kPanel * 4 + vector * isa.bytes()]; }
  RegExp sumOfXAt(int row) const { return a.rsp + ((kMaxRows + 1) * kPanel * 4 + row * 4); }
  void bitAnd(const Xmm &to, const Xmm &x, const Operand &y) {
    if (isa.avx512)
      a.vpandd(to, x, y);
    else
      a.vpand(to, x, y);
  }

  Assembler &a;
  const MatmulDesc &desc;
  const WeightFormat &f;
  Isa isa;
  bool i4, table;                     // table: codes become floats by a lookup of 16 entries (vpermps)
  bool plain;                         // the codes are multiplied, not what they stand for
  int64_t kPerStep, distance;         // distance: of prefetching
  int firstWeight;                    // 4 weights, 2 broadcasts, 2 constants follow the accumulators
  int rows = 0, width = 0, first = 0; // vectors of a part, and the part's first one
};

/// The table: the code, centred when the format is symmetric. Or the mask of a code, and what is subtracted.
void Emitter::constants() {
  bool centred = f.offset == Offset::None;
  if (table) {
    std::array<uint8_t, 64> bytes;
    for (int i = 0; i < 16; ++i) {
      uint32_t bits = std::bit_cast<uint32_t>(float(i - (centred ? 8 : 0)));
      for (int j = 0; j < 4; ++j) bytes[i * 4 + j] = uint8_t(bits >> 8 * j);
    }
    a.vmovups(tableOrMask(), a.ptr[a.rip + a.constantBytes(bytes)]);
    return;
  }
  broadcast(a, tableOrMask(), !i4 ? 255 : rows == 1 ? 0x0f0f0f0f : 15);
  if (centred && !plain) broadcast(a, zero(), 128);
}

void Emitter::rowBlock(int count) {
  rows = count;
  width = isa.avx512 ? 4 : rows == 1 ? 8 : rows == 2 ? 4 : 2;
  constants();
  clear(a, isa.vec(0));
  for (int r = 0; r < rows; ++r)
    for (int v = 0; v < isa.vectors(); ++v) a.vmovaps(sumAt(r, v), isa.vec(0));
  a.mov(g.w, g.panel);
  a.mov(g.xk, g.x);
  repeat(a, g.outer, desc.k / f.group, [&] {
    group(f.group);
    a.add(g.w, uint32_t(f.blockBytes()));
    a.add(g.xk, uint32_t(f.group * 4));
  });
  if (desc.k % f.group) group(desc.k % f.group);
  for (int r = 0; r < rows; ++r)
    for (int v = 0; v < isa.vectors(); ++v) {
      a.vmovaps(isa.vec(0), sumAt(r, v));
      storeSum(a, desc, isa, isa.vec(0), r, v);
    }
}

/// One group of which k inputs exist, at g.w and g.xk.
void Emitter::group(int64_t k) {
  a.lea(g.scales, a.ptr[g.w + f.codeBytes()]);
  for (int64_t line = 0; line < f.scaleBytes() + f.offsetBytes(); line += 64) prefetch(a, distance, g.scales + line);
  if (f.offset == Offset::ZeroPoint) zeroPoints();
  if (f.hasMinimum() || plain) sumsOfX(k);
  for (first = 0; first < isa.vectors(); first += width) part(k);
}

/// Zero points to the stack, as what unpack subtracts, or f32.
void Emitter::zeroPoints() {
  for (int v = 0; v < isa.vectors(); ++v) {
    loadZeroPoints(a, isa, f, weight(v), g.scales, 0, v);
    if (i4) a.vcvtdq2ps(weight(v), weight(v));
    a.vmovups(zeroAt(v), weight(v));
  }
}

/// Of each row in 8 partial sums over k ascending; see sumLanes for the rest.
void Emitter::sumsOfX(int64_t k) {
  int64_t vectors = k / 8;
  int unroll = unrollOf(vectors, 16);
  bool loops = unroll < vectors;
  for (int r = 0; r < rows; ++r)
    if (loops) clear(a, Ymm(r));
  repeat(a, g.inner, vectors / unroll, [&] {
    for (int r = 0; r < rows; ++r)
      for (int i = 0; i < unroll; ++i) {
        Address x = a.ptr[g.xk + (r * desc.xStride + i * 32)];
        if (i == 0 && !loops)
          a.vmovups(Ymm(r), x);
        else
          a.vaddps(Ymm(r), Ymm(r), x);
      }
    if (loops) a.add(g.xk, unroll * 32);
  });
  if (loops) a.sub(g.xk, uint32_t(k * 4));
  sumLanes(a, rows, sumOfXAt(0));
}

void Emitter::part(int64_t k) {
  for (int r = 0; r < rows; ++r)
    for (int v = 0; v < width; ++v) clear(a, accumulator(r, v));
  int64_t steps = k / kPerStep;
  int unroll = unrollOf(steps, (rows == 1 ? 2 : 1) * (i4 ? 1 : 2));
  repeat(a, g.inner, steps / unroll, [&] {
    for (int i = 0; i < unroll; ++i) step(i);
    if (unroll == steps) return;
    a.add(g.w, uint32_t(unroll * 4 * kPanel));
    a.add(g.xk, uint32_t(unroll * kPerStep * 4));
  });
  if (unroll < steps) {
    a.sub(g.w, uint32_t(steps * 4 * kPanel));
    a.sub(g.xk, uint32_t(k * 4));
  }
  addToSums();
}

void Emitter::step(int64_t index) {
  for (int64_t line = first * isa.bytes(); line < (first + width) * isa.bytes(); line += 64)
    prefetch(a, distance, g.w + (index * 4 * kPanel + line));
  if (plain && rows == 1) return stepOfOneRow(index);
  int chunk = std::min(width, 4);
  for (int64_t k = 0; k < kPerStep; ++k) {
    auto x = [&](int r) { return a.ptr[g.xk + (r * desc.xStride + (index * kPerStep + k) * 4)]; };
    if (rows == 1) a.vbroadcastss(broadcastOf(0), x(0));
    for (int from = 0; from < width; from += chunk) {
      for (int v = from; v < from + chunk; ++v) unpack(v, index, k);
      for (int r = 0; r < rows; ++r) {
        Xmm value = broadcastOf(rows == 1 ? 0 : r);
        if (rows > 1) a.vbroadcastss(value, x(r));
        for (int v = from; v < from + chunk; ++v) a.vfmadd231ps(accumulator(r, v), weight(v), value);
      }
    }
  }
}

/// vpshufb: byte `byte` of each dword to its lowest, the rest 0.
std::array<uint8_t, 32> byteOfDword(int byte) {
  std::array<uint8_t, 32> order;
  for (int i = 0; i < 32; ++i) order[i] = uint8_t(i % 4 == 0 ? i % 16 + byte : 0x80);
  return order;
}

void Emitter::stepOfOneRow(int64_t index) {
  Xmm nibbles = broadcastOf(0), values[2] = {broadcastOf(1), zero()};
  for (int half = 0; half < 2; ++half) { // low nibbles: k = 0..3, high: 4..7
    for (int k = 0; k < 4; ++k) a.vbroadcastss(weight(k), a.ptr[g.xk + (index * kPerStep + half * 4 + k) * 4]);
    for (int v = 0; v < width; ++v) {
      Address line = a.ptr[g.w + (index * 4 * kPanel + v * isa.bytes())];
      if (half) {
        a.vmovups(nibbles, line);
        a.vpsrld(nibbles, nibbles, 4);
        a.vpand(nibbles, nibbles, tableOrMask());
      } else {
        a.vpand(nibbles, tableOrMask(), line);
      }
      for (int k = 0; k < 4; ++k) {
        const Xmm &value = values[k % 2];
        if (k == 3)
          a.vpsrld(value, nibbles, 24);
        else
          a.vpshufb(value, nibbles, a.ptr[a.rip + a.constantBytes(byteOfDword(k))]);
        a.vcvtdq2ps(value, value);
        a.vfmadd231ps(accumulator(0, v), weight(k), value);
      }
    }
  }
}

/// weight(vector) = code - zero (or the code, if plain or with a minimum) of input k of a step, f32.
void Emitter::unpack(int vector, int64_t index, int64_t k) {
  Xmm w = weight(vector);
  Address line = a.ptr[g.w + (index * 4 * kPanel + (first + vector) * isa.bytes())];
  int shift = int(i4 ? (k < 4 ? 8 * k : 8 * (k - 4) + 4) : 8 * k);
  bool top = shift == (i4 ? 28 : 24);
  if (shift == 0 && !table) {
    bitAnd(w, tableOrMask(), line);
  } else if (shift == 0 || !isa.avx512) {
    a.vmovups(w, line);
    if (shift) a.vpsrld(w, w, shift);
  } else {
    a.vpsrld(w, line, shift);
  }
  if (table) {
    a.vpermps(Zmm(w.getIdx()), Zmm(w.getIdx()), tableOrMask());
    if (f.offset == Offset::ZeroPoint) a.vsubps(w, w, zeroAt(first + vector));
    return;
  }
  if (shift && !top) bitAnd(w, w, tableOrMask());
  if (f.offset == Offset::None && !plain) a.vpsubd(w, w, zero());
  if (f.offset == Offset::ZeroPoint && !plain) a.vpsubd(w, w, zeroAt(first + vector));
  a.vcvtdq2ps(w, w);
}

/// plain: accumulator = fma(-zero, sum of x, accumulator). sum = fma(accumulator, scale, sum), sum = fma(minimum, sum
/// of x, sum).
void Emitter::addToSums() {
  Xmm scale = weight(0), minimum = weight(1), sumX = broadcastOf(0), zeros = weight(2);
  bool corrected = plain && !f.hasMinimum();
  if (corrected && f.offset == Offset::None) broadcast(a, zeros, std::bit_cast<uint32_t>(8.0f));
  for (int v = 0; v < width; ++v) {
    loadScales(a, isa, f.scale, scale, g.scales, 0, first + v);
    if (f.hasMinimum()) loadMinima(a, isa, f, minimum, g.scales, 0, first + v);
    if (corrected && f.offset == Offset::ZeroPoint) a.vmovups(zeros, zeroAt(first + v));
    for (int r = 0; r < rows; ++r) {
      if (f.hasMinimum() || corrected) a.vbroadcastss(sumX, a.ptr[sumOfXAt(r)]);
      if (corrected) a.vfnmadd231ps(accumulator(r, v), zeros, sumX);
      a.vfmadd213ps(accumulator(r, v), scale, sumAt(r, first + v));
      if (f.hasMinimum()) { a.vfmadd231ps(accumulator(r, v), minimum, sumX); }
      a.vmovups(sumAt(r, first + v), accumulator(r, v));
    }
  }
}
} // namespace

llvm::Expected<Code> emitIntF32Avx512(const MatmulDesc &desc, const Target &target) {
  return assemble([&](Assembler &a) { Emitter(a, desc, target, Isa{true}).emit(); });
}

llvm::Expected<Code> emitIntF32Avx2(const MatmulDesc &desc, const Target &target) {
  return assemble([&](Assembler &a) { Emitter(a, desc, target, Isa{false}).emit(); });
}

} // namespace llmc::matmul
