// Portable kernels through LLVM: text -> llvm dialect -> LLVM IR -> machine code.
#pragma once
#include "codegen/Kernel.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/IR/Module.h"
#include "llvm/Target/TargetMachine.h"
#include <memory>

namespace llmc {

/// The llvm ops of `module` alone, as LLVM IR.
llvm::Expected<std::unique_ptr<llvm::Module>> translateLlvmOps(mlir::ModuleOp module, llvm::LLVMContext &context);

/// LLVM IR of a portable kernel (Code::mlir): one function, @kernel, with the target's attributes; not optimised.
llvm::Expected<std::unique_ptr<llvm::Module>> translateKernel(const std::string &mlir, const Target &target,
                                                              llvm::LLVMContext &context);

/// LLVM's O2 pipeline.
void optimiseModule(llvm::Module &module, llvm::TargetMachine &machine);

/// Bytes of an ELF object, or assembly text.
llvm::Expected<llvm::SmallVector<char, 0>> emitModule(llvm::Module &module, const Target &target,
                                                      bool assembly = false);

/// Object (or assembly) of a portable kernel alone: function @kernel, optimised.
llvm::Expected<llvm::SmallVector<char, 0>> compileKernel(const std::string &mlir, const Target &target,
                                                         bool assembly = false);

} // namespace llmc
