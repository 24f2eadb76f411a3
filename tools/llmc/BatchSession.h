// Several sequences of a model, each brought to a depth once: what `llmc bench` measures on.
#pragma once
#include "tools/llmc/Model.h"

namespace llmc::cli {

/// A context with `sequences` empty sequences, numbered from 0.
class BatchSession {
public:
  /// `positions`: cached tokens over all sequences. `threads`: 0 takes
  /// as many as this process may use.
  static llvm::Expected<std::unique_ptr<BatchSession>> create(const Model &model, int64_t sequences, int64_t positions,
                                                              int64_t threads);
  ~BatchSession();

  const Model &model() const { return owner; }
  int64_t threads() const;
  /// How threads and memory were placed and why: lines.
  std::string describe() const { return describeContext(owner.api(), context); }
  int64_t length(int64_t sequence) const { return owner.api().sequenceLength(context, ids[size_t(sequence)]); }
  llvm::Error truncate(int64_t sequence, int64_t length);
  /// Appends the tokens to one sequence, kChunk at a time; with `logits`, what follows the last one is computed.
  llvm::Error feed(int64_t sequence, llvm::ArrayRef<int32_t> tokens, bool logits);
  /// One token of each of the sequences first..first+tokens.size()-1 in one step, and what follows each.
  llvm::Error decode(int64_t first, llvm::ArrayRef<int32_t> tokens);
  /// The most likely token after the row-th of the last step's wanted rows; null if its logits are no numbers.
  const llmc_candidate *best(int64_t row) const {
    int64_t count;
    const llmc_candidate *listed = owner.api().best(context, row, &count);
    return count ? listed : nullptr;
  }

  static constexpr int64_t kChunk = 512; // tokens of one step of feed

private:
  explicit BatchSession(const Model &model) : owner(model) {}
  const Model &owner;
  llmc_context *context = nullptr;
  std::vector<int32_t> ids, owners; // of sequences; owners: scratch, the sequence of each token of a step
  std::vector<uint8_t> wanted;      // scratch
};

} // namespace llmc::cli
