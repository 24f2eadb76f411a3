#include "tools/llmc/Model.h"
#include "compiler/Import.h"
#include "compiler/Jit.h"
#include "compiler/NativeTarget.h"
#include "tools/llmc/GraphSession.h"
#include "tools/llmc/Usage.h"
#include "llvm/BinaryFormat/ELF.h"
#include <dlfcn.h>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

namespace llmc::cli {
namespace {

using Json = nlohmann::json;

/// A compiled file, loaded by dlopen.
class LoadedArtifact : public Model {
public:
  explicit LoadedArtifact(const std::string &path) : Model(path, /*jit=*/false) {}
  ~LoadedArtifact() override {
    stop();
    if (library) dlclose(library);
  }
  llvm::Error load() {
    std::string place = path().find('/') == std::string::npos ? "./" + path() : path();
    library = dlopen(place.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library) return llvm::createStringError(std::string("cannot be loaded: ") + dlerror());
    return start([this](const char *name) { return dlsym(library, name); }, nullptr, 0);
  }

private:
  void *library = nullptr;
};

/// A model compiled in this process.
class CompiledModel : public Model {
public:
  explicit CompiledModel(const std::string &path) : Model(path, /*jit=*/true) {}
  ~CompiledModel() override { stop(); }
  llvm::Error load(const Options &options, const Progress &progress) {
    auto context = makeContext();
    llvm::Expected<Compilation> compilation = compileModel(path(), options, *context, progress);
    if (!compilation) return compilation.takeError();
    auto made = JitModel::create(*compilation, progress);
    if (!made) return made.takeError();
    jit = std::move(*made);
    assets = std::move(compilation->texts);
    return start([this](const char *name) { return jit->lookup(name); }, jit->weights(), jit->weightBytes());
  }

private:
  std::unique_ptr<JitModel> jit;
};

/// First bytes of an ELF file for a machine, or what is wrong with running it here. dlopen would say it less well.
llvm::Error checkMachine(const std::string &path) {
  char header[20] = {};
  std::ifstream(path, std::ios::binary).read(header, sizeof header);
  uint16_t machine;
  memcpy(&machine, header + llvm::ELF::EI_NIDENT + 2, sizeof machine);
  uint16_t expected = hostArch() == Arch::X86_64 ? llvm::ELF::EM_X86_64 : llvm::ELF::EM_AARCH64;
  if (machine == expected) return llvm::Error::success();
  auto name = [](uint16_t m) -> std::string {
    if (m == llvm::ELF::EM_X86_64) return "x86-64";
    return m == llvm::ELF::EM_AARCH64 ? "aarch64" : "ELF machine " + std::to_string(m);
  };
  return llvm::createStringError("found code for " + name(machine) + ", expected " + name(expected) +
                                 "; compile the model with --target=native on this machine");
}

bool isElf(const std::string &path) {
  char magic[4] = {};
  std::ifstream(path, std::ios::binary).read(magic, sizeof magic);
  return !memcmp(magic, llvm::ELF::ElfMagic, sizeof magic);
}

template <typename T> std::unique_ptr<Model> owned(std::unique_ptr<T> model) { return model; }

} // namespace

llvm::Error apiError(const llmc_error &error) { return llvm::createStringError(llvm::StringRef(error.message)); }

std::string describeContext(const Api &api, const llmc_context *context) {
  std::string text(4096, '\0');
  text.resize(std::min(text.size() - 1, api.contextDescribe(context, text.data(), text.size())));
  return text;
}

std::string targetHere(const std::string &metadata) {
  Json json = Json::parse(metadata, nullptr, /*allow_exceptions=*/false);
  std::string first;
  for (const Json &variant : json.is_object() ? json.value("variants", Json::array()) : Json::array()) {
    std::string name = variant.is_object() ? variant.value("target", "") : "";
    if (first.empty()) first = name;
    llvm::Expected<Target> target = findTarget(name);
    if (target && missingOnHost(*target).empty()) return name;
    if (!target) llvm::consumeError(target.takeError());
  }
  return first;
}

llvm::Expected<std::unique_ptr<Model>> Model::load(const std::string &path, const Options &options,
                                                   const Progress &progress) {
  llvm::Expected<InputKind> kind = recogniseInput(path);
  if (!kind) return kind.takeError();
  if (*kind == InputKind::Unknown && isElf(path))
    return llvm::createStringError(path + ": found an ELF file without the note of an artifact, expected the output of "
                                          "llmc compile; if it is one, it is truncated");
  if (*kind == InputKind::Artifact) {
    if (llvm::Error error = checkMachine(path)) return about(path, std::move(error));
    auto artifact = std::make_unique<LoadedArtifact>(path);
    if (llvm::Error error = artifact->load()) return about(path, std::move(error));
    return owned(std::move(artifact));
  }
  auto compiled = std::make_unique<CompiledModel>(path);
  if (llvm::Error error = compiled->load(options, progress)) return about(path, std::move(error));
  return owned(std::move(compiled));
}

Model::~Model() = default;

llvm::Error Model::start(llvm::function_ref<void *(const char *)> lookup, const void *weights, uint64_t weightBytes) {
  llvm::Expected<Api> bound = bindApi(lookup);
  if (!bound) return bound.takeError();
  functions = *bound;
  llmc_open_options options = {};
  options.abi_version = LLMC_ABI_VERSION;
  options.weights = weights, options.weights_size = weightBytes;
  llmc_error error;
  if (functions.open(&model, &options, &error)) return apiError(error);
  functions.info(model, &facts);
  if (llvm::Error graph = readGraph()) return graph;
  if (!weights) {
    auto read = [&](llmc_text_kind kind) {
      size_t size;
      const char *data = functions.text(model, kind, &size);
      return data ? std::string(data, size) : std::string();
    };
    assets = {read(LLMC_TEXT_METADATA), read(LLMC_TEXT_TOKENIZER), read(LLMC_TEXT_CHAT_TEMPLATE),
              read(LLMC_TEXT_REPORT)};
  }
  return readMetadata();
}

llvm::Error Model::readGraph() {
  plain = functions.graphInputs && functions.graphInputs(model) >= 0;
  if (!plain) return llvm::Error::success();
  inputs.resize(functions.graphInputs(model)), outputs.resize(functions.graphOutputs(model));
  llmc_error error;
  for (size_t i = 0; i < inputs.size(); ++i)
    if (functions.graphInput(model, int64_t(i), &inputs[i], &error)) return apiError(error);
  for (size_t i = 0; i < outputs.size(); ++i)
    if (functions.graphOutput(model, int64_t(i), &outputs[i], &error)) return apiError(error);
  return llvm::Error::success();
}

int64_t Model::vocab() const {
  if (!plain) return facts.vocab;
  const llmc_value_info *logits = findLogits(outputs);
  return logits ? std::max<int64_t>(logits->dims[logits->rank - 1], 0) : 0;
}

void Model::stop() {
  if (model) functions.close(model);
  model = nullptr;
}

llvm::Error Model::readMetadata() {
  Json json = Json::parse(assets.metadata, nullptr, /*allow_exceptions=*/false);
  auto wrong = [](const char *key, const char *expected) {
    return llvm::createStringError(std::string("metadata: ") + key + ": expected " + expected +
                                   "; compile the model again");
  };
  if (!json.is_object()) return wrong("the whole", "a JSON object");
  for (auto [key, text] :
       {std::pair("name", &settings.name), {"bos_token", &settings.bosToken}, {"eos_token", &settings.eosToken}})
    if (auto value = json.find(key); value == json.end() || !value->is_string())
      return wrong(key, "a string");
    else
      *text = value->get<std::string>();
  auto bos = json.find("bos_id"), add = json.find("add_bos"), eos = json.find("eos_ids");
  if (bos == json.end() || !bos->is_number_integer()) return wrong("bos_id", "an integer");
  if (add == json.end() || !add->is_boolean()) return wrong("add_bos", "true or false");
  if (eos == json.end() || !eos->is_array()) return wrong("eos_ids", "a list of integers");
  settings.bosId = bos->get<int64_t>(), settings.addBos = add->get<bool>();
  for (const Json &id : *eos)
    if (!id.is_number_integer())
      return wrong("eos_ids", "a list of integers");
    else
      settings.eosIds.push_back(id.get<int64_t>());
  return llvm::Error::success();
}

llvm::Expected<text::Tokenizer> Model::tokenizer() const {
  if (assets.tokenizer.empty())
    return llvm::createStringError(file + ": found no tokenizer, expected one for text; give token ids with --tokens");
  auto tokenizer = text::Tokenizer::fromJson(assets.tokenizer);
  if (!tokenizer) return llvm::createStringError(file + ": tokenizer: " + llvm::toString(tokenizer.takeError()));
  return tokenizer;
}

std::vector<std::string> Model::kernels() const {
  std::set<std::string> names;
  Json report = Json::parse(assets.report, nullptr, /*allow_exceptions=*/false);
  if (!report.is_object() || !report.contains("kernels") || !report["kernels"].is_array()) return {};
  for (const Json &kernel : report["kernels"])
    if (kernel.is_object() && kernel.value("target", "") == info().target) names.insert(kernel.value("kernel", "?"));
  return {names.begin(), names.end()};
}

} // namespace llmc::cli
