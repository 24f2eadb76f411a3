// Llama, Llama 2, Llama 3 and what is published in their form: RMSNorm, half rope, grouped KV heads, SwiGLU.
#include "frontends/File.h"
#include "frontends/hf/families/Family.h"

namespace llmc::hf {

static llvm::Expected<Choices> choose(llvm::StringRef file, const Config &config) {
  if (config.activation != "silu" && config.activation != "swish") // two names of one function
    return inputError(file, "hidden_act", "'" + config.activation + "'", "silu for llama");
  return Choices{.qkvBias = config.attentionBias, .outputBias = config.attentionBias, .mlpBias = config.mlpBias};
}

const Family kLlama = {
    .modelType = "llama",
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
              .gate = "mlp.gate_proj",
              .up = "mlp.up_proj",
              .down = "mlp.down_proj"},
    .choose = choose,
};

} // namespace llmc::hf
