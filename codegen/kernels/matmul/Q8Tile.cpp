#include "codegen/kernels/matmul/Q8Tile.h"
#include <algorithm>

namespace llmc::matmul {
using namespace Xbyak;

static const Gpr g;
static constexpr int kLine = kPanel * 4; // bytes of 4 codes of all columns

RegExp Q8Tile::code(int r, int index) const { return g.xk + (r * (vnni ? packedRow : desc.xStride) + index * 4); }

RegExp Q8Tile::scaleOf(int r) const { return g.x + g.block + (r * desc.xStride + q8ScaleOffset(desc.k, desc.x.block)); }

RegExp Q8Tile::sumOf(int r, int half) {
  if (half < 0) return g.x + g.block + (r * desc.xStride + q8SumOffset(desc.k, desc.x.block));
  return g.x + g.block * 2 + (r * desc.xStride + q8HalfSumOffset(desc.k) + half * 4);
}

Address Q8Tile::record(int64_t field, int v) const { return a.ptr[g.w + (field - base + v * isa.bytes())]; }

Address Q8Tile::total(int r, int v) { return a.ptr[a.rsp + (totals + (r * width + v) * isa.bytes())]; }

void Q8Tile::loadConstant() {
  if (vnni) broadcast(a, offset128(), 0x80808080);
}

void Q8Tile::pack(const RegExp &from, const RegExp &to, int bytes, int temp) const {
  auto narrow = [&](const Xmm &v) { return bytes == 64 ? v : bytes == 32 ? Xmm(Ymm(v.getIdx())) : Xmm(v.getIdx()); };
  Xmm codes = narrow(weight(temp)), offset = narrow(offset128());
  if (isa.avx512) {
    a.vpxord(codes, offset, a.ptr[from]);
    a.vmovdqu32(a.ptr[to], codes);
  } else {
    a.vpxor(codes, offset, a.ptr[from]);
    a.vmovdqu(a.ptr[to], codes);
  }
}

/// The next row block for the k of a piece, while this one is multiplied.
void Q8Tile::packAhead() {
  int k = int(std::min(unitK, kActivationBlock));
  for (int r = 0; r < kTileRows; ++r) pack(g.y + r * desc.xStride, packed() + r * packedRow, k, r);
  a.add(g.y, k);
  a.add(packed(), k);
}

/// What later row blocks read: it may be in L3.
void Q8Tile::prefetchRows() {
  if (!isa.avx512) return;
  RegExp next = packsAhead ? g.y + kTileRows * desc.xStride : g.xk + kTileRows * desc.xStride;
  for (int r = 0; r < kTileRows && (packsAhead || !vnni); ++r)
    for (int64_t line = 0; line < packedRow; line += 64) a.prefetcht0(a.ptr[next + (r * desc.xStride + line)]);
  for (int r = 0; r < kTileRows; ++r) a.prefetcht0(a.ptr[scaleOf(kTileRows + r)]);
}

void Q8Tile::emit(int rowCount, bool ahead) {
  rows = rowCount, packsAhead = ahead;
  prefetchRows();
  Label next;
  a.align(32);
  a.L(next);
  for (int half = 0; half < (pairs() ? 2 : 1); ++half) unit(pairs() ? half : -1);
  a.add(g.block, 4);
  a.dec(g.outer);
  a.jnz(next, CodeGenerator::T_NEAR);
}

void Q8Tile::unit(int half) {
  base = wide.codes;
  start(half, vnni ? llvm::function_ref<Address(int)>([&](int v) { return record(wide.start, v); }) : nullptr);
  steps();
  finish(half);
  scale();
  if (wide.hasMinima) minima(half);
  a.add(g.w, uint32_t(wide.codes + wide.bytes - base));
}

void Q8Tile::steps() {
  int count = int(std::min(unitK, kActivationBlock) / 4);
  auto piece = [&] {
    enterPiece();
    for (int i = 0; i < count; ++i) step(i);
    leavePiece();
    if (packsAhead) packAhead();
    a.add(g.xk, count * 4);
  };
  if (unitK <= kActivationBlock) return piece();
  repeat(a, g.inner, unitK / kActivationBlock, [&] {
    piece();
    a.add(g.w, count * kLine);
  });
  base += unitK / 4 * kLine;
}

/// 4 k of all rows and columns of the tile.
void Q8Tile::step(int index) {
  auto at = [&](int v) { return a.ptr[g.w + (index * kLine + v * isa.bytes())]; };
  for (int v = 0; v < width; ++v)
    if (vnni || i4)
      vload(a, weight(v), at(v));
    else
      a.vpabsb(weight(v), at(v));
  for (int r = 0; r < rows; ++r) {
    Xmm x = nextX();
    a.vpbroadcastd(x, a.ptr[code(r, index)]);
    for (int v = 0; v < width; ++v) multiply(r, v, x, weight(v), at(v));
  }
}

void Q8Tile::scale() {
  for (int v = 0; v < width && isa.avx512; ++v) a.vmovaps(weight(v), record(wide.scales, v));
  for (int r = 0; r < rows; ++r) {
    if (!isa.avx512) a.vbroadcastss(temp(0), a.ptr[scaleOf(r)]);
    for (int v = 0; v < width; ++v) {
      Xmm factor = isa.avx512 ? nextX() : weight(v);
      isa.avx512 ? a.vmulps(factor, weight(v), a.ptr_b[scaleOf(r)]) : a.vmulps(factor, temp(0), record(wide.scales, v));
      a.vfmadd231ps(sum(r, v), accumulator(r, v), factor);
    }
  }
}

void Q8Tile::minima(int half) {
  for (int r = 0; r < rows; ++r) {
    Xmm factor = temp(0), scaleX = accumulator(r, 0);
    a.vpbroadcastd(factor, a.ptr[sumOf(r, half)]);
    a.vcvtdq2ps(factor, factor);
    a.vbroadcastss(scaleX, a.ptr[scaleOf(r)]);
    a.vmulps(factor, factor, scaleX);
    for (int v = 0; v < width; ++v) a.vfmadd231ps(sum(r, v), factor, record(wide.minima, v));
  }
}

} // namespace llmc::matmul
