// Runs a raised ONNX fixture with the evaluator against ONNX Runtime's logits.
#pragma once
#include "frontends/ImportedModel.h"
#include "llvm/ADT/StringRef.h"

namespace llmc::test {

/// Runs the raising pipeline; the first error, or empty.
std::string raiseModule(ImportedModel &model);
/// The prompt and the greedy steps of `folder`/golden.safetensors, within `bound`; differences are test failures.
void expectOnnxGolden(const ImportedModel &model, llvm::StringRef folder, double bound);

} // namespace llmc::test
