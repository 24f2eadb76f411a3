#include "codegen/kernels/matmul/Q8Loops.h"

namespace llmc::matmul {
using namespace Xbyak;

static const Gpr g;
static constexpr int64_t kBlock = kActivationBlock;

/// Groups of 16 or 32: `blocks` blocks of 32 k with all their groups, at constant offsets.
static void emitSmallGroups(Assembler &a, const WeightFormat &f, int blocks, int64_t groups,
                            llvm::function_ref<void(int64_t)> enterGroup,
                            llvm::function_ref<void(const Q8Block &)> block) {
  int64_t perBlock = kBlock / f.group;
  a.lea(g.scales, a.ptr[g.w + f.codeBytes()]);
  for (int64_t i = 0; i < groups; ++i) {
    enterGroup(i * f.blockBytes());
    block({f.group, i * f.blockBytes(), i * f.group, i / perBlock, perBlock == 1 ? -1 : int(i % perBlock),
           i * f.blockBytes()});
  }
  a.add(g.w, uint32_t(groups * f.blockBytes()));
  a.add(g.xk, uint32_t(blocks * kBlock));
  a.add(g.block, blocks);
}

void emitQ8Blocks(Assembler &a, const MatmulDesc &desc, int64_t prefetchDistance, int unroll,
                  llvm::function_ref<void(int64_t)> enterGroup, llvm::function_ref<void(const Q8Block &)> block) {
  const WeightFormat &f = desc.w;
  int64_t groups = f.paddedK(desc.k) / f.group;
  auto enter = [&](int64_t scales) {
    for (int64_t line = 0; line < f.scaleBytes() + f.offsetBytes(); line += 64)
      prefetch(a, prefetchDistance, g.scales + (scales + line));
    enterGroup(scales);
  };
  a.mov(g.w, g.panel);
  a.mov(g.xk, g.x);
  a.xor_(g.block.cvt32(), g.block.cvt32());
  if (f.group <= kBlock) {
    int64_t perBlock = kBlock / f.group, blocks = groups / perBlock;
    int step = unrollOf(blocks, unroll);
    repeat(a, g.outer, blocks / step, [&] { emitSmallGroups(a, f, step, step * perBlock, enter, block); });
    if (groups % perBlock) emitSmallGroups(a, f, 1, groups % perBlock, enter, block);
    return;
  }
  int64_t blocks = f.group / kBlock, codeBytes = f.codeBytes() / blocks;
  int step = unrollOf(blocks, unroll);
  repeat(a, g.outer, groups, [&] {
    a.lea(g.scales, a.ptr[g.w + f.codeBytes()]);
    enter(0);
    repeat(a, g.inner, blocks / step, [&] {
      for (int i = 0; i < step; ++i) block({kBlock, i * codeBytes, i * kBlock, i, -1, 0});
      a.add(g.w, uint32_t(step * codeBytes));
      a.add(g.xk, uint32_t(step * kBlock));
      a.add(g.block, step);
    });
    a.add(g.w, uint32_t(f.scaleBytes() + f.offsetBytes()));
  });
}

RegExp q8Scale(const MatmulDesc &desc, const Q8Block &block, int row) {
  return g.x + g.block * 4 + (row * desc.xStride + q8ScaleOffset(desc.k) + block.index * 4);
}

RegExp q8Sum(const MatmulDesc &desc, const Q8Block &block, int row) {
  if (block.half < 0) return g.x + g.block * 4 + (row * desc.xStride + q8SumOffset(desc.k) + block.index * 4);
  return g.x + g.block * 8 + (row * desc.xStride + q8HalfSumOffset(desc.k) + block.index * 8 + block.half * 4);
}

} // namespace llmc::matmul
