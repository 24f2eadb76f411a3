#include "tools/llmc/BatchSession.h"

namespace llmc::cli {

llvm::Expected<std::unique_ptr<BatchSession>> BatchSession::create(const Model &model, int64_t sequences,
                                                                   int64_t positions, int64_t threads) {
  std::unique_ptr<BatchSession> session(new BatchSession(model));
  llmc_context_options options = {};
  options.max_batch_rows = std::max(kChunk, sequences);
  options.max_logit_rows = sequences;
  options.max_positions = positions;
  options.max_sequences = sequences;
  options.threads = threads;
  llmc_error error;
  if (model.api().contextCreate(&session->context, model.handle(), &options, &error)) {
    session->context = nullptr;
    return apiError(error);
  }
  session->ids.resize(size_t(sequences));
  for (int32_t &id : session->ids)
    if (model.api().sequenceCreate(session->context, &id, &error)) return apiError(error);
  return session;
}

BatchSession::~BatchSession() { owner.api().contextFree(context); }

int64_t BatchSession::threads() const {
  llmc_context_state state;
  owner.api().contextGetState(context, &state);
  return state.threads;
}

llvm::Error BatchSession::truncate(int64_t sequence, int64_t length) {
  llmc_error error;
  if (owner.api().sequenceTruncate(context, ids[size_t(sequence)], length, &error)) return apiError(error);
  return llvm::Error::success();
}

llvm::Error BatchSession::feed(int64_t sequence, llvm::ArrayRef<int32_t> tokens, bool logits) {
  llmc_error error;
  while (!tokens.empty()) {
    llvm::ArrayRef<int32_t> part = tokens.take_front(kChunk);
    tokens = tokens.drop_front(part.size());
    owners.assign(part.size(), ids[size_t(sequence)]);
    wanted.assign(part.size(), 0);
    wanted.back() = logits && tokens.empty();
    llmc_step_input input = {int64_t(part.size()), part.data(), owners.data(), wanted.data(), /*best=*/1};
    if (owner.api().step(context, &input, &error)) return apiError(error);
  }
  return llvm::Error::success();
}

llvm::Error BatchSession::decode(int64_t first, llvm::ArrayRef<int32_t> tokens) {
  llmc_error error;
  llmc_step_input input = {int64_t(tokens.size()), tokens.data(), ids.data() + first, /*want_logits=*/nullptr,
                           /*best=*/1};
  if (owner.api().step(context, &input, &error)) return apiError(error);
  return llvm::Error::success();
}

} // namespace llmc::cli
