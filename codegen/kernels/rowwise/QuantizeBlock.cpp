#include "codegen/kernels/rowwise/QuantizeBlock.h"
#include <algorithm>
#include <cstring>

namespace llmc {
using namespace Xbyak;

namespace {
constexpr uint32_t kInfinity = 0x7f800000;

template <typename T> std::vector<uint8_t> copies(T value, size_t count) {
  std::vector<uint8_t> bytes(sizeof(T) * count);
  for (size_t i = 0; i < count; ++i) memcpy(bytes.data() + i * sizeof(T), &value, sizeof(T));
  return bytes;
}

/// Chunks of 32 columns, in registers or in memory. The registers behind those of the block's vectors; none is the tail
/// mask (15).
struct Quantizer {
  Lanes &v;
  const int64_t columns; // that are there
  const Q8BlockPlace &to;
  const RegExp *from = nullptr; // null: vectors 0.. hold the columns
  const int perChunk = 32 / v.count, vectors = int(columns) / v.count;
  const int max = from ? 4 : std::max(vectors, 4), temp = max + 1, usable = max + 2, inverse = max + 3, sums = max + 4,
            total = max + 5;
  Assembler &a = v.a;

  void largest();
  void scale();
  void codes(int chunk);
  void pack(int first);
  void halfSums();
  void sumOfAll();
  void emit();
};

/// max := the largest |x| by its bits: the order of integers is that of non-negative floats, NaN on top.
void Quantizer::largest() {
  for (int i = 0; i < vectors; ++i) {
    int absolute = i ? temp : max, x = from ? absolute : i;
    if (from) a.vmovups(v.reg(x), a.ptr[*from + 4 * i * v.count]);
    a.vandps(v.reg(absolute), v.reg(x), v.constantBits(0x7fffffff));
    if (i) a.vpmaxsd(v.reg(max), v.reg(max), v.reg(temp));
  }
  v.maxBits(max, temp);
}

void Quantizer::scale() {
  Xmm m = Lanes::xmm(max), t = Lanes::xmm(temp), u = Lanes::xmm(usable), inv = Lanes::xmm(inverse);
  a.vmovss(inv, v.scalar(127.0f));
  a.vdivss(inv, inv, m);
  a.vdivss(m, m, v.scalar(127.0f));
  // max too small for its inverse: scale 0. max not finite: the scale is not either, and spoils what is computed from
  // it.
  a.vmovd(t, a.ptr[a.rip + a.constant32(kInfinity)]);
  a.vcmpneqps(u, inv, t);
  a.vandps(m, m, u);
  a.vmovss(a.ptr[to.scale], m);
  // usable: 0 < inverse < infinity, as integers; all other codes are 0
  a.vpcmpgtd(u, t, inv);
  v.zero(temp);
  a.vpcmpgtd(t, inv, t);
  a.vandps(u, u, t);
  a.vbroadcastss(v.reg(usable), u);
  a.vbroadcastss(v.reg(inverse), inv);
}

/// Codes of a chunk to memory; `sums` := sums of 8 codes + 128 each, which vpsadbw makes of unsigned bytes.
void Quantizer::codes(int chunk) {
  int first = from ? 0 : chunk * perChunk;
  for (int i = first; i < first + perChunk; ++i) {
    if (from)
      a.vmulps(v.reg(i), v.reg(inverse), a.ptr[*from + 4 * (32 * chunk + i * v.count)]);
    else
      a.vmulps(v.reg(i), v.reg(i), v.reg(inverse));
    a.vcvtps2dq(v.reg(i), v.reg(i));
    a.vandps(v.reg(i), v.reg(i), v.reg(usable));
  }
  pack(first);
  a.vmovups(a.ptr[to.codes + 32 * chunk], Ymm(max));
  v.zero(temp);
  a.vpxor(Ymm(sums), Ymm(max), a.ptr[a.rip + a.constantBytes(copies<uint8_t>(0x80, 32))]);
  a.vpsadbw(Ymm(sums), Ymm(sums), Ymm(temp));
}

/// ymm `max` := 32 codes as s8, of the i32 in the vectors from `first` on.
void Quantizer::pack(int first) {
  if (v.avx512) {
    a.vpmovsdb(Xmm(max), Zmm(first));
    a.vpmovsdb(Xmm(temp), Zmm(first + 1));
    a.vinserti128(Ymm(max), Ymm(max), Xmm(temp), 1);
    return;
  }
  static constexpr uint8_t kOrder[32] = {0, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 5, 0, 0, 0,
                                         2, 0, 0, 0, 6, 0, 0, 0, 3, 0, 0, 0, 7, 0, 0, 0};
  a.vpackssdw(Ymm(first), Ymm(first), Ymm(first + 1));
  a.vpackssdw(Ymm(first + 2), Ymm(first + 2), Ymm(first + 3));
  a.vpacksswb(Ymm(first), Ymm(first), Ymm(first + 2)); // dwords 0 2 4 6 | 1 3 5 7 of the 32 codes
  a.vmovups(Ymm(max), a.ptr[a.rip + a.constantBytes(kOrder)]);
  a.vpermd(Ymm(max), Ymm(max), Ymm(first));
}

/// Of the only chunk: the sums of both halves, and of all.
void Quantizer::halfSums() {
  Xmm low = Lanes::xmm(sums), high = Lanes::xmm(temp);
  a.vpshufd(Ymm(temp), Ymm(sums), 0x4e);
  a.vpaddd(Ymm(sums), Ymm(sums), Ymm(temp));
  a.vextracti128(high, Ymm(sums), 1);
  a.vpunpckldq(low, low, high);
  a.vpsubd(low, low, a.ptr[a.rip + a.constantBytes(copies<uint32_t>(16 * 128, 4))]);
  a.vmovq(a.ptr[to.halfSums], low);
  a.vpshufd(high, low, 0xb1);
  a.vpaddd(low, low, high);
  a.vmovd(a.ptr[to.sum], low);
}

/// Of `total`, the sums of all chunks.
void Quantizer::sumOfAll() {
  Xmm low = Lanes::xmm(total), high = Lanes::xmm(temp);
  a.vextracti128(high, Ymm(total), 1);
  a.vpaddd(low, low, high);
  a.vpshufd(high, low, 0x4e);
  a.vpaddd(low, low, high);
  a.vpsubd(low, low, a.ptr[a.rip + a.constantBytes(copies<uint32_t>(uint32_t(columns) * 128, 4))]);
  a.vmovd(a.ptr[to.sum], low);
}

void Quantizer::emit() {
  largest();
  scale();
  for (int chunk = 0; chunk < columns / 32; ++chunk) {
    codes(chunk);
    if (!from && columns == 32) return halfSums();
    if (chunk)
      a.vpaddd(Ymm(total), Ymm(total), Ymm(sums));
    else
      a.vmovdqa(Ymm(total), Ymm(sums));
  }
  sumOfAll();
}
} // namespace

void quantizeBlock(Lanes &v, int64_t block, const Q8BlockPlace &to) { Quantizer{v, block, to}.emit(); }

void quantizeStored(Lanes &v, int64_t columns, const RegExp &from, const Q8BlockPlace &to) {
  Quantizer{v, columns, to, &from}.emit();
}

void padQ8Row(Lanes &v, int64_t columns, int64_t block, int64_t from, const RegExp &row) {
  int64_t padded = q8PaddedK(columns, block);
  if (from >= padded) return;
  auto zero = [&](int64_t offset, int64_t bytes) { v.clear(row + offset, bytes, 0); };
  int64_t first = roundUp(from, block) / block, blocks = padded / block - first;
  zero(from, padded - from);
  zero(q8ScaleOffset(columns, block) + first * 4, blocks * 4);
  zero(q8SumOffset(columns, block) + first * 4, blocks * 4);
  if (block == 32) zero(q8HalfSumOffset(columns) + first * 8, blocks * 8);
}

} // namespace llmc
