#include "codegen/kernels/rowwise/Row.h"
#include "llmc_kernel.h"
#include "llvm/Support/MathExtras.h"
#include <cstddef>
#include <cstring>

namespace llmc {
using namespace Xbyak;

void Row::rows(llvm::function_ref<void()> body, int64_t wStride) {
  Label next, done;
  if (gathers()) a.enter({a.rbx}, int(d.out.block * 4));
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
  if (gathers()) return gather(n);
  if (d.out.isQ8()) return writeQ8(n);
  for (int i = 0; i < vectors(); ++i)
    if (int active = lanes(i, n)) v.store(a.rdx + a.rcx * 4 + 4 * i * v.count, i, active);
}

// Registers of the quantiser; none is the tail mask (15).
constexpr uint32_t kInfinity = 0x7f800000;
enum { kMax = 4, kTemp = 5, kUsable = 6, kInverse = 7, kSums = 8, kTotal = 9 };

/// A constant of 16 or 32 bytes, all dwords the same.
static Address repeated(Assembler &a, uint32_t bits, int bytes) {
  std::vector<uint8_t> all(bytes);
  for (int i = 0; i < bytes; i += 4) memcpy(&all[i], &bits, 4);
  return a.ptr[a.rip + a.constantBytes(all)];
}

/// A block of 32: the chunk in vectors 0..
void Row::writeQ8(int n) {
  for (int i = 0; i < vectors(); ++i) v.keep(i, lanes(i, n));
  for (int i = 0; i < vectors(); ++i) {
    a.vandps(v.reg(i ? kTemp : kMax), v.reg(i), v.constantBits(0x7fffffff));
    if (i) a.vpmaxsd(v.reg(kMax), v.reg(kMax), v.reg(kTemp));
  }
  a.mov(a.rax, a.rcx);
  a.shr(a.rax, 3); // 4 bytes per block of 32 columns
  scaleOfMax(kActivationBlock);
  codes(a.rdx + a.rcx);
  // Sums of 8 codes + 128 each; of both halves of the block.
  Ymm temp = Lanes::ymm(kTemp);
  Xmm low = Lanes::xmm(kSums), high = Lanes::xmm(kTemp);
  a.vpshufd(temp, Ymm(kSums), 0x4e);
  a.vpaddd(Ymm(kSums), Ymm(kSums), temp);
  a.vextracti128(high, Ymm(kSums), 1);
  a.vpunpckldq(low, low, high);
  a.vpsubd(low, low, repeated(a, 16 * 128, 16));
  a.vmovq(a.ptr[a.rdx + a.rax * 2 + int(q8HalfSumOffset(d.columns))], low);
  a.vpshufd(high, low, 0xb1);
  a.vpaddd(low, low, high);
  a.vmovd(a.ptr[a.rdx + a.rax + int(q8SumOffset(d.columns))], low);
}

/// Blocks of more than 32: the chunk in vectors 0.. to the stack; if it is the block's last, codes and scale to y.
void Row::gather(int n) {
  int64_t block = d.out.block;
  a.mov(a.eax, a.ecx);
  a.and_(a.eax, uint32_t(block - 1));
  for (int i = 0; i < vectors(); ++i) {
    v.keep(i, lanes(i, n));
    a.vmovups(a.ptr[a.rsp + a.rax * 4 + 4 * i * v.count], v.reg(i));
  }
  if (d.columns < block || n < 32) return; // finishQ8 will
  Label more;
  a.cmp(a.eax, uint32_t(block - 32));
  a.jne(more, a.T_NEAR);
  a.lea(a.rbx, a.ptr[a.rcx - int(block - 32)]);
  quantiseGathered(int(block / 32));
  a.L(more);
}

/// The block at column rbx, of which `chunks` chunks are on the stack.
void Row::quantiseGathered(int chunks) {
  for (int i = 0; i < chunks * vectors(); ++i) {
    a.vmovups(v.reg(kTemp), a.ptr[a.rsp + 4 * i * v.count]);
    a.vandps(v.reg(i ? kTemp : kMax), v.reg(kTemp), v.constantBits(0x7fffffff));
    if (i) a.vpmaxsd(v.reg(kMax), v.reg(kMax), v.reg(kTemp));
  }
  int64_t block = d.out.block;
  a.mov(a.rax, a.rbx);
  a.shr(a.rax, int(llvm::Log2_64(block)) - 2); // 4 bytes per block
  scaleOfMax(block);
  for (int chunk = 0; chunk < chunks; ++chunk) {
    for (int i = 0; i < vectors(); ++i) a.vmovups(v.reg(i), a.ptr[a.rsp + 4 * (32 * chunk + i * v.count)]);
    codes(a.rdx + a.rbx + 32 * chunk);
    if (chunk)
      a.vpaddd(Ymm(kTotal), Ymm(kTotal), Ymm(kSums));
    else
      a.vmovdqa(Ymm(kTotal), Ymm(kSums));
  }
  Xmm total = Lanes::xmm(kTotal), temp = Lanes::xmm(kTemp);
  a.vextracti128(temp, Ymm(kTotal), 1);
  a.vpaddd(total, total, temp);
  a.vpshufd(temp, total, 0x4e);
  a.vpaddd(total, total, temp);
  a.vpsubd(total, total, repeated(a, uint32_t(32 * chunks * 128), 16));
  a.vmovd(a.ptr[a.rdx + a.rax + int(q8SumOffset(d.columns, block))], total);
}

/// From the lanes of kMax: stores the scale of the block at byte rax of the scales; what `codes` multiplies with.
void Row::scaleOfMax(int64_t block) {
  Xmm max = Lanes::xmm(kMax), temp = Lanes::xmm(kTemp), usable = Lanes::xmm(kUsable), inverse = Lanes::xmm(kInverse);
  v.maxBits(kMax, kTemp);
  a.vmovss(inverse, v.scalar(127.0f));
  a.vdivss(inverse, inverse, max);
  a.vdivss(max, max, v.scalar(127.0f));
  // max too small for its inverse: scale 0. max not finite: the scale is not either, and spoils what is computed from
  // it.
  a.vmovd(temp, a.ptr[a.rip + a.constant32(kInfinity)]);
  a.vcmpneqps(usable, inverse, temp);
  a.vandps(max, max, usable);
  a.vmovss(a.ptr[a.rdx + a.rax + int(q8ScaleOffset(d.columns, block))], max);
  // usable: 0 < inverse < infinity, as integers; all other codes are 0
  a.vpcmpgtd(usable, temp, inverse);
  v.zero(kTemp);
  a.vpcmpgtd(temp, inverse, temp);
  a.vandps(usable, usable, temp);
  a.vbroadcastss(v.reg(kUsable), usable);
  a.vbroadcastss(v.reg(kInverse), inverse);
}

/// Vectors 0.. hold 32 columns: stores their codes, leaves sums of code + 128, of 8 codes each, in kSums.
void Row::codes(const RegExp &to) {
  for (int i = 0; i < vectors(); ++i) {
    a.vmulps(v.reg(i), v.reg(i), v.reg(kInverse));
    a.vcvtps2dq(v.reg(i), v.reg(i));
    a.vandps(v.reg(i), v.reg(i), v.reg(kUsable));
  }
  Ymm codes = Lanes::ymm(kMax), temp = Lanes::ymm(kTemp);
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
  a.vmovups(a.ptr[to], codes);
  v.zero(kTemp);
  a.vpxor(Ymm(kSums), codes, repeated(a, 0x80808080, 32));
  a.vpsadbw(Ymm(kSums), Ymm(kSums), temp);
}

void Row::finishQ8() {
  if (!d.out.isQ8()) return;
  if (int64_t rest = d.columns % d.out.block; gathers() && rest) {
    a.mov(a.ebx, uint32_t(d.columns - rest));
    quantiseGathered(int(roundUp(rest, 32) / 32));
  }
  padQ8();
}

void Row::padQ8() {
  int64_t columns = d.columns, block = d.out.block, padded = q8PaddedK(columns, block);
  v.zero(0);
  auto zeroFrom = [&](int64_t first, int64_t end, int64_t offset, int64_t size) {
    zeroBytes(offset + first * size, (end - first) * size);
  };
  zeroFrom(roundUp(columns, 32), padded, 0, 1);
  zeroFrom(roundUp(columns, block) / block, padded / block, q8ScaleOffset(columns, block), 4);
  zeroFrom(roundUp(columns, block) / block, padded / block, q8SumOffset(columns, block), 4);
  if (block == 32) zeroFrom(roundUp(columns, 32) / 16, padded / 16, q8HalfSumOffset(columns), 4);
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

static int64_t outputBytes(const RowwiseDesc &d) {
  return d.out.isQ8() ? q8RowBytes(d.columns, d.out.block) : 4 * d.columns;
}

Refusal refuseRowwise(const RowwiseDesc &d, RowwiseOp op, bool q8Allowed) {
  constexpr int64_t kMaxColumns = 1 << 24; // every displacement of a row fits in 32 bits
  auto number = [](int64_t n) { return std::to_string(n); };
  if (d.op != op) return std::string("serves ") + opName(op) + ", found " + opName(d.op);
  if (d.columns < 1 || d.columns > kMaxColumns)
    return "columns: found " + number(d.columns) + ", expected 1.." + number(kMaxColumns);
  if (d.out != RowFormat::F32 && !d.out.isQ8())
    return std::string(opName(op)) + ": found " + d.out.name() + " output, expected f32 or q8";
  if (d.out.isQ8() && !q8Allowed) return std::string(opName(op)) + ": found Q8 output, expected F32";
  if (int64_t b = d.out.block; d.out.isQ8() && b != 32 && b != 64 && b != 128 && b != 256 && b != 512)
    return std::string(opName(op)) + ": found q8 blocks of " + number(b) + ", expected 32, 64, 128, 256 or 512";
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
