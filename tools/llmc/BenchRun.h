// The measurements of `llmc bench`: which, how, and what comes of them.
#pragma once
#include "tools/llmc/BatchSession.h"
#include "tools/llmc/Costs.h"
#include "tools/probe/Statistics.h"

namespace llmc::cli {

/// One row of the output. Prefill: `tokens` of one sequence, in steps of 512, the logits of the last one. Decode:
/// `tokens` times one token of each of `batch` sequences, with logits. Each sequence has `depth` tokens before.
struct BenchCase {
  bool prefill = false;
  int64_t tokens = 0, depth = 0, batch = 1;
};

struct BenchSettings {
  std::vector<int64_t> prompts, depths, batches;
  int64_t generate = 0, threads = 0, rounds = 5;
};

/// Prefills and decodes of all depths and batches, in the order of the output.
std::vector<BenchCase> benchCases(const BenchSettings &settings);

/// A value of each round.
struct BenchResult {
  BenchCase what;
  Work step;                       // prefill: the whole of it; decode: a step in the middle
  std::vector<double> rates;       // tokens per second, of all sequences together
  std::vector<double> shares;      // limit's time / time taken; of rounds whose probes were undisturbed
  std::string limit;               // "memory", "int8", ...; the one of the last such round
  std::vector<double> firstTokens; // prefill: seconds until a token is drawn
};

struct BenchRun {
  std::vector<BenchResult> results;
  std::vector<double> reads;                // bytes per second, of rounds whose probe was undisturbed
  std::vector<double> peaks[probe::kKinds]; // operations per second
  std::string peakNames[probe::kKinds];
  int64_t threads = 0;
  double fillSeconds = 0; // for bringing sequences to their depth
  uint64_t peakBytes = 0; // resident, without the probe's memory
  std::string placement;  // of threads and memory, in words
};

/// Depths are filled by real prefill, once. In each round, the probes run before each measurement and after the last.
/// Settings that the model has no room for are errors that say which.
llvm::Expected<BenchRun> runBench(const Model &model, const ModelCosts &costs, const BenchSettings &settings);

} // namespace llmc::cli
