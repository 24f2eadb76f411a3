// A GGUF file -> llm module and text assets.
#pragma once
#include "frontends/ImportedModel.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

namespace llmc {
class InputFile;

/// Whether the file begins with GGUF's magic. False for what cannot be read.
bool looksLikeGguf(llvm::StringRef path);

/// The llama architecture with F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K and Q6_K tensors. Weight bytes
/// stay in the file.
llvm::Expected<ImportedModel> importGguf(llvm::StringRef path, mlir::MLIRContext &context);
llvm::Expected<ImportedModel> importGguf(const InputFile &file, mlir::MLIRContext &context);

} // namespace llmc
