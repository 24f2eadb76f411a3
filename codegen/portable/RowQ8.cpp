#include "codegen/portable/RowQ8.h"
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

void storeRow(KernelBuilder &b, RowFormat format, int64_t columns, Var out,
              llvm::function_ref<Var(Var, int64_t)> value) {
  if (format == RowFormat::F32)
    return b.columns(columns,
                     [&](Var column, int64_t valid) { b.storeLanes(value(column, valid), out + column * 4, valid); });
  b.columns(columns, kActivationBlock, {}, [&](Var column, int64_t valid, Vars) {
    Var low = value(column, std::min(valid, kLanes));
    Var high = valid > kLanes ? value(column + kLanes, valid - kLanes) : b.splat(0);
    storeQ8Block(b, columns, out, column, {low, high});
    return Vars();
  });
  padQ8Row(b, columns, kActivationBlock, roundUp(columns, kActivationBlock), out);
}

} // namespace llmc::portable
