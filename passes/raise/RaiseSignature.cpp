#include "mlir/IR/Builders.h"
#include "passes/raise/Match.h"
#include "passes/raise/Raise.h"

namespace llmc {
#define GEN_PASS_DEF_RAISESIGNATURE
#include "passes/raise/RaisePasses.h.inc"

using namespace mlir;
using namespace raise;

namespace {

bool isIds(Value value) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  return type && type.getRank() == 2 && (type.getElementType().isInteger(64) || type.getElementType().isInteger(32));
}

struct RaiseSignature : impl::RaiseSignatureBase<RaiseSignature> {
  void runOnOperation() override {
    auto function = getOperation().lookupSymbol<func::FuncOp>(llm::kStep);
    if (!function || function.isExternal()) {
      getOperation().emitError("found no @step, expected an imported graph");
      return signalPassFailure();
    }
    if (!isImportedGraph(function)) return;
    Value ids, positionIds;
    for (BlockArgument argument : function.getArguments()) {
      if (inputName(argument) == "input_ids") ids = argument;
      if (inputName(argument) == "position_ids") positionIds = argument;
    }
    if (!ids) {
      getOperation().emitError("input_ids: found no such graph input, expected the tokens; export the model with its "
                               "embedding");
      return signalPassFailure();
    }
    for (auto [name, value] : {std::pair("input_ids", ids), std::pair("position_ids", positionIds)})
      if (value && !isIds(value)) {
        getOperation().emitError() << name << ": found " << value.getType() << ", expected INT64 [batch, tokens]";
        return signalPassFailure();
      }
    auto indices = RankedTensorType::get({ShapedType::kDynamic}, IntegerType::get(&getContext(), 32));
    SmallVector<unsigned> front(3, 0);
    SmallVector<Type> types(3, indices);
    SmallVector<DictionaryAttr> attributes(3);
    SmallVector<Location> locations(3, function.getLoc());
    if (failed(function.insertArguments(front, types, attributes, locations))) return signalPassFailure();
    OpBuilder builder(function.getBody());
    for (auto [old, index] : {std::pair(ids, 0u), std::pair(positionIds, 1u)})
      if (old)
        old.replaceAllUsesWith(
            UnrealizedConversionCastOp::create(builder, function.getLoc(), old.getType(), function.getArgument(index))
                .getResult(0));
  }
};

} // namespace
} // namespace llmc
