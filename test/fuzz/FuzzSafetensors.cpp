// Any bytes as a safetensors file under a fixed config: the header, and the model made of it.
#include "frontends/hf/Checkpoint.h"
#include "frontends/hf/Config.h"
#include "frontends/hf/Import.h"
#include "mlir/IR/MLIRContext.h"

using namespace llmc;

static const hf::Config &config() {
  static const hf::Config kConfig = [] {
    auto document = llvm::cantFail(hf::parseJson("config.json", R"({"model_type": "llama", "hidden_size": 32,
        "intermediate_size": 48, "vocab_size": 40, "num_attention_heads": 2, "num_key_value_heads": 1,
        "num_hidden_layers": 1, "max_position_embeddings": 64, "rms_norm_eps": 1e-5})"));
    return llvm::cantFail(hf::parseConfig("config.json", document));
  }();
  return kConfig;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  llvm::StringRef bytes(reinterpret_cast<const char *>(data), size);
  auto checkpoint = hf::Checkpoint::fromFile(InputFile::view("model.safetensors", bytes));
  if (!checkpoint) return llvm::consumeError(checkpoint.takeError()), 0;
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  auto module = hf::buildModule("config.json", config(), *checkpoint, context);
  if (!module) llvm::consumeError(module.takeError());
  return 0;
}
