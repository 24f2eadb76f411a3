// BF16 weights by BF16 rows or pairs of them with vdpbf16ps (AVX512-BF16): a packed line is an operand as it is.
// Loops: panel > row block > k pair > row > line; the sums over the whole K stay in registers.
#include "codegen/kernels/matmul/Loops.h"

namespace llmc::matmul {
using namespace Xbyak;

namespace {
const Gpr g;
constexpr Isa kIsa{true};
constexpr int kLines = 4, kRowBlock = 6;

class Emitter {
public:
  Emitter(Assembler &a, const MatmulDesc &desc, const Target &target)
      : a(a), desc(desc), parts(desc.x.kind == RowFormat::Kind::BF16Pair ? 2 : 1),
        distance(prefetchDistance(desc, target)) {}

  void emit() {
    emitPanels(a, desc, kRowBlock, 0, [&](int count) { rowBlock(count); }, kIsa);
  }

private:
  void rowBlock(int rows);
  void pair(int rows, int index);

  Assembler &a;
  const MatmulDesc &desc;
  const int parts; // bf16 rows in a row of x
  const int64_t distance;
  int turn = 0; // which broadcast register comes next
};

void Emitter::rowBlock(int rows) {
  for (int i = 0; i < rows * kLines; ++i) clear(a, Zmm(i));
  a.mov(g.w, g.panel);
  a.mov(g.xk, g.x);
  int64_t pairs = desc.w.paddedK(desc.k) / 2;
  int unroll = unrollOf(pairs, 4);
  repeat(a, g.inner, pairs / unroll, [&] {
    for (int i = 0; i < unroll; ++i) pair(rows, i);
    a.add(g.w, uint32_t(unroll * kLines * 64));
    a.add(g.xk, uint32_t(unroll * 4));
  });
  for (int i = 0; i < rows * kLines; ++i) storeSum(a, desc, kIsa, Zmm(i), i / kLines, i % kLines);
}

void Emitter::pair(int rows, int index) {
  auto line = [&](int l) { return g.w + (index * kLines + l) * 64; };
  for (int l = 0; l < kLines; ++l) prefetch(a, distance, line(l));
  for (int l = 0; l < kLines; ++l) a.vmovups(Zmm(24 + l), a.ptr[line(l)]);
  for (int r = 0; r < rows; ++r)
    for (int part = 0; part < parts; ++part) {
      Zmm x(28 + (turn ^= 1));
      a.vpbroadcastd(x, a.ptr[g.xk + (r * desc.xStride + part * paddedK16(desc.k) * 2 + index * 4)]);
      for (int l = 0; l < kLines; ++l) a.vdpbf16ps(Zmm(r * kLines + l), Zmm(24 + l), x);
    }
}
} // namespace

llvm::Expected<Code> emitFloatBf16(const MatmulDesc &desc, const Target &target) {
  return assemble([&](Assembler &a) { Emitter(a, desc, target).emit(); });
}

} // namespace llmc::matmul
