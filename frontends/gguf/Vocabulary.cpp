#include "frontends/gguf/Vocabulary.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/raw_ostream.h"

namespace llmc::gguf {
namespace {

/// A special token's id: one of the vocabulary, or absent. Some writers store -1 for absent.
std::optional<int64_t> tokenId(Metadata &metadata, llvm::StringRef key, int64_t vocab) {
  if (!metadata.has(key)) return std::nullopt;
  int64_t id = metadata.integer(key, -1, UINT32_MAX);
  if (id == -1 || id == UINT32_MAX) return std::nullopt;
  if (id >= vocab) metadata.fail(key, llvm::Twine(id), "a token id below " + llvm::Twine(vocab));
  return id;
}

template <typename T>
void write(llvm::json::OStream &json, llvm::StringRef name, const std::optional<std::vector<T>> &values) {
  if (!values) return; // an absent member is an absent key of the file
  json.attributeArray(name, [&] {
    for (const T &value : *values) json.value(value);
  });
}
template <typename T> void write(llvm::json::OStream &json, llvm::StringRef name, const std::optional<T> &value) {
  if (value) json.attribute(name, *value);
}

void checkCount(Metadata &metadata, llvm::StringRef key, size_t count, size_t expected, const char *of) {
  if (count != expected)
    metadata.fail(key, llvm::Twine(uint64_t(count)) + " values", llvm::Twine(uint64_t(expected)) + ", one per " + of);
}
} // namespace

TextAssets readVocabulary(Metadata &metadata, int64_t vocab) {
  TextAssets text;
  text.chatTemplate = metadata.text("tokenizer.chat_template", "");
  std::string model = metadata.text("tokenizer.ggml.model", "");
  auto tokens = metadata.texts("tokenizer.ggml.tokens");
  if (model.empty() || model == "none" || !tokens) return text;
  auto scores = metadata.numbers("tokenizer.ggml.scores");
  auto types = metadata.integers("tokenizer.ggml.token_type");
  auto merges = metadata.texts("tokenizer.ggml.merges");
  checkCount(metadata, "tokenizer.ggml.tokens", tokens->size(), size_t(vocab), "row of token_embd.weight");
  if (scores) checkCount(metadata, "tokenizer.ggml.scores", scores->size(), tokens->size(), "token");
  if (types) checkCount(metadata, "tokenizer.ggml.token_type", types->size(), tokens->size(), "token");
  auto bos = tokenId(metadata, "tokenizer.ggml.bos_token_id", vocab);
  auto eos = tokenId(metadata, "tokenizer.ggml.eos_token_id", vocab);
  auto unk = tokenId(metadata, "tokenizer.ggml.unknown_token_id", vocab);
  for (const char *key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"})
    if (auto id = tokenId(metadata, key, vocab); id && !llvm::is_contained(text.eosIds, *id))
      text.eosIds.push_back(*id);
  auto nameOf = [&](std::optional<int64_t> id) {
    return id && size_t(*id) < tokens->size() ? (*tokens)[size_t(*id)].str() : std::string();
  };
  text.bosId = bos.value_or(-1);
  text.bosToken = nameOf(bos), text.eosToken = nameOf(eos);

  llvm::raw_string_ostream stream(text.tokenizerJson);
  llvm::json::OStream json(stream);
  json.object([&] {
    json.attribute("model", model);
    if (std::string pre = metadata.text("tokenizer.ggml.pre", ""); !pre.empty()) json.attribute("pre", pre);
    write(json, "tokens", tokens);
    write(json, "scores", scores);
    write(json, "token_type", types);
    write(json, "merges", merges);
    write(json, "bos", bos);
    write(json, "eos", eos);
    write(json, "unk", unk);
    write(json, "add_bos", metadata.boolean("tokenizer.ggml.add_bos_token"));
    write(json, "add_eos", metadata.boolean("tokenizer.ggml.add_eos_token"));
    write(json, "add_space_prefix", metadata.boolean("tokenizer.ggml.add_space_prefix"));
  });
  text.isVocabularySpec = true;
  return text;
}

} // namespace llmc::gguf
