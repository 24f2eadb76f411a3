#include "frontends/hf/Text.h"
#include "frontends/File.h"

using nlohmann::json;

namespace llmc::hf {
namespace {

constexpr uint64_t kMostTokenizerBytes = uint64_t(256) << 20, kMostTemplateBytes = uint64_t(4) << 20;

/// The document, or null if the folder has no such file.
llvm::Expected<json> readOptional(const Folder &folder, llvm::StringRef name) {
  llvm::Expected<std::optional<std::string>> path = folder.find(name);
  if (!path) return path.takeError();
  if (!*path) return json();
  llvm::Expected<json> document = readJson(**path);
  if (document && !document->is_object()) return inputError(**path, "", describe(*document), "an object");
  return document;
}

/// The text of a file, or empty if the folder has no such file.
llvm::Expected<std::string> readOptionalText(const Folder &folder, llvm::StringRef name, uint64_t limit) {
  llvm::Expected<std::optional<std::string>> path = folder.find(name);
  if (!path) return path.takeError();
  if (!*path) return std::string();
  return readSmallFile(**path, limit);
}

/// A special token: its text, or an object with `content` (an AddedToken).
std::string specialToken(Fields &fields, llvm::StringRef name) {
  const json *value = fields.find(name);
  if (!value) return "";
  if (value->is_string()) return value->get<std::string>();
  if (value->is_object()) {
    auto content = value->find("content");
    if (content != value->end() && content->is_string()) return content->get<std::string>();
  }
  fields.fail(name, describe(*value), "a token's text");
  return "";
}

/// `chat_template`: a template, or a list of {name, template}.
std::string chatTemplate(Fields &fields) {
  const json *value = fields.find("chat_template");
  if (!value) return "";
  if (value->is_string()) return value->get<std::string>();
  if (value->is_array())
    for (const json &entry : *value) {
      if (!entry.is_object()) continue;
      auto name = entry.find("name"), text = entry.find("template");
      if (name != entry.end() && *name == "default" && text != entry.end() && text->is_string())
        return text->get<std::string>();
    }
  fields.fail("chat_template", describe(*value), "a template, or a list with one called 'default'");
  return "";
}

llvm::Error readTokens(const Folder &folder, llvm::StringRef file, TextAssets &text, bool withTemplate) {
  llvm::Expected<json> document = readOptional(folder, file);
  if (!document) return document.takeError();
  if (document->is_null()) return llvm::Error::success();
  Fields fields(folder.path() + "/" + file.str(), *document);
  if (text.bosToken.empty()) text.bosToken = specialToken(fields, "bos_token");
  if (text.eosToken.empty()) text.eosToken = specialToken(fields, "eos_token");
  if (withTemplate && text.chatTemplate.empty()) text.chatTemplate = chatTemplate(fields);
  return fields.takeError();
}
} // namespace

llvm::Expected<TextAssets> readText(const Folder &folder, const Config &config) {
  TextAssets text;
  llvm::Expected<std::string> tokenizer = readOptionalText(folder, "tokenizer.json", kMostTokenizerBytes);
  if (!tokenizer) return tokenizer.takeError();
  text.tokenizerJson = std::move(*tokenizer);
  llvm::Expected<std::string> chat = readOptionalText(folder, "chat_template.jinja", kMostTemplateBytes);
  if (!chat) return chat.takeError();
  text.chatTemplate = std::move(*chat);
  if (llvm::Error error = readTokens(folder, "tokenizer_config.json", text, /*withTemplate=*/true)) return error;
  if (llvm::Error error = readTokens(folder, "special_tokens_map.json", text, /*withTemplate=*/false)) return error;

  text.bosId = config.bosId;
  text.eosIds = config.eosIds;
  llvm::Expected<json> generation = readOptional(folder, "generation_config.json");
  if (!generation) return generation.takeError();
  if (!generation->is_null()) {
    Fields fields(folder.path() + "/generation_config.json", *generation);
    readSpecialIds(fields, config.vocab, text.bosId, text.eosIds);
    if (llvm::Error error = fields.takeError()) return error;
  }
  return text;
}

} // namespace llmc::hf
