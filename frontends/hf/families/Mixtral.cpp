// Mixtral: Llama's attention, and in each layer experts, of which the router chooses a few for each row.
#include "frontends/File.h"
#include "frontends/hf/families/Family.h"

namespace llmc::hf {

static llvm::Expected<Choices> choose(llvm::StringRef file, const Config &config) {
  if (config.activation != "silu" && config.activation != "swish") // two names of one function
    return inputError(file, "hidden_act", "'" + config.activation + "'", "silu for mixtral");
  int64_t experts = config.experts ? config.experts : 8, k = config.expertsPerToken ? config.expertsPerToken : 2;
  if (k > experts)
    return inputError(file, "num_experts_per_tok", llvm::Twine(k),
                      "at most num_local_experts (" + llvm::Twine(experts) + ")");
  // The chosen of all probabilities are divided by their sum, whatever the configuration says.
  return Choices{.window = config.window,
                 .experts =
                     Experts{.experts = experts, .k = k, .intermediate = config.intermediate, .renormalise = true}};
}

const Family kMixtral = {
    .modelType = "mixtral",
    .names = {.embedding = "model.embed_tokens",
              .layer = "model.layers.",
              .finalNorm = "model.norm",
              .head = "lm_head",
              .inputNorm = "input_layernorm",
              .q = "self_attn.q_proj",
              .k = "self_attn.k_proj",
              .v = "self_attn.v_proj",
              .o = "self_attn.o_proj",
              .postAttentionNorm = "post_attention_layernorm",
              .gate = "",
              .up = "",
              .down = "",
              .router = "block_sparse_moe.gate",
              .expert = "block_sparse_moe.experts.",
              .expertGate = "w1",
              .expertUp = "w3",
              .expertDown = "w2"},
    .choose = choose,
};

} // namespace llmc::hf
