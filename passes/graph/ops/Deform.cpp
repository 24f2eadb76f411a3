// DeformConv: a convolution whose windows' elements are moved by offsets, and weighted.
#include "passes/graph/Lowerings.h"
#include "passes/graph/RowNorm.h"
#include "passes/graph/Window.h"

using namespace mlir;

namespace llmc::graph {
namespace {

enum Operand { kX, kWeights, kOffsets, kBias, kMask };

/// x [spatial...] of one channel between its elements; 0 outside.
Scalar interpolated(Array x, ScalarRef channel, ScalarRef at, ScalarRef extents) {
  Builder &b = *x.b;
  Scalar zero = constant(b, b.getF32Type(), 0), one = constantLike(zero, 1);
  Scalars corners(at.size(), index(b, 2));
  return foldOver(corners, zero, [&](ScalarRef corner, Scalar sum) {
    Scalar weight = one, inside = always(b, true);
    Scalars place(channel);
    for (auto [own, side, extent] : llvm::zip_equal(at, corner, extents)) {
      Scalar low = floor(own), fraction = own - low;
      place.push_back(toIndex(convert(low, b.getI64Type())) + side);
      weight = weight * select(equal(side, 0), one - fraction, fraction);
      inside = inside & within(place.back(), extent);
    }
    return sum + weight * when(inside, [&] { return toF32(x(place)); }, [&] { return zero; });
  });
}

/// offsets [N, offset groups * kernel * axes, output...], mask [N, offset groups * kernel, output...].
llvm::Expected<Values> lowerDeformConv(NodeLowering &n) {
  Builder &b = n.b;
  Array x = array(n, kX), w = array(n, kWeights), offsets = array(n, kOffsets);
  if (x.rank() < 3 || w.rank() != x.rank() || offsets.rank() != x.rank())
    return refuse("operands of rank " + Twine(x.rank()) + " and " + Twine(w.rank()) +
                  ", expected one rank of 3 or more");
  Scalars sizes = x.sizes(), kernels = w.sizes();
  ScalarRef extents = ScalarRef(sizes).drop_front(2), kernel = ScalarRef(kernels).drop_front(2);
  auto window = Window::of(n, extents, kernel);
  if (!window) return window.takeError();
  double groups = n.intAttr("group", 1), offsetGroups = n.intAttr("offset_group", 1);
  if (groups < 1 || offsetGroups < 1) return refuse("group or offset_group: found a number below 1");
  int64_t rank = window->rank();
  Scalar outPerGroup = w.size(0) / groups, perOffsets = x.size(1) / offsetGroups, taps = product(b, kernel);
  Scalars result = {x.size(0), w.size(0)}, nest = {w.size(1)};
  result.append(window->output);
  if (llvm::Error error = requireMultiple(n, w.size(0), index(b, groups), "the number of output channels"))
    return error;
  if (llvm::Error error = requireMultiple(n, x.size(1), index(b, offsetGroups), "the number of channels")) return error;
  auto moved = [&](Scalar count) {
    Scalars sizes = {x.size(0), count};
    sizes.append(window->output);
    return sizes;
  };
  Scalars input = {Scalar(), w.size(1) * groups};
  input.resize(x.rank());
  if (llvm::Error error = require(n, {{kX, "X", input},
                                      {kOffsets, "offset", moved(taps * (offsetGroups * double(rank)))},
                                      {kBias, "B", {w.size(0)}},
                                      {kMask, "mask", moved(taps * offsetGroups)}}))
    return error;
  nest.append(kernel.begin(), kernel.end());
  return Values{tabulate(b, result, x.element(), [&](ScalarRef i) {
    Scalar start = n.has(kBias) ? toF32(array(n, kBias)(i[1])) : constant(b, b.getF32Type(), 0);
    Scalar sum = foldOver(nest, start, [&](ScalarRef k, Scalar sum) {
      Scalar channel = i[1] / outPerGroup * w.size(1) + k[0];
      Scalar tap = channel / perOffsets * taps + linearIndex(b, kernel, k.drop_front());
      auto parameter = [&](Array from, Scalar place) {
        Scalars at = {i[0], place};
        at.append(i.begin() + 2, i.end());
        return toF32(from(at));
      };
      Scalars at;
      for (int64_t axis = 0; axis < rank; ++axis) {
        Scalar fixed = convert(window->position(axis, i[axis + 2], k[axis + 1]), b.getF32Type());
        at.push_back(fixed + parameter(offsets, tap * double(rank) + double(axis)));
      }
      Scalars weightAt = {i[1]};
      weightAt.append(k.begin(), k.end());
      Scalar value = interpolated(x, {i[0], channel}, at, extents) * toF32(w(weightAt));
      return sum + (n.has(kMask) ? value * parameter(array(n, kMask), tap) : value);
    });
    return convert(sum, x.element());
  })};
}

constexpr Lowering kRows[] = {{"", "DeformConv", lowerDeformConv}};
} // namespace

llvm::ArrayRef<Lowering> deformLowerings() { return kRows; }

} // namespace llmc::graph
