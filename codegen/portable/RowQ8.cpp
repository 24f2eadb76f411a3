#include "codegen/portable/RowQ8.h"
#include <limits>

namespace llmc::portable {

/// Codes, scale and sums of one block of activations whose halves are `low` and `high`. The largest |x| is found by
/// its bits, which order as integers, so that infinity and NaN arrive in the scale; the codes are 0 then. A largest |x|
/// whose 127/max overflows counts as 0.
static void storeBlock(KernelBuilder &b, int64_t columns, Var out, Var column, Var low, Var high) {
  Var top = b.asFloat(b.maximum(b.max(b.asInt(b.abs(low)), b.asInt(b.abs(high)))));
  Var infinity = b.constant(b.f32(), std::numeric_limits<float>::infinity());
  Var inverse = b.constant(b.f32(), 127) / top, isTiny = inverse == infinity;
  Var usable = (Var(0.0) < inverse) & (inverse < infinity);
  Var block = column / kActivationBlock;
  Vars sums;
  for (Var half : {low, high}) {
    Var codes = b.toInt(b.roundEven(b.select(usable, half * inverse, b.splat(0))), b.i32());
    b.store(b.truncate(codes, b.i8()), out + column + int64_t(sums.size()) * kLanes);
    sums.push_back(b.sum(codes));
    b.store(sums.back(), out + q8HalfSumOffset(columns) + block * 8 + int64_t(sums.size() - 1) * 4);
  }
  b.store(sums[0] + sums[1], out + q8SumOffset(columns) + block * 4);
  b.store(b.select(isTiny, 0.0, top / 127.0), out + q8ScaleOffset(columns) + block * 4);
}

/// Blocks of columns [first, first + count); `value` counts from first.
static void storeBlocks(KernelBuilder &b, int64_t columns, Var out, Var first, int64_t count,
                        llvm::function_ref<Var(Var, int64_t)> value) {
  b.columns(count, kActivationBlock, {}, [&](Var column, int64_t valid, Vars) {
    Var low = value(column, std::min(valid, kLanes));
    Var high = valid > kLanes ? value(column + kLanes, valid - kLanes) : b.splat(0);
    storeBlock(b, columns, out, column + first, low, high);
    return Vars();
  });
}

static void padRow(KernelBuilder &b, int64_t columns, Var out) {
  Var zeros = b.splat(0);
  b.loop(roundUp(columns, kActivationBlock), q8PaddedK(columns), kActivationBlock,
         [&](Var column) { storeBlock(b, columns, out, column, zeros, zeros); });
}

void storeRow(KernelBuilder &b, RowFormat format, int64_t columns, Var out,
              llvm::function_ref<Var(Var, int64_t)> value) {
  if (format == RowFormat::F32)
    return b.columns(columns,
                     [&](Var column, int64_t valid) { b.storeLanes(value(column, valid), out + column * 4, valid); });
  storeBlocks(b, columns, out, 0, columns, value);
  padRow(b, columns, out);
}

void storeColumns(KernelBuilder &b, RowFormat format, int64_t columns, Var out, Var first, int64_t count, Var last,
                  llvm::function_ref<Var(Var, int64_t)> value) {
  if (format == RowFormat::F32)
    return b.columns(count, [&](Var column, int64_t valid) {
      b.storeLanes(value(column, valid), out + (first + column) * 4, valid);
    });
  storeBlocks(b, columns, out, first, count, value);
  b.ifThen(last, [&] { padRow(b, columns, out); });
}

} // namespace llmc::portable
