// CumSum, CumProd: running sums and products along an axis. TopK: the greatest (least) elements along one.
#include "passes/graph/Axes.h"
#include "passes/graph/Lowerings.h"

using namespace mlir;

namespace llmc::graph {
namespace {

template <bool isProduct> llvm::Expected<Values> lowerRunning(NodeLowering &n) {
  Builder &b = n.b;
  Array x = array(n, 0);
  bool exclusive = n.intAttr("exclusive", 0), reverse = n.intAttr("reverse", 0);
  AxisSplit split = splitAt(x, axisOperand(n, 1, x.rank()));
  Scalars sizes = {split.outer, split.extent, split.inner};
  Array rows = array(b, reshape(x, sizes), x.isUnsigned);
  Type type = sumType(x.element());
  Scalar start = constant(b, type, isProduct ? 1 : 0);
  // The sums run in the wider type, one for each place beside the axis.
  Value y = forEach({split.outer, split.inner}, empty(b, sizes, x.element()), [&](ScalarRef at, Value y) {
    Values state = loop(index(b, 0), split.extent, {y, start.value}, [&](Scalar step, ValueRange state) {
      Scalar k = reverse ? split.extent - 1 - step : step;
      Scalar before = {&b, state[1]}, element = convert(rows({at[0], k, at[1]}), type, x.isUnsigned);
      Scalar after = isProduct ? before * element : before + element;
      Scalar result = convert(exclusive ? before : after, x.element(), x.isUnsigned);
      return Values{store(state[0], {at[0], k, at[1]}, result), after.value};
    });
    return state[0];
  });
  return Values{reshape(array(b, y), x.sizes())};
}

/// Element by element the next in the order: greater values first (or lesser), and of equal ones the first. NaN is the
/// greatest.
llvm::Expected<Values> lowerTopK(NodeLowering &n) {
  Builder &b = n.b;
  Array x = array(n, 0);
  auto axis = n.axis("axis", -1, x.rank());
  if (!axis) return axis.takeError();
  bool largest = n.intAttr("largest", 1);
  Scalar k = n.has(1) ? axisOperand(n, 1, 0) : index(b, n.intAttr("k", 1));
  Scalars sizes = x.sizes(), others = sizes;
  Scalar extent = sizes[*axis];
  sizes[*axis] = minimum(k, extent);
  others[*axis] = index(b, 1);
  auto ahead = [&](Scalar x, Scalar i, Scalar y, Scalar j) { // whether element x at i comes before y at j
    Scalar more = largest ? x > y : x < y, same = equal(x, y);
    if (x.isFloat()) {
      Scalar both = isNan(x) & isNan(y);
      more = more | (largest ? isNan(x) & !isNan(y) : isNan(y) & !isNan(x));
      same = same | both;
    }
    return more | (same & (i < j));
  };
  Value init = empty(b, sizes, b.getIndexType());
  Value order = forEach(others, init, [&](ScalarRef at, Value order) {
    Scalars i(at);
    auto element = [&](Scalar place) {
      i[*axis] = place;
      return x(i);
    };
    return loop(index(b, 0), sizes[*axis], {order, index(b, -1).value}, [&](Scalar place, ValueRange state) {
      Scalar last = {&b, state[1]};
      Scalar first = last < 0;
      Scalar lastValue = element(maximum(last, index(b, 0)));
      Scalar best = fold(index(b, 0), extent, index(b, -1), [&](Scalar j, Scalar best) {
        Scalar value = element(j);
        Scalar candidate = first | ahead(lastValue, last, value, j);
        Scalar wins = (best < 0) | ahead(value, j, element(maximum(best, index(b, 0))), best);
        return select(candidate & wins, j, best);
      });
      i[*axis] = place;
      return Values{store(state[0], i, best), best.value};
    })[0];
  });
  Array places = array(b, order);
  Value values = tabulate(b, sizes, x.element(), [&](ScalarRef at) {
    Scalars i(at);
    i[*axis] = places(at);
    return x(i);
  });
  Value indices = tabulate(b, sizes, b.getI64Type(), [&](ScalarRef at) { return convert(places(at), b.getI64Type()); });
  return Values{values, indices};
}

constexpr Lowering kRows[] = {
    {"", "CumProd", lowerRunning<true>},
    {"", "CumSum", lowerRunning<false>},
    {"", "TopK", lowerTopK},
};
} // namespace

llvm::ArrayRef<Lowering> scanLowerings() { return kRows; }

} // namespace llmc::graph
