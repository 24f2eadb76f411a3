// Runs an imported fixture with the evaluator and compares it with the logits of the reference.
#pragma once
#include "frontends/ImportedModel.h"
#include "llvm/ADT/StringRef.h"

namespace llmc::test {

/// Prefill and every greedy step of `folder`/golden.safetensors, within golden.json's suggested_max_abs_diff; reports
/// differences as test failures.
void expectGolden(const ImportedModel &model, llvm::StringRef folder);

} // namespace llmc::test
