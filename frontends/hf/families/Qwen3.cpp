// Qwen3, dense and with experts: Llama with norms of each q and k head before rope; head_dim is its own number.
#include "frontends/File.h"
#include "frontends/hf/families/Family.h"

namespace llmc::hf {

static llvm::Error refuseOthers(llvm::StringRef file, const Config &config) {
  if (config.activation != "silu" && config.activation != "swish") // two names of one function
    return inputError(file, "hidden_act", "'" + config.activation + "'", "silu for " + config.modelType);
  if (!config.hasHeadDim)
    return inputError(file, "head_dim", "nothing", "a number: " + config.modelType + " has no rule for it");
  if (config.useWindow)
    return inputError(file, "use_sliding_window", "true",
                      "false: windows of " + config.modelType + " are not supported");
  return llvm::Error::success();
}

static llvm::Expected<Choices> choose(llvm::StringRef file, const Config &config) {
  if (llvm::Error error = refuseOthers(file, config)) return error;
  return Choices{.qkvBias = config.attentionBias, .outputBias = config.attentionBias, .headNorms = true};
}

static llvm::Expected<Choices> chooseMoe(llvm::StringRef file, const Config &config) {
  llvm::Expected<Choices> choices = choose(file, config);
  if (!choices) return choices;
  Experts experts{.experts = config.experts ? config.experts : 128,
                  .k = config.expertsPerToken ? config.expertsPerToken : 8,
                  .intermediate = config.expertIntermediate ? config.expertIntermediate : 768,
                  .renormalise = config.renormaliseExperts};
  if (experts.k > experts.experts)
    return inputError(file, "num_experts_per_tok", llvm::Twine(experts.k),
                      "at most num_experts (" + llvm::Twine(experts.experts) + ")");
  for (int64_t layer = 0; layer < config.layers; ++layer)
    if ((layer + 1) % config.sparseStep) experts.denseLayers.push_back(layer);
  llvm::append_range(experts.denseLayers, config.denseLayers);
  choices->experts = std::move(experts);
  return choices;
}

static constexpr TensorNames kNames = {.embedding = "model.embed_tokens",
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
                                       .down = "mlp.down_proj",
                                       .qNorm = "self_attn.q_norm",
                                       .kNorm = "self_attn.k_norm",
                                       .router = "mlp.gate",
                                       .expert = "mlp.experts.",
                                       .expertGate = "gate_proj",
                                       .expertUp = "up_proj",
                                       .expertDown = "down_proj"};

const Family kQwen3 = {.modelType = "qwen3", .names = kNames, .choose = choose};
const Family kQwen3Moe = {.modelType = "qwen3_moe", .names = kNames, .choose = chooseMoe};

} // namespace llmc::hf
