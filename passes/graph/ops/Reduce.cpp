// Reduce*: sums, products, extremes and norms over axes, which may be values that only the run knows.
#include "passes/graph/Axes.h"
#include "passes/graph/Lowerings.h"

using namespace mlir;

namespace llmc::graph {
namespace {

/// y = finish(step(... step(start, x0) ..., xn), count), over the elements of a group.
struct Reduction {
  Scalar (*start)(Builder &, Type, bool isUnsigned);
  Scalar (*step)(Scalar sum, Scalar x);
  Scalar (*finish)(Scalar sum, Scalar count);
  bool ofFloats; // integers become f32 first, and the result an integer again
};

Scalar startZero(Builder &b, Type type, bool) { return constant(b, type, 0); }
Scalar startOne(Builder &b, Type type, bool) { return constant(b, type, 1); }
Scalar plus(Scalar sum, Scalar x) { return sum + x; }
Scalar times(Scalar sum, Scalar x) { return sum * x; }
Scalar plusAbs(Scalar sum, Scalar x) { return sum + abs(x); }
Scalar plusSquare(Scalar sum, Scalar x) { return sum + x * x; }
Scalar asIs(Scalar sum, Scalar) { return sum; }
Scalar mean(Scalar sum, Scalar count) { return sum / convert(count, sum.type(), sum.isUnsigned); }
Scalar root(Scalar sum, Scalar) { return sqrt(sum); }
Scalar logarithm(Scalar sum, Scalar) { return log(sum); }

constexpr Reduction kSum = {startZero, plus, asIs, false}, kMean = {startZero, plus, mean, false},
                    kProd = {startOne, times, asIs, false}, kMax = {lowest, maximum, asIs, false},
                    kMin = {highest, minimum, asIs, false}, kL1 = {startZero, plusAbs, asIs, false},
                    kL2 = {startZero, plusSquare, root, true}, kLogSum = {startZero, plus, logarithm, true},
                    kSumSquare = {startZero, plusSquare, asIs, false};

Type computedIn(Type element, bool ofFloats) {
  if (ofFloats && !isa<FloatType>(element)) return Float32Type::get(element.getContext());
  return sumType(element);
}

llvm::Expected<Values> reduceWith(NodeLowering &n, llvm::function_ref<Scalar(const Group &, Array, Type)> reduceGroup,
                                  bool ofFloats) {
  auto axes = ReducedAxes::of(n);
  if (!axes) return axes.takeError();
  Array x = array(n, 0);
  Type type = computedIn(x.element(), ofFloats);
  Value kept = tabulate(n.b, axes->keptSizes(x), x.element(), [&](ScalarRef i) {
    return convert(reduceGroup(axes->group(x, i), x, type), x.element(), x.isUnsigned);
  });
  if (n.intAttr("keepdims", 1)) return Values{kept};
  auto sizes = axes->droppedSizes(x);
  if (!sizes) return sizes.takeError();
  return Values{reshape(array(n.b, kept), *sizes)};
}

template <const Reduction &row> llvm::Expected<Values> lowerReduce(NodeLowering &n) {
  return reduceWith(
      n,
      [](const Group &group, Array x, Type type) {
        Scalar start = row.start(*x.b, type, x.isUnsigned);
        start.isUnsigned = x.isUnsigned;
        Scalar sum = group.fold(
            start, [&](ScalarRef i, Scalar sum) { return row.step(sum, convert(x(i), type, x.isUnsigned)); });
        return row.finish(sum, group.count);
      },
      row.ofFloats);
}

/// log(sum(exp(x - m))) + m for the greatest x, m; nothing is subtracted where that is infinite.
llvm::Expected<Values> lowerLogSumExp(NodeLowering &n) {
  return reduceWith(
      n,
      [](const Group &group, Array x, Type type) {
        Builder &b = *x.b;
        Scalar greatest = group.fold(lowest(b, type, false),
                                     [&](ScalarRef i, Scalar most) { return maximum(most, convert(x(i), type)); });
        Scalar zero = constant(b, type, 0);
        Scalar shift = select(abs(greatest) < highest(b, type, false), greatest, zero);
        Scalar sum = group.fold(zero, [&](ScalarRef i, Scalar sum) { return sum + exp(convert(x(i), type) - shift); });
        return log(sum) + shift;
      },
      true);
}

/// The index of the greatest (least) element along an axis: the first of equal ones, or the last. A NaN counts as
/// neither.
template <bool greatest> llvm::Expected<Values> lowerArg(NodeLowering &n) {
  Array x = array(n, 0);
  auto axis = n.axis("axis", 0, x.rank());
  if (!axis) return axis.takeError();
  bool last = n.intAttr("select_last_index", 0), keep = n.intAttr("keepdims", 1);
  Scalars sizes = x.sizes();
  Scalar extent = sizes[*axis];
  if (keep)
    sizes[*axis] = index(n.b, 1);
  else
    sizes.erase(sizes.begin() + *axis);
  Value y = tabulate(n.b, sizes, n.b.getI64Type(), [&](ScalarRef outer) {
    Scalars i(outer);
    if (!keep) i.insert(i.begin() + *axis, index(n.b, 0));
    i[*axis] = index(n.b, 0);
    Scalars best = folds(index(n.b, 1), extent, {x(i), index(n.b, 0)}, [&](Scalar k, ScalarRef best) {
      i[*axis] = k;
      Scalar value = x(i);
      Scalar better =
          greatest ? (last ? value >= best[0] : value > best[0]) : (last ? value <= best[0] : value < best[0]);
      return Scalars{select(better, value, best[0]), select(better, k, best[1])};
    });
    return convert(best[1], n.b.getI64Type());
  });
  return Values{y};
}

constexpr Lowering kRows[] = {
    {"", "ArgMax", lowerArg<true>},
    {"", "ArgMin", lowerArg<false>},
    {"", "ReduceL1", lowerReduce<kL1>},
    {"", "ReduceL2", lowerReduce<kL2>},
    {"", "ReduceLogSum", lowerReduce<kLogSum>},
    {"", "ReduceLogSumExp", lowerLogSumExp},
    {"", "ReduceMax", lowerReduce<kMax>},
    {"", "ReduceMean", lowerReduce<kMean>},
    {"", "ReduceMin", lowerReduce<kMin>},
    {"", "ReduceProd", lowerReduce<kProd>},
    {"", "ReduceSum", lowerReduce<kSum>},
    {"", "ReduceSumSquare", lowerReduce<kSumSquare>},
};
} // namespace

llvm::ArrayRef<Lowering> reduceLowerings() { return kRows; }

} // namespace llmc::graph
