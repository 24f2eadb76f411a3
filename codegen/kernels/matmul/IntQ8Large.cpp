// I4 and I8 weights by many Q8 rows. Loops: chunk of rows > panel > chunk of about 256 k, widened to bytes once
// (Q8Wide.h) > block of 3 rows > tile (Q8Tile.h): columns > unit > 4 k > row > vector. The float sums of a tile stay in
// registers for a chunk of k and on the stack between chunks, so that every (row, column) is summed as in the kernels
// for few rows, unit by unit.
#include "codegen/kernels/matmul/Epilogue.h"
#include "codegen/kernels/matmul/Q8Tile.h"
#include "llmc_kernel.h"
#include <cstddef>

namespace llmc::matmul {
using namespace Xbyak;

namespace {
constexpr int kMaxRows = 192;         // rows of a chunk: widening is 2 % of the work then, and sums take 48 KB
constexpr int kRowBytes = kPanel * 4; // of the sums of a row
const Gpr g;

/// Places on the stack, from rsp: the sums of a chunk of rows, loop variables, integer sums of a unit, x + 128 of two
/// row blocks (kPacked), records.
enum : int64_t {
  kSums = 0,
  kRowsLeft = kMaxRows * kRowBytes, // of the call
  kRowsOfChunk = kRowsLeft + 8,
  kX = kRowsLeft + 16, // the chunk's rows of x, of y
  kY = kRowsLeft + 24,
  kChunksLeft = kRowsLeft + 32, // of k
  kWeights = kRowsLeft + 40,    // where the next chunk starts
  kCodes = kRowsLeft + 48,      // of x: offset of the chunk in a row
  kBlocks = kRowsLeft + 56,     // of x: offset of the chunk's first scale
  kUnits = kRowsLeft + 64,      // of the chunk, or pairs of units
  kThisPacked = kRowsLeft + 72, // x + 128 of this row block, of the next one
  kNextPacked = kRowsLeft + 80,
  kYPanel = kRowsLeft + 88,      // the register's place
  kYBlock = kRowsLeft + 96,      // of the row block
  kAhead = kRowsLeft + 104,      // weights that are fetched next
  kAheadLines = kRowsLeft + 112, // how many lines of them for each row block
  kTotals = kRowsLeft + 128,
  kPacked = kTotals + 12 * 64,
};

class Emitter {
public:
  Emitter(Assembler &a, const MatmulDesc &desc, Q8Isa q8)
      : a(a), desc(desc), isa(q8.isa), q8(q8), chunks(desc), wide(desc, q8), tile(a, desc, q8, chunks, wide, kTotals) {}
  void emit();

private:
  void touchStack(int64_t bytes);
  void rowsOfChunk();
  void rowChunk();
  void panel();
  void chunk();
  void widen();
  void rowBlock(int rows, bool packsAhead);
  void pack(int rows);
  void nextPacked();
  void prefetchY(int rows);
  void prefetchWeights();
  void finishRows();

  bool inParts() const { return Q8Tile::widthOf(isa) < isa.vectors(); }
  Address slot(int64_t offset) const { return a.qword[a.rsp + uint32_t(offset)]; }
  Address field(size_t offset) const { return a.qword[g.args + offset]; }

  Assembler &a;
  const MatmulDesc &desc;
  const Isa isa;
  const Q8Isa q8;
  const Q8Chunks chunks;
  const int64_t packedBlock = kTileRows * chunks.packedRow(), records = kPacked + 2 * packedBlock; // on the stack
  const Wide wide;
  Q8Tile tile;
  const Reg64 sums{g.scales}; // of the row block
  const Reg64 part{g.y};      // offset of the tile's columns, bytes
  Label epilogue;
};

void Emitter::emit() {
  int64_t stack = records + chunks.chunkUnits * wide.bytes;
  a.enter({a.rbx, a.r12, a.r13, a.r14, a.r15}, int(stack));
  touchStack(stack);
  Label done, next;
  a.mov(g.panels, field(offsetof(llmc_matmul_args, end)));
  a.sub(g.panels, field(offsetof(llmc_matmul_args, begin)));
  a.jle(done, CodeGenerator::T_NEAR);
  a.mov(g.x, field(offsetof(llmc_matmul_args, x)));
  a.mov(slot(kX), g.x);
  a.mov(g.y, field(offsetof(llmc_matmul_args, y)));
  a.mov(slot(kY), g.y);
  a.mov(g.rows, field(offsetof(llmc_matmul_args, rows)));
  a.mov(slot(kRowsLeft), g.rows);
  rowsOfChunk();
  a.L(next);
  rowChunk();
  a.jnz(next, CodeGenerator::T_NEAR);
  a.L(done);
  a.leave();
  if (!hasEpilogue(desc)) return;
  a.L(epilogue);
  emitEpilogue(a, desc, isa.avx512);
}

/// One access to each page, from the top: a stack that is too small ends at its guard page, not beyond it.
void Emitter::touchStack(int64_t bytes) {
  constexpr int64_t kPage = 4096;
  for (int64_t at = bytes / kPage * kPage; at >= 0; at -= kPage) a.test(a.byte[a.rsp + uint32_t(at)], a.al);
}

/// rows / ceil(rows / kMaxRows), rounded up to whole row blocks. Takes the rows in g.rows.
void Emitter::rowsOfChunk() {
  static_assert(kMaxRows % kTileRows == 0);
  const Reg64 &dividend = a.rax, &high = a.rdx; // of div
  a.lea(dividend, a.ptr[g.rows + (kMaxRows - 1)]);
  a.xor_(high.cvt32(), high.cvt32());
  a.mov(g.inner.cvt32(), kMaxRows);
  a.div(g.inner);
  a.imul(g.inner, dividend, kTileRows); // chunks times 3
  a.lea(dividend, a.ptr[g.rows + g.inner - 1]);
  a.xor_(high.cvt32(), high.cvt32());
  a.div(g.inner);
  a.imul(dividend, dividend, kTileRows);
  a.mov(slot(kRowsOfChunk), dividend);
  a.mov(g.inner, dividend);
  a.mov(dividend, uint32_t(kTileRows * (chunks.chunkBytes(desc.w) / 64)));
  a.xor_(high.cvt32(), high.cvt32());
  a.div(g.inner);
  a.inc(dividend);
  a.mov(slot(kAheadLines), dividend);
}

/// All panels of a chunk of rows. Leaves the flags of the rows that are left.
void Emitter::rowChunk() {
  Label enough, next;
  a.mov(g.rows, slot(kRowsOfChunk));
  a.cmp(g.rows, slot(kRowsLeft));
  a.jle(enough);
  a.mov(g.rows, slot(kRowsLeft));
  a.mov(slot(kRowsOfChunk), g.rows);
  a.L(enough);
  a.mov(g.panels, field(offsetof(llmc_matmul_args, end)));
  a.mov(g.panel, field(offsetof(llmc_matmul_args, begin)));
  a.sub(g.panels, g.panel);
  if (desc.bias) {
    a.imul(g.bias, g.panel, kRowBytes);
    a.add(g.bias, field(offsetof(llmc_matmul_args, bias)));
  }
  a.imul(g.yPanel, g.panel, int(panelStride(desc)));
  a.add(g.yPanel, slot(kY));
  a.imul(g.panel, g.panel, int(desc.w.panelBytes(desc.k)));
  a.add(g.panel, field(offsetof(llmc_matmul_args, w)));
  a.L(next);
  panel();
  a.add(g.panel, uint32_t(desc.w.panelBytes(desc.k)));
  if (desc.bias) a.add(g.bias, kRowBytes);
  a.add(g.yPanel, uint32_t(panelStride(desc)));
  a.dec(g.panels);
  a.jnz(next, CodeGenerator::T_NEAR);
  a.mov(g.rows, slot(kRowsOfChunk));
  a.imul(g.x, g.rows, int(desc.xStride));
  a.add(slot(kX), g.x);
  a.imul(g.x, g.rows, int(desc.yStride));
  a.add(slot(kY), g.x);
  a.sub(slot(kRowsLeft), g.rows);
}

void Emitter::panel() {
  clear(a, isa.vec(0));
  a.mov(g.rows, slot(kRowsOfChunk));
  a.lea(sums, a.ptr[a.rsp + kSums]);
  Label zero, next;
  a.L(zero);
  for (int v = 0; v < isa.vectors(); ++v) vstore(a, a.ptr[sums + v * isa.bytes()], isa.vec(0));
  a.add(sums, kRowBytes);
  a.dec(g.rows);
  a.jnz(zero);
  a.mov(slot(kWeights), g.panel);
  a.xor_(g.w.cvt32(), g.w.cvt32());
  a.mov(slot(kCodes), g.w);
  a.mov(slot(kBlocks), g.w);
  a.mov(slot(kChunksLeft), uint32_t(chunks.chunks));
  a.L(next);
  chunk();
  a.dec(slot(kChunksLeft));
  a.jnz(next, CodeGenerator::T_NEAR);
  finishRows();
}

/// Sums to y, with what follows the sum.
void Emitter::finishRows() {
  if (hasEpilogue(desc)) {
    a.lea(g.y, a.ptr[a.rsp + kSums]);
    a.mov(g.outer, slot(kRowsOfChunk));
    a.mov(g.xk, g.yPanel);
    a.call(epilogue);
    return;
  }
  a.mov(g.rows, slot(kRowsOfChunk));
  a.mov(g.y, g.yPanel);
  a.lea(sums, a.ptr[a.rsp + kSums]);
  Label row;
  a.L(row);
  for (int v = 0; v < isa.vectors(); ++v) {
    a.vmovups(isa.vec(v), a.ptr[sums + v * isa.bytes()]);
    storeSum(a, desc, isa, isa.vec(v), 0, v);
  }
  a.add(g.y, uint32_t(desc.yStride));
  a.add(sums, kRowBytes);
  a.dec(g.rows);
  a.jnz(row);
}

void Emitter::widen() {
  a.mov(g.w, slot(kWeights));
  a.lea(g.xk, a.ptr[a.rsp + uint32_t(records)]);
  auto emit = [&](int64_t units, int64_t restK) {
    emitWiden(a, desc, q8, chunks, units, restK);
    a.mov(slot(kUnits), uint32_t(tile.pairs() ? units / 2 : units));
  };
  bool lastDiffers = chunks.lastUnits != chunks.chunkUnits || chunks.restK != chunks.unit;
  Label last, done;
  if (chunks.chunks > 1) {
    if (lastDiffers) {
      a.cmp(slot(kChunksLeft), 1);
      a.je(last, CodeGenerator::T_NEAR);
    }
    emit(chunks.chunkUnits, chunks.unit);
    if (lastDiffers) a.jmp(done, CodeGenerator::T_NEAR);
  }
  a.L(last);
  if (chunks.chunks == 1 || lastDiffers) emit(chunks.lastUnits, chunks.restK);
  a.L(done);
  a.mov(slot(kWeights), g.w);
  a.mov(slot(kAhead), g.w);
}

void Emitter::chunk() {
  widen();
  a.mov(slot(kYPanel), g.yPanel);
  a.mov(slot(kYBlock), g.yPanel);
  tile.loadConstant();
  a.mov(g.rows, slot(kRowsOfChunk));
  a.mov(g.x, slot(kX));
  a.lea(sums, a.ptr[a.rsp + kSums]);
  bool ahead = q8.vnni && isa.avx512;
  Label full, rest, one, done;
  a.cmp(g.rows, kTileRows);
  a.jl(rest, CodeGenerator::T_NEAR);
  if (ahead) {
    pack(kTileRows);
    a.mov(slot(kThisPacked), Q8Tile::packed());
    a.add(Q8Tile::packed(), uint32_t(packedBlock));
    a.mov(slot(kNextPacked), Q8Tile::packed());
  }
  a.L(full);
  rowBlock(kTileRows, ahead);
  a.add(g.x, uint32_t(kTileRows * desc.xStride));
  a.add(sums, kTileRows * kRowBytes);
  a.sub(g.rows, kTileRows);
  a.cmp(g.rows, kTileRows);
  a.jge(full, CodeGenerator::T_NEAR);
  a.L(rest);
  static_assert(kTileRows == 3);
  a.cmp(g.rows, 1);
  a.je(one, CodeGenerator::T_NEAR);
  a.jl(done, CodeGenerator::T_NEAR);
  rowBlock(2, false);
  a.jmp(done, CodeGenerator::T_NEAR);
  a.L(one);
  rowBlock(1, false);
  a.L(done);
  a.mov(g.yPanel, slot(kYPanel));
  int64_t k = chunks.chunkUnits * chunks.unit;
  a.add(slot(kCodes), uint32_t(k));
  a.add(slot(kBlocks), uint32_t(k / desc.x.block * 4));
}

/// x + 128 of `rows` rows for the units of a chunk, to where `packed` comes to point.
void Emitter::pack(int rows) {
  constexpr int64_t kStep = 32;
  int64_t steps = tile.pairs() ? 1 : chunks.unit / kStep; // of what kUnits counts
  a.lea(Q8Tile::packed(), a.ptr[a.rsp + uint32_t(kPacked)]);
  a.mov(g.y, slot(kCodes));
  a.add(g.y, g.x);
  a.imul(g.inner, slot(kUnits), int(steps));
  Label next;
  a.L(next);
  for (int r = 0; r < rows; ++r) tile.pack(g.y + r * desc.xStride, Q8Tile::packed() + r * chunks.packedRow(), kStep, 0);
  a.add(g.y, kStep);
  a.add(Q8Tile::packed(), kStep);
  a.dec(g.inner);
  a.jnz(next);
  a.lea(Q8Tile::packed(), a.ptr[a.rsp + uint32_t(kPacked)]);
}

/// g.xk := this row block, packed; prepares packing of the next one at its place.
void Emitter::nextPacked() {
  a.mov(g.xk, slot(kThisPacked));
  a.mov(Q8Tile::packed(), slot(kNextPacked));
  a.mov(slot(kThisPacked), Q8Tile::packed());
  a.mov(slot(kNextPacked), g.xk);
  a.lea(g.y, a.ptr[g.x + uint32_t(kTileRows * desc.xStride)]);
  a.cmp(g.rows, 2 * kTileRows);
  a.cmovl(g.y, g.x); // there is no other full block: anything will do
  a.add(g.y, slot(kCodes));
}

/// Before the last chunk: fetches the lines of y, which are elsewhere when there are many rows.
void Emitter::prefetchY(int rows) {
  Label notYet;
  a.cmp(slot(kChunksLeft), 1);
  a.jne(notYet);
  a.mov(g.y, slot(kYBlock));
  for (int r = 0; r < rows; ++r)
    for (int64_t line = 0; line < panelStride(desc); line += 64) a.prefetchw(a.ptr[g.y + r * desc.yStride + line]);
  a.add(slot(kYBlock), uint32_t(rows * desc.yStride));
  a.L(notYet);
}

/// A share of the next chunk, to L2.
void Emitter::prefetchWeights() {
  a.mov(g.w, slot(kAhead));
  a.mov(g.inner, slot(kAheadLines));
  Label line;
  a.L(line);
  a.prefetcht1(a.ptr[g.w]);
  a.add(g.w, 64);
  a.dec(g.inner);
  a.jnz(line);
  a.mov(slot(kAhead), g.w);
}

void Emitter::rowBlock(int rows, bool packsAhead) {
  if (q8.vnni && !packsAhead) pack(rows);
  prefetchY(rows);
  prefetchWeights();
  auto ofPart = [&](const Reg64 &base) { return inParts() ? base + part : RegExp(base); };
  auto sumAt = [&](int r, int v) { return a.ptr[ofPart(sums) + (r * kRowBytes + v * isa.bytes())]; };
  Label top;
  if (inParts()) a.xor_(part.cvt32(), part.cvt32());
  a.L(top);
  a.lea(g.w, a.ptr[ofPart(a.rsp) + uint32_t(records + wide.codes)]);
  for (int r = 0; r < rows; ++r)
    for (int v = 0; v < Q8Tile::widthOf(isa); ++v) a.vmovaps(tile.sum(r, v), sumAt(r, v));
  if (packsAhead) {
    nextPacked();
  } else if (q8.vnni) {
    a.mov(g.xk, Q8Tile::packed());
  } else {
    a.mov(g.xk, slot(kCodes));
    a.add(g.xk, g.x);
  }
  a.mov(g.block, slot(kBlocks));
  a.mov(g.outer, slot(kUnits));
  tile.emit(rows, packsAhead);
  for (int r = 0; r < rows; ++r)
    for (int v = 0; v < Q8Tile::widthOf(isa); ++v) a.vmovaps(sumAt(r, v), tile.sum(r, v));
  if (!inParts()) return;
  a.add(part, uint32_t(Q8Tile::widthOf(isa) * isa.bytes()));
  a.cmp(part, kRowBytes);
  a.jl(top, CodeGenerator::T_NEAR);
}
} // namespace

template <bool avx512, bool vnni> llvm::Expected<Code> emitIntQ8Large(const MatmulDesc &desc, const Target &) {
  return assemble([&](Assembler &a) { Emitter(a, desc, {{avx512}, vnni}).emit(); });
}
template llvm::Expected<Code> emitIntQ8Large<true, true>(const MatmulDesc &, const Target &);
template llvm::Expected<Code> emitIntQ8Large<true, false>(const MatmulDesc &, const Target &);
template llvm::Expected<Code> emitIntQ8Large<false, true>(const MatmulDesc &, const Target &);
template llvm::Expected<Code> emitIntQ8Large<false, false>(const MatmulDesc &, const Target &);

} // namespace llmc::matmul
