#include "codegen/kernels/matmul/Amx.h"
#include "codegen/kernels/matmul/Epilogue.h"
#include "llmc_kernel.h"
#include <algorithm>

namespace llmc::matmul {
using namespace Xbyak;

static const Gpr g;
constexpr Isa kIsa{true};

AmxEmitter::AmxEmitter(Assembler &a, const MatmulDesc &desc, int64_t chunkK, int64_t stepK, int64_t ownBytes)
    : a(a), desc(desc), f(desc.w), chunkK(chunkK), stepK(stepK),
      superRows(std::min(kSuperRowsMost, desc.maxRows > kSuperRowsMost ? kSuperRowsMost : roundUp(desc.maxRows, 16))),
      sumsAt(roundUp(kSlotsAt + 8 * kSlots, kAlign)), ownAt(sumsAt + superRows * kSumsStride),
      frameBytes(ownAt + ownBytes) {}

void AmxEmitter::ifLastChunk(llvm::function_ref<void()> last, llvm::function_ref<void()> other) {
  if (chunks() == 1) return last();
  Label isOther, done;
  a.cmp(chunk, uint32_t((chunks() - 1) * chunkK));
  a.jne(isOther, a.T_NEAR);
  last();
  a.jmp(done, a.T_NEAR);
  a.L(isOther);
  other();
  a.L(done);
}

void AmxEmitter::emit() {
  a.enter({a.rbx, a.r12, a.r13, a.r14, a.r15}, int(frameBytes));
  clear(a, a.zmm0);
  a.vmovdqa32(a.ptr[a.rsp], a.zmm0); // the tile configuration
  a.mov(a.byte[a.rsp], 1);           // palette
  a.mov(slot(kRows), 0);             // the first row block configures its tiles
  a.mov(slot(kArgs), g.args);
  for (auto [to, field] : {std::pair(kRowsLeft, offsetof(llmc_matmul_args, rows)),
                           {kX, offsetof(llmc_matmul_args, x)},
                           {kY, offsetof(llmc_matmul_args, y)}}) {
    a.mov(a.rax, a.qword[g.args + field]);
    a.mov(slot(to), a.rax);
  }
  Label block, done;
  a.mov(a.rax, a.qword[g.args + offsetof(llmc_matmul_args, end)]);
  a.cmp(a.rax, a.qword[g.args + offsetof(llmc_matmul_args, begin)]);
  a.jle(done, a.T_NEAR);
  a.L(block);
  superBlock();
  a.sub(slot(kRowsLeft), uint32_t(superRows));
  a.jg(block, a.T_NEAR);
  a.L(done);
  a.tilerelease();
  a.leave();
  if (!hasEpilogue(desc)) return;
  a.L(epilogue);
  emitEpilogue(a, desc, /*avx512=*/true);
}

/// All panels for the next rows: they stay in L2 (a megabyte at K 4096) while weights pass.
void AmxEmitter::superBlock() {
  a.mov(a.rax, slot(kRowsLeft));
  a.mov(a.ecx, uint32_t(superRows));
  a.cmp(a.rax, a.rcx);
  a.cmovg(a.rax, a.rcx);
  a.mov(slot(kSuperRows), a.rax);
  a.mov(g.args, slot(kArgs));
  a.mov(g.panel, a.qword[g.args + offsetof(llmc_matmul_args, begin)]);
  a.mov(g.panels, a.qword[g.args + offsetof(llmc_matmul_args, end)]);
  a.sub(g.panels, g.panel);
  a.mov(slot(kPanels), g.panels);
  if (desc.bias) {
    a.imul(g.bias, g.panel, int(kPanel * sizeof(float)));
    a.add(g.bias, a.qword[g.args + offsetof(llmc_matmul_args, bias)]);
  }
  a.imul(g.yPanel, g.panel, int(panelStride(desc)));
  a.add(g.yPanel, slot(kY));
  a.imul(g.panel, g.panel, int(f.panelBytes(desc.k)));
  a.add(g.panel, a.qword[g.args + offsetof(llmc_matmul_args, w)]);
  Label next;
  a.L(next);
  panel();
  a.add(g.panel, uint32_t(f.panelBytes(desc.k)));
  if (desc.bias) a.add(g.bias, uint32_t(kPanel * 4));
  a.add(g.yPanel, uint32_t(panelStride(desc)));
  a.dec(slot(kPanels));
  a.jnz(next, a.T_NEAR);
  a.mov(a.eax, uint32_t(superRows));
  for (auto [at, stride] : {std::pair(kX, desc.xStride), {kY, desc.yStride}}) {
    a.imul(a.rcx, a.rax, int(stride));
    a.add(slot(at), a.rcx);
  }
}

void AmxEmitter::panel() {
  a.mov(slot(kWeights), g.panel);
  a.kxorw(a.k2, a.k2, a.k2);
  startPanel();
  Label next;
  a.xor_(chunk.cvt32(), chunk.cvt32());
  a.L(next);
  auto stepsOf = [&](int64_t k) { a.mov(steps(), uint32_t((k + stepK - 1) / stepK)); };
  ifLastChunk([&] { stepsOf(lastChunkK()); }, [&] { stepsOf(chunkK); });
  unpack();
  rowBlocks();
  if (chunks() > 1) {
    a.kxnorw(a.k2, a.k2, a.k2);
    a.add(slot(kWeights), uint32_t(chunkBytes()));
    a.add(chunk, uint32_t(chunkK));
    a.cmp(chunk, uint32_t(desc.k));
    a.jl(next, a.T_NEAR);
  }
  finish();
}

void AmxEmitter::rowBlocks() {
  Label next, one, after;
  const int64_t most = std::min<int64_t>(desc.maxRows, 2 * kTileRows);
  a.mov(x, slot(kX));
  a.lea(sums, a.ptr[a.rsp + sumsAt]);
  a.mov(g.rows, slot(kSuperRows));
  a.L(next);
  configure();
  if (most > kTileRows) {
    a.cmp(slot(kRows), uint32_t(kTileRows));
    a.jle(one, a.T_NEAR);
    product(2);
    a.jmp(after, a.T_NEAR);
  }
  a.L(one);
  product(1);
  a.L(after);
  if (desc.maxRows <= 2 * kTileRows) return finishChunk(); // no other row block
  a.add(x, uint32_t(2 * kTileRows * desc.xStride));
  a.add(sums, uint32_t(2 * kTileRows * kSumsStride));
  a.sub(g.rows, uint32_t(2 * kTileRows));
  a.jg(next, a.T_NEAR);
  finishChunk();
}

/// Tiles for a row block of min(g.rows, 32) rows, if the last ones were others. LDTILECFG clears all tiles.
void AmxEmitter::configure() {
  Label done, two, load;
  auto set = [&](std::initializer_list<int> tiles, const Reg32 &rows) {
    for (int tile : tiles) {
      a.mov(a.byte[a.rsp + (48 + tile)], rows.cvt8());
      a.mov(a.byte[a.rsp + (16 + 2 * tile)], 64); // bytes of a row
    }
  };
  a.mov(a.eax, uint32_t(2 * kTileRows));
  a.cmp(g.rows, a.rax);
  a.cmovl(a.rax, g.rows);
  a.cmp(slot(kRows), a.rax);
  a.je(done, a.T_NEAR);
  a.mov(slot(kRows), a.rax);
  a.mov(a.ebx, uint32_t(kTileRows));
  a.cmp(a.eax, uint32_t(kTileRows));
  a.jg(two, a.T_NEAR);
  set({0, 1, 2, 3, 4}, a.eax);
  set({5, 6, 7}, a.ebx);
  a.jmp(load, a.T_NEAR);
  a.L(two);
  a.sub(a.eax, uint32_t(kTileRows));
  set({0, 1, 4, 6, 7}, a.ebx);
  set({2, 3, 5}, a.eax);
  a.L(load);
  a.ldtilecfg(a.ptr[a.rsp]);
  a.L(done);
}

/// From the sums of all rows to y.
void AmxEmitter::finish() {
  const Reg64 &tile = g.xk;
  if (hasEpilogue(desc)) {
    a.lea(g.y, a.ptr[a.rsp + sumsAt]);
    a.mov(g.outer, slot(kSuperRows));
    a.mov(g.xk, g.yPanel);
    a.mov(g.args, slot(kArgs));
    a.mov(g.panels, slot(kPanels));
    a.call(epilogue);
    return;
  }
  a.lea(tile, a.ptr[a.rsp + sumsAt]);
  a.mov(g.rows, slot(kSuperRows));
  a.mov(g.y, g.yPanel);
  Label row;
  a.L(row);
  for (int v = 0; v < kIsa.vectors(); ++v) {
    a.vmovups(Zmm(v), a.ptr[tile + v * kIsa.bytes()]);
    storeSum(a, desc, kIsa, Zmm(v), 0, v);
  }
  a.add(tile, uint32_t(kSumsStride));
  a.add(g.y, uint32_t(desc.yStride));
  a.dec(g.rows);
  a.jnz(row, a.T_NEAR);
}

} // namespace llmc::matmul
