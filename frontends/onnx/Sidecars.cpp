#include "frontends/onnx/Sidecars.h"
#include "dialects/llm/Decoder.h"
#include "frontends/File.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include <nlohmann/json.hpp>

using llvm::StringRef;
using llvm::Twine;
using Json = nlohmann::json;

namespace llmc::onnx {
namespace {

constexpr uint64_t kMostConfig = 16 << 20, kMostTokenizer = 256 << 20; // bytes

/// A file beside the model, or nothing if there is none.
llvm::Expected<std::optional<std::string>> readBeside(StringRef model, StringRef name, uint64_t limit) {
  llvm::SmallString<256> path(llvm::sys::path::parent_path(model));
  llvm::sys::path::append(path, name);
  if (!llvm::sys::fs::exists(path)) return std::nullopt;
  llvm::Expected<std::string> text = readSmallFile(path, limit);
  if (!text) return text.takeError();
  return std::move(*text);
}

llvm::Expected<Json> readJson(StringRef model, StringRef name) {
  llvm::Expected<std::optional<std::string>> text = readBeside(model, name, kMostConfig);
  if (!text) return text.takeError();
  if (!*text) return Json();
  Json json = Json::parse(**text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object())
    return inputError((llvm::sys::path::parent_path(model) + "/" + name).str(), "", "text that is not a JSON object",
                      "a JSON object");
  return json;
}

const Json &member(const Json &object, const char *key) {
  static const Json none;
  auto found = object.is_object() ? object.find(key) : object.end();
  return object.is_object() && found != object.end() ? *found : none;
}

void addIds(const Json &value, std::vector<int64_t> &ids) {
  if (value.is_number_integer()) ids.push_back(value.get<int64_t>());
  if (value.is_array())
    for (const Json &id : value)
      if (id.is_number_integer()) ids.push_back(id.get<int64_t>());
}

/// A special token in tokenizer_config.json: its text, or an object with it.
std::string tokenText(const Json &value) {
  if (value.is_string()) return value.get<std::string>();
  const Json &content = member(value, "content");
  return content.is_string() ? content.get<std::string>() : "";
}

void useTokenizerConfig(const Json &config, TextAssets &text) {
  text.bosToken = tokenText(member(config, "bos_token"));
  text.eosToken = tokenText(member(config, "eos_token"));
  const Json &chat = member(config, "chat_template");
  if (chat.is_string()) text.chatTemplate = chat.get<std::string>();
  if (chat.is_array()) // several named templates
    for (const Json &entry : chat)
      if (tokenText(member(entry, "name")) == "default") text.chatTemplate = tokenText(member(entry, "template"));
  const Json &addBos = member(config, "add_bos_token");
  if (addBos.is_boolean()) text.addBos = addBos.get<bool>();
}
} // namespace

llvm::Error readSidecars(StringRef model, ImportedModel &imported) {
  llvm::Expected<Json> genai = readJson(model, "genai_config.json");
  if (!genai) return genai.takeError();
  const Json &section = member(*genai, "model");
  addIds(member(section, "eos_token_id"), imported.text.eosIds);
  if (const Json &bos = member(section, "bos_token_id"); bos.is_number_integer())
    imported.text.bosId = bos.get<int64_t>();
  if (const Json &length = member(section, "context_length"); length.is_number_integer()) {
    int64_t tokens = length.get<int64_t>();
    if (tokens <= 0 || tokens > llm::kMostContext)
      return inputError((llvm::sys::path::parent_path(model) + "/genai_config.json").str(), "context_length",
                        Twine(tokens), "1 to " + Twine(llm::kMostContext));
    mlir::ModuleOp module = *imported.module;
    module->setAttr(llm::kMaxContext, mlir::Builder(module.getContext()).getI64IntegerAttr(tokens));
  }

  llvm::Expected<std::optional<std::string>> tokenizer = readBeside(model, "tokenizer.json", kMostTokenizer);
  if (!tokenizer) return tokenizer.takeError();
  if (*tokenizer) imported.text.tokenizerJson = std::move(**tokenizer);
  llvm::Expected<Json> config = readJson(model, "tokenizer_config.json");
  if (!config) return config.takeError();
  useTokenizerConfig(*config, imported.text);
  llvm::Expected<std::optional<std::string>> chat = readBeside(model, "chat_template.jinja", kMostConfig);
  if (!chat) return chat.takeError();
  if (*chat) imported.text.chatTemplate = std::move(**chat);
  return llvm::Error::success();
}

} // namespace llmc::onnx
