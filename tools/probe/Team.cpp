#include "tools/probe/Team.h"
#include "runtime/internal.h"
#include <algorithm>
#include <sched.h>
#include <time.h>

namespace llmc::probe {
namespace {

constexpr double kSteadyShare = 0.97;
constexpr double kSpinSeconds = 2e-3; // about a scheduler's slice: a thread that waits longer has nobody to wait for

double read(clockid_t clock) {
  timespec t;
  clock_gettime(clock, &t);
  return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
}

/// Until `counter` is `target`. Spins, so that this thread is on a CPU when the others come; then lets others run, as
/// the threads may be more than the CPUs.
void waitUntil(const std::atomic<int64_t> &counter, int64_t target) {
  double begin = read(CLOCK_MONOTONIC);
  while (counter.load() < target)
    if (read(CLOCK_MONOTONIC) - begin > kSpinSeconds) std::this_thread::yield();
}

} // namespace

int64_t allowedCpus() {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? std::max(1, CPU_COUNT(&set)) : 1;
}

int64_t standardThreads() {
  llmcMachine machine;
  llmcThreadPlan plan;
  llmcReadMachine("", /*allowed=*/nullptr, &machine);
  llmcPlanThreads(&machine, /*threads=*/0, /*pin=*/0, &plan);
  return plan.standard;
}

Team::Team(int64_t threads) : times(size_t(threads)) {
  for (int64_t i = 1; i < threads; ++i)
    workers.emplace_back([this, i] {
      for (uint32_t last = 0;;) {
        epoch.wait(last);
        last = epoch.load();
        if (!work) return;
        measure(i);
      }
    });
}

Team::~Team() {
  work = nullptr;
  ++epoch;
  epoch.notify_all();
  for (std::thread &worker : workers) worker.join();
}

void Team::measure(int64_t index) {
  ++arrived;
  waitUntil(arrived, threads());
  Times &t = times[size_t(index)];
  double cpu = read(CLOCK_THREAD_CPUTIME_ID);
  t.begin = read(CLOCK_MONOTONIC);
  work(index);
  t.end = read(CLOCK_MONOTONIC);
  t.cpu = read(CLOCK_THREAD_CPUTIME_ID) - cpu;
  ++finished;
}

Slice Team::time(llvm::function_ref<void(int64_t)> piece) {
  arrived = finished = 0;
  work = piece;
  ++epoch;
  epoch.notify_all();
  measure(0);
  waitUntil(finished, threads());
  double begin = times[0].begin, lastBegin = begin, end = times[0].end;
  Slice slice{.steady = true};
  for (const Times &t : times) {
    begin = std::min(begin, t.begin), end = std::max(end, t.end);
    lastBegin = std::max(lastBegin, t.begin);
    slice.cpuSeconds = std::max(slice.cpuSeconds, t.cpu);
    slice.steady &= t.cpu >= kSteadyShare * (t.end - t.begin);
  }
  slice.seconds = end - begin;
  slice.steady &= lastBegin - begin <= (1 - kSteadyShare) * slice.seconds; // else they did not work at the same time
  return slice;
}

} // namespace llmc::probe
