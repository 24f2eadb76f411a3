// From weights as files have them to weights in their schemes.
#include "dialects/llm/Llm.h"
#include "passes/Passes.h"
#include "passes/support/Schemes.h"

namespace llmc {
#define GEN_PASS_DEF_WQQUANTIZE
#include "passes/Passes.h.inc"

using namespace mlir;

namespace {

struct WqQuantize : impl::WqQuantizeBase<WqQuantize> {
  void runOnOperation() override {
    auto step = getOperation().lookupSymbol<func::FuncOp>(llm::kStep);
    if (!step) {
      getOperation().emitError("expects @step");
      return signalPassFailure();
    }
    SymbolTable symbols(getOperation());
    OpBuilder builder(&getContext());
    for (auto get : llvm::make_early_inc_range(step.getOps<llm::GetWeightOp>())) {
      auto weight = symbols.lookup<llm::WeightOp>(get.getWeight());
      builder.setInsertionPointAfter(get);
      Value brought = bringToScheme(builder, get, weight);
      get.getY().replaceUsesWithIf(brought, [&](OpOperand &use) { return !isWeightChain(use.getOwner()); });
    }
    for (auto linear : llvm::make_early_inc_range(step.getOps<llm::LinearOp>())) {
      builder.setInsertionPoint(linear);
      auto replaced = wq::LinearOp::create(builder, linear.getLoc(), linear.getType(), linear.getX(), linear.getW(),
                                           linear.getBias(), Value());
      linear.replaceAllUsesWith(replaced.getY());
      linear.erase();
    }
  }

private:
  static bool isWeightChain(Operation *op) { return isa<wq::QuantizeOp, wq::RecodeOp, wq::DecodeOp>(op); }

  Value bringToScheme(OpBuilder &builder, llm::GetWeightOp get, llm::WeightOp weight) {
    RankedTensorType type = weight.getTensorType();
    Location loc = get.getLoc();
    auto scheme = weight->getAttrOfType<wq::SchemeAttr>(kSchemeAttr);
    auto f32 = type.clone(builder.getF32Type());
    if (!scheme) // a vector: norm weight or bias
      return type.getElementType().isF32() ? get.getY() : wq::DecodeOp::create(builder, loc, f32, get.getY()).getY();
    auto encoded = dyn_cast<wq::EncodedType>(type.getElementType());
    if (!scheme.isInteger()) // an encoding that only f32 holds exactly is decoded
      return encoded ? wq::DecodeOp::create(builder, loc, f32, get.getY()).getY() : get.getY();
    auto target = type.clone(wq::QuantType::get(&getContext(), scheme));
    if (encoded && wq::exactScheme(encoded) == scheme) return wq::RecodeOp::create(builder, loc, target, get.getY());
    Value floats = encoded ? wq::DecodeOp::create(builder, loc, f32, get.getY()).getY() : get.getY();
    return wq::QuantizeOp::create(builder, loc, target, floats);
  }
};

} // namespace
} // namespace llmc
