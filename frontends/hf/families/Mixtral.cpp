// Mixtral: Llama's attention, and in each layer experts, of which the router chooses a few for each row.
#include "frontends/File.h"
#include "frontends/hf/families/Family.h"

namespace llmc::hf {

static llvm::Expected<Choices> choose(llvm::StringRef file, const Config &config) {
  if (llvm::Error error = requireSilu(file, config)) return error;
  int64_t experts = config.experts ? config.experts : 8, k = config.expertsPerToken ? config.expertsPerToken : 2;
  if (k > experts)
    return inputError(file, "num_experts_per_tok", llvm::Twine(k),
                      "at most num_local_experts (" + llvm::Twine(experts) + ")");
  // The chosen of all probabilities are divided by their sum, whatever the configuration says.
  return Choices{.window = config.window,
                 .experts =
                     Experts{.experts = experts, .k = k, .intermediate = config.intermediate, .renormalise = true}};
}

static constexpr TensorNames names() {
  TensorNames names = kLlamaNames;
  names.gate = names.up = names.down = "";
  names.router = "block_sparse_moe.gate";
  names.expert = "block_sparse_moe.experts.";
  names.expertGate = "w1", names.expertUp = "w3", names.expertDown = "w2";
  return names;
}

const Family kMixtral = {.modelType = "mixtral", .names = names(), .choose = choose};

} // namespace llmc::hf
