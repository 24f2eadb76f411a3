// Tokenizers and chat templates for C++: owners and llvm::Expected around llmc_text.h, where the meaning of each call
// is written.
#pragma once
#include "frontends/text/llmc_text.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace llmc::text {

/// Every error of this file. `status` tells a conversation that a template refuses (LLMC_TEXT_REFUSED: the message is
/// the template's own) from malformed input and passed limits.
class TextError : public llvm::ErrorInfo<TextError> {
public:
  static char ID;
  TextError(llmc_text_status status, std::string message) : status(status), message(std::move(message)) {}
  void log(llvm::raw_ostream &os) const override;
  std::error_code convertToErrorCode() const override { return llvm::inconvertibleErrorCode(); }
  std::string getMessage() const { return message; }

  const llmc_text_status status;

private:
  std::string message;
};

struct Deleter {
  void operator()(llmc_text_tokenizer *tokenizer) const { llmc_text_tokenizer_free(tokenizer); }
  void operator()(llmc_text_stream *stream) const { llmc_text_stream_free(stream); }
  void operator()(llmc_text_template *chatTemplate) const { llmc_text_template_free(chatTemplate); }
};

/// The metadata tokenizer.ggml.* of a GGUF file; llmc_text_tokenizer_from_vocabulary says what each field means.
struct Vocabulary {
  std::string model;               // "gpt2" or "llama"
  std::string pre;                 // empty: not in the file
  std::vector<std::string> tokens; // [vocab]
  std::vector<float> scores;       // [vocab], or empty
  std::vector<int32_t> tokenTypes; // [vocab], or empty
  std::vector<std::string> merges; // for "gpt2"
  std::optional<uint32_t> bos, eos, unk;
  std::optional<bool> addBos, addEos, addSpacePrefix;
};

/// Decodes ids as they come. One thread at a time; independent of the life of its tokenizer.
class StreamDecoder {
public:
  /// The text that `id` completes, or nothing while it ends inside a character.
  llvm::Expected<std::optional<std::string>> push(uint32_t id);
  /// The text still held back, usually empty. The decoder then starts anew.
  llvm::Expected<std::string> finish();

private:
  friend class Tokenizer;
  explicit StreamDecoder(llmc_text_stream *handle) : handle(handle) {}
  std::unique_ptr<llmc_text_stream, Deleter> handle;
};

/// Text to token ids and back. Any number of threads may use one.
class Tokenizer {
public:
  /// From the bytes of a Hugging Face tokenizer.json.
  static llvm::Expected<Tokenizer> fromJson(llvm::StringRef json);
  /// From the vocabulary of a GGUF file, as fields or as the JSON object that llmc_text.h describes.
  static llvm::Expected<Tokenizer> fromVocabulary(const Vocabulary &vocabulary);
  static llvm::Expected<Tokenizer> fromVocabulary(llvm::StringRef json);

  /// One canonical tokenizer.json, whatever the tokenizer was made of: what an artifact embeds.
  llvm::Expected<std::string> toJson() const;

  /// Ids of UTF-8 text. Special tokens in the text are recognised; `addSpecial` adds those that belong around a text.
  llvm::Expected<std::vector<uint32_t>> encode(llvm::StringRef text, bool addSpecial) const;
  /// Text of ids; bytes that form no character become U+FFFD, unknown ids are left out.
  llvm::Expected<std::string> decode(llvm::ArrayRef<uint32_t> ids, bool skipSpecial) const;
  llvm::Expected<StreamDecoder> stream(bool skipSpecial) const;

  std::optional<std::string> idToToken(uint32_t id) const;
  std::optional<uint32_t> tokenToId(llvm::StringRef token) const;
  /// Number of tokens, added ones included.
  size_t vocabSize() const;

private:
  explicit Tokenizer(llmc_text_tokenizer *handle) : handle(handle) {}
  std::unique_ptr<llmc_text_tokenizer, Deleter> handle;
};

/// The chat template of a model, compiled. Any number of threads may use one.
class ChatTemplate {
public:
  static llvm::Expected<ChatTemplate> compile(llvm::StringRef source);

  /// The text of a conversation. `messages`: JSON list of objects, not empty. `tools`: JSON list; `variables`: JSON
  /// object with bos_token, eos_token and what else the template reads; either may be empty. `now`: local time for
  /// strftime_now, as localTime() gives it; empty: templates find no strftime_now.
  llvm::Expected<std::string> render(llvm::StringRef messages, llvm::StringRef tools, llvm::StringRef variables,
                                     bool addGenerationPrompt, llvm::StringRef now) const;

private:
  explicit ChatTemplate(llmc_text_template *handle) : handle(handle) {}
  std::unique_ptr<llmc_text_template, Deleter> handle;
};

/// The time of this machine's clock and zone, as 2026-02-03T04:05:06.
std::string localTime();

} // namespace llmc::text
