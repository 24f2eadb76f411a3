// A page of an f16 cache as bf16 pairs, once for all rows of a run, so that the products are those of a bf16 cache.
#include "codegen/kernels/attention/AttentionEmitter.h"

namespace llmc {
using namespace Xbyak;

namespace {
enum { kFirst = 0, kSecond = 1, kOrder = 8 };
} // namespace

/// r15 = the kv head's part of the page; := the same on the stack, as a bf16 cache has it. Both have keys and values at
/// the same offsets: two rows of f16 (channels of K, positions of V) take the place of one row of pairs.
void AttentionEmitter::convertPage() {
  std::vector<uint8_t> order; // bf16 0..15 are those of the first row, 16..31 of the second
  for (int i = 0; i < 16; ++i)
    for (int word : {i, 16 + i}) order.push_back(uint8_t(word)), order.push_back(0);
  a.vmovups(Zmm(kOrder), a.ptr[a.rip + a.constantBytes(order)]);
  a.mov(a.rax, a.r15);
  a.lea(a.rcx, a.ptr[a.rsp + int(convertedOffset())]);
  a.mov(a.r13, slot(kNextPart));
  a.sub(a.r13, a.r15);
  a.mov(a.r15, a.rcx);
  convertRows(d.headDim, kPagePositions);
  for (int64_t first = 0; first < d.headDim; first += 64)
    convertRows(kPagePositions, std::min<int64_t>(64, d.headDim - first));
}

/// `count` rows of `width` elements at rax, two at a time, to rcx; both advance. What is as far behind r13 + rax is
/// fetched.
void AttentionEmitter::convertRows(int64_t count, int64_t width) {
  Label next;
  const int rowBytes = int(2 * width);
  a.mov(a.r11d, uint32_t(count / 2));
  a.L(next);
  for (int i = 0; i < 2 * rowBytes; i += int(kAlign)) a.prefetcht1(a.ptr[a.rax + a.r13 + i]);
  for (int64_t i = 0; i < width; i += v.count) {
    const int n = int(std::min<int64_t>(v.count, width - i)), at = int(2 * i);
    v.loadHalf(kFirst, a.rax + at, n);
    v.loadHalf(kSecond, a.rax + rowBytes + at, n);
    a.vcvtne2ps2bf16(Zmm(kFirst), Zmm(kSecond), Zmm(kFirst));
    a.vpermw(Zmm(kFirst), Zmm(kOrder), Zmm(kFirst));
    v.store(a.rcx + 2 * at, kFirst, n);
  }
  a.add(a.rax, 2 * rowBytes);
  a.add(a.rcx, 2 * rowBytes);
  a.dec(a.r11d);
  a.jnz(next);
}

} // namespace llmc
