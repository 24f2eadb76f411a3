#include "tools/probe/BarrierProbe.h"
#include "runtime/internal.h"
#include <chrono>

// The runtime expects the model that it is linked to: here an empty one, of which nothing is opened.
extern "C" {
extern const struct llmc_artifact llmc_artifact = {};
extern const struct llmc_model_constants llmc_model_constants = {};
}

namespace llmc::probe {
namespace {

constexpr int kBarriers = 1000; // of a round: long against the start of a step

void step(const struct llmc_batch *batch, int64_t thread, int64_t threads) {
  for (int i = 0; i < kBarriers; ++i) llmc_step_barrier(batch, thread, threads);
}

} // namespace

llvm::Expected<Spread> measureBarrier(int64_t threads, int rounds) {
  uint64_t bytes = llmcTeamBytes(threads);
  void *memory = llmcMap(bytes, /*huge=*/false);
  llmcTeam *team = nullptr;
  llmc_error error;
  llmcMachine machine;
  llmcThreadPlan plan;
  llmcReadMachine("", /*allowed=*/nullptr, &machine);
  llmcPlanThreads(&machine, threads, /*pin=*/0, &plan);
  if (!memory) return llvm::createStringError("barrier probe: found no memory");
  if (llmcTeamStart(&team, memory, &plan, &error)) {
    llmcUnmap(memory, bytes, false);
    return llvm::createStringError(llvm::StringRef(error.message));
  }
  std::vector<double> seconds;
  for (int round = 0; round <= rounds; ++round) {
    using Clock = std::chrono::steady_clock;
    struct llmc_batch batch = {};
    auto begin = Clock::now();
    llmcTeamRun(team, step, &batch);
    std::chrono::duration<double> all = Clock::now() - begin;
    if (round > 0) seconds.push_back(all.count() / kBarriers); // the first one wakes the threads
  }
  llmcTeamStop(team);
  llmcUnmap(memory, bytes, false);
  return spreadOf(seconds);
}

} // namespace llmc::probe
