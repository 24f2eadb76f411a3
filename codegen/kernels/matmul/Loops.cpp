#include "codegen/kernels/matmul/Loops.h"
#include "codegen/kernels/matmul/Epilogue.h"
#include "llmc_kernel.h"
#include <algorithm>

namespace llmc::matmul {
using namespace Xbyak;

static const Gpr g;
static Address field(Assembler &a, size_t offset) { return a.qword[g.args + offset]; }

/// Row counts 1..rowBlock-1 that can be left after the full row blocks.
static std::vector<int> remainders(const MatmulDesc &desc, int rowBlock) {
  std::vector<int> left;
  for (int r = 1; r < rowBlock; ++r)
    for (int64_t rows = desc.minRows, i = 0; rows <= desc.maxRows && i < rowBlock; ++rows, ++i)
      if (rows % rowBlock == r) left.push_back(r);
  return left;
}

namespace {
/// The loops of emitPanels. With an epilogue g.y is the tile that storeSum writes to, and the row of y is in the frame.
class Panels {
public:
  Panels(Assembler &a, const MatmulDesc &desc, Isa isa, int rowBlock, int stackBytes)
      : a(a), desc(desc), isa(isa), epilogue(hasEpilogue(desc)), rowBlock(rowBlock),
        tile(int(roundUp(stackBytes, kAlign))), stack(tile + rowBlock * int(kPanel) * 4 + 8) {
    if (!epilogue) stack = stackBytes;
  }
  void emit(llvm::function_ref<void(int)> body);

private:
  void rowBlocks(llvm::function_ref<void(int)> body);
  void rows(int count, llvm::function_ref<void(int)> body);
  Address rowOfY() { return a.qword[a.rsp + (tile + rowBlock * kPanel * 4)]; }

  Assembler &a;
  const MatmulDesc &desc;
  const Isa isa;
  const bool epilogue;
  const int rowBlock, tile; // tile: its offset in the frame
  int stack;
  Label finish;
};

void Panels::rows(int count, llvm::function_ref<void(int)> body) {
  body(count);
  if (!epilogue) return;
  a.mov(g.xk, rowOfY());
  a.mov(g.outer.cvt32(), uint32_t(count));
  a.call(finish);
}

void Panels::rowBlocks(llvm::function_ref<void(int)> body) {
  std::vector<int> left = remainders(desc, rowBlock);
  std::vector<Label> labels(rowBlock);
  Label full, rest, done;
  if (desc.maxRows >= rowBlock) {
    a.L(full);
    a.cmp(g.rows, rowBlock);
    a.jl(rest, CodeGenerator::T_NEAR);
    rows(rowBlock, body);
    a.add(g.x, uint32_t(rowBlock * desc.xStride));
    if (epilogue)
      a.add(rowOfY(), uint32_t(rowBlock * desc.yStride));
    else
      a.add(g.y, uint32_t(rowBlock * desc.yStride));
    a.sub(g.rows, rowBlock);
    a.jmp(full, CodeGenerator::T_NEAR);
  }
  a.L(rest);
  for (int r : left) {
    a.cmp(g.rows, r);
    a.je(labels[r], CodeGenerator::T_NEAR);
  }
  if (!left.empty()) a.jmp(done, CodeGenerator::T_NEAR);
  for (int r : left) {
    a.L(labels[r]);
    rows(r, body);
    if (r != left.back()) a.jmp(done, CodeGenerator::T_NEAR);
  }
  a.L(done);
}

void Panels::emit(llvm::function_ref<void(int)> body) {
  int64_t panelBytes = desc.w.panelBytes(desc.k), yBytes = panelStride(desc);
  a.enter({a.rbx, a.r12, a.r13, a.r14, a.r15}, stack);
  a.mov(g.panel, field(a, offsetof(llmc_matmul_args, begin)));
  a.mov(g.panels, field(a, offsetof(llmc_matmul_args, end)));
  if (desc.bias) {
    a.imul(g.bias, g.panel, int(kPanel * sizeof(float)));
    a.add(g.bias, field(a, offsetof(llmc_matmul_args, bias)));
  }
  a.imul(g.yPanel, g.panel, int(yBytes));
  a.add(g.yPanel, field(a, offsetof(llmc_matmul_args, y)));
  a.sub(g.panels, g.panel);
  Label panel, done;
  a.jle(done, CodeGenerator::T_NEAR);
  a.imul(g.panel, g.panel, int(panelBytes));
  a.add(g.panel, field(a, offsetof(llmc_matmul_args, w)));
  if (epilogue) a.lea(g.y, a.ptr[a.rsp + tile]);
  a.L(panel);
  a.mov(g.rows, field(a, offsetof(llmc_matmul_args, rows)));
  a.mov(g.x, field(a, offsetof(llmc_matmul_args, x)));
  if (epilogue)
    a.mov(rowOfY(), g.yPanel);
  else
    a.mov(g.y, g.yPanel);
  rowBlocks(body);
  a.add(g.panel, uint32_t(panelBytes));
  if (desc.bias) a.add(g.bias, uint32_t(kPanel * 4));
  a.add(g.yPanel, uint32_t(yBytes));
  a.dec(g.panels);
  a.jnz(panel, CodeGenerator::T_NEAR);
  a.L(done);
  a.leave();
  if (!epilogue) return;
  a.L(finish);
  emitEpilogue(a, desc, isa.avx512);
}
} // namespace

void emitPanels(Assembler &a, const MatmulDesc &desc, int rowBlock, int stackBytes, llvm::function_ref<void(int)> body,
                Isa isa) {
  Panels(a, desc, isa, rowBlock, stackBytes).emit(body);
}

void storeSum(Assembler &a, const MatmulDesc &desc, Isa isa, const Xmm &sum, int row, int vector) {
  int64_t column = int64_t(vector) * isa.bytes();
  if (hasEpilogue(desc)) return a.vmovups(a.ptr[g.y + (row * kPanel * 4 + column)], sum);
  Address y = a.ptr[g.y + (row * desc.yStride + column)];
  if (desc.bias) a.vaddps(sum, sum, a.ptr[g.bias + column]);
  if (desc.accumulate) a.vaddps(sum, sum, y);
  a.vmovups(y, sum);
}

int64_t prefetchDistance(const MatmulDesc &desc, const Target &target) {
  return desc.w.kind == WeightKind::F32 ? 0 : target.prefetchBytes; // F32: little work a line, no gain
}

void prefetch(Assembler &a, int64_t distance, const RegExp &from) {
  if (distance) a.prefetcht0(a.ptr[from + distance]);
}

void repeat(Assembler &a, const Reg64 &counter, int64_t count, llvm::function_ref<void()> body) {
  if (count <= 0) return;
  Label top;
  if (count > 1) {
    a.mov(counter.cvt32(), uint32_t(count));
    a.align(32);
    a.L(top);
  }
  body();
  if (count > 1) {
    a.dec(counter.cvt32());
    a.jnz(top, CodeGenerator::T_NEAR);
  }
}

int unrollOf(int64_t count, int most) {
  int unroll = int(std::max<int64_t>(1, std::min<int64_t>(count, most)));
  while (count % unroll) --unroll;
  return unroll;
}

void sumLanes(Assembler &a, int rows, const RegExp &to) {
  for (int first = 0; first < rows; first += 4) { // four rows in one register
    auto row = [&](int i) { return Ymm(std::min(first + i, rows - 1)); };
    a.vhaddps(Ymm(6), row(0), row(1));
    a.vhaddps(Ymm(7), row(2), row(3));
    a.vhaddps(Ymm(6), Ymm(6), Ymm(7));
    a.vextractf128(Xmm(7), Ymm(6), 1);
    a.vaddps(Xmm(6), Xmm(6), Xmm(7));
    a.vmovups(a.ptr[to + first * 4], Xmm(6));
  }
}

void loadScales(Assembler &a, Isa isa, ScaleType type, const Xmm &to, const Reg64 &base, int64_t offset, int vector) {
  int64_t size = type == ScaleType::F32 ? 4 : 2;
  Address from = a.ptr[base + (offset + vector * isa.lanes() * size)];
  switch (type) {
  case ScaleType::F32: a.vmovups(to, from); break;
  case ScaleType::F16: a.vcvtph2ps(to, from); break;
  case ScaleType::BF16:
    a.vpmovzxwd(to, from);
    a.vpslld(to, to, 16);
    break;
  }
}

void loadMinima(Assembler &a, Isa isa, const WeightFormat &f, const Xmm &to, const Reg64 &scales, int64_t offset,
                int vector) {
  loadScales(a, isa, f.offset == Offset::MinF16 ? ScaleType::F16 : ScaleType::F32, to, scales, offset + f.scaleBytes(),
             vector);
}

void loadZeroPoints(Assembler &a, Isa isa, const WeightFormat &f, const Xmm &to, const Reg64 &scales, int64_t offset,
                    int vector) {
  a.vpmovzxbd(to, a.ptr[scales + (offset + f.scaleBytes() + vector * isa.lanes())]);
}

} // namespace llmc::matmul
