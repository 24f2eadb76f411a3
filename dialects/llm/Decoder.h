// Builds @step for a decoder of the Llama form from a description of its sizes and weights. Frontends that read such a
// model from different files give equal descriptions, and so equal modules up to types and storage.
#pragma once
#include "dialects/llm/Llm.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/Support/Error.h"
#include <optional>
#include <string>
#include <vector>

namespace llmc::llm {

/// The largest sizes that any known model comes near to, by far; larger ones are a damaged or hostile file. Frontends
/// check them before they use a declared size for anything.
inline constexpr int64_t kMostLayers = 4096, kMostHidden = int64_t(1) << 20, kMostVocab = int64_t(1) << 24,
                         kMostHeads = int64_t(1) << 14, kMostHeadDim = int64_t(1) << 14,
                         kMostContext = int64_t(1) << 30, kMostExperts = 4096;

/// One llm.weight symbol (its operands are described there). `name` is the Hugging Face name of the tensor.
struct DecoderWeight {
  std::string name;
  mlir::RankedTensorType type;
  llvm::SmallVector<StorageAttr, 1> storage;
  int64_t storedRows = 0; // 0: as many as the weight has
  int64_t rowBegin = 0;
  bool transposed = false;
  int64_t interleavedHeads = 0; // 0: rows are in their own order
};

struct DecoderLinear {
  DecoderWeight weight;
  std::optional<DecoderWeight> bias;
};

/// llm.moe instead of the gated MLP: a list of experts, each with weights as a gated MLP has them.
struct DecoderExperts {
  DecoderLinear router;
  std::vector<DecoderWeight> gate, up, down;
  int64_t k = 1; // experts of a row
  bool renormalise = false;
};

/// x += o(attention(rope(q(n)), rope(k(n)), v(n))), n = inputNorm(x); x += down(silu(gate(m)) * up(m)),
/// m = postAttentionNorm(x).
struct DecoderLayer {
  DecoderWeight inputNorm;
  DecoderLinear q, k, v, o;
  std::optional<DecoderWeight> qNorm, kNorm; // [headDim]: of each head of q and of k before rope
  DecoderWeight postAttentionNorm;
  DecoderLinear gate, up, down;          // not read if there are experts
  std::optional<DecoderExperts> experts; // instead of them
  int64_t window = 0;                    // positions that a query sees; 0: all
};

struct DecoderSpec {
  int64_t vocab = 0, hidden = 0, heads = 0, kvHeads = 0, headDim = 0, maxContext = 0;
  float epsilon = 0;
  RopeAttr rope;
  DecoderWeight embedding; // [vocab, hidden]
  std::vector<DecoderLayer> layers;
  DecoderWeight finalNorm;
  std::optional<DecoderLinear> head; // absent: the embedding is the head
};

/// RopeAttr of half style from a model's configuration; `divisors` (empty, or dim/2 positive numbers) divide the
/// frequencies afterwards. Errors are those of computeRope.
llvm::Expected<RopeAttr> makeRope(mlir::MLIRContext &context, const RopeConfig &config,
                                  llvm::ArrayRef<float> divisors = {});

/// The module: symbols in the order of their use, then @step. Loads the dialects that it needs. A module that does not
/// verify is an error.
llvm::Expected<mlir::OwningOpRef<mlir::ModuleOp>> buildDecoder(mlir::MLIRContext &context, const DecoderSpec &spec);

} // namespace llmc::llm
