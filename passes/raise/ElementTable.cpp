#include "passes/raise/ElementNode.h"
#include <algorithm>

using namespace mlir;

namespace llmc::raise {

const NodeElements::Row NodeElements::kRows[] = {
    {"Identity", &NodeElements::sameShape, &NodeElements::identity},
    {"Unsqueeze", &NodeElements::unsqueezeShape, &NodeElements::unsqueeze},
    {"Squeeze", &NodeElements::squeezeShape, &NodeElements::squeeze},
    {"Transpose", &NodeElements::transposeShape, &NodeElements::transpose},
    {"Concat", &NodeElements::concatShape, &NodeElements::concat},
    {"Slice", &NodeElements::sliceShape, &NodeElements::slice},
    {"Split", &NodeElements::splitShape, &NodeElements::split},
    {"Reshape", &NodeElements::reshapeShape, &NodeElements::reshape},
    {"Flatten", &NodeElements::flattenShape, &NodeElements::reshape},
    {"Expand", &NodeElements::expandShape, &NodeElements::expand},
    {"Tile", &NodeElements::tileShape, &NodeElements::tile},
    {"Gather", &NodeElements::gatherShape, &NodeElements::gather},
    {"GatherND", &NodeElements::gatherNdShape, &NodeElements::gatherNd},
    {"Range", &NodeElements::rangeShape, &NodeElements::range},
    {"ConstantOfShape", &NodeElements::filledShape, &NodeElements::filled},
    {"Shape", &NodeElements::shapeShape, &NodeElements::shapeElement},
    {"Cast", &NodeElements::sameShape, &NodeElements::cast_},
    {"CastLike", &NodeElements::sameShape, &NodeElements::cast_},
    {"Add", &NodeElements::broadcastShape, &NodeElements::arithmetic},
    {"Sub", &NodeElements::broadcastShape, &NodeElements::arithmetic},
    {"Mul", &NodeElements::broadcastShape, &NodeElements::arithmetic},
    {"Div", &NodeElements::broadcastShape, &NodeElements::arithmetic},
    {"Max", &NodeElements::broadcastShape, &NodeElements::extreme},
    {"Min", &NodeElements::broadcastShape, &NodeElements::extreme},
    {"Mod", &NodeElements::broadcastShape, &NodeElements::arithmetic},
    {"Xor", &NodeElements::broadcastShape, nullptr},
    {"Pow", &NodeElements::broadcastShape, &NodeElements::power},
    {"Equal", &NodeElements::broadcastShape, &NodeElements::compare},
    {"Less", &NodeElements::broadcastShape, &NodeElements::compare},
    {"LessOrEqual", &NodeElements::broadcastShape, &NodeElements::compare},
    {"Greater", &NodeElements::broadcastShape, &NodeElements::compare},
    {"GreaterOrEqual", &NodeElements::broadcastShape, &NodeElements::compare},
    {"And", &NodeElements::broadcastShape, &NodeElements::logic},
    {"Or", &NodeElements::broadcastShape, &NodeElements::logic},
    {"Not", &NodeElements::sameShape, &NodeElements::logic},
    {"Where", &NodeElements::broadcastShape, &NodeElements::where},
    {"Trilu", &NodeElements::sameShape, &NodeElements::trilu},
    {"Neg", &NodeElements::sameShape, &NodeElements::unary},
    {"Sqrt", &NodeElements::sameShape, &NodeElements::unary},
    {"Reciprocal", &NodeElements::sameShape, &NodeElements::unary},
    {"Cos", &NodeElements::sameShape, &NodeElements::unary},
    {"Sin", &NodeElements::sameShape, &NodeElements::unary},
    {"Tanh", &NodeElements::sameShape, &NodeElements::unary},
    {"Erf", &NodeElements::sameShape, &NodeElements::unary},
    {"Sigmoid", &NodeElements::sameShape, &NodeElements::unary},
    {"Relu", &NodeElements::sameShape, &NodeElements::unary},
    {"Exp", &NodeElements::sameShape, &NodeElements::unary},
    {"Abs", &NodeElements::sameShape, &NodeElements::unary},
    {"Dropout", &NodeElements::sameShape, &NodeElements::identity},
    {"Gelu", &NodeElements::sameShape, nullptr},
    {"IsNaN", &NodeElements::sameShape, &NodeElements::isNan},
    {"Softmax", &NodeElements::sameShape, nullptr},
    {"CumSum", &NodeElements::sameShape, &NodeElements::cumSum},
    {"ScatterND", &NodeElements::sameShape, &NodeElements::scatterNd},
    {"ReduceMean", &NodeElements::reduceShape, &NodeElements::reduceMean},
    {"ReduceSum", &NodeElements::reduceShape, &NodeElements::reduceSum},
    {"MatMul", &NodeElements::matMulShape, &NodeElements::matMul},
    {"FusedMatMul", &NodeElements::matMulShape, &NodeElements::matMul, "com.microsoft"},
    {"Gemm", &NodeElements::gemmShape, nullptr},
    {"MatMulNBits", &NodeElements::matMulNBitsShape, nullptr, "com.microsoft"},
    {"Attention", &NodeElements::attentionShape, nullptr},
    {"LayerNormalization", &NodeElements::sameShape, nullptr},
    {"RMSNormalization", &NodeElements::sameShape, &NodeElements::rmsNorm},
    {"SimplifiedLayerNormalization", &NodeElements::sameShape, &NodeElements::rmsNorm},
    {"SimplifiedLayerNormalization", &NodeElements::sameShape, &NodeElements::rmsNorm, "com.microsoft"},
    {"SkipSimplifiedLayerNormalization", &NodeElements::sameShape, nullptr, "com.microsoft"},
    {"SkipLayerNormalization", &NodeElements::sameShape, nullptr, "com.microsoft"},
    {"RotaryEmbedding", &NodeElements::sameShape, &NodeElements::rotary},
    {"RotaryEmbedding", &NodeElements::sameShape, &NodeElements::rotary, "com.microsoft"},
    {"FastGelu", &NodeElements::sameShape, nullptr, "com.microsoft"},
    {"BiasGelu", &NodeElements::sameShape, nullptr, "com.microsoft"},
    {"QuickGelu", &NodeElements::sameShape, nullptr, "com.microsoft"},
    {"Gelu", &NodeElements::sameShape, nullptr, "com.microsoft"},
};

const NodeElements::Row *NodeElements::row() {
  for (const Row &row : kRows)
    if (node.getOpType() == row.name && node.getDomain() == row.domain) return &row;
  return nullptr;
}

std::optional<Scalars> NodeElements::shape() {
  const Row *found = row();
  if (!found || !found->shape || node.getInputs().empty()) return std::nullopt;
  for (unsigned i = 0; i < node.getInputs().size(); ++i)
    if (in(i) && !ranked(i)) return std::nullopt;
  // Later results, a sum or statistics, are not shaped as the first.
  if (result && found->shape != &NodeElements::splitShape) return std::nullopt;
  return (this->*found->shape)();
}
Scalar NodeElements::element(ArrayRef<Scalar> indices) {
  const Row *found = row();
  if (!found || !found->element) return nullptr;
  for (unsigned i = 0; i < node.getInputs().size(); ++i)
    if (in(i) && !ranked(i)) return nullptr;
  if (result && found->element != &NodeElements::split) return nullptr;
  return (this->*found->element)(indices);
}

//===- Operands -------------------------------------------------------------===//
std::optional<Scalars> NodeElements::list(unsigned i) {
  constexpr int64_t kMostElements = 64;
  if (!in(i) || !ranked(i) || rank(i) > 1) return std::nullopt;
  if (rank(i) == 0) return Scalars{of.at(in(i), {})};
  Scalar size = sizes(i)[0];
  if (!size || !size->integer() || *size->integer() > kMostElements) return std::nullopt;
  Scalars values;
  for (int64_t at = 0; at < *size->integer(); ++at) values.push_back(of.at(in(i), {s.integer(at)}));
  return values;
}
std::optional<SmallVector<int64_t>> NodeElements::numbers(unsigned i) {
  std::optional<Scalars> values = list(i);
  if (!values) return std::nullopt;
  SmallVector<int64_t> out;
  for (Scalar value : *values) {
    if (!value || !value->integer()) return std::nullopt;
    out.push_back(*value->integer());
  }
  return out;
}
std::optional<SmallVector<int64_t>> NodeElements::axes(unsigned operandIndex, int64_t rank) {
  std::optional<SmallVector<int64_t>> list;
  if (auto attr = node.getOnnxAttributes().getAs<DenseI64ArrayAttr>("axes"))
    list = SmallVector<int64_t>(attr.asArrayRef());
  else if (in(operandIndex))
    list = numbers(operandIndex);
  if (list)
    for (int64_t &axis : *list) axis = front(axis, rank);
  return list;
}
std::optional<int64_t> NodeElements::reducedAxis() {
  std::optional<SmallVector<int64_t>> over = axes(1, rank(0));
  if (!over || over->size() != 1 || over->front() < 0 || over->front() >= rank(0) || !sizes(0)[over->front()])
    return std::nullopt;
  return over->front();
}
Scalars NodeElements::withAxis(ArrayRef<Scalar> at, int64_t axis, Scalar index) {
  Scalars where(at);
  if (intAttr(node, "keepdims", 1))
    where[axis] = index;
  else
    where.insert(where.begin() + axis, index);
  return where;
}

} // namespace llmc::raise
