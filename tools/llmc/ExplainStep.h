// One step of a model, call by call: what it takes, which limit of this machine that runs into, and how long it took.
#pragma once
#include "tools/llmc/BatchSession.h"
#include "tools/llmc/Costs.h"
#include <map>

namespace llmc::cli {

/// Rates of this machine with some number of threads, medians.
struct HostRates {
  int64_t threads = 0;
  probe::Roof roof;
  std::string peakNames[probe::kKinds];
  uint64_t l2Bytes = 0, l3Bytes = 0; // sizes of the caches of all threads; 0: not known
  double l2 = 0, l3 = 0;             // bytes per second
};
llvm::Expected<HostRates> measureHost(int64_t threads);

/// All calls of one name in a step.
struct CallLine {
  const CallCost *call = nullptr;
  const KernelCost *kernel = nullptr; // for the step's rows
  Work work;
  Limit limit;          // of memory, arithmetic or the cache that its rows fit in
  double measured = -1; // seconds of thread 0; -1: not measured
};

struct StepReport {
  StepShape shape;
  std::vector<CallLine> calls;
  Work work;             // of all
  Limit limit;           // of the step as a whole
  double callLimits = 0; // sum of the calls' limits: what is left if no two of them overlap
  // Measured, if steps >= 0:
  int64_t steps = -1, samples = 0;
  double seconds = 0;    // of a step, median
  double cpuSeconds = 0; // of thread 0 in a step, mean: what the calls' times add up to; less than `seconds` if other
                         // processes took its CPU
  double waiting = 0, dealing = 0,
         other = 0; // seconds of thread 0 in barriers, between kernels, outside of the model's code
};

StepReport explainStep(const ModelCosts &costs, const StepShape &shape, const HostRates &host);

/// Runs such steps for about `seconds` and fills in what was measured. Calls of one kernel share its time by their
/// limits. The model is a loaded artifact.
llvm::Error measureStep(const Model &model, BatchSession &session, double seconds, StepReport &report);

} // namespace llmc::cli
