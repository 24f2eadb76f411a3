#include "codegen/kernels/rowwise/Row.h"
#include "llmc_kernel.h"
#include "llvm/Support/MathExtras.h"
#include <cstddef>

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
  if (d.out.is16Bit()) return write16(n);
  for (int i = 0; i < vectors(); ++i)
    if (int active = lanes(i, n)) v.store(a.rdx + a.rcx * 4 + 4 * i * v.count, i, active);
}

/// Where the block goes whose first column is in `column`; leaves its index in rax, times 4.
Q8BlockPlace Row::place(const Reg64 &column) {
  int64_t columns = d.columns, block = d.out.block;
  a.mov(a.rax, column);
  a.shr(a.rax, int(llvm::Log2_64(block)) - 2);
  return {a.rdx + column, a.rdx + a.rax + int(q8ScaleOffset(columns, block)),
          a.rdx + a.rax + int(q8SumOffset(columns, block)), a.rdx + a.rax * 2 + int(q8HalfSumOffset(columns, block))};
}

/// Blocks of 32: the chunk in vectors 0..
void Row::writeQ8(int n) {
  for (int i = 0; i < vectors(); ++i) v.keep(i, lanes(i, n));
  quantizeBlock(v, kActivationBlock, place(a.rcx));
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
  if (d.columns < block || n < 32) return; // `finish` will
  Label more;
  a.cmp(a.eax, uint32_t(block - 32));
  a.jne(more, a.T_NEAR);
  a.lea(a.rbx, a.ptr[a.rcx - int(block - 32)]);
  quantizeStored(v, block, a.rsp, place(a.rbx));
  a.L(more);
}

void Row::finish() {
  if (d.out.is16Bit()) pad16();
  if (!d.out.isQ8()) return;
  if (int64_t rest = d.columns % d.out.block; gathers() && rest) {
    a.mov(a.ebx, uint32_t(d.columns - rest));
    quantizeStored(v, roundUp(rest, 32), a.rsp, place(a.rbx));
  }
  padQ8Row(v, d.columns, d.out.block, roundUp(d.columns, 32), a.rdx);
}

static const char *opName(RowwiseOp op) {
  static constexpr const char *names[] = {"RmsNorm",    "Glu",       "Quantize",  "Add",       "Embed",
                                          "GatherRows", "RopeTable", "LayerNorm", "Activate",  "QkNorm",
                                          "Scale",      "MoeChoose", "MoeSort",   "MoeGather", "MoeScatter"};
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
  auto found = [&](const std::string &what) { return std::string(opName(op)) + ": found " + what; };
  if (d.out != RowFormat::F32 && !formats) return found(d.out.name() + " output, expected f32");
  if (int64_t b = d.out.block; d.out.isQ8() && b != 32 && b != 64 && b != 128 && b != 256 && b != 512)
    return found("q8 blocks of " + number(b) + ", expected 32, 64, 128, 256 or 512");
  if (d.out.is16Bit() && d.out.order == WeightKind::F32)
    return found(d.out.name() + " output without an order, expected the consumer's weights");
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
