// The files that exporters put beside a model.
#pragma once
#include "frontends/ImportedModel.h"
#include "llvm/Support/Error.h"

namespace llmc::onnx {

/// genai_config.json (context length, special tokens), tokenizer.json, tokenizer_config.json and chat_template.jinja
/// in the model's folder. Those that are absent are skipped; those that are malformed are errors.
llvm::Error readSidecars(llvm::StringRef model, ImportedModel &imported);

} // namespace llmc::onnx
