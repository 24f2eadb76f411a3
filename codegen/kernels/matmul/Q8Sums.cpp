#include "codegen/kernels/matmul/Q8Sums.h"

namespace llmc::matmul {
using namespace Xbyak;

RowTerm RowTerm::ofCodes(const WeightFormat &f) {
  if (f.hasMinimum()) return {};
  if (f.offset == Offset::ZeroPoint) return {PerColumn, 0, 0};
  return {Constant, f.kind == WeightKind::I4 ? -8 : -128, 0};
}

RowTerm RowTerm::ofCentred(const WeightFormat &f) {
  if (f.hasMinimum()) return {Constant, 128, 0};
  if (f.offset == Offset::ZeroPoint) return {PerColumn, 0, 128};
  return {};
}

Address Q8Sums::words(int value) const {
  std::vector<uint8_t> bytes(isa.bytes());
  for (int i = 0; i < isa.bytes(); i += 4) bytes[i] = uint8_t(value), bytes[i + 1] = uint8_t(value >> 8);
  return a.ptr[a.rip + a.constantBytes(bytes)];
}

Address Q8Sums::ones() const {
  std::vector<uint8_t> bytes(isa.bytes());
  for (int i = 0; i < isa.bytes(); i += 2) bytes[i] = 1;
  return a.ptr[a.rip + a.constantBytes(bytes)];
}

void RowTerm::ofZeroPoints(Assembler &a, const Xmm &zero, const Xmm &temp) const {
  base ? broadcast(a, temp, uint32_t(base)) : clear(a, temp);
  a.vpsubw(zero, temp, zero);
}

/// 16-bit sums of a unit of 32 may start with the row's term: they are exact modulo 2^16, and the result fits.
void Q8Sums::start(int half, llvm::function_ref<Address(int)> startOf) {
  bool finishAdds = hasWords() && !hasTotals() && term.kind == RowTerm::PerColumn;
  startsWithTerm = !hasWords() || (!hasTotals() && term.kind == RowTerm::Constant);
  for (int r = 0; r < rows; ++r) {
    Xmm sumX = nextX();
    if (term.kind != RowTerm::None && !finishAdds) a.vpbroadcastd(sumX, a.ptr[sumOf(r, half)]);
    if (startsWithTerm || hasTotals()) startRow(r, sumX, startOf);
  }
}

void Q8Sums::startRow(int r, const Xmm &sumX, llvm::function_ref<Address(int)> startOf) {
  if (term.kind == RowTerm::Constant)
    hasWords() && !hasTotals() ? a.vpmullw(sumX, sumX, words(term.factor)) : a.vpmaddwd(sumX, sumX, words(term.factor));
  for (int v = 0; v < width; ++v) {
    Xmm to = accumulator(r, v);
    switch (term.kind) {
    case RowTerm::None:
      if (r)
        vmove(a, to, accumulator(0, v));
      else if (startOf)
        vload(a, to, startOf(v));
      else
        clear(a, to);
      break;
    case RowTerm::Constant: startOf ? a.vpaddd(to, sumX, startOf(v)) : vmove(a, to, sumX); break;
    case RowTerm::PerColumn:
      a.vpmaddwd(to, sumX, zeros(v));
      if (startOf) a.vpaddd(to, to, startOf(v));
      break;
    }
    if (hasTotals()) vstore(a, total(r, v), to);
  }
}

void Q8Sums::multiply(int r, int v, const Xmm &x, const Xmm &weight, const Operand &sign) {
  Xmm to = accumulator(r, v);
  if (vnni) {
    xIsUnsigned ? a.vpdpbusd(to, x, weight, encoding()) : a.vpdpbusd(to, weight, x, encoding());
  } else if (i4) {
    a.vpmaddubsw(started ? product(v) : to, weight, x);
    if (started) a.vpaddw(to, to, product(v));
  } else {
    a.vpsignb(product(v), x, sign);
    a.vpmaddubsw(product(v), weight, product(v));
    a.vpmaddwd(product(v), product(v), ones());
    a.vpaddd(to, to, product(v));
  }
  if (r == rows - 1 && v == width - 1) started = true;
}

void Q8Sums::leavePiece() {
  if (!hasTotals()) return;
  for (int r = 0; r < rows; ++r)
    for (int v = 0; v < width; ++v) {
      Xmm to = accumulator(r, v); // has the total after the last piece
      a.vpmaddwd(to, to, ones());
      a.vpaddd(to, to, total(r, v));
      vstore(a, total(r, v), to);
    }
}

void Q8Sums::finish(int half) {
  bool words = hasWords() && !hasTotals(), addsTerm = words && term.kind == RowTerm::PerColumn;
  for (int r = 0; r < rows; ++r) {
    Xmm sumX = nextX();
    if (addsTerm) a.vpbroadcastd(sumX, a.ptr[sumOf(r, half)]);
    for (int v = 0; v < width; ++v) {
      Xmm to = accumulator(r, v);
      if (words) a.vpmaddwd(to, to, ones());
      if (addsTerm) {
        a.vpmaddwd(product(v), sumX, zeros(v));
        a.vpaddd(to, to, product(v));
      }
      a.vcvtdq2ps(to, to);
    }
  }
}

} // namespace llmc::matmul
