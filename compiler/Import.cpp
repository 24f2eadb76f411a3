#include "compiler/Import.h"
#include "compiler/Artifact.h"
#include "frontends/gguf/Import.h"
#include "frontends/hf/Import.h"
#include "frontends/onnx/Import.h"
#include "llvm/Support/FileSystem.h"

namespace llmc {

llvm::Expected<InputKind> recogniseInput(const std::string &path) {
  llvm::sys::fs::file_status status;
  if (std::error_code error = llvm::sys::fs::status(path, status))
    return llvm::createStringError(path + ": " + error.message());
  if (llvm::sys::fs::is_directory(status)) return InputKind::HuggingFace;
  if (!llvm::sys::fs::is_regular_file(status))
    return llvm::createStringError(path + ": found neither a regular file nor a folder");
  if (looksLikeArtifact(path)) return InputKind::Artifact;
  if (looksLikeGguf(path)) return InputKind::Gguf;
  if (looksLikeHuggingFace(path)) return InputKind::HuggingFace;
  if (looksLikeOnnx(path)) return InputKind::Onnx;
  return InputKind::Unknown;
}

llvm::Expected<ImportedModel> importModel(const std::string &path, mlir::MLIRContext &context) {
  llvm::Expected<InputKind> kind = recogniseInput(path);
  if (!kind) return kind.takeError();
  switch (*kind) {
  case InputKind::HuggingFace: return importHuggingFace(path, context);
  case InputKind::Gguf: return importGguf(path, context);
  case InputKind::Onnx: return importOnnx(path, context);
  case InputKind::Artifact:
    return llvm::createStringError(path + ": found a compiled artifact, expected a model; run it with llmc run");
  case InputKind::Unknown: break;
  }
  return llvm::createStringError(path + ": found no known format, expected a Hugging Face folder, a .safetensors file "
                                        "with config.json beside it, a GGUF file, an ONNX file or a compiled artifact");
}

} // namespace llmc
