// Values of ops on weights, as f32.
#pragma once
#include "dialects/llm/eval/Ops.h"
#include "dialects/llm/eval/WeightView.h"
#include "mlir/IR/BuiltinOps.h"

namespace llmc::llm::eval {

/// True if `value` is made by an op on weights (llm.get_weight, wq.decode, wq.quantize, wq.recode, wq.concat,
/// wq.constant, wq.pack, wq.get_packed), which is the same in every step.
bool isWeight(mlir::Value value);

/// The values that a weight stands for. A packed weight is what its wq.store in `module` stores; wq.recode and wq.pack
/// keep the values of their operand by definition.
llvm::Expected<Tensor> weight(mlir::Value value, mlir::ModuleOp module, llvm::ArrayRef<InputFile> files);

} // namespace llmc::llm::eval
