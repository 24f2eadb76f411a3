// F32, F16 and BF16 weights by F32 rows, AVX2 and AVX-512.
// Loops: panel > row block > part > k (pair) > row > vector; the sums over the whole K stay in registers.
// F16: vcvtph2ps gives lanes of alternating even and odd k, two vectors to 16 (8) columns: they are multiplied by a
// broadcast pair of x, and neighbours are added once at the end.
#include "codegen/kernels/matmul/Loops.h"
#include <algorithm>
#include <array>

namespace llmc::matmul {
using namespace Xbyak;

namespace {
const Gpr g;

/// Dwords of a pair of vectors that hold the even (first = 0) or odd k.
std::array<uint8_t, 64> everySecond(int first) {
  std::array<uint8_t, 64> bytes = {};
  for (int i = 0; i < 16; ++i) bytes[i * 4] = uint8_t(2 * i + first);
  return bytes;
}

class Emitter {
public:
  Emitter(Assembler &a, const MatmulDesc &desc, const Target &target, Isa isa)
      : a(a), desc(desc), isa(isa), kind(desc.w.kind), f16(kind == WeightKind::F16),
        kPerLine(kind == WeightKind::F32 ? 1 : 2), distance(prefetchDistance(desc, target)),
        panelVectors(isa.vectors() * (f16 ? 2 : 1)), firstWeight(isa.avx512 ? 24 : 8) {}

  void emit() {
    emitPanels(a, desc, isa.avx512 ? 6 : 4, 0, [&](int count) { rowBlock(count); }, isa);
  }

private:
  void rowBlock(int count);
  void part();
  void line(int index);
  void multiply(int index, int64_t k);
  void unpack(int vector, int index, int64_t k);
  void finish();

  Xmm accumulator(int row, int vector) const { return isa.vec(row * width + vector); }
  Xmm weight(int vector) const { return isa.vec(firstWeight + vector % 4); }
  Xmm broadcastOf(int turn) const { return isa.vec(firstWeight + 4 + turn % 2); }
  Xmm highHalf() const { return isa.vec(firstWeight + 6); }
  Address weightAt(int vector, int index) const {
    return a.ptr[g.w + (index * 4 * kPanel + (first + vector) * (f16 ? isa.bytes() / 2 : isa.bytes()))];
  }

  Assembler &a;
  const MatmulDesc &desc;
  Isa isa;
  WeightKind kind;
  bool f16;
  int64_t kPerLine, distance;         // distance: of prefetching
  int panelVectors, firstWeight;      // 4 weights, 2 broadcasts, a constant follow the accumulators
  int rows = 0, width = 0, first = 0; // vectors of a part, and the part's first one
};

void Emitter::rowBlock(int count) {
  rows = count;
  int accumulators = isa.avx512 ? 24 : 8;
  for (width = panelVectors; width * rows > accumulators;) width /= 2;
  if (kind == WeightKind::BF16) broadcast(a, highHalf(), 0xffff0000);
  for (first = 0; first < panelVectors; first += width) part();
}

void Emitter::part() {
  for (int r = 0; r < rows; ++r)
    for (int v = 0; v < width; ++v) clear(a, accumulator(r, v));
  a.mov(g.w, g.panel);
  a.mov(g.xk, g.x);
  int64_t lines = desc.k / kPerLine;
  int unroll = unrollOf(lines, int((rows <= 2 ? 8 : 4) / kPerLine));
  repeat(a, g.inner, lines / unroll, [&] {
    for (int i = 0; i < unroll; ++i) line(i);
    a.add(g.w, uint32_t(unroll * 4 * kPanel));
    a.add(g.xk, uint32_t(unroll * kPerLine * 4));
  });
  finish();
}

/// 256 bytes of the panel: one k or a pair.
void Emitter::line(int index) {
  int64_t bytes = 4 * kPanel / panelVectors; // of a vector
  for (int64_t from = first * bytes; from < (first + width) * bytes; from += 64)
    prefetch(a, distance, g.w + (index * 4 * kPanel + from));
  multiply(index, 0);
  if (kind == WeightKind::BF16) multiply(index, 1);
}

void Emitter::multiply(int index, int64_t k) {
  auto loadX = [&](const Xmm &to, int r) {
    Address x = a.ptr[g.xk + (r * desc.xStride + (index * kPerLine + k) * 4)];
    if (!f16)
      a.vbroadcastss(to, x);
    else if (isa.avx512)
      a.vbroadcastsd(Zmm(to.getIdx()), x);
    else
      a.vbroadcastsd(Ymm(to.getIdx()), x);
  };
  int chunk = std::min(width, 4);
  if (rows == 1) loadX(broadcastOf(0), 0);
  for (int from = 0; from < width; from += chunk) {
    for (int v = from; v < from + chunk; ++v) unpack(v, index, k);
    for (int r = 0; r < rows; ++r) {
      Xmm x = broadcastOf(rows == 1 ? 0 : r);
      if (rows > 1) loadX(x, r);
      for (int v = from; v < from + chunk; ++v) a.vfmadd231ps(accumulator(r, v), weight(v), x);
    }
  }
}

void Emitter::unpack(int vector, int index, int64_t k) {
  Xmm w = weight(vector);
  Address from = weightAt(vector, index);
  if (kind == WeightKind::F32) {
    a.vmovups(w, from);
  } else if (f16) {
    a.vcvtph2ps(w, from);
  } else if (k == 1) {
    if (isa.avx512)
      a.vpandd(w, highHalf(), from);
    else
      a.vpand(w, highHalf(), from);
  } else if (isa.avx512) {
    a.vpslld(w, from, 16);
  } else {
    a.vmovups(w, from);
    a.vpslld(w, w, 16);
  }
}

void Emitter::finish() {
  for (int r = 0; r < rows; ++r) {
    if (!f16) {
      for (int v = 0; v < width; ++v) storeSum(a, desc, isa, accumulator(r, v), r, first + v);
      continue;
    }
    for (int v = 0; v < width; v += 2) {
      Xmm sum = weight(0), odd = weight(1), low = accumulator(r, v), high = accumulator(r, v + 1);
      if (isa.avx512) {
        a.vmovups(sum, a.ptr[a.rip + a.constantBytes(everySecond(0))]);
        a.vmovups(odd, a.ptr[a.rip + a.constantBytes(everySecond(1))]);
        a.vpermi2ps(sum, low, high);
        a.vpermi2ps(odd, low, high);
        a.vaddps(sum, sum, odd);
      } else { // columns 0 1 4 5 | 2 3 6 7
        a.vhaddps(sum, low, high);
        a.vpermpd(Ymm(sum.getIdx()), Ymm(sum.getIdx()), 0xd8);
      }
      storeSum(a, desc, isa, sum, r, (first + v) / 2);
    }
  }
}
} // namespace

llvm::Expected<Code> emitFloatAvx512(const MatmulDesc &desc, const Target &target) {
  return assemble([&](Assembler &a) { Emitter(a, desc, target, Isa{true}).emit(); });
}

llvm::Expected<Code> emitFloatAvx2(const MatmulDesc &desc, const Target &target) {
  return assemble([&](Assembler &a) { Emitter(a, desc, target, Isa{false}).emit(); });
}

} // namespace llmc::matmul
