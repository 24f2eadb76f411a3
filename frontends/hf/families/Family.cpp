#include "frontends/hf/families/Family.h"
#include "frontends/File.h"

namespace llmc::hf {

llvm::Error requireSilu(llvm::StringRef file, const Config &config) {
  if (config.activation == "silu" || config.activation == "swish") // two names of one function
    return llvm::Error::success();
  return inputError(file, "hidden_act", "'" + config.activation + "'", "silu for " + config.modelType);
}

llvm::ArrayRef<const Family *> allFamilies() {
  static constexpr const Family *kFamilies[] = {&kLlama, &kMixtral, &kQwen3, &kQwen3Moe};
  return kFamilies;
}

llvm::Expected<const Family *> findFamily(llvm::StringRef file, llvm::StringRef modelType) {
  std::string known;
  for (const Family *family : allFamilies()) {
    if (family->modelType == modelType) return family;
    known += (known.empty() ? "" : ", ") + family->modelType.str();
  }
  return inputError(file, "model_type", "'" + modelType + "'", "one of: " + known);
}

} // namespace llmc::hf
