#include "passes/graph/RuntimeAxes.h"
#include "passes/graph/Axes.h"

using namespace mlir;

namespace llmc::graph {
namespace {

llvm::Expected<Scalars> entriesOf(NodeLowering &n, unsigned operand, StringRef what) {
  Array list = array(n, operand);
  if (list.rank() != 1 || list.type().isDynamicDim(0))
    return refuse("how many " + what + " there are is not known while compiling");
  Scalars numbers;
  for (int64_t i = 0; i < list.type().getDimSize(0); ++i) numbers.push_back(toIndex(list(index(n.b, i))));
  return numbers;
}

/// The value of the entry whose axis is `axis`, or `absent`.
Scalar valueFor(ScalarRef axes, ScalarRef values, int64_t axis, int64_t rank, Scalar absent) {
  Scalar found = absent;
  for (auto [own, value] : llvm::zip_equal(axes, values))
    found = select(equal(own, double(axis)) | equal(own, double(axis - rank)), value, found);
  return found;
}

Scalar clamp(Scalar x, Scalar low, Scalar high) { return minimum(maximum(x, low), high); }

} // namespace

bool isRuntimeList(NodeLowering &n, unsigned i) { return n.has(i) && !n.constant(i); }

llvm::Expected<Values> sliceAtRun(NodeLowering &n) {
  Builder &b = n.b;
  Array x = array(n, 0);
  auto starts = entriesOf(n, 1, "starts"), ends = entriesOf(n, 2, "ends");
  if (!starts) return starts.takeError();
  if (!ends) return ends.takeError();
  Scalars axes, steps(starts->size(), index(b, 1));
  for (size_t i = 0; i < starts->size(); ++i) axes.push_back(index(b, i));
  for (auto [operand, name, numbers] : {std::tuple{3u, "axes", &axes}, {4u, "steps", &steps}}) {
    if (!n.has(operand)) continue;
    auto read = entriesOf(n, operand, name);
    if (!read) return read.takeError();
    *numbers = *read;
  }
  if (ends->size() != starts->size() || axes.size() != starts->size() || steps.size() != starts->size())
    return refuse("starts, ends, axes and steps differ in length");
  for (Scalar step : steps) check(n, (!equal(step, 0)).value, "a step is 0");
  Scalars offsets, strides, sizes;
  Scalar zero = index(b, 0);
  for (int64_t axis = 0; axis < x.rank(); ++axis) {
    Scalar size = x.size(axis), last = size - 1;
    Scalar step = valueFor(axes, steps, axis, x.rank(), index(b, 1));
    Scalar start = valueFor(axes, *starts, axis, x.rank(), zero), end = valueFor(axes, *ends, axis, x.rank(), size);
    start = select(start < 0, start + size, start), end = select(end < 0, end + size, end);
    Scalar ahead = step > 0;
    start = select(ahead, clamp(start, zero, size), clamp(start, zero, last));
    end = select(ahead, clamp(end, zero, size), clamp(end, index(b, -1), last));
    Scalar length = maximum(select(ahead, end - start, start - end), zero), stride = select(ahead, step, -step);
    offsets.push_back(start), strides.push_back(step);
    sizes.push_back((length + stride - 1) / maximum(stride, index(b, 1)));
  }
  return Values{tabulate(b, sizes, x.element(), [&](ScalarRef i) {
    Scalars at;
    for (auto [place, offset, stride] : llvm::zip_equal(i, offsets, strides)) at.push_back(offset + place * stride);
    return x(at);
  })};
}

llvm::Expected<Values> squeezeAtRun(NodeLowering &n) {
  Array x = array(n, 0);
  auto axes = ReducedAxes::of(n);
  if (!axes) return axes.takeError();
  auto sizes = axes->droppedSizes(x);
  if (!sizes) return sizes.takeError();
  check(n, equal(product(n.b, *sizes), product(n.b, x.sizes())).value, "a dim that is squeezed is not 1");
  return Values{reshape(x, *sizes)};
}

llvm::Expected<Values> unsqueezeAtRun(NodeLowering &n) {
  Builder &b = n.b;
  Array x = array(n, 0);
  auto entries = entriesOf(n, 1, "axes");
  if (!entries) return entries.takeError();
  int64_t rank = x.rank() + int64_t(entries->size());
  Scalars added = listedAxes(n, 1, rank), sizes;
  Scalar own = index(b, 0); // the axis of x that is next
  for (Scalar isNew : added) {
    Scalar size = index(b, 1);
    for (int64_t axis = 0; axis < x.rank(); ++axis) size = select(equal(own, double(axis)), x.size(axis), size);
    sizes.push_back(select(isNew, index(b, 1), size));
    own = select(isNew, own, own + 1);
  }
  check(n, equal(own, double(x.rank())).value, "axes: found one twice or beyond the rank");
  return Values{reshape(x, sizes)};
}

llvm::Expected<std::pair<Sizes, Sizes>> padsAtRun(NodeLowering &n, ArrayRef<Size> pads) {
  Builder &b = n.b;
  auto axes = entriesOf(n, 3, "axes");
  if (!axes) return axes.takeError();
  if (pads.size() != 2 * axes->size()) return refuse("pads are not two for each axis");
  Scalars numbers;
  for (Size pad : pads) numbers.push_back({&b, asIndex(b, pad)});
  ScalarRef first = ScalarRef(numbers).take_front(axes->size()), second = ScalarRef(numbers).drop_front(axes->size());
  std::pair<Sizes, Sizes> found;
  for (int64_t axis = 0; axis < n.rank(0); ++axis) {
    found.first.push_back(getAsOpFoldResult(valueFor(*axes, first, axis, n.rank(0), index(b, 0)).value));
    found.second.push_back(getAsOpFoldResult(valueFor(*axes, second, axis, n.rank(0), index(b, 0)).value));
  }
  return found;
}

} // namespace llmc::graph
