#include "codegen/portable/RowQ8.h"
#include "codegen/kernels/matmul/Rows16.h"
#include "codegen/portable/Numeric.h"
#include <limits>

namespace llmc::portable {
namespace {

using Value = llvm::function_ref<Var(Var, int64_t)>;

/// A q8 row of `columns` columns at `out`.
struct Q8Output {
  KernelBuilder &b;
  const int64_t columns, block;
  Var out;

  /// The scale of the block at `column` whose largest |x| has the bits `top`, which order as integers, so that infinity
  /// and NaN arrive in the scale; returns what x is multiplied with and where that is finite, else codes are 0. A
  /// largest |x| whose 127/max overflows counts as 0.
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
  void storeHalfSum(Var column, int64_t half, Var sum) const {
    b.store(sum, out + q8HalfSumOffset(columns) + column / block * 8 + half * 4);
  }
};

/// A block of which `valid` columns are there, too large for registers: first to `scratch`, as f32, then to the row.
/// Codes behind the last vector of them are not written.
void gatherBlock(const Q8Output &q8, Var scratch, Var first, int64_t valid, Value value) {
  KernelBuilder &b = q8.b;
  Var top = b.columns(valid, kLanes, {b.constant(b.lanes(b.i32()), 0)}, [&](Var c, int64_t lanes, Vars most) {
    Var x = value(first + c, lanes);
    b.store(x, scratch + c * 4);
    return Vars{b.max(most[0], b.asInt(b.abs(x)))};
  })[0];
  std::pair<Var, Var> inverse = q8.storeScale(first, b.asFloat(b.maximum(top)));
  Var sum = b.columns(roundUp(valid, kLanes), kLanes, {b.constant(b.i32(), 0)}, [&](Var c, int64_t, Vars sums) {
    return Vars{sums[0] + q8.storeCodes(first + c, b.load(b.lanes(b.f32()), scratch + c * 4), inverse)};
  })[0];
  q8.storeSum(first, sum);
}

/// 16-bit elements of one vector of columns, in the order of the format; a pair's second row behind the first.
void storeVector16(KernelBuilder &b, RowFormat format, int64_t columns, Var out, Var column, Var x) {
  llvm::SmallVector<int64_t> lanes(kLanes);
  for (int64_t k = 0; k < kLanes; ++k) lanes[positionInRow16(format.order, k)] = k;
  auto store = [&](Var bits, int64_t row) { b.store(b.permute(bits, lanes), out + row + column * 2); };
  if (format.kind == RowFormat::Kind::F16) return store(toF16(b, x), 0);
  Var high = toBf16Row(b, x);
  store(high, 0);
  if (format.kind == RowFormat::Kind::BF16Pair) store(toBf16Row(b, x - fromBf16(b, high)), paddedK16(columns) * 2);
}

void storeRow16(KernelBuilder &b, RowFormat format, int64_t columns, Var out,
                llvm::function_ref<Var(Var, int64_t)> value) {
  b.columns(columns, kLanes, {}, [&](Var column, int64_t valid, Vars) {
    storeVector16(b, format, columns, out, column, value(column, valid));
    return Vars();
  });
  b.loop(roundUp(columns, kLanes), paddedK16(columns), kLanes,
         [&](Var column) { storeVector16(b, format, columns, out, column, b.splat(0)); });
}

void storeQ8(KernelBuilder &b, int64_t columns, int64_t block, Var out, Value value) {
  Var scratch;
  if (block > kActivationBlock) scratch = b.stack(block * 4);
  b.columns(columns, block, {}, [&](Var column, int64_t valid, Vars) {
    if (scratch.value) {
      gatherBlock({b, columns, block, out}, scratch, column, valid, value);
      return Vars();
    }
    Var low = value(column, std::min(valid, kLanes));
    Var high = valid > kLanes ? value(column + kLanes, valid - kLanes) : b.splat(0);
    storeQ8Block(b, columns, out, column, {low, high});
    return Vars();
  });
  padQ8Row(b, columns, block, roundUp(columns, kLanes), out);
}

} // namespace

void storeQ8Block(KernelBuilder &b, int64_t columns, Var out, Var column, llvm::ArrayRef<Var> values) {
  Q8Output q8{b, columns, int64_t(values.size()) * kLanes, out};
  Var largest = b.asInt(b.abs(values[0])), sum;
  for (Var v : values.drop_front()) largest = b.max(largest, b.asInt(b.abs(v)));
  std::pair<Var, Var> inverse = q8.storeScale(column, b.asFloat(b.maximum(largest)));
  for (auto [i, value] : llvm::enumerate(values)) {
    Var sumOfCodes = q8.storeCodes(column + int64_t(i) * kLanes, value, inverse);
    if (q8.block == kActivationBlock) q8.storeHalfSum(column, int64_t(i), sumOfCodes);
    sum = i ? sum + sumOfCodes : sumOfCodes;
  }
  q8.storeSum(column, sum);
}

void padQ8Row(KernelBuilder &b, int64_t columns, int64_t block, int64_t from, Var out) {
  int64_t padded = q8PaddedK(columns, block);
  Q8Output q8{b, columns, block, out};
  b.loop(from, padded, kLanes, [&](Var c) { b.store(b.truncate(b.constant(b.lanes(b.i32()), 0), b.i8()), out + c); });
  b.loop(roundUp(from, block), padded, block, [&](Var column) {
    Var zero = b.constant(b.i32(), 0);
    b.store(zero, out + q8ScaleOffset(columns, block) + column / block * 4);
    q8.storeSum(column, zero);
    for (int64_t half = 0; half < 2 && block == kActivationBlock; ++half) q8.storeHalfSum(column, half, zero);
  });
}

void storeRow(KernelBuilder &b, RowFormat format, int64_t columns, Var out, Value value) {
  if (format.isQ8()) return storeQ8(b, columns, format.block, out, value);
  if (format.is16Bit()) return storeRow16(b, format, columns, out, value);
  b.columns(columns, [&](Var column, int64_t valid) { b.storeLanes(value(column, valid), out + column * 4, valid); });
}

void storeColumns(KernelBuilder &b, RowFormat format, int64_t columns, Var out, Var first, int64_t count, Var last,
                  Value value) {
  if (format == RowFormat::F32)
    return b.columns(count, [&](Var column, int64_t valid) {
      b.storeLanes(value(column, valid), out + (first + column) * 4, valid);
    });
  b.columns(count, kActivationBlock, {}, [&](Var column, int64_t valid, Vars) {
    Var low = value(column, std::min(valid, kLanes));
    Var high = valid > kLanes ? value(column + kLanes, valid - kLanes) : b.splat(0);
    storeQ8Block(b, columns, out, first + column, {low, high});
    return Vars();
  });
  b.ifThen(last, [&] { padQ8Row(b, columns, kActivationBlock, roundUp(columns, kLanes), out); });
}

} // namespace llmc::portable
