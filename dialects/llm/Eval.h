// The meaning of the llm and wq dialects in plain loops: runs @step of a module before or after any pass on those
// dialects. The oracle of the tests; slow and simple. eval/ has one function per op.
#pragma once
#include "dialects/llm/eval/Weights.h"
#include "mlir/IR/BuiltinOps.h"

namespace llmc::llm {

class Evaluator {
public:
  /// `files` are #llm.storage's files by index; their bytes outlive the evaluator, and the module does not change
  /// while it lives. Weights are read at their first use and kept as f32.
  Evaluator(mlir::ModuleOp module, std::vector<InputFile> files) : module(module), files(std::move(files)) {}

  /// Runs @step for rows of one sequence: tokens[i] at positions[i], which are consecutive and start anywhere up to the
  /// number of cached positions. Returns the logits [logitRows][vocab] of the wanted rows. The cache keeps the step's
  /// keys and values. Fails on indices out of range, unreadable weights and ops it does not know.
  llvm::Expected<std::vector<float>> step(llvm::ArrayRef<int32_t> tokens, llvm::ArrayRef<int32_t> positions,
                                          llvm::ArrayRef<int32_t> logitRows);
  /// Forgets the sequence.
  void reset();

private:
  llvm::Error checkStep(llvm::ArrayRef<int32_t> tokens, llvm::ArrayRef<int32_t> positions,
                        llvm::ArrayRef<int32_t> logitRows) const;
  llvm::Expected<eval::Tensor> evaluate(mlir::Operation &op);
  llvm::Expected<eval::Tensor> evaluateRope(RopeOp op);
  llvm::Expected<eval::Tensor> evaluateEmbed(EmbedOp op);
  llvm::Expected<eval::Tensor> evaluateExperts(ExpertsOp op);
  llvm::Expected<eval::Tensor> evaluateSelectRows(SelectRowsOp op);
  llvm::Error readOperands(mlir::Operation &op);
  const eval::Tensor &tensor(mlir::Value value) const;
  const eval::Tensor *optionalTensor(mlir::Value value) const { return value ? &tensor(value) : nullptr; }
  eval::Indices indices(mlir::Value value) const { return arguments.lookup(value); }

  mlir::ModuleOp module;
  std::vector<InputFile> files;
  llvm::DenseMap<mlir::Value, std::shared_ptr<eval::Tensor>> weights;
  std::map<int64_t, eval::LayerCache> cache; // by layer
  int64_t cachedPositions = 0;
  // Of the running step.
  llvm::DenseMap<mlir::Value, std::shared_ptr<eval::Tensor>> values;
  llvm::DenseMap<mlir::Value, eval::Indices> arguments;
  int64_t length = 0; // positions once it is done
};

} // namespace llmc::llm
