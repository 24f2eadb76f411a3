#include "codegen/kernels/rowwise/Row.h"
#include "codegen/kernels/rowwise/QuantizeBlock.h"
#include "llmc_kernel.h"
#include <cstddef>

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
  for (int i = 0; i < vectors(); ++i)
    if (int active = lanes(i, n)) v.store(a.rdx + a.rcx * 4 + 4 * i * v.count, i, active);
}

void Row::writeQ8(int n) {
  for (int i = 0; i < vectors(); ++i) v.keep(i, lanes(i, n));
  a.mov(a.rax, a.rcx);
  a.shr(a.rax, 3); // 4 bytes per block of 32 columns
  quantizeBlock(v, kActivationBlock,
                {a.rdx + a.rcx, a.rdx + a.rax + int(q8ScaleOffset(d.columns)),
                 a.rdx + a.rax + int(q8SumOffset(d.columns)), a.rdx + a.rax * 2 + int(q8HalfSumOffset(d.columns))});
}

void Row::padQ8() {
  if (d.out == RowFormat::Q8) padQ8Row(v, d.columns, kActivationBlock, roundUp(d.columns, kActivationBlock), a.rdx);
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
  return d.out == RowFormat::Q8 ? q8RowBytes(d.columns) : 4 * d.columns;
}

Refusal refuseRowwise(const RowwiseDesc &d, RowwiseOp op, bool q8Allowed) {
  constexpr int64_t kMaxColumns = 1 << 24; // every displacement of a row fits in 32 bits
  auto number = [](int64_t n) { return std::to_string(n); };
  if (d.op != op) return std::string("serves ") + opName(op) + ", found " + opName(d.op);
  if (d.columns < 1 || d.columns > kMaxColumns)
    return "columns: found " + number(d.columns) + ", expected 1.." + number(kMaxColumns);
  if (d.out != RowFormat::F32 && d.out != RowFormat::Q8)
    return std::string(opName(op)) + ": found " + d.out.name() + " output, expected f32 or " + RowFormat::Q8.name();
  if (d.out == RowFormat::Q8 && !q8Allowed) return std::string(opName(op)) + ": found Q8 output, expected F32";
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
