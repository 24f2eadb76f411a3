// All limits of this machine that kernels and models are held against.
#pragma once
#include "tools/probe/Peaks.h"
#include "tools/probe/ReadProbe.h"
#include <nlohmann/json_fwd.hpp>

namespace llmc::probe {

struct PeakResult {
  Peak peak;
  Features missing; // not empty: not measured
  Spread operations;
};

/// Rates with one number of threads, all threads together.
struct Limits {
  int64_t threads = 0;
  Spread read; // bytes per second
  std::string readWay;
  uint64_t l2Bytes = 0, l3Bytes = 0; // read by each thread, in its cache; 0: the system tells no size
  Spread l2, l3;
  std::vector<PeakResult> peaks;
  Spread barrier; // seconds; of one thread 0

  /// The best peak of a kind, operations per second; 0 if there is none.
  double peakOf(Kind kind) const;
};

/// Name of the CPU as the system has it.
std::string cpuName();

/// `memory` is used for reading. Takes about 3 ms * rounds for each of its 15 rates.
llvm::Expected<Limits> measureLimits(ReadProbe &memory, int64_t threads, int rounds);

nlohmann::ordered_json toJson(const Spread &spread);
nlohmann::ordered_json toJson(const Limits &limits);

} // namespace llmc::probe
