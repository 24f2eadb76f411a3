// Llama, Llama 2, Llama 3 and what is published in their form: RMSNorm, half rope, grouped KV heads, SwiGLU.
#include "frontends/hf/families/Family.h"

namespace llmc::hf {

static llvm::Expected<Choices> choose(llvm::StringRef file, const Config &config) {
  if (llvm::Error error = requireSilu(file, config)) return error;
  return Choices{.qkvBias = config.attentionBias, .outputBias = config.attentionBias, .mlpBias = config.mlpBias};
}

const Family kLlama = {.modelType = "llama", .names = kLlamaNames, .choose = choose};

} // namespace llmc::hf
