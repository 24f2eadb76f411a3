#include "codegen/kernels/attention/Rotation.h"
#include <cstring>

namespace llmc {
using namespace Xbyak;

void Rotation::emit(const Reg64 &from, const Reg64 &rope, const RegExp &to) {
  head = from, table = rope, out = to;
  if (d.rope == RopeStyle::Half) sweep(0, d.ropeDim / 2, [&](int64_t i, int n) { half(i, n); });
  if (d.rope == RopeStyle::Interleaved) sweep(0, d.ropeDim, [&](int64_t i, int n) { pairs(i / 2, n / 2); });
  sweep(channels(), d.headDim, [&](int64_t i, int n) {
    v.setTail(n);
    v.load(0, head + int(4 * i), n);
    v.store(out + int(4 * i), 0, n);
  });
}

void Rotation::sweep(int64_t begin, int64_t end, llvm::function_ref<void(int64_t, int)> body) {
  for (int64_t i = begin; i < end; i += v.count) body(i, int(std::min<int64_t>(v.count, end - i)));
}

void Rotation::half(int64_t i, int n) {
  int low = int(4 * i), high = int(4 * i + 2 * d.ropeDim);
  Xmm first = v.reg(0), second = v.reg(1), cosine = v.reg(2), sine = v.reg(3), x = v.reg(4), y = v.reg(5);
  v.setTail(n);
  v.load(0, head + low, n);
  v.load(1, head + high, n);
  v.load(2, table + low, n);
  v.load(3, table + high, n);
  a.vmulps(x, first, cosine);
  a.vmulps(y, second, sine);
  a.vsubps(x, x, y);
  a.vmulps(second, second, cosine);
  a.vmulps(first, first, sine);
  a.vaddps(second, second, first);
  v.store(out + low, 4, n);
  v.store(out + high, 1, n);
}

/// Lanes 2j, 2j+1 are a pair. Its cosine and sine are loaded once and spread over both lanes.
void Rotation::pairs(int64_t pair, int count) {
  Xmm x = v.reg(0), swapped = v.reg(1), cosine = v.reg(2), sine = v.reg(3);
  v.setTail(count);
  spreadPairs(2, 4 * pair, count);
  spreadPairs(3, 4 * pair + 2 * d.ropeDim, count);
  a.vxorps(sine, sine, a.ptr[a.rip + laneConstant([](int i) { return i % 2 ? 0 : 0x80000000; })]);
  v.setTail(2 * count);
  v.load(0, head + int(8 * pair), 2 * count);
  a.vpermilps(swapped, x, 0xb1);
  a.vmulps(x, x, cosine);
  a.vmulps(swapped, swapped, sine);
  a.vaddps(x, x, swapped);
  v.store(out + int(8 * pair), 0, 2 * count);
}

void Rotation::spreadPairs(int reg, int64_t offset, int count) {
  v.load(reg, table + int(offset), count);
  Address order = a.ptr[a.rip + laneConstant([](int i) { return uint32_t(i / 2); })];
  a.vmovups(v.reg(4), order);
  if (v.avx512)
    a.vpermps(Zmm(reg), Zmm(4), Zmm(reg));
  else
    a.vpermps(Ymm(reg), Ymm(4), Ymm(reg));
}

Label &Rotation::laneConstant(uint32_t (*lane)(int)) {
  std::vector<uint8_t> bytes(4 * v.count);
  for (int i = 0; i < v.count; ++i) {
    uint32_t bits = lane(i);
    memcpy(bytes.data() + 4 * i, &bits, 4);
  }
  return a.constantBytes(bytes);
}

} // namespace llmc
