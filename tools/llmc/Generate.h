// From token ids to token ids: one sequence of a model, fed in chunks, and the loop that samples and feeds again.
#pragma once
#include "tools/llmc/LogitsFile.h"
#include "tools/llmc/Model.h"

namespace llmc::cli {

/// A context with one sequence.
class Session {
public:
  /// `positions`: cached tokens; 0 takes the model's limit, but at most kDefaultPositions. `threads`: 0 takes as many
  /// as this process may use.
  static llvm::Expected<std::unique_ptr<Session>> create(const Model &model, int64_t positions, int64_t threads);
  ~Session();

  const Model &model() const { return owner; }
  int64_t threads() const;
  /// How threads and memory were placed and why: lines.
  std::string describe() const { return describeContext(owner.api(), context); }
  int64_t positions() const { return limit; } // that the cache has room for
  int64_t length() const { return owner.api().sequenceLength(context, sequence); }
  /// Forgets the tokens from `length` on.
  llvm::Error truncate(int64_t length);
  /// Appends the tokens, kChunk at a time. Of what may follow the last one, lastBest() then has the `best` most likely
  /// tokens, or, with `rows` or if `best` is 0, lastLogits() all logits. With `rows`, every token's are written to it.
  llvm::Error feed(llvm::ArrayRef<int32_t> tokens, int64_t best, LogitsFile *rows);
  const float *lastLogits() const { return owner.api().logits(context, owner.api().logitCount(context) - 1); }
  const llmc_candidate *lastBest(int64_t *count) const {
    return owner.api().best(context, owner.api().logitCount(context) - 1, count);
  }

  static constexpr int64_t kChunk = 512;    // tokens of one step while reading a prompt
  static constexpr int64_t kLogitRows = 32; // the same when every token's logits are wanted: bounds their memory
  static constexpr int64_t kDefaultPositions = 4096;

private:
  explicit Session(const Model &model) : owner(model) {}
  llvm::Error step(llvm::ArrayRef<int32_t> tokens, uint8_t wantAll, bool wantLast, int64_t best);
  const Model &owner;
  llmc_context *context = nullptr;
  int32_t sequence = 0;
  int64_t limit = 0;
};

/// Draws tokens from logits.
class Sampler {
public:
  static llvm::Expected<std::unique_ptr<Sampler>> create(const Model &model, const llmc_sampler_options &options);
  ~Sampler();
  /// How many of the most likely tokens it looks at; 0: it needs all logits.
  int64_t best() const { return api.samplerBest(sampler); }
  /// What follows the tokens fed. Logits without any number are an error.
  llvm::Expected<int32_t> draw(const Session &session);

private:
  Sampler(const Api &api, llmc_sampler *sampler) : api(api), sampler(sampler) {}
  const Api &api;
  llmc_sampler *sampler;
};

struct GenerateOptions {
  int64_t maxNewTokens = 0; // at least 1; prompt and all but the last of these must fit in the session
  bool ignoreEos = false;   // else a token of the model's eos_ids is the last one
};

/// What came of one prompt. The last token, which may be an end token, was not fed.
struct Generation {
  std::vector<int32_t> tokens;
  bool ended = false;       // by an end token
  int64_t promptTokens = 0; // fed before the first token was drawn
  double firstToken = 0;    // when it was drawn: a time of now()
  double promptSeconds = 0; // until then
  double decodeSeconds = 0; // from then on
};

/// Feeds `prompt` and samples. `onToken` is called with each token but the end token, as soon as it is known.
llvm::Expected<Generation> generate(Session &session, Sampler &sampler, llvm::ArrayRef<int32_t> prompt,
                                    const GenerateOptions &options, llvm::function_ref<llvm::Error(int32_t)> onToken,
                                    LogitsFile *rows = nullptr);

} // namespace llmc::cli
