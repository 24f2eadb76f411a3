#include "codegen/portable/RowQ8.h"
#include <limits>

namespace llmc::portable {
namespace {

/// Where a row goes: q8 of `columns` columns at `out`.
struct Q8Output {
  KernelBuilder &b;
  const int64_t columns, block;
  Var out;

  /// The scale of the block at `column` whose largest |x| has the bits `top`, which order as integers, so that infinity
  /// and NaN arrive in the scale; returns what x is multiplied with, 0 if that is not finite. A largest |x| whose
  /// 127/max overflows counts as 0.
  std::pair<Var, Var> storeScale(Var column, Var top) const {
    Var infinity = b.constant(b.f32(), std::numeric_limits<float>::infinity());
    Var inverse = b.constant(b.f32(), 127) / top;
    b.store(b.select(inverse == infinity, 0.0, top / 127.0), out + q8ScaleOffset(columns, block) + column / block * 4);
    return {inverse, (Var(0.0) < inverse) & (inverse < infinity)};
  }
  /// The codes of 16 columns; returns their sum.
  Var storeCodes(Var column, Var x, std::pair<Var, Var> inverse) const {
    Var scaled = b.select(inverse.second, x * inverse.first, b.splat(0));
    Var codes = b.toInt(b.roundEven(scaled), b.i32());
    b.store(b.truncate(codes, b.i8()), out + column);
    return b.sum(codes);
  }
  void storeSum(Var column, Var sum) const { b.store(sum, out + q8SumOffset(columns, block) + column / block * 4); }
};

/// A block of 32, whose halves are `low` and `high`.
void storeBlock(const Q8Output &q8, Var column, Var low, Var high) {
  KernelBuilder &b = q8.b;
  Var top = b.asFloat(b.maximum(b.max(b.asInt(b.abs(low)), b.asInt(b.abs(high)))));
  std::pair<Var, Var> inverse = q8.storeScale(column, top);
  Var halfSums = q8.out + q8HalfSumOffset(q8.columns) + column / kActivationBlock * 8;
  Var first = q8.storeCodes(column, low, inverse), second = q8.storeCodes(column + kLanes, high, inverse);
  b.store(first, halfSums);
  b.store(second, halfSums + 4);
  q8.storeSum(column, first + second);
}

using Value = llvm::function_ref<Var(Var, int64_t)>;

/// A larger block, of which `valid` columns are there: first to `scratch`, as f32, then to the row.
void gatherBlock(const Q8Output &q8, Var scratch, Var first, int64_t valid, Value value) {
  KernelBuilder &b = q8.b;
  Var top = b.columns(valid, kLanes, {b.constant(b.lanes(b.i32()), 0)}, [&](Var c, int64_t lanes, Vars most) {
    Var x = value(first + c, lanes);
    b.store(x, scratch + c * 4);
    return Vars{b.max(most[0], b.asInt(b.abs(x)))};
  })[0];
  std::pair<Var, Var> inverse = q8.storeScale(first, b.asFloat(b.maximum(top)));
  int64_t stored = roundUp(valid, kLanes);
  Var sum = b.columns(stored, kLanes, {b.constant(b.i32(), 0)}, [&](Var c, int64_t, Vars sums) {
    return Vars{sums[0] + q8.storeCodes(first + c, b.load(b.lanes(b.f32()), scratch + c * 4), inverse)};
  })[0];
  q8.storeSum(first, sum);
  b.columns(q8.block - stored, kLanes, {}, [&](Var c, int64_t, Vars) {
    b.store(b.truncate(b.constant(b.lanes(b.i32()), 0), b.i8()), q8.out + (first + c + stored));
    return Vars();
  });
}

void storeQ8(const Q8Output &q8, Value value) {
  KernelBuilder &b = q8.b;
  int64_t columns = q8.columns, block = q8.block;
  Var scratch;
  if (block > kActivationBlock) scratch = b.stack(block * 4);
  b.columns(columns, block, {}, [&](Var column, int64_t valid, Vars) {
    if (block > kActivationBlock) {
      gatherBlock(q8, scratch, column, valid, value);
      return Vars();
    }
    Var low = value(column, std::min(valid, kLanes));
    Var high = valid > kLanes ? value(column + kLanes, valid - kLanes) : b.splat(0);
    storeBlock(q8, column, low, high);
    return Vars();
  });
  Var zeros = b.splat(0);
  auto none = [&](Var, int64_t) { return zeros; };
  b.loop(roundUp(columns, block), q8PaddedK(columns, block), block, [&](Var column) {
    if (block > kActivationBlock)
      gatherBlock(q8, scratch, column, block, none);
    else
      storeBlock(q8, column, zeros, zeros);
  });
}

} // namespace

void storeRow(KernelBuilder &b, RowFormat format, int64_t columns, Var out,
              llvm::function_ref<Var(Var, int64_t)> value) {
  if (format.isQ8()) return storeQ8({b, columns, format.block, out}, value);
  b.columns(columns, [&](Var column, int64_t valid) { b.storeLanes(value(column, valid), out + column * 4, valid); });
}

} // namespace llmc::portable
