// From llm.experts to calls of catalogue kernels.
#pragma once
#include "dialects/llm/Llm.h"
#include "passes/select/KernelPicker.h"

namespace llmc {

/// The calls: MoeChoose of the logits, MoeSort of what they chose, MoeGather of x, the two matmuls over experts, and
/// MoeScatter. Returns what stands for the op's result.
mlir::FailureOr<mlir::Value> selectExperts(llm::ExpertsOp op, mlir::OpBuilder &builder, KernelPicker &pick);

} // namespace llmc
