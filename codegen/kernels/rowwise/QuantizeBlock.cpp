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

/// Registers behind the block's vectors; none is the tail mask (15).
struct Quantizer {
  Lanes &v;
  const int64_t block;
  const Q8BlockPlace &to;
  const int vectors = int(block) / v.count, first = std::max(vectors, 4);
  const int max = first, temp = first + 1, usable = first + 2, inverse = first + 3, sums = first + 4;
  Assembler &a = v.a;

  void largest();
  void scale();
  void codes();
  void pack(int from, int into);
  void halfSumsOf(int codes);
  void sumOf(int codes, int more);
};

/// max := the largest |x| by its bits: the order of integers is that of non-negative floats, NaN on top.
void Quantizer::largest() {
  for (int i = 0; i < vectors; ++i) {
    a.vandps(v.reg(i ? temp : max), v.reg(i), v.constantBits(0x7fffffff));
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

void Quantizer::codes() {
  for (int i = 0; i < vectors; ++i) {
    a.vmulps(v.reg(i), v.reg(i), v.reg(inverse));
    a.vcvtps2dq(v.reg(i), v.reg(i));
    a.vandps(v.reg(i), v.reg(i), v.reg(usable));
  }
}

/// ymm `into` := 32 codes as s8, of the i32 in the vectors from `from` on.
void Quantizer::pack(int from, int into) {
  if (v.avx512) {
    a.vpmovsdb(Xmm(into), Zmm(from));
    a.vpmovsdb(Xmm(temp), Zmm(from + 1));
    a.vinserti128(Ymm(into), Ymm(into), Xmm(temp), 1);
    return;
  }
  static constexpr uint8_t kOrder[32] = {0, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 5, 0, 0, 0,
                                         2, 0, 0, 0, 6, 0, 0, 0, 3, 0, 0, 0, 7, 0, 0, 0};
  a.vpackssdw(Ymm(from), Ymm(from), Ymm(from + 1));
  a.vpackssdw(Ymm(from + 2), Ymm(from + 2), Ymm(from + 3));
  a.vpacksswb(Ymm(from), Ymm(from), Ymm(from + 2)); // dwords 0 2 4 6 | 1 3 5 7 of the 32 codes
  a.vmovups(Ymm(into), a.ptr[a.rip + a.constantBytes(kOrder)]);
  a.vpermd(Ymm(into), Ymm(into), Ymm(from));
}

/// Sums of both halves of 32 codes, and of all. vpsadbw adds 8 unsigned bytes: of code + 128.
void Quantizer::halfSumsOf(int codes) {
  Xmm low = Lanes::xmm(sums), high = Lanes::xmm(temp);
  v.zero(temp);
  a.vpxor(Ymm(sums), Ymm(codes), a.ptr[a.rip + a.constantBytes(copies<uint8_t>(0x80, 32))]);
  a.vpsadbw(Ymm(sums), Ymm(sums), Ymm(temp));
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

/// Sum of twice 32 codes.
void Quantizer::sumOf(int codes, int more) {
  Xmm low = Lanes::xmm(sums), high = Lanes::xmm(temp);
  v.zero(temp);
  Address bias = a.ptr[a.rip + a.constantBytes(copies<uint8_t>(0x80, 32))];
  a.vpxor(Ymm(sums), Ymm(codes), bias);
  a.vpsadbw(Ymm(sums), Ymm(sums), Ymm(temp));
  a.vpxor(Ymm(codes), Ymm(more), bias);
  a.vpsadbw(Ymm(codes), Ymm(codes), Ymm(temp));
  a.vpaddd(Ymm(sums), Ymm(sums), Ymm(codes));
  a.vextracti128(high, Ymm(sums), 1);
  a.vpaddd(low, low, high);
  a.vpshufd(high, low, 0x4e);
  a.vpaddd(low, low, high);
  a.vpsubd(low, low, a.ptr[a.rip + a.constantBytes(copies<uint32_t>(64 * 128, 4))]);
  a.vmovd(a.ptr[to.sum], low);
}
} // namespace

void quantizeBlock(Lanes &v, int64_t block, const Q8BlockPlace &to) {
  Quantizer q{v, block, to};
  q.largest();
  q.scale();
  q.codes();
  q.pack(0, q.max);
  v.a.vmovups(v.a.ptr[to.codes], Ymm(q.max));
  if (block == 32) return q.halfSumsOf(q.max);
  q.pack(q.vectors / 2, q.usable);
  v.a.vmovups(v.a.ptr[to.codes + 32], Ymm(q.usable));
  q.sumOf(q.max, q.usable);
}

void padQ8Row(Lanes &v, int64_t columns, int64_t block, int64_t from, const RegExp &row) {
  int64_t rest = q8PaddedK(columns, block) - from;
  if (rest <= 0) return;
  Assembler &a = v.a;
  v.zero(0);
  auto zero = [&](int64_t offset, int64_t bytes) { // a multiple of 4
    for (; bytes >= 32; offset += 32, bytes -= 32) a.vmovups(a.ptr[row + offset], Ymm(0));
    for (; bytes >= 8; offset += 8, bytes -= 8) a.vmovq(a.ptr[row + offset], Xmm(0));
    if (bytes) a.vmovd(a.ptr[row + offset], Xmm(0));
  };
  zero(from, rest);
  zero(q8ScaleOffset(columns, block) + from / block * 4, rest / block * 4);
  zero(q8SumOffset(columns, block) + from / block * 4, rest / block * 4);
  if (block == 32) zero(q8HalfSumOffset(columns) + from / 16 * 4, rest / 16 * 4);
}

} // namespace llmc
