// What an artifact of a plain graph (passes/graph) has of its own: a description of inputs and outputs, and
// initialisers as they are in the file.
#pragma once
#include "compiler/WeightSink.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/IR/Module.h"
#include <functional>
#include <string>

namespace llmc {

/// Whether the module took the plain way.
bool isGraph(mlir::ModuleOp module);

/// llmc_element of an element type; 0 if it has none.
int32_t elementNumber(mlir::Type element);

/// A zero-terminated text, for tables of the artifact.
llvm::Constant *textConstant(llvm::Module &module, llvm::StringRef value);
/// struct llmc_graph of the module.
llvm::Constant *graphConstants(llvm::Module &into, mlir::ModuleOp module);

/// Copies the bytes of the initialisers from the files to their places.
llvm::Error writeGraphWeights(mlir::ModuleOp module, llvm::ArrayRef<std::string> files, WeightSink &sink,
                              const std::function<void(uint64_t done, uint64_t total)> &progress);

} // namespace llmc
