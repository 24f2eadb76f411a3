// Normalisation of channels and whole tensors: Batch-, Instance-, GroupNormalization, LpNormalization,
// MeanVarianceNormalization.
#include "passes/graph/Axes.h"
#include "passes/graph/Building.h"
#include "passes/graph/Lowerings.h"
#include "passes/graph/RowNorm.h"

using namespace mlir;

namespace llmc::graph {
namespace {

/// (x - mean) / sqrt(variance + epsilon) * scale + bias, in the type of sums.
Scalar affine(NodeLowering &n, Scalar normal, unsigned scale, unsigned bias, Scalar channel) {
  Type type = normal.type();
  return normal * convert(array(n, scale)({channel}), type) + convert(array(n, bias)({channel}), type);
}

/// Scale and bias, and mean and variance, are vectors of `count` elements.
llvm::Error requireParameters(NodeLowering &n, Scalar count, bool hasStatistics) {
  if (n.rank(0) < 2) return refuse("input of rank " + Twine(n.rank(0)) + ", expected 2 or more");
  if (llvm::Error error = require(n, {{1, "scale", {count}}, {2, "bias", {count}}})) return error;
  if (!hasStatistics) return llvm::Error::success();
  return require(n, {{3, "mean", {count}}, {4, "variance", {count}}});
}

/// Rows are the groups of each batch entry: [N * groups, C / groups * spatial].
Value normaliseGroups(NodeLowering &n, Scalar groups,
                      llvm::function_ref<Scalar(Scalar channel, Scalar perGroup)> parameterOf) {
  Builder &b = n.b;
  Array x = array(n, 0);
  Scalars sizes = x.sizes(), inner(sizes.begin() + 1, sizes.end());
  Scalar perGroup = sizes[1] / groups;
  Scalar rowSize = perGroup * product(b, ScalarRef(sizes).drop_front(2));
  Array rows = array(b, reshape(x, {sizes[0] * groups, rowSize}));
  RowNorm norm = RowNorm::of(rows, n.floatAttr("epsilon", 1e-5), true);
  return tabulate(b, sizes, x.element(), [&](ScalarRef i) {
    Scalar row = i[0] * groups + i[1] / perGroup;
    Scalars within(i.drop_front(1)), extents(inner);
    within[0] = i[1] % perGroup;
    Scalar normal = norm(rows, row, linearIndex(b, extents, within));
    return convert(affine(n, normal, 1, 2, parameterOf(i[1], perGroup)), x.element());
  });
}

llvm::Expected<Values> lowerInstanceNorm(NodeLowering &n) {
  if (llvm::Error error = requireParameters(n, array(n, 0).size(1), false)) return error;
  return Values{normaliseGroups(n, array(n, 0).size(1), [](Scalar channel, Scalar) { return channel; })};
}

/// Before opset 21, scale and bias are of the groups; from then on of the channels.
llvm::Expected<Values> lowerGroupNorm(NodeLowering &n) {
  int64_t groups = n.intAttr("num_groups", 0);
  if (groups < 1) return refuse("num_groups: found " + Twine(groups) + ", expected 1 or more");
  bool ofGroups = n.opset() < 21;
  Scalar channels = array(n, 0).size(1), count = index(n.b, groups);
  if (llvm::Error error = requireParameters(n, ofGroups ? count : channels, false)) return error;
  if (llvm::Error error = requireMultiple(n, channels, count, "the number of channels")) return error;
  return Values{normaliseGroups(
      n, index(n.b, groups), [&](Scalar channel, Scalar perGroup) { return ofGroups ? channel / perGroup : channel; })};
}

/// Mean and variance of each channel over all other axes.
std::pair<Value, Value> channelStatistics(Array x) {
  Builder &b = *x.b;
  Type type = sumType(x.element());
  SmallVector<int64_t> axes;
  for (int64_t axis = 0; axis < x.rank(); ++axis)
    if (axis != 1) axes.push_back(axis);
  auto meanOf = [&](Scalar channel, llvm::function_ref<Scalar(Scalar)> change) {
    Scalars i(x.rank(), channel);
    Group group = groupOver(x, axes, i);
    Scalar sum =
        group.fold(constant(b, type, 0), [&](ScalarRef at, Scalar sum) { return sum + change(convert(x(at), type)); });
    return sum / convert(group.count, type);
  };
  Value mean = tabulate(b, x.size(1), type, [&](ScalarRef i) { return meanOf(i[0], [](Scalar x) { return x; }); });
  Value variance = tabulate(b, x.size(1), type, [&](ScalarRef i) {
    Scalar centre = array(b, mean)(i);
    return meanOf(i[0], [&](Scalar x) { return (x - centre) * (x - centre); });
  });
  return {mean, variance};
}

llvm::Expected<Values> lowerBatchNorm(NodeLowering &n) {
  Builder &b = n.b;
  Array x = array(n, 0);
  bool trains = n.intAttr("training_mode", 0);
  if (llvm::Error error = requireParameters(n, x.size(1), true)) return error;
  Type type = sumType(x.element());
  double epsilon = n.floatAttr("epsilon", 1e-5), momentum = n.floatAttr("momentum", 0.9);
  auto [mean, variance] = trains ? channelStatistics(x) : std::pair<Value, Value>(n.in(3), n.in(4));
  Value y = tabulate(b, x.sizes(), x.element(), [&](ScalarRef i) {
    Scalar centre = convert(array(b, mean)(i[1]), type), spread = convert(array(b, variance)(i[1]), type);
    Scalar normal = (convert(x(i), type) - centre) / sqrt(spread + epsilon);
    return convert(affine(n, normal, 1, 2, i[1]), x.element());
  });
  Values results(n.node.getNumResults());
  results[0] = y;
  if (!trains) return results;
  auto running = [&](unsigned operand, Value current) {
    Array old = array(n, operand);
    return tabulate(b, old.sizes(), old.element(), [&](ScalarRef i) {
      Scalar value = convert(old(i), type) * momentum + convert(array(b, current)(i), type) * (1 - momentum);
      return convert(value, old.element());
    });
  };
  if (results.size() > 1) results[1] = running(3, mean);
  if (results.size() > 2) results[2] = running(4, variance);
  return results;
}

/// x / the norm along an axis; 0 where that is 0.
llvm::Expected<Values> lowerLpNorm(NodeLowering &n) {
  Builder &b = n.b;
  Array x = array(n, 0);
  auto axis = n.axis("axis", -1, x.rank());
  if (!axis) return axis.takeError();
  int64_t p = n.intAttr("p", 2);
  if (p != 1 && p != 2) return refuse("p: found " + Twine(p) + ", expected 1 or 2");
  Type type = sumType(x.element());
  Scalars sizes = x.sizes();
  sizes[*axis] = index(b, 1);
  Scalar zero = constant(b, type, 0);
  Array norms = array(b, tabulate(b, sizes, type, [&](ScalarRef i) {
                        Scalar sum = groupOver(x, *axis, i).fold(zero, [&](ScalarRef at, Scalar sum) {
                          Scalar value = convert(x(at), type);
                          return sum + (p == 1 ? abs(value) : value * value);
                        });
                        return p == 1 ? sum : sqrt(sum);
                      }));
  return Values{tabulate(b, x.sizes(), x.element(), [&](ScalarRef i) {
    Scalar norm = norms(broadcastIndices(sizes, i));
    Scalar quotient = convert(x(i), type) / norm;
    return convert(select(equal(norm, 0), zero, quotient), x.element());
  })};
}

/// (x - mean) / (standard deviation + 1e-9), over `axes`.
llvm::Expected<Values> lowerMeanVariance(NodeLowering &n) {
  Builder &b = n.b;
  Array x = array(n, 0);
  auto read = n.axes(~0u, x.rank());
  if (!read) return read.takeError();
  SmallVector<int64_t> axes = read->value_or(SmallVector<int64_t>{0, 2, 3});
  Type type = sumType(x.element());
  Scalars sizes = x.sizes();
  for (int64_t axis : axes) {
    if (axis >= x.rank())
      return refuse("axes: found " + Twine(axis) + ", expected axes of " + Twine(x.rank()) + " dims");
    sizes[axis] = index(b, 1);
  }
  auto meanOf = [&](ScalarRef i, llvm::function_ref<Scalar(Scalar)> change) {
    Group group = groupOver(x, axes, i);
    Scalar sum =
        group.fold(constant(b, type, 0), [&](ScalarRef at, Scalar sum) { return sum + change(convert(x(at), type)); });
    return sum / convert(group.count, type);
  };
  Array means = array(b, tabulate(b, sizes, type, [&](ScalarRef i) { return meanOf(i, [](Scalar x) { return x; }); }));
  Array spreads = array(b, tabulate(b, sizes, type, [&](ScalarRef i) {
                          Scalar centre = means(i);
                          return sqrt(meanOf(i, [&](Scalar x) { return (x - centre) * (x - centre); })) + 1e-9;
                        }));
  return Values{tabulate(b, x.sizes(), x.element(), [&](ScalarRef i) {
    Scalars at = broadcastIndices(sizes, i);
    return convert((convert(x(i), type) - means(at)) / spreads(at), x.element());
  })};
}

constexpr Lowering kRows[] = {
    {"", "BatchNormalization", lowerBatchNorm},           {"", "GroupNormalization", lowerGroupNorm},
    {"", "InstanceNormalization", lowerInstanceNorm},     {"", "LpNormalization", lowerLpNorm},
    {"", "MeanVarianceNormalization", lowerMeanVariance},
};
} // namespace

llvm::ArrayRef<Lowering> normLowerings() { return kRows; }

} // namespace llmc::graph
