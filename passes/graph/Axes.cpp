#include "passes/graph/Axes.h"
#include "passes/graph/Building.h"

using namespace mlir;

namespace llmc::graph {
namespace {
Scalar flag(Builder &b, bool value) {
  Scalar made = constant(b, b.getI1Type(), value);
  made.isUnsigned = true;
  return made;
}
} // namespace

Scalars listedAxes(NodeLowering &n, unsigned operand, int64_t rank) {
  Builder &b = n.b;
  Array list = array(n, operand);
  Scalars found;
  for (int64_t axis = 0; axis < rank; ++axis)
    found.push_back(fold(index(b, 0), list.size(0), flag(b, false), [&](Scalar i, Scalar any) {
      Scalar entry = toIndex(list({i}));
      return any | equal(entry, double(axis)) | equal(entry, double(axis - rank));
    }));
  return found;
}
Scalar Group::fold(Scalar start, llvm::function_ref<Scalar(ScalarRef, Scalar)> body) const {
  Scalars extents;
  SmallVector<unsigned> moving;
  for (unsigned axis = 0; axis < from.size(); ++axis)
    if (from[axis].value != to[axis].value) moving.push_back(axis);
  Scalars i(from);
  for (unsigned axis : moving) extents.push_back(to[axis] - from[axis]);
  return foldOver(extents, start, [&](ScalarRef steps, Scalar sum) {
    for (auto [axis, step] : llvm::zip_equal(moving, steps)) i[axis] = from[axis] + step;
    return body(i, sum);
  });
}

Group groupOver(Array x, ArrayRef<int64_t> axes, ScalarRef i) {
  Group group = {Scalars(i), Scalars(i), index(*x.b, 1)};
  for (int64_t axis : axes) {
    group.from[axis] = index(*x.b, 0), group.to[axis] = x.size(axis);
    group.count = group.count * group.to[axis];
  }
  return group;
}

llvm::Expected<ReducedAxes> ReducedAxes::of(NodeLowering &n) {
  Builder &b = n.b;
  int64_t rank = n.rank(0);
  bool emptyMeansNone = n.intAttr("noop_with_empty_axes", 0);
  ReducedAxes axes;
  if (n.has(1) && !n.constant(1)) {
    if (n.rank(1) != 1) return refuse("axes: found rank " + llvm::Twine(n.rank(1)) + ", expected 1");
    axes.reduced = listedAxes(n, 1, rank);
    Scalar none = equal(array(n, 1).size(0), 0);
    if (!emptyMeansNone)
      for (Scalar &each : axes.reduced) each = each | none;
    if (!n.type(1).isDynamicDim(0)) axes.count = n.type(1).getDimSize(0);
  } else {
    auto known = n.axes(1, rank);
    if (!known) return known.takeError();
    axes.count = *known ? (*known)->size() : 0;
    for (int64_t axis = 0; axis < rank; ++axis)
      axes.reduced.push_back(flag(b, axes.count == 0 ? !emptyMeansNone : llvm::is_contained(**known, axis)));
  }
  if (axes.count == 0) axes.count = emptyMeansNone ? 0 : rank;
  return axes;
}

Scalars ReducedAxes::keptSizes(Array x) const {
  Scalars sizes = x.sizes();
  for (auto [size, gone] : llvm::zip_equal(sizes, reduced)) size = select(gone, index(*x.b, 1), size);
  return sizes;
}

llvm::Expected<Scalars> ReducedAxes::droppedSizes(Array x) const {
  if (!count) return refuse("how many axes there are is not known while compiling, and keepdims is 0");
  Builder &b = *x.b;
  // The axis at each place of the result is the one with as many kept axes before it.
  Scalars sizes, places;
  Scalar before = index(b, 0);
  for (Scalar gone : reduced) {
    places.push_back(select(gone, index(b, -1), before));
    before = select(gone, before, before + 1);
  }
  for (int64_t place = 0; place < x.rank() - *count; ++place) {
    Scalar size = index(b, 1);
    for (int64_t axis = 0; axis < x.rank(); ++axis)
      size = select(equal(places[axis], double(place)), x.size(axis), size);
    sizes.push_back(size);
  }
  return sizes;
}

Group ReducedAxes::group(Array x, ScalarRef i) const {
  Builder &b = *x.b;
  Group group;
  group.count = index(b, 1);
  for (auto [axis, gone] : llvm::enumerate(reduced)) {
    Scalar size = x.size(axis), zero = index(b, 0);
    bool known = matchPattern(gone.value, m_Constant());
    bool stays = known && matchPattern(gone.value, m_Zero());
    group.from.push_back(select(gone, zero, i[axis]));
    group.to.push_back(stays ? group.from.back() : select(gone, size, i[axis] + 1));
    group.count = group.count * select(gone, size, index(b, 1));
  }
  return group;
}

AxisSplit splitAt(Array x, Scalar axis) {
  Builder &b = *x.b;
  AxisSplit split = {index(b, 1), index(b, 1), index(b, 1)};
  for (int64_t dim = 0; dim < x.rank(); ++dim) {
    Scalar size = x.size(dim), here = index(b, dim), one = index(b, 1);
    split.outer = split.outer * select(here < axis, size, one);
    split.extent = split.extent * select(equal(here, axis), size, one);
    split.inner = split.inner * select(here > axis, size, one);
  }
  return split;
}

Scalar axisOperand(NodeLowering &n, unsigned operand, int64_t rank) {
  if (auto known = n.constant(operand); known && known->size() == 1)
    return index(n.b, (*known)[0] < 0 ? (*known)[0] + rank : (*known)[0]);
  Scalar axis = toIndex({&n.b, scalarOf(n, operand)});
  return select(axis < 0, axis + double(rank), axis);
}

} // namespace llmc::graph
