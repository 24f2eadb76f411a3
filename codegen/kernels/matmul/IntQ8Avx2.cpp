// I4 and I8 weights by Q8 rows with vpmaddubsw (AVX2). Row blocks of 4; a unit is taken in parts of 8, 4 or 2 half
// lines (8 columns each), so that 8 accumulators and their operands fit in 16 registers; the unit is in L1 by then.
// Loops: panel > row block > unit > part > 32 k > step > row > half line. Float sums stay on the stack.
#include "codegen/kernels/matmul/Q8Loops.h"
#include <algorithm>
#include <array>

namespace llmc::matmul {
using namespace Xbyak;

namespace {
constexpr Isa kIsa{false};
constexpr int kHalfLines = 8, kRowBlock = 4;
const Gpr g;

/// 16 words of 1: with them vpmaddwd adds neighbours.
constexpr std::array<uint8_t, 32> kOnes = {1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0,
                                           1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0};

class Emitter {
public:
  Emitter(Assembler &a, const MatmulDesc &desc, const Target &target)
      : a(a), desc(desc), f(desc.w), distance(prefetchDistance(desc, target)) {}

  void emit() {
    emitPanels(a, desc, kRowBlock, (kRowBlock + 1) * kPanel * 4 + 8 * 32, [&](int count) { rowBlock(count); }, kIsa);
  }

private:
  void rowBlock(int count);
  void enterGroup(int64_t scales);
  void part(const Q8Unit &b);
  void addToTotals();
  void dotI4(const Q8Unit &b);
  void dotI8(const Q8Unit &b);
  void toFloat(const Q8Unit &b);
  void scale(const Q8Unit &b);
  void minima(const Q8Unit &b);
  void addTo(const Ymm &value, const Ymm &factor, int row, int vector);

  Ymm accumulator(int row, int vector) const { return Ymm(row * width + vector); }
  Address line(const Q8Unit &b, int64_t step, int vector) const {
    return a.ptr[g.w + (b.w + (step * kHalfLines + first + vector) * 32)];
  }
  Address sumAt(int row, int vector) const { return a.ptr[a.rsp + (row * kHalfLines + vector) * 32]; }
  Address zeroAt(int vector) const { return a.ptr[a.rsp + (kRowBlock * kHalfLines + vector) * 32]; }
  /// Integer sums of a unit of more than 32 k, for I4, whose accumulators are 16-bit sums.
  Address totalAt(int row, int vector) const {
    return a.ptr[a.rsp + ((kRowBlock + 1) * kHalfLines + row * width + vector) * 32];
  }
  Address ones() const { return a.ptr[a.rip + a.constantBytes(kOnes)]; }

  Assembler &a;
  const MatmulDesc &desc;
  const WeightFormat &f;
  const int64_t distance;             // of prefetching
  int rows = 0, width = 0, first = 0; // half lines of a part, and the part's first one
  const Ymm weights[4] = {Ymm(8), Ymm(9), Ymm(10), Ymm(11)}, broadcasts[2] = {Ymm(12), Ymm(13)}, product{14};
  const Ymm mask{15}; // I4: 0x0f, I8: 0x80 in each byte
  int turn = 0;
};

void Emitter::rowBlock(int count) {
  rows = count;
  width = rows == 1 ? 8 : rows == 2 ? 4 : 2;
  clear(a, product);
  for (int r = 0; r < rows; ++r)
    for (int v = 0; v < kHalfLines; ++v) a.vmovaps(sumAt(r, v), product);
  broadcast(a, mask, f.kind == WeightKind::I4 ? 0x0f0f0f0f : 0x80808080);
  emitQ8Units(
      a, desc, distance, rows == 1 ? 2 : 1, [&](int64_t scales) { enterGroup(scales); },
      [&](const Q8Unit &b) {
        for (first = 0; first < kHalfLines; first += width) part(b);
      });
  for (int r = 0; r < rows; ++r)
    for (int v = 0; v < kHalfLines; ++v) {
      a.vmovaps(product, sumAt(r, v));
      storeSum(a, desc, kIsa, product, r, v);
    }
}

/// What the codes as they are multiplied are too large by, per column, in the low words of dwords: to the stack.
void Emitter::enterGroup(int64_t scales) {
  if (f.offset != Offset::ZeroPoint) return;
  if (f.kind == WeightKind::I8) broadcast(a, product, 128);
  for (int v = 0; v < kHalfLines; ++v) {
    loadZeroPoints(a, kIsa, f, weights[0], g.scales, scales, v);
    if (f.kind == WeightKind::I8) a.vpsubw(weights[0], weights[0], product);
    a.vmovdqa(zeroAt(v), weights[0]);
  }
}

/// 16-bit sums over the whole block: 8 pairs of at most 2*15*127 stay below 2^15.
void Emitter::dotI4(const Q8Unit &b) {
  int chunk = std::min(width, 4);
  for (int64_t line = 0; first == 0 && line < f.codeBytes() / f.group * b.k; line += 64)
    prefetch(a, distance, g.w + (b.w + line));
  for (int64_t half = 0; half < b.k / 4; ++half) { // low, high nibbles of a step
    if (rows == 1) a.vpbroadcastd(broadcasts[0], a.ptr[g.xk + (b.x + 4 * half)]);
    for (int from = 0; from < width; from += chunk) {
      for (int v = 0; v < chunk; ++v) {
        if (half % 2 == 0) {
          a.vpand(weights[v], mask, line(b, half / 2, from + v));
          continue;
        }
        a.vmovdqu(weights[v], line(b, half / 2, from + v));
        a.vpsrlw(weights[v], weights[v], 4);
        a.vpand(weights[v], weights[v], mask);
      }
      for (int r = 0; r < rows; ++r) {
        const Ymm &codes = broadcasts[rows == 1 ? 0 : turn ^= 1];
        if (rows > 1) a.vpbroadcastd(codes, a.ptr[g.xk + (r * desc.xStride + b.x + 4 * half)]);
        for (int v = 0; v < chunk; ++v) {
          Ymm to = accumulator(r, from + v);
          a.vpmaddubsw(half ? product : to, weights[v], codes);
          if (half) a.vpaddw(to, to, product);
        }
      }
    }
  }
}

/// |code-128| times x with the sign of code-128: pairs of at most 2*128*127 stay below 2^15.
void Emitter::dotI8(const Q8Unit &b) {
  for (int64_t line = 0; first == 0 && line < f.codeBytes() / f.group * b.k; line += 64)
    prefetch(a, distance, g.w + (b.w + line));
  for (int64_t step = 0; step < b.k / 4; ++step) {
    for (int from = 0; from < width; from += 2) {
      for (int v = 0; v < 2; ++v) {
        a.vpxor(weights[v], mask, line(b, step, from + v));
        a.vpabsb(weights[2 + v], weights[v]);
      }
      for (int r = 0; r < rows; ++r) {
        const Ymm &codes = broadcasts[turn ^= 1];
        a.vpbroadcastd(codes, a.ptr[g.xk + (r * desc.xStride + b.x + 4 * step)]);
        for (int v = 0; v < 2; ++v) {
          Ymm to = accumulator(r, from + v);
          a.vpsignb(product, codes, weights[v]);
          a.vpmaddubsw(product, weights[2 + v], product);
          a.vpmaddwd(product, product, ones());
          a.vpaddd(to, to, product);
        }
      }
    }
  }
}

/// accumulators: exact dot product with code - zero, as f32.
void Emitter::toFloat(const Q8Unit &b) {
  bool i4 = f.kind == WeightKind::I4;
  for (int r = 0; r < rows; ++r) {
    const Ymm &sumX = broadcasts[turn ^= 1];
    a.vpbroadcastd(sumX, a.ptr[q8Sum(desc, b, r)]);
    if (i4 && f.offset == Offset::None) a.vpslld(sumX, sumX, 3); // 8 * sum
    if (!i4 && f.hasMinimum()) a.vpslld(sumX, sumX, 7);          // -(-128 * sum)
    for (int v = 0; v < width; ++v) {
      Ymm to = accumulator(r, v);
      if (f.offset == Offset::ZeroPoint) {
        a.vpmaddwd(product, sumX, zeroAt(first + v));
        a.vpsubd(to, to, product);
      } else if (i4 && f.offset == Offset::None) {
        a.vpsubd(to, to, sumX);
      } else if (!i4 && f.hasMinimum()) {
        a.vpaddd(to, to, sumX);
      }
      a.vcvtdq2ps(to, to);
    }
  }
}

/// sum = fma(value, factor, sum); overwrites `value`.
void Emitter::addTo(const Ymm &value, const Ymm &factor, int row, int vector) {
  a.vfmadd213ps(value, factor, sumAt(row, first + vector));
  a.vmovaps(sumAt(row, first + vector), value);
}

void Emitter::scale(const Q8Unit &b) {
  for (int v = 0; v < width; ++v) {
    loadScales(a, kIsa, f.scale, weights[v % 4], g.scales, b.scales, first + v);
    for (int r = 0; r < rows; ++r) {
      const Ymm &factor = broadcasts[turn ^= 1];
      a.vbroadcastss(factor, a.ptr[q8Scale(desc, b, r)]);
      a.vmulps(factor, factor, weights[v % 4]);
      addTo(accumulator(r, v), factor, r, v);
    }
  }
}

void Emitter::minima(const Q8Unit &b) {
  for (int r = 0; r < rows; ++r) {
    const Ymm &factor = broadcasts[0];
    a.vpbroadcastd(factor, a.ptr[q8Sum(desc, b, r)]);
    a.vcvtdq2ps(factor, factor);
    a.vbroadcastss(product, a.ptr[q8Scale(desc, b, r)]);
    a.vmulps(factor, factor, product);
    for (int v = 0; v < width; ++v) {
      loadMinima(a, kIsa, f, weights[v % 4], g.scales, b.scales, first + v);
      addTo(weights[v % 4], factor, r, v);
    }
  }
}

/// I4, after 32 k: the 16-bit sums in pairs to the integer sums of the unit.
void Emitter::addToTotals() {
  for (int r = 0; r < rows; ++r)
    for (int v = 0; v < width; ++v) {
      a.vpmaddwd(product, accumulator(r, v), ones());
      a.vpaddd(product, product, totalAt(r, v));
      a.vmovdqa(totalAt(r, v), product);
    }
}

void Emitter::part(const Q8Unit &b) {
  bool i4 = f.kind == WeightKind::I4, totals = i4 && b.k > kActivationBlock;
  clear(a, product);
  for (int r = 0; r < rows; ++r)
    for (int v = 0; v < width; ++v) {
      if (totals) a.vmovdqa(totalAt(r, v), product);
      if (!i4) clear(a, accumulator(r, v));
    }
  emitQ8Pieces(a, f, b, [&](const Q8Unit &piece) {
    i4 ? dotI4(piece) : dotI8(piece);
    if (totals) addToTotals();
  });
  for (int r = 0; r < rows && i4; ++r)
    for (int v = 0; v < width; ++v)
      if (totals)
        a.vmovdqa(accumulator(r, v), totalAt(r, v));
      else
        a.vpmaddwd(accumulator(r, v), accumulator(r, v), ones());
  toFloat(b);
  scale(b);
  if (f.hasMinimum()) minima(b);
}
} // namespace

llvm::Expected<Code> emitIntQ8Avx2(const MatmulDesc &desc, const Target &target) {
  return assemble([&](Assembler &a) { Emitter(a, desc, target).emit(); });
}

} // namespace llmc::matmul
