// Threads that do a short piece of work together, timed so that disturbed pieces can be told from good ones.
#pragma once
#include "llvm/ADT/STLFunctionalExtras.h"
#include <atomic>
#include <thread>
#include <vector>

namespace llmc::probe {

/// One timed piece of work.
struct Slice {
  double seconds = 0;    // from the first thread's start to the last one's end
  double cpuSeconds = 0; // the most that one thread spent on a CPU
  bool steady = false;   // all began within 3 % of that, and had their CPUs for at least 97 % of it
};

/// Sleeps between slices, so that it takes nothing from what is measured in turn with it.
class Team {
public:
  /// The caller is one of the threads.
  explicit Team(int64_t threads);
  ~Team();
  Team(const Team &) = delete;
  int64_t threads() const { return int64_t(times.size()); }
  /// work(i) on thread i, all from one starting line.
  Slice time(llvm::function_ref<void(int64_t thread)> work);

private:
  struct alignas(64) Times {
    double begin, end, cpu;
  };
  void measure(int64_t index);
  std::vector<Times> times;
  std::vector<std::thread> workers;
  llvm::function_ref<void(int64_t)> work; // of this slice; null: end
  alignas(64) std::atomic<uint32_t> epoch{0};
  alignas(64) std::atomic<int64_t> arrived{0};
  alignas(64) std::atomic<int64_t> finished{0};
};

/// CPUs that this process may run on.
int64_t allowedCpus();
/// Threads that a model takes if nobody says (runtime/README.md).
int64_t standardThreads();

} // namespace llmc::probe
