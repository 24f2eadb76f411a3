// A model family: which tensors it has and how config.json chooses among its forms. One file per family.
#pragma once
#include "frontends/hf/Config.h"
#include "llvm/ADT/ArrayRef.h"

namespace llmc::hf {

/// Tensor names without ".weight" and ".bias"; those of a layer follow `layer`, the layer's number and a dot.
struct TensorNames {
  llvm::StringLiteral embedding, layer, finalNorm, head;
  llvm::StringLiteral inputNorm, q, k, v, o, postAttentionNorm, gate, up, down;
  llvm::StringLiteral qNorm = "", kNorm = ""; // of each head
  /// Of layers with experts; those of an expert follow `expert`, its number and a dot. Empty: there are none.
  llvm::StringLiteral router = "", expert = "", expertGate = "", expertUp = "", expertDown = "";
};
/// Llama's names, which most families have, and more.
inline constexpr TensorNames kLlamaNames = {.embedding = "model.embed_tokens",
                                            .layer = "model.layers.",
                                            .finalNorm = "model.norm",
                                            .head = "lm_head",
                                            .inputNorm = "input_layernorm",
                                            .q = "self_attn.q_proj",
                                            .k = "self_attn.k_proj",
                                            .v = "self_attn.v_proj",
                                            .o = "self_attn.o_proj",
                                            .postAttentionNorm = "post_attention_layernorm",
                                            .gate = "mlp.gate_proj",
                                            .up = "mlp.up_proj",
                                            .down = "mlp.down_proj"};

/// Of a mixture of experts: `experts` gated MLPs of `intermediate` hidden columns, k of them for a row.
struct Experts {
  int64_t experts = 0, k = 0, intermediate = 0;
  bool renormalise = false;
  std::vector<int64_t> denseLayers; // that have an MLP instead
};

/// What config.json chooses.
struct Choices {
  bool qkvBias = false, outputBias = false, mlpBias = false;
  int64_t window = 0;             // attention window, positions
  bool headNorms = false;         // RMSNorm of each head of q and k before rope
  std::optional<Experts> experts; // instead of the MLP
};

struct Family {
  llvm::StringLiteral modelType; // model_type of config.json
  TensorNames names;
  /// The choices, or a refusal of what this family's description cannot express.
  llvm::Expected<Choices> (*choose)(llvm::StringRef file, const Config &config);
};

extern const Family kLlama, kMixtral, kQwen3, kQwen3Moe;

/// A refusal of every activation but SiLU, for families whose gated MLPs are published with no other.
llvm::Error requireSilu(llvm::StringRef file, const Config &config);

/// All families that can be read.
llvm::ArrayRef<const Family *> allFamilies();
/// The family of a model_type; an unknown one is an error that lists the known ones.
llvm::Expected<const Family *> findFamily(llvm::StringRef file, llvm::StringRef modelType);

} // namespace llmc::hf
