#include "dialects/wq/Wq.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "passes/Passes.h"
#include "passes/support/Schemes.h"

namespace llmc {
#define GEN_PASS_DEF_QUANTIZEACTIVATIONS
#include "passes/Passes.h.inc"

using namespace mlir;

namespace {

bool hasIntegerWeight(wq::LinearOp linear) {
  Type element = cast<RankedTensorType>(linear.getW().getType()).getElementType();
  if (auto quant = dyn_cast<wq::QuantType>(element)) return quant.getScheme().isInteger();
  auto packed = dyn_cast<wq::PackedType>(element);
  return packed && packed.getScheme().isInteger();
}

/// The output head: a rounding error there reaches the logits as it is, and it reads one row a sequence.
bool isHead(wq::LinearOp linear) {
  return llvm::any_of(linear->getUsers(), [](Operation *user) { return isa<func::ReturnOp>(user); });
}

struct QuantizeActivations : impl::QuantizeActivationsBase<QuantizeActivations> {
  void runOnOperation() override {
    auto compute = getOperation()->getParentOfType<ModuleOp>()->getAttrOfType<StringAttr>(kComputeAttr);
    if (!compute || compute.getValue() != "int8") return;
    OpBuilder builder(&getContext());
    DenseMap<Value, Value> quantised; // lookup only
    getOperation().walk([&](wq::LinearOp linear) {
      auto type = cast<RankedTensorType>(linear.getX().getType());
      if (!hasIntegerWeight(linear) || isHead(linear) || !type.getElementType().isF32()) return;
      Value &rows = quantised[linear.getX()];
      if (!rows) {
        builder.setInsertionPoint(linear);
        rows = wq::QuantizeRowsOp::create(builder, linear.getLoc(), type.clone(wq::Q8Type::get(&getContext())),
                                          linear.getX());
      }
      linear.getXMutable().assign(rows);
    });
  }
};

} // namespace
} // namespace llmc
