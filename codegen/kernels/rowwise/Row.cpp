#include "codegen/kernels/rowwise/Row.h"
#include "llmc_kernel.h"
#include <cstddef>
#include <cstring>

namespace llmc {
using namespace Xbyak;

void Row::rows(llvm::function_ref<void()> body, int64_t wStride) {
  Label next, done;
  v.setTail(int(d.columns % v.count));
  a.mov(a.r9, a.ptr[a.rdi + offsetof(llmc_rowwise_args, begin)]);
  a.mov(a.r10, a.ptr[a.rdi + offsetof(llmc_rowwise_args, end)]);
  a.cmp(a.r9, a.r10);
  a.jge(done, a.T_NEAR);
  a.mov(a.r11, a.ptr[a.rdi + offsetof(llmc_rowwise_args, batch)]);
  auto start = [&](const Reg64 &pointer, size_t field, int64_t stride) {
    a.imul(a.rax, a.r9, int(stride));
    a.mov(pointer, a.ptr[a.rdi + field]);
    a.add(pointer, a.rax);
  };
  start(a.rsi, offsetof(llmc_rowwise_args, x), d.xStride);
  start(a.r8, offsetof(llmc_rowwise_args, w), wStride);
  start(a.rdx, offsetof(llmc_rowwise_args, y), d.yStride);
  a.L(next);
  body();
  a.add(a.rsi, int(d.xStride));
  if (wStride) a.add(a.r8, int(wStride));
  a.add(a.rdx, int(d.yStride));
  a.inc(a.r9);
  a.cmp(a.r9, a.r10);
  a.jl(next, a.T_NEAR);
  a.L(done);
  a.leave();
}

void Row::chunks(llvm::function_ref<void(int)> body) {
  int64_t whole = d.columns / 32 * 32;
  a.loop(a.rcx, whole, 32, [&] { body(32); });
  if (whole == d.columns) return;
  a.mov(a.ecx, uint32_t(whole));
  body(int(d.columns - whole));
}

void Row::load(int to, const Reg64 &row, int i, int n, int64_t offset) {
  if (int active = lanes(i, n))
    v.load(to, row + a.rcx * 4 + int(4 * (offset + i * v.count)), active);
  else
    v.zero(to);
}

void Row::write(int n) {
  if (d.out == RowFormat::Q8) return writeQ8(n);
  if (d.out.is16Bit()) return write16(n);
  for (int i = 0; i < vectors(); ++i)
    if (int active = lanes(i, n)) v.store(a.rdx + a.rcx * 4 + 4 * i * v.count, i, active);
}

// Registers of the quantiser; none is the tail mask (15).
constexpr uint32_t kInfinity = 0x7f800000;
enum { kMax = 4, kTemp = 5, kUsable = 6, kInverse = 7, kSums = 8 };

void Row::writeQ8(int n) {
  for (int i = 0; i < vectors(); ++i) v.keep(i, lanes(i, n));
  Xmm max = Lanes::xmm(kMax), temp = Lanes::xmm(kTemp), usable = Lanes::xmm(kUsable), inverse = Lanes::xmm(kInverse);
  for (int i = 0; i < vectors(); ++i) {
    a.vandps(v.reg(i ? kTemp : kMax), v.reg(i), v.constantBits(0x7fffffff));
    if (i) a.vpmaxsd(v.reg(kMax), v.reg(kMax), v.reg(kTemp));
  }
  v.maxBits(kMax, kTemp);
  a.mov(a.rax, a.rcx);
  a.shr(a.rax, 3); // 4 bytes per block of 32 columns
  a.vmovss(inverse, v.scalar(127.0f));
  a.vdivss(inverse, inverse, max);
  a.vdivss(max, max, v.scalar(127.0f));
  // max too small for its inverse: scale 0. max not finite: the scale is not either, and spoils what is computed from
  // it.
  a.vmovd(temp, a.ptr[a.rip + a.constant32(kInfinity)]);
  a.vcmpneqps(usable, inverse, temp);
  a.vandps(max, max, usable);
  a.vmovss(a.ptr[a.rdx + a.rax + int(q8ScaleOffset(d.columns))], max);
  // usable: 0 < inverse < infinity, as integers; all other codes are 0
  a.vpcmpgtd(usable, temp, inverse);
  v.zero(kTemp);
  a.vpcmpgtd(temp, inverse, temp);
  a.vandps(usable, usable, temp);
  a.vbroadcastss(v.reg(kUsable), usable);
  a.vbroadcastss(v.reg(kInverse), inverse);
  for (int i = 0; i < vectors(); ++i) {
    a.vmulps(v.reg(i), v.reg(i), v.reg(kInverse));
    a.vcvtps2dq(v.reg(i), v.reg(i));
    a.vandps(v.reg(i), v.reg(i), v.reg(kUsable));
  }
  codesAndSums();
}

/// Vectors 0.. hold 32 codes as i32: stores them as s8, with the sums of both halves and of all.
void Row::codesAndSums() {
  Ymm codes = Lanes::ymm(kMax), temp = Lanes::ymm(kTemp);
  Xmm low = Lanes::xmm(kSums), high = Lanes::xmm(kTemp);
  if (v.avx512) {
    a.vpmovsdb(Xmm(kMax), Zmm(0));
    a.vpmovsdb(Xmm(kTemp), Zmm(1));
    a.vinserti128(codes, codes, Xmm(kTemp), 1);
  } else {
    static constexpr uint8_t kOrder[32] = {0, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 5, 0, 0, 0,
                                           2, 0, 0, 0, 6, 0, 0, 0, 3, 0, 0, 0, 7, 0, 0, 0};
    a.vpackssdw(Ymm(0), Ymm(0), Ymm(1));
    a.vpackssdw(Ymm(2), Ymm(2), Ymm(3));
    a.vpacksswb(Ymm(0), Ymm(0), Ymm(2)); // dwords 0 2 4 6 | 1 3 5 7 of the 32 codes
    a.vmovups(codes, a.ptr[a.rip + a.constantBytes(kOrder)]);
    a.vpermd(codes, codes, Ymm(0));
  }
  a.vmovups(a.ptr[a.rdx + a.rcx], codes);
  // vpsadbw adds 8 unsigned bytes: of code + 128.
  uint8_t bias[32];
  std::fill_n(bias, 32, 0x80);
  v.zero(kTemp);
  a.vpxor(Ymm(kSums), codes, a.ptr[a.rip + a.constantBytes(bias)]);
  a.vpsadbw(Ymm(kSums), Ymm(kSums), temp);
  a.vpshufd(temp, Ymm(kSums), 0x4e);
  a.vpaddd(Ymm(kSums), Ymm(kSums), temp);
  a.vextracti128(high, Ymm(kSums), 1);
  a.vpunpckldq(low, low, high);
  constexpr uint32_t kTwice = 16 * 128;
  uint8_t biases[16];
  for (int i = 0; i < 4; ++i) memcpy(biases + 4 * i, &kTwice, 4);
  a.vpsubd(low, low, a.ptr[a.rip + a.constantBytes(biases)]);
  a.vmovq(a.ptr[a.rdx + a.rax * 2 + int(q8HalfSumOffset(d.columns))], low);
  a.vpshufd(high, low, 0xb1);
  a.vpaddd(low, low, high);
  a.vmovd(a.ptr[a.rdx + a.rax + int(q8SumOffset(d.columns))], low);
}

void Row::pad() {
  if (d.out == RowFormat::Q8) padQ8();
  if (d.out.is16Bit()) pad16();
}

void Row::padQ8() {
  int64_t written = roundUp(d.columns, kActivationBlock), rest = q8PaddedK(d.columns) - written;
  if (!rest) return;
  v.zero(0);
  int64_t block = written / kActivationBlock, blocks = rest / kActivationBlock;
  zeroBytes(written, rest);
  zeroBytes(q8ScaleOffset(d.columns) + 4 * block, 4 * blocks);
  zeroBytes(q8SumOffset(d.columns) + 4 * block, 4 * blocks);
  zeroBytes(q8HalfSumOffset(d.columns) + 8 * block, 8 * blocks);
}

/// Bytes of the y row, a multiple of 4, from vector 0, which is 0.
void Row::zeroBytes(int64_t offset, int64_t bytes) {
  for (; bytes >= 32; offset += 32, bytes -= 32) a.vmovups(a.ptr[a.rdx + int(offset)], Ymm(0));
  for (; bytes >= 8; offset += 8, bytes -= 8) a.vmovq(a.ptr[a.rdx + int(offset)], Xmm(0));
  if (bytes) a.vmovd(a.ptr[a.rdx + int(offset)], Xmm(0));
}

static const char *opName(RowwiseOp op) {
  static constexpr const char *names[] = {"RmsNorm", "Glu", "Quantize", "Add", "Embed", "GatherRows", "RopeTable"};
  return names[unsigned(op)];
}

/// Bytes of a row of x.
static int64_t inputBytes(const RowwiseDesc &d) {
  switch (d.op) {
  case RowwiseOp::Glu: return 8 * d.columns;
  case RowwiseOp::Embed:
  case RowwiseOp::RopeTable: return 0;
  default: return 4 * d.columns;
  }
}

static int64_t outputBytes(const RowwiseDesc &d) { return rowBytes(d.out, d.columns); }

Refusal refuseRowwise(const RowwiseDesc &d, RowwiseOp op, bool formats) {
  constexpr int64_t kMaxColumns = 1 << 24; // every displacement of a row fits in 32 bits
  auto number = [](int64_t n) { return std::to_string(n); };
  if (d.op != op) return std::string("serves ") + opName(op) + ", found " + opName(d.op);
  if (d.columns < 1 || d.columns > kMaxColumns)
    return "columns: found " + number(d.columns) + ", expected 1.." + number(kMaxColumns);
  if (d.out != RowFormat::F32 && !formats)
    return std::string(opName(op)) + ": found " + d.out.name() + " output, expected f32";
  if (d.out.isQ8() && d.out != RowFormat::Q8)
    return std::string(opName(op)) + ": found " + d.out.name() + " output, expected " + RowFormat::Q8.name();
  if (d.out.is16Bit() && d.out.order == WeightKind::F32)
    return std::string(opName(op)) + ": found " + d.out.name() +
           " output without an order, expected the consumer's weights";
  if (int64_t least = inputBytes(d); d.xStride < least || d.xStride > INT32_MAX)
    return "xStride: found " + number(d.xStride) + ", expected " + number(least) + "..2^31-1 bytes";
  if (int64_t least = outputBytes(d); d.yStride < least || d.yStride > INT32_MAX)
    return "yStride: found " + number(d.yStride) + ", expected " + number(least) + "..2^31-1 bytes";
  return std::nullopt;
}

double rowwiseCost(const RowwiseDesc &d, const Target &target, double factor) {
  return factor * double(inputBytes(d) + outputBytes(d)) / target.bytesPerSecond;
}

} // namespace llmc
