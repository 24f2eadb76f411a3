// Rows of 16-bit elements: conversion of a chunk of 32 columns, the order of k that the consumer wants, padding.
#include "codegen/kernels/matmul/Rows16.h"
#include "codegen/kernels/rowwise/Row.h"

namespace llmc {
using namespace Xbyak;

// Registers besides the chunk; none is the tail mask (15) or what an op keeps (14).
enum { kRounded = 4, kTemp = 8, kTemp2 = 9, kOrder = 10 };

/// to := the bf16 nearest to `from`, as f32: see f32ToBf16Row. The integer way: add half of the last place kept (less
/// one bit, if even), and cut.
void Row::roundToBf16(int to, int from) {
  Xmm x = v.reg(from), y = v.reg(to), temp = v.reg(kTemp);
  constexpr uint32_t kExponent = 0x7f800000, kQuiet = 0x00400000, kSign = 0x80000000, kKept = 0xffff0000;
  if (bf16) {
    a.vcvtneps2bf16(Ymm(to), Zmm(from));
    a.vpmovzxwd(Zmm(to), Ymm(to));
    return a.vpslld(y, y, 16);
  }
  a.vpsrld(y, x, 16);
  a.vandps(y, y, v.constantBits(1));
  a.vpaddd(y, y, v.constantBits(0x7fff));
  a.vpaddd(y, y, x);
  if (v.avx512) {
    a.vcmpunordps(a.k2, Zmm(from), Zmm(from));
    a.vpord(Zmm(to) | a.k2, Zmm(from), v.constantBits(kQuiet));
    a.vptestnmd(a.k2, Zmm(from), v.constantBits(kExponent));
    a.vpandd(Zmm(to) | a.k2, Zmm(from), v.constantBits(kSign));
  } else {
    Xmm other = v.reg(kTemp2);
    a.vcmpunordps(temp, x, x);
    a.vorps(other, x, v.constantBits(kQuiet));
    a.vblendvps(y, y, other, temp);
    a.vandps(temp, x, v.constantBits(kExponent));
    v.zero(kTemp2);
    a.vpcmpeqd(temp, temp, other);
    a.vandps(other, x, v.constantBits(kSign));
    a.vblendvps(y, y, other, temp);
  }
  a.vandps(y, y, v.constantBits(kKept));
}

/// Vectors first.. of a chunk, f32 with nothing in the low 16 bits, to 32 words in vector(s) `first`.., k ascending.
void Row::topWords(int first) {
  for (int i = first; i < first + vectors(); ++i) a.vpsrld(v.reg(i), v.reg(i), 16);
  if (v.avx512) {
    for (int i = first; i < first + 2; ++i) a.vpmovdw(Ymm(i), Zmm(i));
    return a.vinserti64x4(Zmm(first), Zmm(first), Ymm(first + 1), 1);
  }
  constexpr uint8_t kQwords0213 = 0xd8; // the packing works in halves
  for (int i = 0; i < 2; ++i) {
    a.vpackusdw(Ymm(first + i), Ymm(first + 2 * i), Ymm(first + 2 * i + 1));
    a.vpermq(Ymm(first + i), Ymm(first + i), kQwords0213);
  }
}

/// The chunk as f16, 32 words in vector(s) 0..
void Row::halfWords() {
  constexpr uint8_t kNearestEven = 0;
  for (int i = 0; i < vectors(); i += 2) {
    Xmm narrow[2] = {v.avx512 ? Xmm(Ymm(i)) : Xmm(i), v.avx512 ? Xmm(Ymm(i + 1)) : Xmm(i + 1)};
    for (int j = 0; j < 2; ++j) a.vcvtps2ph(narrow[j], v.reg(i + j), kNearestEven);
    if (v.avx512)
      a.vinserti64x4(Zmm(0), Zmm(0), Ymm(1), 1);
    else
      a.vinserti128(Ymm(i / 2), Ymm(i), Xmm(i + 1), 1);
  }
}

/// Stores the 32 words of vector(s) first.. at `offset` of the row, in the order of the format.
void Row::storeWords(int first, int64_t offset) {
  uint8_t order[64]; // bytes within 16, for vpshufb
  for (int k = 0; k < 32; ++k)
    for (int byte = 0; byte < 2; ++byte) {
      int64_t position = positionInRow16(d.out.order, k);
      order[position * 2 + byte] = uint8_t((k * 2 + byte) % 16);
    }
  bool natural = d.out.order != WeightKind::I4 && d.out.order != WeightKind::I8;
  int bytes = 4 * v.count;
  if (!natural) a.vmovups(v.reg(kOrder), a.ptr[a.rip + a.constantBytes(llvm::ArrayRef<uint8_t>(order, bytes))]);
  for (int i = 0; i < 64 / bytes; ++i) {
    if (!natural) a.vpshufb(v.reg(first + i), v.reg(first + i), v.reg(kOrder));
    a.vmovups(a.ptr[a.rdx + a.rcx * 2 + int(offset + i * bytes)], v.reg(first + i));
  }
}

void Row::write16(int n) {
  for (int i = 0; i < vectors(); ++i) v.keep(i, lanes(i, n));
  if (d.out.kind == RowFormat::Kind::F16) {
    halfWords();
    return storeWords(0, 0);
  }
  bool pair = d.out.kind == RowFormat::Kind::BF16Pair;
  for (int i = 0; pair && i < vectors(); ++i) {
    roundToBf16(kRounded + i, i);
    a.vsubps(v.reg(i), v.reg(i), v.reg(kRounded + i));
  }
  if (pair) {
    topWords(kRounded);
    storeWords(kRounded, 0);
  }
  if (bf16) {
    a.vcvtne2ps2bf16(Zmm(0), Zmm(1), Zmm(0));
  } else {
    for (int i = 0; i < vectors(); ++i) roundToBf16(kRounded + i, i);
    topWords(kRounded);
  }
  storeWords(bf16 ? 0 : kRounded, pair ? paddedK16(d.columns) * 2 : 0);
}

void Row::pad16() {
  int64_t written = roundUp(d.columns, 32), rest = paddedK16(d.columns) - written;
  v.clear(a.rdx + written * 2, rest * 2, 0);
  if (d.out.kind == RowFormat::Kind::BF16Pair) v.clear(a.rdx + (paddedK16(d.columns) + written) * 2, rest * 2, 0);
}

} // namespace llmc
