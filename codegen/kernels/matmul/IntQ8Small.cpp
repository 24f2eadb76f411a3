// I4 and I8 weights by few Q8 rows: weights go from memory through registers into the products. Row blocks of 8
// (AVX-VNNI: 6, AVX2: 4); a unit is taken in parts of the columns whose accumulators fit in the registers, and is in L1
// after the first part. Loops: panel > row block > unit > part > 32 k > (I4: low, high nibbles of) step > row > vector.
#include "codegen/kernels/matmul/Q8Sums.h"
#include <algorithm>

namespace llmc::matmul {
using namespace Xbyak;

namespace {
const Gpr g;
constexpr int kRowBytes = kPanel * 4; // of the sums of a row

class Emitter : Q8Sums {
public:
  Emitter(Assembler &a, const MatmulDesc &desc, Q8Isa q8, const Target &target)
      : Q8Sums(a, desc, q8, vnni8(q8, desc.w) ? RowTerm::ofCodes(desc.w) : RowTerm::ofCentred(desc.w),
               desc.w.group == 16 && desc.x.block == 32 ? 16 : desc.x.block),
        distance(prefetchDistance(desc, target)), rowBlock(isa.avx512 ? 8
                                                           : vnni     ? 6
                                                                      : 4),
        zerosAt(rowBlock * kRowBytes), totalsAt(zerosAt + kRowBytes) {}

  void emit() {
    emitPanels(a, desc, rowBlock, totalsAt + 24 * 64, [&](int count) { emitRows(count); }, isa);
  }

private:
  /// Whether codes are multiplied as they are stored.
  static bool vnni8(Q8Isa q8, const WeightFormat &f) { return q8.vnni || f.kind == WeightKind::I4; }

  void emitRows(int count);
  void assignRegisters();
  void enterGroup(int64_t scales);
  void unit(const Q8Unit &u);
  void dot(const Q8Unit &piece);
  void dotStep(const Q8Unit &piece, int64_t step);
  void unpack(const Q8Unit &piece, int64_t step, int half, int from);
  void multiplyAll(int from, int firstWeight, int64_t x);
  void scale(const Q8Unit &u);
  void minima(const Q8Unit &u);
  void addTo(const Xmm &value, const Xmm &factor, int r, int v);

  // Vectors: accumulators, float sums where they fit, `chunk` weights or twice that, broadcasts of x, products, a mask.
  Xmm sum(int r, int v) const { return isa.vec((rows + r) * width + v); }
  Xmm weight(int i) const { return isa.vec(firstWeight + i); }
  Xmm nextX() override { return isa.vec(firstX + (turn = (turn + 1) % countX)); }
  Xmm product(int) override { return isa.vec(isa.registers() - 2); }
  Xmm mask() const { return isa.vec(isa.registers() - 1); } // I4: nibbles; I8 without VNNI: 0x80 bytes

  RegExp sumOf(int r, int) override { return q8Sum(desc, current, r); }
  Address sumAt(int r, int v) const { return a.ptr[a.rsp + (r * kRowBytes + (first + v) * isa.bytes())]; }
  Address zeros(int v) override { return a.ptr[a.rsp + (zerosAt + (first + v) * isa.bytes())]; }
  Address total(int r, int v) override { return a.ptr[a.rsp + (totalsAt + (r * width + v) * isa.bytes())]; }
  RegExp line(const Q8Unit &piece, int64_t step, int v) const {
    return g.w + (piece.w + step * kRowBytes + (first + v) * isa.bytes());
  }

  const int64_t distance; // of prefetching
  const int rowBlock, zerosAt, totalsAt;
  int first = 0; // vector of the part
  int chunk = 0, firstWeight = 0, firstX = 0, countX = 0, turn = 0;
  bool sumsInRegisters = false, bothNibbles = false;
  Q8Unit current{};
  Xmm codes; // of x
};

void Emitter::assignRegisters() {
  width = isa.avx512 ? (rows <= 5 ? 4 : 2) : rows == 1 ? 8 : rows == 2 ? 4 : 2;
  int accumulators = rows * width, last = isa.registers() - (vnni ? 1 : 2); // below mask and product
  bool isSigned = !vnni && !i4;                                             // weights and their magnitudes
  sumsInRegisters = isa.avx512 && rows <= 3;
  firstWeight = accumulators * (sumsInRegisters ? 2 : 1);
  chunk = std::min(width, isSigned ? 2 : 4);
  bothNibbles = i4 && isa.avx512 && firstWeight + 2 * chunk < last;
  firstX = firstWeight + chunk * (bothNibbles || isSigned ? 2 : 1);
  countX = std::min(3, last - firstX);
}

void Emitter::emitRows(int count) {
  rows = count;
  assignRegisters();
  if (i4 || !vnni) broadcast(a, mask(), i4 ? 0x0f0f0f0f : 0x80808080);
  first = 0;
  clear(a, weight(0));
  for (int r = 0; r < rows; ++r)
    for (int v = 0; v < isa.vectors(); ++v)
      if (sumsInRegisters)
        clear(a, sum(r, v));
      else
        a.vmovaps(sumAt(r, v), weight(0));
  int unroll = rows == 1 ? (isa.avx512 ? 4 : 2) : rows == 2 && isa.avx512 ? 2 : 1;
  emitQ8Units(
      a, desc, distance, unroll, [&](int64_t scales) { enterGroup(scales); }, [&](const Q8Unit &u) { unit(u); });
  first = 0;
  for (int r = 0; r < rows; ++r)
    for (int v = 0; v < isa.vectors(); ++v) {
      Xmm value = sumsInRegisters ? sum(r, v) : weight(0);
      if (!sumsInRegisters) a.vmovaps(value, sumAt(r, v));
      storeSum(a, desc, isa, value, r, v);
    }
}

void Emitter::enterGroup(int64_t scales) {
  if (term.kind != RowTerm::PerColumn) return;
  first = 0;
  for (int v = 0; v < isa.vectors(); ++v) {
    loadZeroPoints(a, isa, f, weight(0), g.scales, scales, v);
    term.ofZeroPoints(a, weight(0), isa.vec(firstX));
    vstore(a, zeros(v), weight(0));
  }
}

void Emitter::unit(const Q8Unit &u) {
  current = u;
  for (first = 0; first < isa.vectors(); first += width) {
    start(u.half);
    emitQ8Pieces(a, f, u, [&](const Q8Unit &piece) { dot(piece); });
    finish(u.half);
    scale(u);
    if (f.hasMinimum()) minima(u);
  }
}

void Emitter::dot(const Q8Unit &piece) {
  enterPiece();
  for (int64_t step = 0; step < piece.k / (i4 ? 8 : 4); ++step) dotStep(piece, step);
  leavePiece();
}

void Emitter::dotStep(const Q8Unit &piece, int64_t step) {
  for (int64_t offset = 0; first == 0 && offset < kRowBytes; offset += 64)
    prefetch(a, distance, line(piece, step, 0) + offset);
  int64_t x = piece.x + step * (i4 ? 8 : 4);
  if (bothNibbles) {
    for (int v = 0; v < chunk; ++v) {
      Xmm low = weight(v), high = weight(chunk + v);
      vload(a, high, a.ptr[line(piece, step, v)]);
      vand(a, low, high, mask());
      a.vpsrlw(high, high, 4);
      vand(a, high, high, mask());
    }
    multiplyAll(0, 0, x);
    multiplyAll(0, chunk, x + 4);
    return;
  }
  for (int half = 0; half < (i4 ? 2 : 1); ++half)
    for (int from = 0; from < width; from += chunk) {
      unpack(piece, step, half, from);
      multiplyAll(from, 0, x + 4 * half);
    }
}

/// Weights of 4 k and `chunk` vectors from `from` on.
void Emitter::unpack(const Q8Unit &piece, int64_t step, int half, int from) {
  for (int v = 0; v < chunk; ++v) {
    Xmm w = weight(v);
    Address at = a.ptr[line(piece, step, from + v)];
    if (i4 && !half) {
      vand(a, w, mask(), at);
      continue;
    }
    vload(a, w, at);
    if (i4) {
      a.vpsrlw(w, w, 4);
      vand(a, w, w, mask());
    } else if (!vnni) {
      vxor(a, w, w, mask());
      a.vpabsb(weight(chunk + v), w);
    }
  }
}

void Emitter::multiplyAll(int from, int firstOfChunk, int64_t x) {
  for (int r = 0; r < rows; ++r) {
    if (from == 0 || rows > 1) {
      codes = nextX();
      a.vpbroadcastd(codes, a.ptr[g.xk + (r * desc.xStride + x)]);
    }
    for (int v = 0; v < chunk; ++v) {
      Xmm w = weight(firstOfChunk + v);
      multiply(r, from + v, codes, !i4 && !vnni ? weight(chunk + v) : w, w);
    }
  }
}

/// sum = fma(value, factor, sum); overwrites `value`.
void Emitter::addTo(const Xmm &value, const Xmm &factor, int r, int v) {
  if (sumsInRegisters) {
    a.vfmadd231ps(sum(r, v), value, factor);
  } else {
    a.vfmadd213ps(value, factor, sumAt(r, v));
    a.vmovaps(sumAt(r, v), value);
  }
}

void Emitter::scale(const Q8Unit &u) {
  for (int from = 0; from < width; from += chunk) {
    for (int v = 0; v < chunk; ++v) loadScales(a, isa, f.scale, weight(v), g.scales, u.scales, first + from + v);
    for (int r = 0; r < rows; ++r)
      for (int v = 0; v < chunk; ++v) {
        Xmm factor = nextX();
        if (isa.avx512) {
          a.vmulps(factor, weight(v), a.ptr_b[q8Scale(desc, u, r)]);
        } else {
          a.vbroadcastss(factor, a.ptr[q8Scale(desc, u, r)]);
          a.vmulps(factor, factor, weight(v));
        }
        addTo(accumulator(r, from + v), factor, r, from + v);
      }
  }
}

void Emitter::minima(const Q8Unit &u) {
  for (int r = 0; r < rows; ++r) {
    Xmm factor = nextX(), scaleX = weight(0);
    a.vpbroadcastd(factor, a.ptr[sumOf(r, u.half)]);
    a.vcvtdq2ps(factor, factor);
    a.vbroadcastss(scaleX, a.ptr[q8Scale(desc, u, r)]);
    a.vmulps(factor, factor, scaleX);
    for (int v = 0; v < width; ++v) {
      loadMinima(a, isa, f, weight(v % chunk), g.scales, u.scales, first + v);
      addTo(weight(v % chunk), factor, r, v);
    }
  }
}
} // namespace

template <bool avx512, bool vnni> llvm::Expected<Code> emitIntQ8Small(const MatmulDesc &desc, const Target &target) {
  return assemble([&](Assembler &a) { Emitter(a, desc, {{avx512}, vnni}, target).emit(); });
}
template llvm::Expected<Code> emitIntQ8Small<true, true>(const MatmulDesc &, const Target &);
template llvm::Expected<Code> emitIntQ8Small<true, false>(const MatmulDesc &, const Target &);
template llvm::Expected<Code> emitIntQ8Small<false, true>(const MatmulDesc &, const Target &);
template llvm::Expected<Code> emitIntQ8Small<false, false>(const MatmulDesc &, const Target &);

} // namespace llmc::matmul
