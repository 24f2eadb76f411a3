#include "codegen/portable/RowQ8.h"
#include "codegen/kernels/matmul/Rows16.h"
#include "codegen/portable/Numeric.h"
#include <limits>

namespace llmc::portable {

void storeQ8Block(KernelBuilder &b, int64_t columns, Var out, Var column, llvm::ArrayRef<Var> values) {
  int64_t size = int64_t(values.size()) * kLanes;
  Var largest = b.asInt(b.abs(values[0]));
  for (Var v : values.drop_front()) largest = b.max(largest, b.asInt(b.abs(v)));
  Var top = b.asFloat(b.maximum(largest));
  Var infinity = b.constant(b.f32(), std::numeric_limits<float>::infinity());
  Var inverse = b.constant(b.f32(), 127) / top, isTiny = inverse == infinity;
  Var usable = (Var(0.0) < inverse) & (inverse < infinity);
  Var block = column / size, sum;
  for (auto [i, value] : llvm::enumerate(values)) {
    Var codes = b.toInt(b.roundEven(b.select(usable, value * inverse, b.splat(0))), b.i32());
    b.store(b.truncate(codes, b.i8()), out + column + int64_t(i) * kLanes);
    Var sumOfCodes = b.sum(codes);
    if (size == 32) b.store(sumOfCodes, out + q8HalfSumOffset(columns) + block * 8 + int64_t(i) * 4);
    sum = i ? sum + sumOfCodes : sumOfCodes;
  }
  b.store(sum, out + q8SumOffset(columns, size) + block * 4);
  b.store(b.select(isTiny, 0.0, top / 127.0), out + q8ScaleOffset(columns, size) + block * 4);
}

void padQ8Row(KernelBuilder &b, int64_t columns, int64_t block, int64_t from, Var out) {
  Vars zeros(block / kLanes, b.splat(0));
  b.loop(from, q8PaddedK(columns, block), block, [&](Var column) { storeQ8Block(b, columns, out, column, zeros); });
}

/// 16-bit elements of one vector of columns, in the order of the format; a pair's second row behind the first.
static void storeVector16(KernelBuilder &b, RowFormat format, int64_t columns, Var out, Var column, Var x) {
  llvm::SmallVector<int64_t> lanes(kLanes);
  for (int64_t k = 0; k < kLanes; ++k) lanes[positionInRow16(format.order, k)] = k;
  auto store = [&](Var bits, int64_t row) { b.store(b.permute(bits, lanes), out + row + column * 2); };
  if (format.kind == RowFormat::Kind::F16) return store(toF16(b, x), 0);
  Var high = toBf16(b, x);
  store(high, 0);
  if (format.kind == RowFormat::Kind::BF16Pair) store(toBf16(b, x - fromBf16(b, high)), paddedK16(columns) * 2);
}

static void storeRow16(KernelBuilder &b, RowFormat format, int64_t columns, Var out,
                       llvm::function_ref<Var(Var, int64_t)> value) {
  b.columns(columns, kLanes, {}, [&](Var column, int64_t valid, Vars) {
    storeVector16(b, format, columns, out, column, value(column, valid));
    return Vars();
  });
  b.loop(roundUp(columns, kLanes), paddedK16(columns), kLanes,
         [&](Var column) { storeVector16(b, format, columns, out, column, b.splat(0)); });
}

void storeRow(KernelBuilder &b, RowFormat format, int64_t columns, Var out,
              llvm::function_ref<Var(Var, int64_t)> value) {
  if (format == RowFormat::F32)
    return b.columns(columns,
                     [&](Var column, int64_t valid) { b.storeLanes(value(column, valid), out + column * 4, valid); });
  if (format.is16Bit()) return storeRow16(b, format, columns, out, value);
  b.columns(columns, kActivationBlock, {}, [&](Var column, int64_t valid, Vars) {
    Var low = value(column, std::min(valid, kLanes));
    Var high = valid > kLanes ? value(column + kLanes, valid - kLanes) : b.splat(0);
    storeQ8Block(b, columns, out, column, {low, high});
    return Vars();
  });
  padQ8Row(b, columns, kActivationBlock, roundUp(columns, kActivationBlock), out);
}

} // namespace llmc::portable
