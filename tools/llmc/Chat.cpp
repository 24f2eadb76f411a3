#include "tools/llmc/Chat.h"
#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace llmc::cli {
namespace {

using Json = nlohmann::json;

std::string dump(const Json &json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

llvm::Error print(llvm::StringRef text) {
  if (fwrite(text.data(), 1, text.size(), stdout) == text.size() && !fflush(stdout)) return llvm::Error::success();
  return llvm::createStringError("stdout: cannot be written");
}

} // namespace

llvm::Expected<Prompter> Prompter::create(const Model &model) {
  llvm::Expected<text::Tokenizer> tokenizer = model.tokenizer();
  if (!tokenizer) return tokenizer.takeError();
  Prompter prompter(model, std::move(*tokenizer));
  if (!model.texts().chatTemplate.empty()) {
    auto compiled = text::ChatTemplate::compile(model.texts().chatTemplate);
    if (!compiled)
      return llvm::createStringError(model.path() + ": chat template: " + llvm::toString(compiled.takeError()));
    prompter.chatTemplate = std::move(*compiled);
  }
  return prompter;
}

llvm::Expected<std::vector<int32_t>> Prompter::ids(llvm::StringRef text, bool addSpecial) const {
  auto encoded = tokenizer.encode(text, addSpecial);
  if (!encoded) return llvm::createStringError("prompt: " + llvm::toString(encoded.takeError()));
  std::vector<int32_t> ids(encoded->begin(), encoded->end());
  for (int32_t id : ids)
    if (id < 0 || id >= model.info().vocab)
      return llvm::createStringError(model.path() + ": tokenizer: found token id " + std::to_string(id) +
                                     ", expected 0 to " + std::to_string(model.info().vocab - 1));
  return ids;
}

llvm::Expected<std::vector<int32_t>> Prompter::plain(llvm::StringRef text) const {
  auto encoded = ids(text, /*addSpecial=*/true);
  const TextSettings &settings = model.text();
  if (encoded && settings.addBos && settings.bosId >= 0 && (encoded->empty() || encoded->front() != settings.bosId))
    encoded->insert(encoded->begin(), int32_t(settings.bosId));
  return encoded;
}

llvm::Expected<std::vector<int32_t>> Prompter::chat(const Json &messages) const {
  if (!chatTemplate)
    return llvm::createStringError(model.path() + ": found no chat template, expected one; use -p PROMPT");
  Json variables = {{"bos_token", model.text().bosToken}, {"eos_token", model.text().eosToken}};
  auto text =
      chatTemplate->render(dump(messages), "", dump(variables), /*addGenerationPrompt=*/true, text::localTime());
  if (!text) return llvm::createStringError(model.path() + ": chat template: " + llvm::toString(text.takeError()));
  return ids(*text, /*addSpecial=*/false); // the template writes them
}

llvm::Expected<Generation> generateText(Session &session, Sampler &sampler, const Prompter &prompter,
                                        llvm::ArrayRef<int32_t> prompt, const GenerateOptions &options,
                                        LogitsFile *rows, std::string *text) {
  auto decoder = prompter.stream();
  if (!decoder) return decoder.takeError();
  auto show = [&](const std::string &piece) {
    if (text) *text += piece;
    return print(piece);
  };
  auto result = generate(
      session, sampler, prompt, options,
      [&](int32_t token) -> llvm::Error {
        auto piece = decoder->push(uint32_t(token));
        if (!piece) return piece.takeError();
        return *piece ? show(**piece) : llvm::Error::success();
      },
      rows);
  if (!result) return result;
  auto rest = decoder->finish();
  if (!rest) return rest.takeError();
  if (llvm::Error error = show(*rest)) return error;
  if (llvm::Error error = print("\n")) return error;
  return result;
}

llvm::Expected<int64_t> roomFor(const Session &session, int64_t promptTokens, int64_t asked) {
  // The last generated token is not fed and takes no position.
  int64_t most = session.positions() - promptTokens + 1;
  if (most < 1)
    return llvm::createStringError("prompt: found " + std::to_string(promptTokens) + " tokens, expected at most " +
                                   std::to_string(session.positions()) + ", the positions of this context");
  if (asked > most)
    return llvm::createStringError("max-new-tokens: found " + std::to_string(asked) + ", expected at most " +
                                   std::to_string(most) + ": a context of " + std::to_string(session.positions()) +
                                   " positions holds the prompt's " + std::to_string(promptTokens) + " too");
  constexpr int64_t kUnasked = 512; // an answer of two pages; a model that never ends must not run for minutes
  return asked ? asked : std::min(most, kUnasked);
}

llvm::Error converse(Session &session, Sampler &sampler, const Prompter &prompter, const GenerateOptions &options,
                     llvm::function_ref<void(const Generation &)> onAnswer) {
  Json messages = Json::array();
  std::vector<int32_t> cached; // the tokens in the session
  const bool terminal = isatty(STDIN_FILENO);
  if (terminal) std::cerr << "End with Ctrl-D.\n";
  for (std::string line; (terminal && std::cerr << "> "), std::getline(std::cin, line);) {
    if (line.empty()) continue;
    messages.push_back({{"role", "user"}, {"content", line}});
    auto ids = prompter.chat(messages);
    if (!ids) return ids.takeError();
    if (ids->empty()) return llvm::createStringError("prompt: found no token, expected at least one");
    auto room = roomFor(session, int64_t(ids->size()), options.maxNewTokens);
    if (!room) return room.takeError();
    size_t same = std::mismatch(ids->begin(), ids->end() - 1, cached.begin(), cached.end()).first - ids->begin();
    if (llvm::Error error = session.truncate(int64_t(same))) return error;
    GenerateOptions limited = options;
    limited.maxNewTokens = *room;
    std::string answer;
    llvm::ArrayRef<int32_t> fresh = llvm::ArrayRef(*ids).drop_front(same);
    auto result = generateText(session, sampler, prompter, fresh, limited, nullptr, &answer);
    if (!result) return result.takeError();
    cached = std::move(*ids);
    cached.insert(cached.end(), result->tokens.begin(), result->tokens.end() - 1);
    messages.push_back({{"role", "assistant"}, {"content", answer}});
    onAnswer(*result);
  }
  if (terminal) std::cerr << "\n";
  return llvm::Error::success();
}

} // namespace llmc::cli
