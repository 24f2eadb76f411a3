#include "dialects/llm/Llm.h"
#include "passes/Passes.h"

namespace llmc {
#define GEN_PASS_DEF_STACKEXPERTS
#include "passes/Passes.h.inc"

using namespace mlir;

namespace {

/// Rows of the gate, then rows of up: the halves of a panel (MatmulDesc::glu).
constexpr int64_t kTurn = 32, kPanelRows = 2 * kTurn;

RankedTensorType typeOf(Value v) { return cast<RankedTensorType>(v.getType()); }

/// The first of `weights` whose element type differs from that of the first; null if there is none.
Value otherType(ValueRange weights) {
  for (Value weight : weights)
    if (typeOf(weight).getElementType() != typeOf(weights[0]).getElementType()) return weight;
  return {};
}

Value stack(OpBuilder &builder, Location loc, ValueRange parts, int64_t interleave) {
  RankedTensorType first = typeOf(parts[0]);
  auto type = first.clone({int64_t(parts.size()) * first.getDimSize(0), first.getDimSize(1)});
  return wq::ConcatOp::create(builder, loc, type, parts, interleave);
}

struct StackExperts : impl::StackExpertsBase<StackExperts> {
  void runOnOperation() override {
    for (auto op : llvm::make_early_inc_range(getOperation().getOps<llm::MoeOp>()))
      if (failed(stackWeights(op))) return signalPassFailure();
  }

private:
  LogicalResult stackWeights(llm::MoeOp op) {
    int64_t hidden = typeOf(op.getX()).getDimSize(1), inner = typeOf(op.getGate()[0]).getDimSize(0);
    if (hidden % kPanelRows || inner % kTurn)
      return op.emitError("found experts of ") << inner << " x " << hidden << ", expected multiples of " << kTurn
                                               << " and " << kPanelRows << ": experts of part panels have no kernel";
    SmallVector<Value> gateUp(op.getGate());
    llvm::append_range(gateUp, op.getUp());
    for (ValueRange weights : {ValueRange(gateUp), ValueRange(op.getDown())})
      if (Value other = otherType(weights))
        return op.emitError("found experts' weights of ")
               << typeOf(weights[0]) << " and " << typeOf(other) << ", expected one scheme for all";
    OpBuilder builder(op);
    SmallVector<Value> pairs;
    for (auto [gate, up] : llvm::zip(op.getGate(), op.getUp()))
      pairs.push_back(stack(builder, op.getLoc(), {gate, up}, kTurn));
    Value both = stack(builder, op.getLoc(), pairs, 0), down = stack(builder, op.getLoc(), op.getDown(), 0);
    Value y = llm::ExpertsOp::create(builder, op.getLoc(), op.getType(), op.getX(), both, down, op.getLogits(), Value(),
                                     op.getKAttr(), op.getActivationAttr(), op.getRenormaliseAttr(), op.getScaleAttr(),
                                     TypeAttr::get(builder.getF32Type()));
    op.replaceAllUsesWith(y);
    op.erase();
    return success();
  }
};

} // namespace
} // namespace llmc
