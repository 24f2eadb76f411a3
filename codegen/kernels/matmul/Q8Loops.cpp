#include "codegen/kernels/matmul/Q8Loops.h"

namespace llmc::matmul {
using namespace Xbyak;

static const Gpr g;

Refusal refuseUnits(const MatmulDesc &d) {
  auto number = [](int64_t value) { return std::to_string(value); };
  int64_t group = d.w.group, block = d.x.block;
  if (block != 32 && block != 64 && block != 128 && block != 256)
    return "activation blocks of " + number(block) + " k, expected 32, 64, 128 or 256";
  if (group == 16 && block == 32) return std::nullopt;
  if (group % block && group < d.k)
    return "activation blocks of " + number(block) + " k do not divide groups of " + number(group);
  if (d.w.paddedK(d.k) > q8PaddedK(d.k, block)) // possible for groups that do not divide 256
    return "the last group of " + number(group) + " ends past the q8 row, which holds k (" + number(d.k) +
           ") rounded up to " + number(q8PaddedK(d.k, block));
  return std::nullopt;
}

/// Groups of 16 or 32: `blocks` blocks of 32 k with all their groups, at constant offsets.
static void emitSmallGroups(Assembler &a, const WeightFormat &f, int blocks, int64_t groups,
                            llvm::function_ref<void(int64_t)> enterGroup,
                            llvm::function_ref<void(const Q8Unit &)> unit) {
  int64_t perBlock = kActivationBlock / f.group;
  a.lea(g.scales, a.ptr[g.w + f.codeBytes()]);
  for (int64_t i = 0; i < groups; ++i) {
    enterGroup(i * f.blockBytes());
    unit({f.group, i * f.blockBytes(), i * f.group, i / perBlock, perBlock == 1 ? -1 : int(i % perBlock),
          i * f.blockBytes()});
  }
  a.add(g.w, uint32_t(groups * f.blockBytes()));
  a.add(g.xk, uint32_t(blocks * kActivationBlock));
  a.add(g.block, blocks);
}

void emitQ8Units(Assembler &a, const MatmulDesc &desc, int64_t prefetchDistance, int unroll,
                 llvm::function_ref<void(int64_t)> enterGroup, llvm::function_ref<void(const Q8Unit &)> unit) {
  const WeightFormat &f = desc.w;
  int64_t groups = f.paddedK(desc.k) / f.group, block = desc.x.block;
  auto enter = [&](int64_t scales) {
    for (int64_t line = 0; line < f.scaleBytes() + f.offsetBytes(); line += 64)
      prefetch(a, prefetchDistance, g.scales + (scales + line));
    enterGroup(scales);
  };
  a.mov(g.w, g.panel);
  a.mov(g.xk, g.x);
  a.xor_(g.block.cvt32(), g.block.cvt32());
  if (block == kActivationBlock && f.group <= block) {
    int64_t perBlock = block / f.group, blocks = groups / perBlock;
    int step = unrollOf(blocks, unroll);
    repeat(a, g.outer, blocks / step, [&] { emitSmallGroups(a, f, step, step * perBlock, enter, unit); });
    if (groups % perBlock) emitSmallGroups(a, f, 1, groups % perBlock, enter, unit);
    return;
  }
  // Units of one block; the last of a group may be short if there is one group only.
  int64_t units = f.group / block, rest = f.group % block, bytesOfK = f.codeBytes() / f.group;
  int step = unrollOf(units, block == kActivationBlock ? unroll : 1);
  auto emitUnits = [&](int count, int64_t k) {
    for (int i = 0; i < count; ++i) unit({k, i * k * bytesOfK, i * k, i, -1, 0});
    a.add(g.w, uint32_t(count * k * bytesOfK));
    a.add(g.xk, uint32_t(count * k));
    a.add(g.block, count);
  };
  a.mov(a.ptr[a.rsp - 8], g.args); // in the red zone
  repeat(a, g.outer, groups, [&] {
    a.lea(g.scales, a.ptr[g.w + f.codeBytes()]);
    enter(0);
    repeat(a, g.inner, units / step, [&] { emitUnits(step, block); });
    if (rest) emitUnits(1, rest);
    a.add(g.w, uint32_t(f.scaleBytes() + f.offsetBytes()));
  });
  a.mov(g.args, a.ptr[a.rsp - 8]);
}

void emitQ8Pieces(Assembler &a, const WeightFormat &f, const Q8Unit &unit,
                  llvm::function_ref<void(const Q8Unit &)> piece) {
  if (unit.k <= kActivationBlock) return piece(unit);
  int64_t bytes = f.codeBytes() / f.group * kActivationBlock, pieces = unit.k / kActivationBlock;
  Q8Unit one = unit;
  one.k = kActivationBlock;
  repeat(a, g.args, pieces, [&] {
    piece(one);
    a.add(g.w, uint32_t(bytes));
    a.add(g.xk, uint32_t(kActivationBlock));
  });
  a.sub(g.w, uint32_t(pieces * bytes));
  a.sub(g.xk, uint32_t(pieces * kActivationBlock));
}

RegExp q8Scale(const MatmulDesc &desc, const Q8Unit &unit, int row) {
  return g.x + g.block * 4 + (row * desc.xStride + q8ScaleOffset(desc.k, desc.x.block) + unit.index * 4);
}

RegExp q8Sum(const MatmulDesc &desc, const Q8Unit &unit, int row) {
  int64_t k = desc.k, block = desc.x.block;
  if (unit.half < 0) return g.x + g.block * 4 + (row * desc.xStride + q8SumOffset(k, block) + unit.index * 4);
  return g.x + g.block * 8 + (row * desc.xStride + q8HalfSumOffset(k, block) + unit.index * 8 + unit.half * 4);
}

} // namespace llmc::matmul
