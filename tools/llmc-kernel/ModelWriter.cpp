#include "tools/llmc-kernel/ModelWriter.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/FileSystem.h"
#include <nlohmann/json.hpp>

namespace llmc::tool {

using Json = nlohmann::ordered_json;

namespace {

std::string configJson(const ModelShape &s, HalfType type) {
  Json config = {{"architectures", {"LlamaForCausalLM"}},
                 {"model_type", "llama"},
                 {"_name_or_path", std::string("random/") + s.name},
                 {"hidden_size", s.hidden},
                 {"intermediate_size", s.intermediate},
                 {"num_hidden_layers", s.layers},
                 {"num_attention_heads", s.heads},
                 {"num_key_value_heads", s.kvHeads},
                 {"head_dim", s.headDim},
                 {"vocab_size", s.vocab},
                 {"max_position_embeddings", s.context},
                 {"rope_theta", s.ropeTheta},
                 {"rope_scaling", nullptr},
                 {"rms_norm_eps", 1e-5},
                 {"hidden_act", "silu"},
                 {"attention_bias", false},
                 {"mlp_bias", false},
                 {"tie_word_embeddings", s.tied},
                 {"bos_token_id", 1},
                 {"eos_token_id", 2},
                 {"torch_dtype", type == HalfType::F16 ? "float16" : "bfloat16"},
                 {"use_cache", true}};
  return config.dump(2) + "\n";
}

int64_t elements(const ShapeTensor &tensor) { return std::max<int64_t>(tensor.rows, 1) * tensor.columns; }

/// The header of a safetensors file, padded to 8 bytes, with its length in front. `end` gets the bytes of all tensors.
std::string safetensorsHeader(const std::vector<ShapeTensor> &tensors, HalfType type, int64_t &end) {
  Json header = {{"__metadata__", {{"format", "pt"}}}};
  end = 0;
  for (const ShapeTensor &tensor : tensors) {
    Json shape = tensor.rows ? Json{tensor.rows, tensor.columns} : Json::array({tensor.columns});
    int64_t bytes = 2 * elements(tensor);
    header[tensor.huggingFace] = {
        {"dtype", type == HalfType::F16 ? "F16" : "BF16"}, {"shape", shape}, {"data_offsets", {end, end + bytes}}};
    end += bytes;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  char size[8];
  llvm::support::endian::write64le(size, text.size());
  return std::string(size, 8) + text;
}

llvm::Error writeTensor(NewFile &file, const ShapeTensor &tensor, HalfType type, RandomBits random,
                        llvm::MutableArrayRef<uint16_t> buffer) {
  NormalHalves normal(type, tensor.deviation);
  for (int64_t left = elements(tensor); left > 0;) {
    auto part = buffer.take_front(size_t(left));
    if (tensor.rows)
      normal.fill(random, part);
    else
      std::fill(part.begin(), part.end(), halfBits(type, 1));
    file.stream().write(reinterpret_cast<const char *>(part.data()), part.size() * sizeof(uint16_t));
    if (llvm::Error error = file.check()) return error;
    left -= int64_t(part.size());
  }
  return llvm::Error::success();
}

} // namespace

llvm::Error writeHuggingFace(const ModelShape &shape, HalfType type, uint64_t seed, const std::string &folder) {
  if (std::error_code error = llvm::sys::fs::create_directories(folder, true, llvm::sys::fs::all_all))
    return llvm::createStringError(folder + ": " + error.message());
  std::vector<ShapeTensor> tensors = tensorsOf(shape);
  int64_t bytes;
  std::string header = safetensorsHeader(tensors, type, bytes);
  auto weights = NewFile::create(folder + "/model.safetensors", header.size() + uint64_t(bytes));
  if (!weights) return weights.takeError();
  (*weights)->stream() << header;
  std::vector<uint16_t> buffer(kWriteBytes / sizeof(uint16_t));
  for (size_t i = 0; i < tensors.size(); ++i)
    if (llvm::Error error = writeTensor(**weights, tensors[i], type, RandomBits(seed + (uint64_t(i) << 32)), buffer))
      return error;
  if (llvm::Error error = (*weights)->finish()) return error;
  auto config = NewFile::create(folder + "/config.json");
  if (!config) return config.takeError();
  (*config)->stream() << configJson(shape, type);
  return (*config)->finish();
}

} // namespace llmc::tool
