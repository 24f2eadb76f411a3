// A model family: which tensors it has and how config.json chooses among its forms. One file per family.
#pragma once
#include "frontends/hf/Config.h"
#include "llvm/ADT/ArrayRef.h"

namespace llmc::hf {

/// Tensor names without ".weight" and ".bias"; those of a layer follow `layer`, the layer's number and a dot.
struct TensorNames {
  llvm::StringLiteral embedding, layer, finalNorm, head;
  llvm::StringLiteral inputNorm, q, k, v, o, postAttentionNorm, gate, up, down;
};

/// What config.json chooses.
struct Choices {
  bool qkvBias = false, outputBias = false, mlpBias = false;
  int64_t window = 0; // attention window, positions
};

struct Family {
  llvm::StringLiteral modelType; // model_type of config.json
  TensorNames names;
  /// The choices, or a refusal of what this family's description cannot express.
  llvm::Expected<Choices> (*choose)(llvm::StringRef file, const Config &config);
};

extern const Family kLlama;

/// All families that can be read.
llvm::ArrayRef<const Family *> allFamilies();
/// The family of a model_type; an unknown one is an error that lists the known ones.
llvm::Expected<const Family *> findFamily(llvm::StringRef file, llvm::StringRef modelType);

} // namespace llmc::hf
