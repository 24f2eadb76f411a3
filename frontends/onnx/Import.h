// ONNX graphs node by node: each node becomes one llm.onnx_node, each initialiser one llm.onnx_tensor (or, if small,
// llm.onnx_constant), in a function @step of the graph's own inputs and outputs. What the nodes mean together is for
// passes/raise.
#pragma once
#include "frontends/File.h"
#include "frontends/ImportedModel.h"
#include "mlir/IR/MLIRContext.h"
#include "llvm/Support/Error.h"

namespace llmc {

/// Whether the file's content begins as an ONNX model. Reads a few bytes; false for what cannot be read.
bool looksLikeOnnx(llvm::StringRef path);

/// Imports a model and checks all that can be checked without its weights' values: the wire form, names, types, shapes,
/// attributes, and that every tensor has exactly its bytes within the model's folder. Arguments and results of @step
/// have their names in `llm.name`. genai_config.json, tokenizer.json and tokenizer_config.json are read if they are
/// beside the model. The module verifies.
llvm::Expected<ImportedModel> importOnnx(llvm::StringRef path, mlir::MLIRContext &context);
/// The same for a model that is open; its path says where the files beside it are.
llvm::Expected<ImportedModel> importOnnx(const InputFile &file, mlir::MLIRContext &context);

} // namespace llmc
