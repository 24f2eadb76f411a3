// A model file of any kind, recognised by its content.
#pragma once
#include "frontends/ImportedModel.h"
#include "llvm/Support/Error.h"

namespace llmc {

enum class InputKind { Artifact, HuggingFace, Gguf, Onnx, Unknown };

/// What the file or folder at `path` is: never by its name. A path that can't be read is an error.
llvm::Expected<InputKind> recogniseInput(const std::string &path);

/// The model of a folder or file that is not an artifact. All our dialects are loaded into `context`.
llvm::Expected<ImportedModel> importModel(const std::string &path, mlir::MLIRContext &context);

} // namespace llmc
