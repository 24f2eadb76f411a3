// Text in front of token ids: plain prompts, chat templates, and a conversation at the terminal.
#pragma once
#include "tools/llmc/Generate.h"
#include <nlohmann/json_fwd.hpp>

namespace llmc::cli {

/// The tokenizer and the chat template of a model. Refers to the model.
class Prompter {
public:
  /// A model without a tokenizer is an error; one without a chat template is not.
  static llvm::Expected<Prompter> create(const Model &model);
  bool hasTemplate() const { return chatTemplate.has_value(); }
  /// Ids of a text as it is, with the tokens that the tokenizer puts around a text.
  llvm::Expected<std::vector<int32_t>> plain(llvm::StringRef text) const;
  /// Ids of a conversation, a JSON list of {"role", "content"}, with the beginning of an answer.
  llvm::Expected<std::vector<int32_t>> chat(const nlohmann::json &messages) const;
  llvm::Expected<text::StreamDecoder> stream() const { return tokenizer.stream(/*skipSpecial=*/true); }

private:
  Prompter(const Model &model, text::Tokenizer tokenizer) : model(model), tokenizer(std::move(tokenizer)) {}
  llvm::Expected<std::vector<int32_t>> ids(llvm::StringRef text, bool addSpecial) const;
  const Model &model;
  text::Tokenizer tokenizer;
  std::optional<text::ChatTemplate> chatTemplate;
};

/// Generates, and prints the text to stdout as it comes. `text`, if given, gets it too.
llvm::Expected<Generation> generateText(Session &session, Sampler &sampler, const Prompter &prompter,
                                        llvm::ArrayRef<int32_t> prompt, const GenerateOptions &options,
                                        LogitsFile *rows = nullptr, std::string *text = nullptr);

/// A conversation: a line from stdin, an answer to stdout, until the end of stdin. What is said twice (the conversation
/// so far) is read by the model once. options.maxNewTokens is that of each answer, 0: as many as there is room for.
/// `onAnswer` is told of each.
llvm::Error converse(Session &session, Sampler &sampler, const Prompter &prompter, const GenerateOptions &options,
                     llvm::function_ref<void(const Generation &)> onAnswer);

/// Tokens to generate at most after `promptTokens`, if `asked` (0: not said) fit the session; else an error.
llvm::Expected<int64_t> roomFor(const Session &session, int64_t promptTokens, int64_t asked);

} // namespace llmc::cli
