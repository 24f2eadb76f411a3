// Qwen3, dense and with experts: Llama with norms of each q and k head before rope; head_dim is its own number.
#include "frontends/File.h"
#include "frontends/hf/families/Family.h"

namespace llmc::hf {

static llvm::Error refuseOthers(llvm::StringRef file, const Config &config) {
  if (llvm::Error error = requireSilu(file, config)) return error;
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

static constexpr TensorNames names() {
  TensorNames names = kLlamaNames;
  names.qNorm = "self_attn.q_norm", names.kNorm = "self_attn.k_norm";
  names.router = "mlp.gate";
  names.expert = "mlp.experts.";
  names.expertGate = "gate_proj", names.expertUp = "up_proj", names.expertDown = "down_proj";
  return names;
}

const Family kQwen3 = {.modelType = "qwen3", .names = names(), .choose = choose};
const Family kQwen3Moe = {.modelType = "qwen3_moe", .names = names(), .choose = chooseMoe};

} // namespace llmc::hf
