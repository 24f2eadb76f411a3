#include "frontends/hf/Import.h"
#include "frontends/hf/QuantisedLinear.h"
#include "frontends/hf/Text.h"
#include "frontends/hf/families/Family.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

namespace llmc {
namespace hf {
namespace {

/// Norms, embeddings and linears, each plain or in the config's layout.
class WeightReader : public TensorReader {
public:
  WeightReader(mlir::MLIRContext &context, const Checkpoint &checkpoint, const std::optional<Quantisation> &config)
      : TensorReader(context, checkpoint), config(config) {}

  llm::DecoderLinear linear(const std::string &name, int64_t n, int64_t k, bool bias) {
    bool encoded = config && isQuantised(*this, *config, name);
    quantised |= encoded;
    llm::DecoderLinear result{encoded ? readQuantised(*this, *config, name, n, k) : weight(name + ".weight", {n, k}),
                              std::nullopt};
    if (bias) result.bias = weight(name + ".bias", {n});
    return result;
  }

  /// A config that speaks of a layout which no linear has belongs to another checkpoint.
  void checkQuantised() {
    if (config && !quantised) fail("", "no quantised linear", "some, as quantization_config says " + config->method);
  }

private:
  const std::optional<Quantisation> &config;
  bool quantised = false;
};

llm::DecoderExperts readExperts(WeightReader &reader, const TensorNames &names, int64_t hidden, const Experts &experts,
                                const std::string &prefix) {
  llm::DecoderExperts result;
  result.k = experts.k, result.renormalise = experts.renormalise;
  result.router = reader.linear(prefix + names.router.str(), experts.experts, hidden, false);
  for (int64_t e = 0; e < experts.experts && !reader.failed(); ++e) {
    std::string name = prefix + names.expert.str() + std::to_string(e) + ".";
    auto read = [&](llvm::StringRef part, int64_t n, int64_t k) {
      return reader.linear(name + part.str(), n, k, false).weight;
    };
    result.gate.push_back(read(names.expertGate, experts.intermediate, hidden));
    result.up.push_back(read(names.expertUp, experts.intermediate, hidden));
    result.down.push_back(read(names.expertDown, hidden, experts.intermediate));
  }
  return result;
}

llm::DecoderLayer readLayer(WeightReader &reader, const TensorNames &names, const Config &config,
                            const Choices &choices, int64_t index) {
  std::string prefix = names.layer.str() + std::to_string(index) + ".";
  int64_t h = config.hidden, q = config.heads * config.headDim, kv = config.kvHeads * config.headDim;
  auto norm = [&](llvm::StringRef name) { return reader.weight(prefix + name.str() + ".weight", {h}); };
  auto linear = [&](llvm::StringRef name, int64_t n, int64_t k, bool bias) {
    return reader.linear(prefix + name.str(), n, k, bias);
  };
  llm::DecoderLayer layer;
  layer.inputNorm = norm(names.inputNorm);
  layer.q = linear(names.q, q, h, choices.qkvBias);
  layer.k = linear(names.k, kv, h, choices.qkvBias);
  layer.v = linear(names.v, kv, h, choices.qkvBias);
  layer.o = linear(names.o, h, q, choices.outputBias);
  layer.postAttentionNorm = norm(names.postAttentionNorm);
  layer.window = choices.window;
  if (choices.headNorms) {
    layer.qNorm = reader.weight(prefix + names.qNorm.str() + ".weight", {config.headDim});
    layer.kNorm = reader.weight(prefix + names.kNorm.str() + ".weight", {config.headDim});
  }
  if (choices.experts && !llvm::is_contained(choices.experts->denseLayers, index)) {
    layer.experts = readExperts(reader, names, h, *choices.experts, prefix);
    return layer;
  }
  layer.gate = linear(names.gate, config.intermediate, h, choices.mlpBias);
  layer.up = linear(names.up, config.intermediate, h, choices.mlpBias);
  layer.down = linear(names.down, h, config.intermediate, choices.mlpBias);
  return layer;
}

/// The length that the model is made for. Dynamic rope has none of its own, its base grows with the sequence: up to 16
/// times its factor is allowed.
int64_t maxContext(const Config &config) {
  double stretch = config.rope.type == "dynamic" ? 16 * std::max(config.rope.factor, 1.0) : 1;
  return int64_t(std::min(double(llm::kMostContext), double(config.maxPositions) * stretch));
}
} // namespace

llvm::Expected<mlir::OwningOpRef<mlir::ModuleOp>> buildModule(llvm::StringRef configFile, const Config &config,
                                                              const Checkpoint &checkpoint,
                                                              mlir::MLIRContext &context) {
  llvm::Expected<const Family *> family = findFamily(configFile, config.modelType);
  if (!family) return family.takeError();
  llvm::Expected<Choices> choices = (*family)->choose(configFile, config);
  if (!choices) return choices.takeError();
  llvm::Expected<llm::RopeAttr> rope = llm::makeRope(context, config.rope);
  if (!rope) return llvm::createStringError(configFile + ": " + llvm::toString(rope.takeError()));

  const TensorNames &names = (*family)->names;
  llm::DecoderSpec spec{.vocab = config.vocab,
                        .hidden = config.hidden,
                        .heads = config.heads,
                        .kvHeads = config.kvHeads,
                        .headDim = config.headDim,
                        .maxContext = maxContext(config),
                        .epsilon = float(config.epsilon),
                        .rope = *rope};
  WeightReader reader(context, checkpoint, config.quantisation);
  std::string embedding = names.embedding.str() + ".weight", head = names.head.str();
  spec.embedding = reader.weight(embedding, {config.vocab, config.hidden});
  for (int64_t i = 0; i < config.layers; ++i) {
    spec.layers.push_back(readLayer(reader, names, config, *choices, i));
    if (llvm::Error error = reader.takeError()) return error; // before the next of many declared layers
  }
  spec.finalNorm = reader.weight(names.finalNorm.str() + ".weight", {config.hidden});
  if (config.tied)
    reader.checkTiedHead(head + ".weight", embedding);
  else
    spec.head = reader.linear(head, config.vocab, config.hidden, false);
  reader.checkQuantised();
  if (llvm::Error error = reader.takeError()) return error;
  if (llvm::Error error = checkpoint.checkNoUnusedBytes()) return error;
  return llm::buildDecoder(context, spec);
}

static llvm::Expected<Config> readConfig(const Folder &folder, std::string &configFile) {
  llvm::Expected<std::optional<std::string>> path = folder.find("config.json");
  if (!path) return path.takeError();
  if (!*path) return inputError(folder.path(), "", "no config.json", "one beside the weights");
  configFile = **path;
  llvm::Expected<nlohmann::json> document = readJson(configFile);
  if (!document) return document.takeError();
  Fields fields(configFile, *document); // the family first: the other keys have meaning only then
  std::string modelType = fields.text("model_type");
  if (llvm::Error error = fields.takeError()) return error;
  llvm::Expected<const Family *> family = findFamily(configFile, modelType);
  if (!family) return family.takeError();
  return parseConfig(configFile, *document);
}

/// A published name ("meta-llama/Llama-3.2-1B"); a path of somebody's machine says nothing to others.
static std::string modelName(const Config &config, const Folder &folder) {
  llvm::StringRef name = config.name;
  bool isPath = name.starts_with("/") || name.starts_with(".") || name.starts_with("~") || name.count('/') > 1;
  return name.empty() || isPath ? folder.name() : name.str();
}
} // namespace hf

bool looksLikeHuggingFace(llvm::StringRef path) {
  if (llvm::sys::fs::is_directory(path)) return llvm::sys::fs::exists(path + "/config.json");
  llvm::Expected<InputFile> file = InputFile::open(path);
  if (file) return hf::looksLikeSafetensors(file->bytes());
  llvm::consumeError(file.takeError());
  return false;
}

llvm::Expected<ImportedModel> importHuggingFace(llvm::StringRef path, mlir::MLIRContext &context) {
  bool isFolder = llvm::sys::fs::is_directory(path);
  llvm::StringRef parent = llvm::sys::path::parent_path(path);
  llvm::Expected<hf::Folder> folder = hf::Folder::open(isFolder ? path : parent.empty() ? "." : parent);
  if (!folder) return folder.takeError();
  std::string configFile;
  llvm::Expected<hf::Config> config = hf::readConfig(*folder, configFile);
  if (!config) return config.takeError();

  auto openSingle = [&]() -> llvm::Expected<hf::Checkpoint> {
    llvm::Expected<InputFile> file = InputFile::open(path);
    if (!file) return file.takeError();
    return hf::Checkpoint::fromFile(std::move(*file));
  };
  llvm::Expected<hf::Checkpoint> checkpoint = isFolder ? hf::Checkpoint::open(*folder) : openSingle();
  if (!checkpoint) return checkpoint.takeError();
  auto module = hf::buildModule(configFile, *config, *checkpoint, context);
  if (!module) return module.takeError();
  llvm::Expected<TextAssets> text = hf::readText(*folder, *config);
  if (!text) return text.takeError();

  ImportedModel model{.module = std::move(*module), .text = std::move(*text)};
  for (const InputFile &file : checkpoint->files()) model.files.push_back(file.path());
  model.name = hf::modelName(*config, *folder);
  return model;
}

} // namespace llmc
