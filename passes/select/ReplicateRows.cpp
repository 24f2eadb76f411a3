// In steps of few rows, computing a norm in every thread costs less than a barrier.
#include "dialects/kernel/Kernel.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "passes/Passes.h"

namespace llmc {
#define GEN_PASS_DEF_REPLICATEROWS
#include "passes/Passes.h.inc"

using namespace mlir;

namespace {

bool isWrittenInPlace(Value value) {
  return llvm::any_of(value.getUses(), [](OpOperand &use) {
    auto call = dyn_cast<kernel::CallOp>(use.getOwner());
    return call && call.getTied() && *call.getTied() == use.getOperandNumber();
  });
}

/// All rows in one unit, which is cheap.
bool isWhole(kernel::CallOp call) {
  return call.getPartition() == kernel::Partition::Blocks && call.getUnits() == 1 && !call.getAppend();
}

struct ReplicateRows : impl::ReplicateRowsBase<ReplicateRows> {
  void runOnOperation() override {
    for (auto call : getOperation().getOps<kernel::CallOp>()) {
      bool returned = llvm::any_of(call->getUsers(), [](Operation *user) { return isa<func::ReturnOp>(user); });
      bool byRows = call.getPartition() == kernel::Partition::Rows || isWhole(call);
      call.setReplicated(byRows && !call.getLogitRows() && !call.getTied() && !call.getMany() &&
                         !isWrittenInPlace(call.getY()) && !returned);
    }
  }
};

} // namespace
} // namespace llmc
