// LayerNormalization, RMSNormalization, and onnxruntime's SimplifiedLayerNormalization and Skip forms.
#include "passes/graph/Lowerings.h"
#include "passes/graph/RowNorm.h"

using namespace mlir;

namespace llmc::graph {
namespace {

/// A statistic of each row in the result's shape: 1 for the axes that were normalised.
Value perRow(Array x, int64_t axis, Value statistic, Type element) {
  Builder &b = *x.b;
  Array values = array(b, statistic);
  Value narrow = tabulate(b, values.sizes(), element, [&](ScalarRef i) { return convert(values(i), element); });
  Scalars sizes = x.sizes();
  for (Scalar &size : llvm::MutableArrayRef<Scalar>(sizes).drop_front(axis)) size = index(b, 1);
  return reshape(array(b, narrow), sizes);
}

struct NormForm {
  bool isCentred;
  double epsilon;    // if the attribute is absent
  int scale, bias;   // operands, bias -1: none
  int mean, inverse; // results, -1: none
};

/// y = normalised x * scale + bias, from `axis` on.
llvm::Expected<Values> normalise(NodeLowering &n, Array x, int64_t axis, const NormForm &form, unsigned results) {
  Builder &b = n.b;
  Array rows = asRows(x, axis);
  RowNorm norm = RowNorm::of(rows, n.floatAttr("epsilon", form.epsilon), form.isCentred);
  Scalars sizes = x.sizes();
  auto parameter = [&](int operand, ScalarRef i, Type type) {
    Array p = array(n, operand);
    return convert(p(broadcastIndices(p.sizes(), i)), type);
  };
  Value y = tabulate(b, sizes, n.element(), [&](ScalarRef i) {
    Scalar row = linearIndex(b, ScalarRef(sizes).take_front(axis), i.take_front(axis));
    Scalar column = linearIndex(b, ScalarRef(sizes).drop_front(axis), i.drop_front(axis));
    Scalar value = norm(rows, row, column);
    if (n.has(form.scale)) value = value * parameter(form.scale, i, value.type());
    if (form.bias >= 0 && n.has(form.bias)) value = value + parameter(form.bias, i, value.type());
    return convert(value, n.element());
  });
  Values all(results);
  all[0] = y;
  if (form.mean >= 0 && n.wants(form.mean)) all[form.mean] = perRow(x, axis, norm.mean, n.element(form.mean));
  if (form.inverse >= 0 && n.wants(form.inverse))
    all[form.inverse] = perRow(x, axis, norm.inverse, n.element(form.inverse));
  return all;
}

constexpr NormForm kLayer = {true, 1e-5, 1, 2, 1, 2}, kRms = {false, 1e-5, 1, -1, -1, -1},
                   kSimplified = {false, 1e-5, 1, -1, -1, 1}, kSkip = {true, 1e-12, 2, 3, 1, 2},
                   kSkipSimplified = {false, 1e-12, 2, -1, -1, 2};

template <const NormForm &form> llvm::Expected<Values> lowerNorm(NodeLowering &n) {
  auto axis = n.axis("axis", -1, n.rank(0));
  if (!axis) return axis.takeError();
  return normalise(n, array(n, 0), *axis, form, n.node.getNumResults());
}

/// The normalisation of x + skip + bias; that sum is result 3.
template <const NormForm &form> llvm::Expected<Values> lowerSkip(NodeLowering &n) {
  Builder &b = n.b;
  Array x = array(n, 0);
  unsigned bias = form.bias > 0 ? 4 : 3;
  Type type = sumType(x.element());
  auto summand = [&](unsigned operand, ScalarRef i) {
    Array p = array(n, operand);
    return convert(p(broadcastIndices(p.sizes(), i)), type);
  };
  Value sum = tabulate(b, x.sizes(), x.element(), [&](ScalarRef i) {
    Scalar value = convert(x(i), type) + summand(1, i);
    if (n.has(bias)) value = value + summand(bias, i);
    return convert(value, x.element());
  });
  auto results = normalise(n, array(b, sum), x.rank() - 1, form, n.node.getNumResults());
  if (results && results->size() > 3) (*results)[3] = sum;
  return results;
}

constexpr Lowering kRows[] = {
    {"", "LayerNormalization", lowerNorm<kLayer>},
    {"", "RMSNormalization", lowerNorm<kRms>},
    {"", "SimplifiedLayerNormalization", lowerNorm<kSimplified>},
    {"com.microsoft", "SkipLayerNormalization", lowerSkip<kSkip>},
    {"com.microsoft", "SkipSimplifiedLayerNormalization", lowerSkip<kSkipSimplified>},
};
} // namespace

llvm::ArrayRef<Lowering> layerNormLowerings() { return kRows; }

} // namespace llmc::graph
