#include "codegen/kernels/matmul/Q8Tile.h"
#include <algorithm>

namespace llmc::matmul {
using namespace Xbyak;

static const Gpr g;
static constexpr int kLine = kPanel * 4; // bytes of 4 codes of all columns

RegExp Q8Tile::code(int r, int index) const { return g.xk + (r * (vnni ? kPackedRow : desc.xStride) + index * 4); }

RegExp Q8Tile::scaleOf(int r) const { return g.x + g.block + (r * desc.xStride + q8ScaleOffset(desc.k, desc.x.block)); }

RegExp Q8Tile::sumOf(int r, int half) const {
  if (half < 0) return g.x + g.block + (r * desc.xStride + q8SumOffset(desc.k, desc.x.block));
  return g.x + g.block * 2 + (r * desc.xStride + q8HalfSumOffset(desc.k) + half * 4);
}

Address Q8Tile::record(int64_t field, int v) const { return a.ptr[g.w + (field - base + v * isa.bytes())]; }

Address Q8Tile::total(int r, int v) const { return a.ptr[a.rsp + (totalsAt + (r * width(isa) + v) * isa.bytes())]; }

Address Q8Tile::words(int value) const {
  std::vector<uint8_t> bytes(isa.bytes());
  for (int i = 0; i < isa.bytes(); i += 4) bytes[i] = uint8_t(value), bytes[i + 1] = uint8_t(value >> 8);
  return a.ptr[a.rip + a.constantBytes(bytes)];
}

Address Q8Tile::ones() const {
  std::vector<uint8_t> bytes(isa.bytes());
  for (int i = 0; i < isa.bytes(); i += 2) bytes[i] = 1;
  return a.ptr[a.rip + a.constantBytes(bytes)];
}

void Q8Tile::loadConstant() {
  if (vnni)
    broadcast(a, constant(), 0x80808080);
  else if (isa.avx512)
    broadcast(a, constant(), 0x00010001);
}

void Q8Tile::pack(const RegExp &from, const RegExp &to, int bytes, int temp) const {
  auto narrow = [&](const Xmm &v) {
    return bytes == 64 ? Xmm(v) : bytes == 32 ? Xmm(Ymm(v.getIdx())) : Xmm(v.getIdx());
  };
  Xmm codes = narrow(weight(temp)), offset = narrow(constant());
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
  int k = int(std::min(chunks.unit, kActivationBlock));
  for (int r = 0; r < kTileRows; ++r) pack(g.y + r * desc.xStride, packed() + r * kPackedRow, k, r);
  a.add(g.y, k);
  a.add(packed(), k);
}

/// What later row blocks read: it may be in L3.
void Q8Tile::prefetchRows() {
  if (!isa.avx512) return;
  RegExp next = packsAhead ? RegExp(g.y) : g.xk + kTileRows * desc.xStride;
  for (int r = packsAhead ? kTileRows : 0; r < (packsAhead ? 2 : 1) * kTileRows; ++r)
    for (int64_t line = 0; line < kPackedRow; line += 64) a.prefetcht0(a.ptr[next + (r * desc.xStride + line)]);
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
  start(half);
  steps();
  finish(half);
  a.add(g.w, uint32_t(wide.codes + wide.bytes - base));
}

/// Integer sums before the first product. 16-bit sums of a unit of 32 may start with the row's term, as they are exact
/// modulo 2^16 and the result fits.
void Q8Tile::start(int half) {
  bool needsSum = wide.term != RowTerm::None;
  if (!vnni && i4 && !hasTotals() && wide.term == RowTerm::PerColumn) needsSum = false; // finish adds it
  for (int r = 0; r < rows; ++r) {
    Xmm sumX = nextTemp();
    if (needsSum) a.vpbroadcastd(sumX, a.ptr[sumOf(r, half)]);
    vnni ? startVnni(r, sumX) : startMaddubs(r, sumX);
  }
}

void Q8Tile::startVnni(int r, const Xmm &sumX) {
  if (wide.term == RowTerm::Constant) a.vpmaddwd(sumX, sumX, words(wide.factor));
  for (int v = 0; v < width(isa); ++v) {
    Xmm to = accumulator(r, v);
    switch (wide.term) {
    case RowTerm::None: r ? vmove(a, to, accumulator(0, v)) : vload(a, to, record(wide.start, v)); break;
    case RowTerm::Constant: a.vpaddd(to, sumX, record(wide.start, v)); break;
    case RowTerm::PerColumn:
      a.vpmaddwd(to, sumX, record(wide.zeros, v));
      a.vpaddd(to, to, record(wide.start, v));
      break;
    }
  }
}

void Q8Tile::startMaddubs(int r, const Xmm &sumX) {
  bool words16 = i4 && !hasTotals();
  started = !words16 || wide.term == RowTerm::Constant;
  if (!started) return;
  if (wide.term == RowTerm::Constant)
    words16 ? a.vpmullw(sumX, sumX, words(wide.factor)) : a.vpmaddwd(sumX, sumX, words(wide.factor));
  for (int v = 0; v < width(isa); ++v) {
    Xmm to = accumulator(r, v);
    switch (wide.term) {
    case RowTerm::None: clear(a, to); break;
    case RowTerm::Constant: vmove(a, to, sumX); break;
    case RowTerm::PerColumn: a.vpmaddwd(to, sumX, record(wide.zeros, v)); break;
    }
    if (hasTotals()) vstore(a, total(r, v), to);
  }
  if (hasTotals()) started = false;
}

void Q8Tile::steps() {
  int count = int(std::min(chunks.unit, kActivationBlock) / 4);
  auto piece = [&] {
    bool was = started;
    for (int i = 0; i < count; ++i) step(i);
    started = was;
    if (hasTotals()) addTotals();
    if (packsAhead) packAhead();
  };
  if (chunks.unit <= kActivationBlock) {
    piece();
    a.add(g.xk, uint32_t(chunks.unit));
    return;
  }
  repeat(a, g.inner, chunks.unit / kActivationBlock, [&] {
    piece();
    a.add(g.w, count * kLine);
    a.add(g.xk, uint32_t(kActivationBlock));
  });
  base += chunks.unit / 4 * kLine;
}

/// 4 k of all rows and columns of the tile.
void Q8Tile::step(int index) {
  int64_t line = wide.codes + index * kLine;
  auto at = [&](int v) { return a.ptr[g.w + (line - wide.codes + v * isa.bytes())]; };
  for (int v = 0; v < width(isa); ++v)
    if (vnni || i4)
      vload(a, weight(v), at(v));
    else
      a.vpabsb(weight(v), at(v));
  for (int r = 0; r < rows; ++r) multiply(r, index);
  started = true;
}

void Q8Tile::multiply(int r, int index) {
  Xmm x = nextTemp();
  a.vpbroadcastd(x, a.ptr[code(r, index)]);
  for (int v = 0; v < width(isa); ++v) {
    Xmm to = accumulator(r, v);
    if (vnni) {
      a.vpdpbusd(to, x, weight(v), encoding());
    } else if (i4) {
      a.vpmaddubsw(started ? product(v) : to, weight(v), x);
      if (started) a.vpaddw(to, to, product(v));
    } else {
      a.vpsignb(product(v), x, a.ptr[g.w + (index * kLine + v * isa.bytes())]);
      a.vpmaddubsw(product(v), weight(v), product(v));
      a.vpmaddwd(product(v), product(v), ones());
      a.vpaddd(to, to, product(v));
    }
  }
}

/// 16-bit sums of 32 k in pairs to the integer sums, which stay in the accumulators after the last 32 k.
void Q8Tile::addTotals() {
  for (int r = 0; r < rows; ++r)
    for (int v = 0; v < width(isa); ++v) {
      Xmm to = accumulator(r, v);
      isa.avx512 ? a.vpmaddwd(to, to, constant()) : a.vpmaddwd(to, to, ones());
      a.vpaddd(to, to, total(r, v));
      vstore(a, total(r, v), to);
    }
}

void Q8Tile::finish(int half) {
  bool words16 = !vnni && i4 && !hasTotals();
  for (int r = 0; r < rows && words16; ++r) {
    if (wide.term == RowTerm::PerColumn) a.vpbroadcastd(temp(0), a.ptr[sumOf(r, half)]);
    for (int v = 0; v < width(isa); ++v) {
      Xmm to = accumulator(r, v);
      isa.avx512 ? a.vpmaddwd(to, to, constant()) : a.vpmaddwd(to, to, ones());
      if (wide.term != RowTerm::PerColumn) continue;
      a.vpmaddwd(product(v), temp(0), record(wide.zeros, v));
      a.vpaddd(to, to, product(v));
    }
  }
  scale();
  if (f.hasMinimum()) minima(half);
}

void Q8Tile::scale() {
  for (int v = 0; v < width(isa) && isa.avx512; ++v) a.vmovaps(weight(v), record(wide.scales, v));
  for (int r = 0; r < rows; ++r) {
    if (!isa.avx512) a.vbroadcastss(temp(0), a.ptr[scaleOf(r)]);
    for (int v = 0; v < width(isa); ++v) {
      Xmm factor = isa.avx512 ? nextTemp() : weight(v);
      a.vcvtdq2ps(accumulator(r, v), accumulator(r, v));
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
    for (int v = 0; v < width(isa); ++v) a.vfmadd231ps(sum(r, v), factor, record(wide.minima, v));
  }
}

} // namespace llmc::matmul
