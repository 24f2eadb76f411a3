#include "tools/llmc/BenchRun.h"
#include "tools/llmc/Generate.h"
#include "tools/llmc/Progress.h"
#include <algorithm>
#include <random>

namespace llmc::cli {

std::vector<BenchCase> benchCases(const BenchSettings &settings) {
  std::vector<BenchCase> cases;
  for (int64_t depth : settings.depths) {
    for (int64_t tokens : settings.prompts)
      if (tokens) cases.push_back({.prefill = true, .tokens = tokens, .depth = depth});
    for (int64_t batch : settings.batches)
      if (settings.generate) cases.push_back({.tokens = settings.generate, .depth = depth, .batch = batch});
  }
  return cases;
}

namespace {

/// Sequences of one depth after those of another, as many of each as the largest batch needs.
class Bench {
public:
  static llvm::Expected<std::unique_ptr<Bench>> create(const Model &model, const ModelCosts &costs,
                                                       const BenchSettings &settings) {
    std::unique_ptr<Bench> bench(new Bench(model, costs, settings));
    int64_t prompt = 0, positions = 0;
    for (int64_t tokens : settings.prompts) prompt = std::max(prompt, tokens);
    for (int64_t depth : settings.depths) {
      int64_t longest = depth + std::max(prompt, settings.generate);
      if (longest > model.info().max_context)
        return llvm::createStringError("found " + std::to_string(longest) +
                                       " tokens, expected at most the model's context of " +
                                       std::to_string(model.info().max_context) + "; lower -p, -n or -d");
      positions += bench->width * (depth + settings.generate) + std::max<int64_t>(0, prompt - settings.generate);
    }
    int64_t sequences = bench->width * int64_t(settings.depths.size());
    auto session = BatchSession::create(model, sequences, positions, settings.threads);
    if (!session) return session.takeError();
    bench->session = std::move(*session);
    bench->run.threads = bench->session->threads();
    return bench;
  }

  llvm::Expected<BenchRun> measure() {
    if (llvm::Error error = fill()) return std::move(error);
    for (BenchResult &result : run.results) // page faults, the clock of the CPU
      if (llvm::Expected<double> seconds = time(result); !seconds) return seconds.takeError();
    for (BenchResult &result : run.results) result.firstTokens.clear();
    run.peakBytes = peakMemory();
    auto made = probe::RoofProbe::create(run.threads);
    if (!made) return made.takeError();
    probe::RoofProbe &probe = **made;
    for (size_t kind = 0; kind < probe::kKinds; ++kind) run.peakNames[kind] = probe.peakName(probe::Kind(kind));
    for (int64_t round = 0; round < settings.rounds; ++round) {
      probe::Roof before = sample(probe);
      for (BenchResult &result : run.results) {
        llvm::Expected<double> seconds = time(result);
        if (!seconds) return seconds.takeError();
        probe::Roof after = sample(probe);
        judge(result, *seconds, before, after);
        before = after;
      }
    }
    run.placement = session->describe();
    run.peakBytes = std::max(run.peakBytes, peakMemory() - probe.bytes());
    return std::move(run);
  }

private:
  Bench(const Model &model, const ModelCosts &costs, const BenchSettings &settings)
      : settings(settings), width(*std::max_element(settings.batches.begin(), settings.batches.end())) {
    int64_t most = width;
    for (const BenchCase &one : benchCases(settings)) {
      StepShape step = {one.tokens, 1, one.depth, 1};
      if (!one.prefill) step = {one.batch, one.batch, one.depth + one.tokens / 2, one.batch};
      run.results.push_back({.what = one, .step = costs.work(step)});
      if (one.prefill) run.results.back().step = prefillWork(costs, one);
      most = std::max({most, one.tokens, one.depth});
    }
    std::mt19937 random(1);
    tokens.resize(size_t(most));
    for (int32_t &token : tokens) token = int32_t(random() % uint64_t(model.info().vocab));
  }

  /// Of all steps of a prompt together.
  static Work prefillWork(const ModelCosts &costs, const BenchCase &one) {
    Work all;
    for (int64_t done = 0; done < one.tokens; done += BatchSession::kChunk) {
      int64_t rows = std::min(BatchSession::kChunk, one.tokens - done);
      all.add(costs.work({rows, 1, one.depth + done, done + rows == one.tokens}));
    }
    return all;
  }

  int64_t firstSequence(int64_t depth) const {
    auto at = std::find(settings.depths.begin(), settings.depths.end(), depth);
    return width * (at - settings.depths.begin());
  }

  llvm::Error fill() {
    double start = now();
    for (int64_t depth : settings.depths)
      for (int64_t i = 0; i < width; ++i)
        if (llvm::Error error =
                session->feed(firstSequence(depth) + i, llvm::ArrayRef(tokens).take_front(depth), false))
          return error;
    run.fillSeconds = now() - start;
    return llvm::Error::success();
  }

  /// Seconds of one measurement; its sequences are then as they were.
  llvm::Expected<double> time(BenchResult &result) {
    const BenchCase &one = result.what;
    int64_t first = firstSequence(one.depth);
    llvm::ArrayRef<int32_t> ids(tokens);
    double start = now(), seconds;
    if (one.prefill) {
      if (llvm::Error error = session->feed(first, ids.take_front(one.tokens), true)) return std::move(error);
      seconds = now() - start;
      if (!session->best(0)) return llvm::createStringError("logits: found no number among them");
      result.firstTokens.push_back(now() - start);
    } else {
      for (int64_t i = 0; i < one.tokens; ++i)
        if (llvm::Error error = session->decode(first, ids.take_front(one.batch))) return std::move(error);
      seconds = now() - start;
    }
    for (int64_t i = 0; i < one.batch; ++i)
      if (llvm::Error error = session->truncate(first + i, one.depth)) return std::move(error);
    return seconds;
  }

  probe::Roof sample(probe::RoofProbe &probe) {
    probe::Roof roof = probe.sample();
    if (roof.read > 0) run.reads.push_back(roof.read);
    for (size_t kind = 0; kind < probe::kKinds; ++kind) run.peaks[kind].push_back(roof.peaks[kind]);
    return roof;
  }

  /// Against the mean of what the probes gave before and after.
  void judge(BenchResult &result, double seconds, const probe::Roof &before, const probe::Roof &after) {
    const BenchCase &one = result.what;
    result.rates.push_back(double(one.tokens * one.batch) / seconds);
    if (before.read == 0 || after.read == 0) return;
    probe::Roof roof;
    roof.read = (before.read + after.read) / 2;
    for (size_t kind = 0; kind < probe::kKinds; ++kind) roof.peaks[kind] = (before.peaks[kind] + after.peaks[kind]) / 2;
    Limit limit = limitOf(result.step, roof);
    double steps = one.prefill ? 1 : double(one.tokens);
    result.shares.push_back(limit.seconds * steps / seconds);
    result.limit = limit.name;
  }

  const BenchSettings &settings;
  const int64_t width; // sequences of each depth
  std::unique_ptr<BatchSession> session;
  std::vector<int32_t> tokens;
  BenchRun run;
};

} // namespace

llvm::Expected<BenchRun> runBench(const Model &model, const ModelCosts &costs, const BenchSettings &settings) {
  auto bench = Bench::create(model, costs, settings);
  if (!bench) return bench.takeError();
  return (*bench)->measure();
}

} // namespace llmc::cli
