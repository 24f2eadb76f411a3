// From the text of a portable kernel to the llvm dialect.
#pragma once
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/DialectRegistry.h"

namespace llmc {

/// The dialects of Code::mlir (scf, arith, math, vector, llvm) and of what lowerPortable passes through.
void registerPortableDialects(mlir::DialectRegistry &registry);

/// Lowers every op of the module to the llvm dialect; llvm.func @kernel keeps its name and is the only symbol. What it
/// calls beyond LLVM intrinsics is chosen by LLVM: cosf, sinf and powf of libm (sincosf where libc has it).
mlir::LogicalResult lowerPortable(mlir::ModuleOp module);

} // namespace llmc
