// Runs the weight program: `func.func @pack()`, whose wq.store ops end chains of ops on weights, straight into the
// artifact's weights blob.
#pragma once
#include "compiler/WeightSink.h"
#include "mlir/IR/BuiltinOps.h"
#include <functional>
#include <string>

namespace llmc {

struct WeightProgramOptions {
  unsigned threads = 1;
  /// After each piece, from any thread but never two at a time: bytes of packed weights written so far, and in the end.
  std::function<void(uint64_t doneBytes, uint64_t totalBytes)> progress;
};

/// Evaluates @pack of `module` (no @pack: nothing to do) and writes each `wq.packed` symbol's bytes at its offset of
/// the sink. `files` are the paths of #llm.storage's files. Gaps between weights are not written: the sink starts as
/// zeros.
///
/// A chain is evaluated panel by panel: 64 rows are pulled through llm.get_weight, wq.concat, wq.decode, wq.quantize or
/// wq.recode and packed (codegen/kernels/matmul/README.md); vectors are f32, padded with zeros to a multiple of 64.
/// Panels are independent, so the bytes do not depend on the number of threads.
///
/// Memory: inputs are mapped and given back as they are consumed; a thread holds a few blocks of 64 rows. The process
/// grows by less than 4 * (bytes of the largest input tensor) + 300 MB, whatever the size of the model.
///
/// Everything about types, sizes and places is checked before the first byte is written. Values that a scheme cannot
/// hold (not finite, scale too large) are found while running. A message names the weight or packed symbol.
llvm::Error runWeightProgram(mlir::ModuleOp module, llvm::ArrayRef<std::string> files, WeightSink &sink,
                             const WeightProgramOptions &options);

} // namespace llmc
