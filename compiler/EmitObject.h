// From the lowered module and the kernels' code to an LLVM module.
#pragma once
#include "compiler/Pipeline.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/IR/Module.h"
#include <memory>

namespace llmc {

/// The LLVM module of a compiled model: the step, every kernel (machine code as hidden functions in module asm,
/// portable kernels as LLVM functions), `llmc_model_constants` and the `.note.llmc` section with `llmc_artifact`
/// (llmc_artifact.h). `model` has the model's constants; `variants`, what the last stage leaves for each target.
/// Optimised.
llvm::Expected<std::unique_ptr<llvm::Module>> buildLlvmModule(mlir::ModuleOp model, llvm::ArrayRef<Variant> variants,
                                                              llvm::LLVMContext &context);

} // namespace llmc
