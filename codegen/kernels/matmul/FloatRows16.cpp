// 16-bit float weights by rows of the same type: a packed line is an operand as it is. BF16 by BF16 rows, or pairs of
// them, with vdpbf16ps (AVX512-BF16): f32 sums over the whole K. F16 by F16 rows with vfmadd231ph (AVX512-FP16): sums
// of 16 bits over 32 k, which are widened and added in f32. Loops: panel > row block > (F16: chunk of k) > k pair > row
// > line.
#include "codegen/kernels/matmul/Loops.h"

namespace llmc::matmul {
using namespace Xbyak;

namespace {
const Gpr g;
constexpr Isa kIsa{true};
constexpr int kLines = 4, kRowBlock = 6;
constexpr int64_t kChunkPairs = 16; // F16: 32 k, see IntRows16.cpp

class Emitter {
public:
  Emitter(Assembler &a, const MatmulDesc &desc, const Target &target)
      : a(a), desc(desc), half(desc.x.kind == RowFormat::Kind::F16),
        parts(desc.x.kind == RowFormat::Kind::BF16Pair ? 2 : 1), distance(prefetchDistance(desc, target)) {}

  void emit() {
    emitPanels(a, desc, kRowBlock, half ? kRowBlock * int(kPanel) * 4 : 0, [&](int count) { rowBlock(count); }, kIsa);
  }

private:
  void rowBlock(int count);
  void pairs(int64_t count, int most);
  void chunk(int64_t count);
  void pair(int index);
  Address sumAt(int i) const { return a.ptr[a.rsp + i * 64]; }

  Assembler &a;
  const MatmulDesc &desc;
  const bool half;
  const int parts; // bf16 rows in a row of x
  const int64_t distance;
  int rows = 0;
  int turn = 0; // which broadcast register comes next
};

void Emitter::rowBlock(int count) {
  rows = count;
  for (int i = 0; i < rows * kLines; ++i) clear(a, Zmm(i));
  a.mov(g.w, g.panel);
  a.mov(g.xk, g.x);
  int64_t all = desc.w.paddedK(desc.k) / 2;
  if (half) {
    for (int i = 0; i < rows * kLines; ++i) a.vmovaps(sumAt(i), Zmm(0));
    repeat(a, g.outer, all / kChunkPairs, [&] { chunk(kChunkPairs); });
    if (all % kChunkPairs) chunk(all % kChunkPairs);
  } else {
    pairs(all, 4);
  }
  for (int i = 0; i < rows * kLines; ++i) {
    if (half) a.vmovaps(Zmm(i), sumAt(i));
    storeSum(a, desc, kIsa, Zmm(i), i / kLines, i % kLines);
  }
}

/// `count` pairs of k, at most `most` to a loop iteration; moves g.w and g.xk past them.
void Emitter::pairs(int64_t count, int most) {
  int unroll = unrollOf(count, most);
  repeat(a, g.inner, count / unroll, [&] {
    for (int i = 0; i < unroll; ++i) pair(i);
    a.add(g.w, uint32_t(unroll * kLines * 64));
    a.add(g.xk, uint32_t(unroll * 4));
  });
}

/// F16: the sums of the even and the odd k of `count` pairs, widened, to the f32 sums.
void Emitter::chunk(int64_t count) {
  pairs(count, 8);
  Zmm even(24), odd(25);
  for (int i = 0; i < rows * kLines; ++i) {
    a.vpmovdw(Ymm(even.getIdx()), Zmm(i));
    a.vpsrld(odd, Zmm(i), 16);
    a.vpmovdw(Ymm(odd.getIdx()), odd);
    a.vcvtph2ps(even, Ymm(even.getIdx()));
    a.vcvtph2ps(odd, Ymm(odd.getIdx()));
    a.vaddps(even, even, odd);
    a.vaddps(even, even, sumAt(i));
    a.vmovaps(sumAt(i), even);
    clear(a, Zmm(i));
  }
}

void Emitter::pair(int index) {
  auto line = [&](int l) { return g.w + (index * kLines + l) * 64; };
  for (int l = 0; l < kLines; ++l) prefetch(a, distance, line(l));
  for (int l = 0; l < kLines; ++l) a.vmovups(Zmm(24 + l), a.ptr[line(l)]);
  for (int r = 0; r < rows; ++r)
    for (int part = 0; part < parts; ++part) {
      Zmm x(28 + (turn ^= 1));
      a.vpbroadcastd(x, a.ptr[g.xk + (r * desc.xStride + part * paddedK16(desc.k) * 2 + index * 4)]);
      for (int l = 0; l < kLines; ++l) {
        Zmm sum(r * kLines + l), w(24 + l);
        half ? a.vfmadd231ph(sum, w, x) : a.vdpbf16ps(sum, w, x);
      }
    }
}
} // namespace

llvm::Expected<Code> emitFloatRows16(const MatmulDesc &desc, const Target &target) {
  return assemble([&](Assembler &a) { Emitter(a, desc, target).emit(); });
}

} // namespace llmc::matmul
