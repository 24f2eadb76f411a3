#include "passes/raise/Elements.h"
#include "passes/raise/Raise.h"

namespace llmc {
#define GEN_PASS_DEF_RAISESHAPES
#include "passes/raise/RaisePasses.h.inc"

using namespace mlir;
using namespace raise;

namespace {

constexpr int64_t kMostElements = 16; // of a shape, axes, bounds

/// A type that says what is known. The first of several axes is the batch and stays open: that it is 1 is how the
/// runtime uses the graph.
Type refined(Type old, const Scalars &sizes) {
  auto ranked = dyn_cast<RankedTensorType>(old);
  if (ranked && ranked.getRank() != int64_t(sizes.size())) return old;
  SmallVector<int64_t> shape(sizes.size(), ShapedType::kDynamic);
  for (auto [axis, size] : llvm::enumerate(sizes)) {
    if (ranked) shape[axis] = ranked.getDimSize(axis);
    bool open = axis == 0 && sizes.size() > 1;
    if (ShapedType::isDynamic(shape[axis]) && size && size->integer() && *size->integer() >= 0 && !open)
      shape[axis] = *size->integer();
  }
  return RankedTensorType::get(shape, cast<ShapedType>(old).getElementType());
}

/// The constant that a value comes to: integers, truth values or one float, however they are computed.
DenseElementsAttr constantOf(Elements &elements, Value value) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  Type element = type ? type.getElementType() : Type();
  if (!type || type.getRank() > 1 || !type.hasStaticShape() || type.getNumElements() > kMostElements ||
      !(isa<FloatType>(element) || element.isSignlessInteger()) ||
      (isa<FloatType>(element) && type.getNumElements() != 1))
    return {};
  Builder builder(type.getContext());
  ScalarPool &pool = elements.pool();
  SmallVector<Attribute> values;
  for (int64_t i = 0; i < type.getNumElements(); ++i) {
    Scalar scalar = elements.at(value, type.getRank() ? Scalars{pool.integer(i)} : Scalars());
    if (!scalar) return {};
    bool truth = scalar == pool.truth(true);
    if (isa<FloatType>(element) && scalar->real())
      values.push_back(builder.getFloatAttr(element, *scalar->real()));
    else if (element.isInteger(1) && (truth || scalar == pool.truth(false)))
      values.push_back(builder.getBoolAttr(truth));
    else if (!element.isInteger(1) && scalar->integer())
      values.push_back(builder.getIntegerAttr(element, *scalar->integer()));
    else
      return {};
  }
  return DenseElementsAttr::get(type, values);
}

/// Whether a Slice or Expand leaves its operand as it is.
bool isWhole(Elements &elements, llm::OnnxNodeOp node) {
  if (!isNode(node, "Slice") && !isNode(node, "Expand")) return false;
  Value from = node.getInputs()[0], to = node.getResult(0);
  const std::optional<Scalars> &sizes = elements.shape(from), &same = elements.shape(to);
  if (!sizes || !same || from.getType() != to.getType() || llvm::is_contained(*sizes, nullptr) || *sizes != *same)
    return false;
  Scalars at;
  for (Scalar size : *sizes) at.push_back(elements.pool().index(size));
  return elements.at(from, at) == elements.at(to, at);
}

struct RaiseShapes : impl::RaiseShapesBase<RaiseShapes> {
  void runOnOperation() override {
    auto step = getOperation().lookupSymbol<func::FuncOp>(llm::kStep);
    if (!step || step.isExternal() || !isImportedGraph(step)) return;
    Elements elements(hasCache(step));
    SmallVector<llm::OnnxNodeOp> nodes(step.getOps<llm::OnnxNodeOp>());
    for (llm::OnnxNodeOp node : nodes)
      for (Value result : node.getResults())
        if (const std::optional<Scalars> &sizes = elements.shape(result); sizes && isa<ShapedType>(result.getType()))
          result.setType(refined(result.getType(), *sizes));
    // Of any number of sequences, so that a 1 is not the batch.
    Elements any(hasCache(step), /*anyBatch=*/true);
    OpBuilder builder(&getContext());
    for (llm::OnnxNodeOp node : nodes) {
      if (isWhole(any, node)) {
        node.getResult(0).replaceAllUsesWith(node.getInputs()[0]);
        continue;
      }
      for (Value result : node.getResults()) {
        DenseElementsAttr constant = result.use_empty() ? DenseElementsAttr() : constantOf(any, result);
        if (!constant) continue;
        builder.setInsertionPoint(node);
        result.replaceAllUsesWith(
            llm::OnnxConstantOp::create(builder, node.getLoc(), result.getType(), constant).getResult());
      }
    }
    auto terminator = step.getBody().front().getTerminator();
    step.setFunctionType(FunctionType::get(&getContext(), step.getArgumentTypes(), terminator->getOperandTypes()));
  }
};

} // namespace
} // namespace llmc
