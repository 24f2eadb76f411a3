#include "tools/llmc/Generate.h"
#include "tools/llmc/Progress.h"
#include <algorithm>

namespace llmc::cli {

llvm::Expected<std::unique_ptr<Session>> Session::create(const Model &model, int64_t positions, int64_t threads) {
  std::unique_ptr<Session> session(new Session(model));
  int64_t most = model.info().max_context;
  session->limit = positions ? std::min(positions, most) : std::min(most, kDefaultPositions);
  llmc_context_options options = {};
  options.max_batch_rows = std::min(kChunk, session->limit);
  options.max_logit_rows = std::min(kLogitRows, options.max_batch_rows);
  options.max_positions = session->limit;
  options.threads = threads;
  llmc_error error;
  if (model.api().contextCreate(&session->context, model.handle(), &options, &error)) {
    session->context = nullptr;
    return apiError(error);
  }
  if (model.api().sequenceCreate(session->context, &session->sequence, &error)) return apiError(error);
  return session;
}

Session::~Session() { owner.api().contextFree(context); }

int64_t Session::threads() const {
  llmc_context_state state;
  owner.api().contextGetState(context, &state);
  return state.threads;
}

llvm::Error Session::truncate(int64_t length) {
  llmc_error error;
  if (owner.api().sequenceTruncate(context, sequence, length, &error)) return apiError(error);
  return llvm::Error::success();
}

llvm::Error Session::step(llvm::ArrayRef<int32_t> tokens, uint8_t wantAll, bool wantLast, int64_t best) {
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

llvm::Error Session::feed(llvm::ArrayRef<int32_t> tokens, int64_t best, LogitsFile *rows) {
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

llvm::Expected<std::unique_ptr<Sampler>> Sampler::create(const Model &model, const llmc_sampler_options &options) {
  llmc_sampler *sampler;
  llmc_error error;
  if (model.api().samplerCreate(&sampler, model.info().vocab, &options, &error)) return apiError(error);
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
