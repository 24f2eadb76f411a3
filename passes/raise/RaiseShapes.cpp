#include "passes/raise/Elements.h"
#include "passes/raise/Raise.h"

namespace llmc {
#define GEN_PASS_DEF_RAISESHAPES
#include "passes/raise/RaisePasses.h.inc"

using namespace mlir;
using namespace raise;

namespace {

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

struct RaiseShapes : impl::RaiseShapesBase<RaiseShapes> {
  void runOnOperation() override {
    auto step = getOperation().lookupSymbol<func::FuncOp>(llm::kStep);
    if (!step || step.isExternal() || !isImportedGraph(step)) return;
    Elements elements(hasCache(step));
    for (auto node : step.getOps<llm::OnnxNodeOp>())
      for (Value result : node.getResults())
        if (const std::optional<Scalars> &sizes = elements.shape(result); sizes && isa<ShapedType>(result.getType()))
          result.setType(refined(result.getType(), *sizes));
    auto terminator = step.getBody().front().getTerminator();
    step.setFunctionType(FunctionType::get(&getContext(), step.getArgumentTypes(), terminator->getOperandTypes()));
  }
};

} // namespace
} // namespace llmc
