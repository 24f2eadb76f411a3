// A Hugging Face checkpoint -> llm module and text assets.
#pragma once
#include "frontends/ImportedModel.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

namespace llmc {

/// Whether `path` is a folder with a config.json, or a file that begins as a safetensors file does. False for what
/// cannot be read.
bool looksLikeHuggingFace(llvm::StringRef path);

/// `path` is a model folder, or one .safetensors file with config.json beside it. Weight bytes stay in the files.
llvm::Expected<ImportedModel> importHuggingFace(llvm::StringRef path, mlir::MLIRContext &context);

namespace hf {
struct Config;
class Checkpoint;
/// The module of a parsed config and checkpoint; `configFile` stands in messages. Storage refers to checkpoint.files().
llvm::Expected<mlir::OwningOpRef<mlir::ModuleOp>> buildModule(llvm::StringRef configFile, const Config &config,
                                                              const Checkpoint &checkpoint, mlir::MLIRContext &context);
} // namespace hf
} // namespace llmc
