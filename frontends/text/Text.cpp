#include "frontends/text/Text.h"
#include "llvm/ADT/Twine.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/raw_ostream.h"
#include <ctime>

namespace llmc::text {

char TextError::ID = 0;

void TextError::log(llvm::raw_ostream &os) const { os << message; }

namespace {

/// A string of the C ABI, freed at the end of its scope.
struct OwnedString : llmc_text_string {
  OwnedString() : llmc_text_string{nullptr, 0} {}
  OwnedString(const OwnedString &) = delete;
  OwnedString &operator=(const OwnedString &) = delete;
  ~OwnedString() { llmc_text_string_free(this); }
  std::string str() const { return std::string(data, size); }
};

llvm::Error makeError(llmc_text_status status, const OwnedString &message) {
  return llvm::make_error<TextError>(status, message.str());
}

llvm::Error invalid(const llvm::Twine &message) {
  return llvm::make_error<TextError>(LLMC_TEXT_INVALID, message.str());
}

/// The JSON object of llmc_text_tokenizer_from_vocabulary. JSON holds only UTF-8, so other bytes are refused here.
llvm::Expected<std::string> toJson(const Vocabulary &vocabulary) {
  for (auto [name, list] : {std::pair("token", &vocabulary.tokens), std::pair("merge", &vocabulary.merges)})
    for (size_t i = 0; i < list->size(); ++i)
      if (!llvm::json::isUTF8((*list)[i]))
        return invalid(llvm::Twine("vocabulary: ") + name + " " + llvm::Twine(i) + " is not UTF-8");
  if (!llvm::json::isUTF8(vocabulary.model) || !llvm::json::isUTF8(vocabulary.pre))
    return invalid("vocabulary: tokenizer.ggml.model or tokenizer.ggml.pre is not UTF-8");

  std::string text;
  llvm::raw_string_ostream stream(text);
  llvm::json::OStream json(stream);
  auto list = [&](llvm::StringRef key, const auto &values) {
    if (!values.empty())
      json.attributeArray(key, [&] {
        for (const auto &value : values) json.value(value);
      });
  };
  auto optional = [&](llvm::StringRef key, const auto &value) {
    if (value) json.attribute(key, *value);
  };
  json.object([&] {
    json.attribute("model", vocabulary.model);
    if (!vocabulary.pre.empty()) json.attribute("pre", vocabulary.pre);
    json.attributeArray("tokens", [&] {
      for (const std::string &token : vocabulary.tokens) json.value(token);
    });
    list("scores", vocabulary.scores);
    list("token_type", vocabulary.tokenTypes);
    list("merges", vocabulary.merges);
    optional("bos", vocabulary.bos);
    optional("eos", vocabulary.eos);
    optional("unk", vocabulary.unk);
    optional("add_bos", vocabulary.addBos);
    optional("add_eos", vocabulary.addEos);
    optional("add_space_prefix", vocabulary.addSpacePrefix);
  });
  return text;
}

} // namespace

llvm::Expected<std::optional<std::string>> StreamDecoder::push(uint32_t id) {
  OwnedString text, error;
  bool hasText = false;
  if (llmc_text_status status = llmc_text_stream_push(handle.get(), id, &hasText, &text, &error))
    return makeError(status, error);
  return hasText ? std::optional(text.str()) : std::nullopt;
}

llvm::Expected<std::string> StreamDecoder::finish() {
  OwnedString text, error;
  if (llmc_text_status status = llmc_text_stream_finish(handle.get(), &text, &error)) return makeError(status, error);
  return text.str();
}

llvm::Expected<Tokenizer> Tokenizer::fromJson(llvm::StringRef json) {
  llmc_text_tokenizer *handle = nullptr;
  OwnedString error;
  if (llmc_text_status status = llmc_text_tokenizer_from_json(json.data(), json.size(), &handle, &error))
    return makeError(status, error);
  return Tokenizer(handle);
}

llvm::Expected<Tokenizer> Tokenizer::fromVocabulary(llvm::StringRef json) {
  llmc_text_tokenizer *handle = nullptr;
  OwnedString error;
  if (llmc_text_status status = llmc_text_tokenizer_from_vocabulary(json.data(), json.size(), &handle, &error))
    return makeError(status, error);
  return Tokenizer(handle);
}

llvm::Expected<Tokenizer> Tokenizer::fromVocabulary(const Vocabulary &vocabulary) {
  llvm::Expected<std::string> json = text::toJson(vocabulary);
  if (!json) return json.takeError();
  return fromVocabulary(llvm::StringRef(*json));
}

llvm::Expected<std::string> Tokenizer::toJson() const {
  OwnedString json, error;
  if (llmc_text_status status = llmc_text_tokenizer_to_json(handle.get(), &json, &error))
    return makeError(status, error);
  return json.str();
}

llvm::Expected<std::vector<uint32_t>> Tokenizer::encode(llvm::StringRef text, bool addSpecial) const {
  llmc_text_ids ids = {nullptr, 0};
  OwnedString error;
  if (llmc_text_status status = llmc_text_encode(handle.get(), text.data(), text.size(), addSpecial, &ids, &error))
    return makeError(status, error);
  std::vector<uint32_t> result(ids.data, ids.data + ids.size);
  llmc_text_ids_free(&ids);
  return result;
}

llvm::Expected<std::string> Tokenizer::decode(llvm::ArrayRef<uint32_t> ids, bool skipSpecial) const {
  OwnedString text, error;
  if (llmc_text_status status = llmc_text_decode(handle.get(), ids.data(), ids.size(), skipSpecial, &text, &error))
    return makeError(status, error);
  return text.str();
}

llvm::Expected<StreamDecoder> Tokenizer::stream(bool skipSpecial) const {
  llmc_text_stream *stream = nullptr;
  OwnedString error;
  if (llmc_text_status status = llmc_text_stream_new(handle.get(), skipSpecial, &stream, &error))
    return makeError(status, error);
  return StreamDecoder(stream);
}

std::optional<std::string> Tokenizer::idToToken(uint32_t id) const {
  OwnedString token;
  if (!llmc_text_id_to_token(handle.get(), id, &token)) return std::nullopt;
  return token.str();
}

std::optional<uint32_t> Tokenizer::tokenToId(llvm::StringRef token) const {
  uint32_t id = 0;
  if (!llmc_text_token_to_id(handle.get(), token.data(), token.size(), &id)) return std::nullopt;
  return id;
}

size_t Tokenizer::vocabSize() const { return llmc_text_vocab_size(handle.get()); }

llvm::Expected<ChatTemplate> ChatTemplate::compile(llvm::StringRef source) {
  llmc_text_template *handle = nullptr;
  OwnedString error;
  if (llmc_text_status status = llmc_text_template_compile(source.data(), source.size(), &handle, &error))
    return makeError(status, error);
  return ChatTemplate(handle);
}

llvm::Expected<std::string> ChatTemplate::render(llvm::StringRef messages, llvm::StringRef tools,
                                                 llvm::StringRef variables, bool addGenerationPrompt,
                                                 llvm::StringRef now) const {
  llmc_text_chat chat = {};
  chat.messages = messages.data();
  chat.messages_size = messages.size();
  chat.tools = tools.data();
  chat.tools_size = tools.size();
  chat.variables = variables.data();
  chat.variables_size = variables.size();
  chat.now = now.data();
  chat.now_size = now.size();
  chat.add_generation_prompt = addGenerationPrompt;
  OwnedString text, error;
  if (llmc_text_status status = llmc_text_template_render(handle.get(), &chat, &text, &error))
    return makeError(status, error);
  return text.str();
}

std::string localTime() {
  std::time_t now = std::time(nullptr);
  std::tm local = {};
  localtime_r(&now, &local);
  char text[32] = "";
  std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &local);
  return text;
}

} // namespace llmc::text
