#include "frontends/gguf/Import.h"
#include "dialects/llm/Decoder.h"
#include "frontends/gguf/Architecture.h"
#include "frontends/gguf/Vocabulary.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/Path.h"
#include <cmath>

namespace llmc {
namespace gguf {
namespace {

/// Types whose values the compiler can read: floats (encoding absent) and block encodings.
struct SupportedType {
  uint32_t number;
  std::optional<wq::Encoding> encoding;
};
constexpr SupportedType kSupported[] = {
    {0, std::nullopt},        {1, std::nullopt},        {30, std::nullopt},       {2, wq::Encoding::Q4_0},
    {3, wq::Encoding::Q4_1},  {6, wq::Encoding::Q5_0},  {7, wq::Encoding::Q5_1},  {8, wq::Encoding::Q8_0},
    {12, wq::Encoding::Q4_K}, {13, wq::Encoding::Q5_K}, {14, wq::Encoding::Q6_K},
};

std::string supportedNames(bool floatsOnly) {
  std::string names;
  for (const SupportedType &type : kSupported)
    if (!floatsOnly || !type.encoding) names += (names.empty() ? "" : ", ") + findTensorType(type.number)->name.str();
  return names;
}

/// Looks tensors up, checks them against the metadata and marks them as used; keeps the first error.
class WeightReader {
public:
  WeightReader(mlir::MLIRContext &context, const InputFile &file, const Table &table)
      : context(context), file(file), table(table), used(table.tensors.size()) {
    context.loadDialect<llm::LlmDialect, wq::WqDialect>();
    for (size_t i = 0; i < table.tensors.size(); ++i) positions[table.tensors[i].name] = i;
  }
  ~WeightReader() { llvm::consumeError(std::move(error)); }

  const Tensor *find(llvm::StringRef name) const {
    auto it = positions.find(name);
    return it == positions.end() ? nullptr : &table.tensors[it->second];
  }

  /// `name` is the tensor's in the file, `symbol` that of Hugging Face.
  llm::DecoderWeight weight(const std::string &name, const std::string &symbol, llvm::ArrayRef<int64_t> shape,
                            int64_t interleavedHeads = 0) {
    if (error) return {};
    const Tensor *tensor = take(name, shape);
    mlir::Type element = tensor ? elementType(*tensor) : mlir::Type();
    if (!element) return {};
    auto storage = llm::StorageAttr::get(&context, 0, int64_t(tensor->offset), int64_t(tensor->bytes));
    return {.name = symbol,
            .type = mlir::RankedTensorType::get(shape, element),
            .storage = {storage},
            .interleavedHeads = interleavedHeads};
  }

  /// The bias is there or not; no key says which.
  llm::DecoderLinear linear(const std::string &name, const std::string &symbol, int64_t n, int64_t k,
                            int64_t interleavedHeads = 0) {
    llm::DecoderLinear result{weight(name + ".weight", symbol + ".weight", {n, k}, interleavedHeads), std::nullopt};
    if (find(name + ".bias")) result.bias = weight(name + ".bias", symbol + ".bias", {n}, interleavedHeads);
    return result;
  }

  /// rope_freqs.weight: what inverse frequencies are divided by; empty if the file has none.
  std::vector<float> frequencyDivisors(int64_t count) {
    constexpr llvm::StringLiteral kName = "rope_freqs.weight";
    std::vector<float> divisors;
    if (error || !find(kName)) return divisors;
    const Tensor *tensor = take(kName.str(), {count});
    if (!tensor) return divisors;
    if (tensor->type->name != "F32") {
      fail(kName, tensor->type->name, "F32");
      return divisors;
    }
    const char *bytes = file.bytes().data() + tensor->offset;
    for (int64_t i = 0; i < count; ++i) {
      float value = llvm::bit_cast<float>(llvm::support::endian::read32le(bytes + 4 * i));
      if (!(value > 0) || !std::isfinite(value)) fail(kName, std::to_string(value), "positive finite numbers");
      divisors.push_back(value);
    }
    return divisors;
  }

  /// A tensor that nobody asked for means something that would be lost silently.
  void checkAllUsed() {
    for (size_t i = 0; i < used.size(); ++i)
      if (!used[i]) fail(table.tensors[i].name, "a tensor that the model has no place for", "a llama model");
  }

  llvm::Error takeError() { return std::move(error); }

private:
  void fail(llvm::StringRef name, const llvm::Twine &found, const llvm::Twine &expected) {
    if (!error) error = inputError(file.path(), name, found, expected);
  }

  const Tensor *take(const std::string &name, llvm::ArrayRef<int64_t> shape) {
    const Tensor *tensor = find(name);
    if (!tensor) {
      fail(name, "no such tensor", "one of shape " + shapeText(shape) + ", as the metadata says");
      return nullptr;
    }
    if (llvm::ArrayRef<int64_t>(tensor->shape) != shape) {
      fail(name, "shape " + shapeText(tensor->shape), shapeText(shape) + ", as the metadata says");
      return nullptr;
    }
    used[positions[name]] = true;
    return tensor;
  }

  mlir::Type elementType(const Tensor &tensor) {
    bool isVector = tensor.shape.size() == 1;
    const SupportedType *type =
        llvm::find_if(kSupported, [&](const SupportedType &t) { return t.number == tensor.type->number; });
    if (type == std::end(kSupported) || (isVector && type->encoding)) {
      fail(tensor.name, tensor.type->name, "one of: " + supportedNames(isVector));
      return {};
    }
    if (type->encoding) return wq::EncodedType::get(&context, *type->encoding, 0, 0, wq::ScaleType::F16, false);
    if (tensor.type->name == "F16") return mlir::Float16Type::get(&context);
    if (tensor.type->name == "BF16") return mlir::BFloat16Type::get(&context);
    return mlir::Float32Type::get(&context);
  }

  mlir::MLIRContext &context;
  const InputFile &file;
  const Table &table;
  llvm::StringMap<size_t> positions;
  std::vector<bool> used;
  llvm::Error error = llvm::Error::success();
};

llm::DecoderLayer readLayer(WeightReader &reader, const Sizes &sizes, int64_t index) {
  std::string from = "blk." + std::to_string(index) + ".", to = "model.layers." + std::to_string(index) + ".";
  int64_t h = sizes.hidden, q = sizes.heads * sizes.headDim, kv = sizes.kvHeads * sizes.headDim;
  auto norm = [&](const char *name, const char *symbol) {
    return reader.weight(from + name + ".weight", to + symbol + ".weight", {h});
  };
  auto linear = [&](const char *name, const char *symbol, int64_t n, int64_t k, int64_t interleavedHeads = 0) {
    return reader.linear(from + name, to + symbol, n, k, interleavedHeads);
  };
  llm::DecoderLayer layer;
  layer.inputNorm = norm("attn_norm", "input_layernorm");
  layer.q = linear("attn_q", "self_attn.q_proj", q, h, sizes.heads);
  layer.k = linear("attn_k", "self_attn.k_proj", kv, h, sizes.kvHeads);
  layer.v = linear("attn_v", "self_attn.v_proj", kv, h);
  layer.o = linear("attn_output", "self_attn.o_proj", h, q);
  layer.postAttentionNorm = norm("ffn_norm", "post_attention_layernorm");
  layer.gate = linear("ffn_gate", "mlp.gate_proj", sizes.intermediate, h);
  layer.up = linear("ffn_up", "mlp.up_proj", sizes.intermediate, h);
  layer.down = linear("ffn_down", "mlp.down_proj", h, sizes.intermediate);
  layer.window = sizes.window;
  return layer;
}

/// The rows of the embedding are the vocabulary; vocab_size, which old files lack, must agree.
int64_t readVocabSize(Metadata &metadata, const WeightReader &reader) {
  const Tensor *embedding = reader.find("token_embd.weight");
  int64_t rows = embedding && embedding->shape.size() == 2 ? embedding->shape[0] : 0;
  if (!rows)
    metadata.fail("token_embd.weight", embedding ? shapeText(embedding->shape) : "no such tensor", "a matrix");
  else if (rows > llm::kMostVocab)
    metadata.fail("token_embd.weight", llvm::Twine(rows) + " rows", "at most " + llvm::Twine(llm::kMostVocab));
  int64_t said = metadata.integer("llama.vocab_size", 1, llm::kMostVocab, rows);
  if (said != rows)
    metadata.fail("llama.vocab_size", llvm::Twine(said), llvm::Twine(rows) + ", the rows of token_embd.weight");
  return rows;
}

llvm::Expected<mlir::OwningOpRef<mlir::ModuleOp>> buildModule(mlir::MLIRContext &context, const InputFile &file,
                                                              WeightReader &reader, const Sizes &sizes, int64_t vocab) {
  std::vector<float> divisors = reader.frequencyDivisors(sizes.headDim / 2);
  if (llvm::Error error = reader.takeError()) return error;
  llvm::Expected<llm::RopeAttr> rope = llm::makeRope(context, sizes.rope, divisors);
  if (!rope) return llvm::createStringError(file.path() + ": " + llvm::toString(rope.takeError()));
  llm::DecoderSpec spec{.vocab = vocab,
                        .hidden = sizes.hidden,
                        .heads = sizes.heads,
                        .kvHeads = sizes.kvHeads,
                        .headDim = sizes.headDim,
                        .maxContext = sizes.context,
                        .epsilon = float(sizes.epsilon),
                        .rope = *rope};
  spec.embedding = reader.weight("token_embd.weight", "model.embed_tokens.weight", {vocab, sizes.hidden});
  for (int64_t i = 0; i < sizes.layers; ++i) {
    spec.layers.push_back(readLayer(reader, sizes, i));
    if (llvm::Error error = reader.takeError()) return error; // before the next of many declared layers
  }
  spec.finalNorm = reader.weight("output_norm.weight", "model.norm.weight", {sizes.hidden});
  if (reader.find("output.weight")) spec.head = reader.linear("output", "lm_head", vocab, sizes.hidden);
  reader.checkAllUsed();
  if (llvm::Error error = reader.takeError()) return error;
  return llm::buildDecoder(context, spec);
}
} // namespace
} // namespace gguf

bool looksLikeGguf(llvm::StringRef path) {
  llvm::Expected<InputFile> file = InputFile::open(path);
  if (file) return file->bytes().starts_with("GGUF");
  llvm::consumeError(file.takeError());
  return false;
}

llvm::Expected<ImportedModel> importGguf(const InputFile &file, mlir::MLIRContext &context) {
  llvm::Expected<gguf::Table> table = gguf::parseGguf(file);
  if (!table) return table.takeError();
  gguf::Metadata metadata(file, *table);
  gguf::WeightReader reader(context, file, *table);
  gguf::Sizes sizes = gguf::readSizes(metadata);
  if (llvm::Error error = metadata.takeError()) return error; // the architecture gives the rest its meaning
  int64_t vocab = gguf::readVocabSize(metadata, reader);
  if (llvm::Error error = metadata.takeError()) return error;
  auto module = gguf::buildModule(context, file, reader, sizes, vocab);
  if (!module) return module.takeError();
  ImportedModel model{.module = std::move(*module), .files = {file.path()}};
  model.text = gguf::readVocabulary(metadata, vocab);
  model.name = metadata.text("general.name", "");
  if (model.name.empty()) model.name = llvm::sys::path::stem(file.path()).str();
  if (llvm::Error error = metadata.takeError()) return error;
  return model;
}

llvm::Expected<ImportedModel> importGguf(llvm::StringRef path, mlir::MLIRContext &context) {
  llvm::Expected<InputFile> file = InputFile::open(path);
  if (!file) return file.takeError();
  return importGguf(*file, context);
}

} // namespace llmc
