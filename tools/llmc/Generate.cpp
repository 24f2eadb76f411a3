#include "tools/llmc/Generate.h"
#include "tools/llmc/GraphSession.h"
#include "tools/llmc/Progress.h"
#include <algorithm>

namespace llmc::cli {
namespace {

constexpr int64_t kChunk = 512;    // tokens of one step while reading a prompt
constexpr int64_t kLogitRows = 32; // the same when every token's logits are wanted: bounds their memory

/// A context with one sequence, of a decoder.
class StepSession : public Session {
public:
  explicit StepSession(const Model &model) : Session(model) {}
  ~StepSession() override { owner.api().contextFree(context); }
  llvm::Error start(int64_t positions, int64_t threads);
  int64_t threads() const override;
  std::string describe() const override { return describeContext(owner.api(), context); }
  int64_t length() const override { return owner.api().sequenceLength(context, sequence); }
  llvm::Error truncate(int64_t length) override;
  /// kChunk tokens at a time.
  llvm::Error feed(llvm::ArrayRef<int32_t> tokens, int64_t best, LogitsFile *rows) override;
  const float *lastLogits() const override { return owner.api().logits(context, owner.api().logitCount(context) - 1); }
  const llmc_candidate *lastBest(int64_t *count) const override {
    return owner.api().best(context, owner.api().logitCount(context) - 1, count);
  }

private:
  llvm::Error step(llvm::ArrayRef<int32_t> tokens, uint8_t wantAll, bool wantLast, int64_t best);
  llmc_context *context = nullptr;
  int32_t sequence = 0;
};

llvm::Error StepSession::start(int64_t positions, int64_t threads) {
  int64_t most = owner.info().max_context;
  limit = positions ? std::min(positions, most) : std::min(most, kDefaultPositions);
  llmc_context_options options = {};
  options.max_batch_rows = std::min(kChunk, limit);
  options.max_logit_rows = std::min(kLogitRows, options.max_batch_rows);
  options.max_positions = limit;
  options.threads = threads;
  llmc_error error;
  if (owner.api().contextCreate(&context, owner.handle(), &options, &error)) {
    context = nullptr;
    return apiError(error);
  }
  if (owner.api().sequenceCreate(context, &sequence, &error)) return apiError(error);
  return llvm::Error::success();
}

int64_t StepSession::threads() const {
  llmc_context_state state;
  owner.api().contextGetState(context, &state);
  return state.threads;
}

llvm::Error StepSession::truncate(int64_t length) {
  llmc_error error;
  if (owner.api().sequenceTruncate(context, sequence, length, &error)) return apiError(error);
  return llvm::Error::success();
}

llvm::Error StepSession::step(llvm::ArrayRef<int32_t> tokens, uint8_t wantAll, bool wantLast, int64_t best) {
  std::vector<int32_t> sequences(tokens.size(), sequence);
  std::vector<uint8_t> want(tokens.size(), wantAll);
  want.back() |= uint8_t(wantLast);
  llmc_step_input input = {};
  input.n = int64_t(tokens.size());
  input.tokens = tokens.data(), input.sequences = sequences.data(), input.want_logits = want.data();
  input.best = best;
  llmc_error error;
  if (owner.api().step(context, &input, &error)) return apiError(error);
  return llvm::Error::success();
}

llvm::Error StepSession::feed(llvm::ArrayRef<int32_t> tokens, int64_t best, LogitsFile *rows) {
  const size_t chunk = rows ? kLogitRows : kChunk;
  while (!tokens.empty()) {
    llvm::ArrayRef<int32_t> part = tokens.take_front(chunk);
    tokens = tokens.drop_front(part.size());
    if (llvm::Error error = step(part, rows != nullptr, tokens.empty(), rows ? 0 : best)) return error;
    for (size_t i = 0; rows && i < part.size(); ++i)
      if (llvm::Error error = rows->addRow(owner.api().logits(context, int64_t(i)))) return error;
  }
  return llvm::Error::success();
}

} // namespace

llvm::Expected<std::unique_ptr<Session>> Session::create(const Model &model, int64_t positions, int64_t threads) {
  if (model.isGraph()) return createGraphSession(model, positions);
  auto session = std::make_unique<StepSession>(model);
  if (llvm::Error error = session->start(positions, threads)) return std::move(error);
  return session;
}

llvm::Expected<std::unique_ptr<Sampler>> Sampler::create(const Model &model, const llmc_sampler_options &options) {
  llmc_sampler *sampler;
  llmc_error error;
  if (model.api().samplerCreate(&sampler, model.vocab(), &options, &error)) return apiError(error);
  return std::unique_ptr<Sampler>(new Sampler(model.api(), sampler));
}

Sampler::~Sampler() { api.samplerFree(sampler); }

llvm::Expected<int32_t> Sampler::draw(const Session &session) {
  int64_t count;
  const llmc_candidate *listed = session.lastBest(&count);
  int32_t token = listed ? api.sampleBest(sampler, listed, count) : api.sample(sampler, session.lastLogits());
  if (token < 0) return llvm::createStringError("logits: found no number among them, expected finite values");
  return token;
}

llvm::Expected<Generation> generate(Session &session, Sampler &sampler, llvm::ArrayRef<int32_t> prompt,
                                    const GenerateOptions &options, llvm::function_ref<llvm::Error(int32_t)> onToken,
                                    LogitsFile *rows) {
  Generation result;
  result.promptTokens = int64_t(prompt.size());
  double start = now();
  const std::vector<int64_t> &ends = session.model().text().eosIds;
  llvm::ArrayRef<int32_t> next = prompt;
  while (true) {
    if (llvm::Error error = session.feed(next, sampler.best(), rows)) return error;
    llvm::Expected<int32_t> token = sampler.draw(session);
    if (!token) return token.takeError();
    if (result.tokens.empty()) result.firstToken = now();
    result.tokens.push_back(*token);
    result.ended = !options.ignoreEos && std::find(ends.begin(), ends.end(), *token) != ends.end();
    if (result.ended) break;
    if (llvm::Error error = onToken(*token)) return error;
    if (int64_t(result.tokens.size()) >= options.maxNewTokens) break;
    next = llvm::ArrayRef(result.tokens).take_back(1);
  }
  result.promptSeconds = result.firstToken - start;
  result.decodeSeconds = now() - result.firstToken;
  return result;
}

} // namespace llmc::cli
