// From token ids to token ids: one sequence of a model, fed in chunks, and the loop that samples and feeds again.
#pragma once
#include "tools/llmc/LogitsFile.h"
#include "tools/llmc/Model.h"

namespace llmc::cli {

/// One sequence of a model: tokens go in, what may follow comes out.
class Session {
public:
  /// `positions`: tokens that it has room for; 0 takes the model's limit, but at most kDefaultPositions. `threads`: 0
  /// takes as many as this process may use.
  static llvm::Expected<std::unique_ptr<Session>> create(const Model &model, int64_t positions, int64_t threads);
  virtual ~Session() = default;

  const Model &model() const { return owner; }
  int64_t positions() const { return limit; }
  virtual int64_t threads() const = 0;
  /// How threads and memory were placed and why: lines. Empty if there is nothing to say.
  virtual std::string describe() const = 0;
  virtual int64_t length() const = 0;
  /// Forgets the tokens from `length` on.
  virtual llvm::Error truncate(int64_t length) = 0;
  /// Appends the tokens. Of what may follow the last one, lastBest() then has the `best` most likely tokens, or, with
  /// `rows` or if `best` is 0 or lastBest() is null, lastLogits() all logits. With `rows`, every token's are written to
  /// it; NaN where the model gives none.
  virtual llvm::Error feed(llvm::ArrayRef<int32_t> tokens, int64_t best, LogitsFile *rows) = 0;
  virtual const float *lastLogits() const = 0;
  virtual const llmc_candidate *lastBest(int64_t *count) const = 0;

  static constexpr int64_t kDefaultPositions = 4096;

protected:
  explicit Session(const Model &model) : owner(model) {}
  const Model &owner;
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
