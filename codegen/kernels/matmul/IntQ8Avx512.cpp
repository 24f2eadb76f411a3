// I4 and I8 weights by Q8 rows with vpdpbusd (AVX-512 VNNI). Row blocks of 6: 24 integer accumulators of 16 columns.
// Loops: panel > row block > unit > (I4: low, high nibbles of) step > row > line.
#include "codegen/kernels/matmul/Q8Loops.h"

namespace llmc::matmul {
using namespace Xbyak;

namespace {
constexpr Isa kIsa{true};
constexpr int kLines = 4, kRowBlock = 6;
// Unsigned codes are what vpdpbusd multiplies; the accumulator starts at -zero * (sum of the x codes), by vpmaddwd:
// zero fits in 16 bits, a sum of 256 codes too (|sum| <= 32512), and the high halves of `zero` are 0.
const Gpr g;

class Emitter {
public:
  Emitter(Assembler &a, const MatmulDesc &desc, const Target &target)
      : a(a), desc(desc), f(desc.w), distance(prefetchDistance(desc, target)) {}

  void emit() {
    emitPanels(a, desc, kRowBlock, (kRowBlock + 1) * kPanel * 4, [&](int rows) { rowBlock(rows); }, kIsa);
  }

private:
  void rowBlock(int count);
  void enterGroup(int64_t scales);
  void unit(const Q8Unit &b);
  void start(const Q8Unit &b);
  void dotI4(const Q8Unit &b);
  void dotI8(const Q8Unit &b);
  void multiply(int firstWeight, int64_t x);
  void scale(const Q8Unit &b);
  void addTo(const Zmm &value, const Zmm &factor, int row, int line);

  Zmm accumulator(int row, int line) const { return Zmm(row * kLines + line); }
  Zmm sum(int row, int line) const { return Zmm((rows + row) * kLines + line); }
  Zmm weight(int i) const { return Zmm(weights + i); }
  static RegExp lineOf(const Q8Unit &b, int64_t step, int line) { return g.w + (b.w + (step * kLines + line) * 64); }
  Address sumAt(int row, int line) const { return a.ptr[a.rsp + (row * kLines + line) * 64]; }
  Address zeroAt(int line) const { return a.ptr[a.rsp + (kRowBlock * kLines + line) * 64]; }

  Assembler &a;
  const MatmulDesc &desc;
  const WeightFormat &f;
  const int64_t distance; // of prefetching
  // Registers: accumulators, float sums where they fit (else on the stack), 8 or 4 weights, 2 broadcasts, 2 constants.
  int rows = 0, weights = 0;
  bool sumsInRegisters = false, bothNibbles = false;
  const Zmm broadcasts[2] = {Zmm(28), Zmm(29)}, nibbles{30}, negativeZero{31};
  int turn = 0; // which broadcast register comes next
};

void Emitter::rowBlock(int count) {
  rows = count;
  sumsInRegisters = rows <= 3;
  weights = rows * kLines * (sumsInRegisters ? 2 : 1);
  bothNibbles = weights + 2 * kLines <= 28;
  if (f.kind == WeightKind::I4) broadcast(a, nibbles, 0x0f0f0f0f);
  if (f.offset == Offset::None) broadcast(a, negativeZero, f.kind == WeightKind::I4 ? 0xfff8 : 0xff80);
  if (!sumsInRegisters) clear(a, Zmm(0));
  for (int r = 0; r < rows; ++r)
    for (int l = 0; l < kLines; ++l)
      if (sumsInRegisters)
        clear(a, sum(r, l));
      else
        a.vmovaps(sumAt(r, l), Zmm(0));
  int unroll = rows == 1 ? 4 : rows == 2 ? 2 : 1;
  emitQ8Units(
      a, desc, distance, unroll, [&](int64_t scales) { enterGroup(scales); }, [&](const Q8Unit &b) { unit(b); });
  for (int r = 0; r < rows; ++r)
    for (int l = 0; l < kLines; ++l) {
      Zmm value = sumsInRegisters ? sum(r, l) : weight(0);
      if (!sumsInRegisters) a.vmovaps(value, sumAt(r, l));
      storeSum(a, desc, kIsa, value, r, l);
    }
}

/// Zero points of the group, negated, low halves only, to the stack.
void Emitter::enterGroup(int64_t scales) {
  if (f.offset != Offset::ZeroPoint) return;
  clear(a, broadcasts[0]);
  for (int l = 0; l < kLines; ++l) {
    loadZeroPoints(a, kIsa, f, weight(l), g.scales, scales, l);
    a.vpsubw(weight(l), broadcasts[0], weight(l));
    a.vmovdqa32(zeroAt(l), weight(l));
  }
}

void Emitter::start(const Q8Unit &b) {
  for (int r = 0; r < rows; ++r) {
    if (f.hasMinimum()) {
      for (int l = 0; l < kLines; ++l) clear(a, accumulator(r, l));
      continue;
    }
    const Zmm &sumX = broadcasts[turn ^= 1];
    a.vpbroadcastd(sumX, a.ptr[q8Sum(desc, b, r)]);
    for (int l = 0; l < kLines; ++l) {
      if (f.offset == Offset::ZeroPoint)
        a.vpmaddwd(accumulator(r, l), sumX, zeroAt(l));
      else if (l == 0)
        a.vpmaddwd(accumulator(r, 0), sumX, negativeZero);
      else
        a.vmovdqa32(accumulator(r, l), accumulator(r, 0));
    }
  }
}

/// accumulators += weight registers times 4 codes of x, for all rows.
void Emitter::multiply(int firstWeight, int64_t x) {
  for (int r = 0; r < rows; ++r) {
    const Zmm &codes = broadcasts[turn ^= 1];
    a.vpbroadcastd(codes, a.ptr[g.xk + (r * desc.xStride + x)]);
    for (int l = 0; l < kLines; ++l) a.vpdpbusd(accumulator(r, l), weight(firstWeight + l), codes);
  }
}

void Emitter::dotI4(const Q8Unit &b) {
  for (int64_t step = 0; step < b.k / 8; ++step) {
    auto line = [&](int l) { return a.ptr[lineOf(b, step, l)]; };
    for (int l = 0; l < kLines; ++l) prefetch(a, distance, lineOf(b, step, l));
    if (bothNibbles) {
      for (int l = 0; l < kLines; ++l) {
        a.vmovdqu32(weight(kLines + l), line(l));
        a.vpandd(weight(l), weight(kLines + l), nibbles);
        a.vpsrlw(weight(kLines + l), weight(kLines + l), 4);
        a.vpandd(weight(kLines + l), weight(kLines + l), nibbles);
      }
      multiply(0, b.x + 8 * step);
      multiply(kLines, b.x + 8 * step + 4);
      continue;
    }
    for (int l = 0; l < kLines; ++l) a.vpandd(weight(l), nibbles, line(l));
    multiply(0, b.x + 8 * step);
    for (int l = 0; l < kLines; ++l) {
      a.vpsrlw(weight(l), line(l), 4);
      a.vpandd(weight(l), weight(l), nibbles);
    }
    multiply(0, b.x + 8 * step + 4);
  }
}

void Emitter::dotI8(const Q8Unit &b) {
  for (int64_t step = 0; step < b.k / 4; ++step) {
    for (int l = 0; l < kLines; ++l) prefetch(a, distance, lineOf(b, step, l));
    for (int l = 0; l < kLines; ++l) a.vmovdqu32(weight(l), a.ptr[lineOf(b, step, l)]);
    multiply(0, b.x + 4 * step);
  }
}

/// sum = fma(value, factor, sum); overwrites `value`.
void Emitter::addTo(const Zmm &value, const Zmm &factor, int row, int line) {
  if (sumsInRegisters) {
    a.vfmadd231ps(sum(row, line), value, factor);
  } else {
    a.vfmadd213ps(value, factor, sumAt(row, line));
    a.vmovaps(sumAt(row, line), value);
  }
}

void Emitter::scale(const Q8Unit &b) {
  for (int l = 0; l < kLines; ++l) loadScales(a, kIsa, f.scale, weight(l), g.scales, b.scales, l);
  for (int r = 0; r < rows; ++r)
    for (int l = 0; l < kLines; ++l) {
      const Zmm &factor = broadcasts[turn ^= 1];
      a.vcvtdq2ps(accumulator(r, l), accumulator(r, l));
      a.vmulps(factor, weight(l), a.ptr_b[q8Scale(desc, b, r)]);
      addTo(accumulator(r, l), factor, r, l);
    }
  if (!f.hasMinimum()) return;
  for (int r = 0; r < rows; ++r) {
    a.vcvtdq2ps(broadcasts[0], a.ptr_b[q8Sum(desc, b, r)]);
    a.vmulps(broadcasts[0], broadcasts[0], a.ptr_b[q8Scale(desc, b, r)]);
    for (int l = 0; l < kLines; ++l) {
      loadMinima(a, kIsa, f, weight(l), g.scales, b.scales, l);
      addTo(weight(l), broadcasts[0], r, l);
    }
  }
}

void Emitter::unit(const Q8Unit &b) {
  start(b);
  emitQ8Pieces(a, f, b, [&](const Q8Unit &piece) { f.kind == WeightKind::I4 ? dotI4(piece) : dotI8(piece); });
  scale(b);
}
} // namespace

llvm::Expected<Code> emitIntQ8Avx512(const MatmulDesc &desc, const Target &target) {
  return assemble([&](Assembler &a) { Emitter(a, desc, target).emit(); });
}

} // namespace llmc::matmul
