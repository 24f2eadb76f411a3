#include "dialects/kernel/Kernel.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

#include "dialects/kernel/KernelDialect.cpp.inc"
#include "dialects/kernel/KernelEnums.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "dialects/kernel/KernelAttrs.cpp.inc"
#define GET_OP_CLASSES
#include "dialects/kernel/KernelOps.cpp.inc"

using namespace mlir;

namespace llmc::kernel {

void KernelDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/kernel/KernelAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/kernel/KernelOps.cpp.inc"
      >();
}

LogicalResult CallOp::verify() {
  if (getCallees().empty()) return emitOpError("expects at least one callee");
  if (getOperandRoles().size() != getInputs().size())
    return emitOpError() << "has " << getInputs().size() << " inputs and " << getOperandRoles().size() << " roles";
  if (getTied() && *getTied() >= getInputs().size())
    return emitOpError() << "is tied to input " << *getTied() << " of " << getInputs().size();
  if (getRowsEach() < 1) return emitOpError() << "has " << getRowsEach() << " rows for each row, expected 1 or more";
  bool ofExperts = getPartition() == Partition::Experts;
  if (ofExperts != (getExperts() > 0))
    return emitOpError() << "has " << getExperts() << " experts over another partition";
  if (ofExperts && (getFewCallees() < 1 || getFewCallees() >= getCallees().size()))
    return emitOpError() << "has " << getFewCallees() << " of " << getCallees().size()
                         << " callees for steps of few rows, expected some for each";
  return success();
}

} // namespace llmc::kernel
