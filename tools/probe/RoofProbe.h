// The limits of the moment: what is measured is held against what the machine gives in the same round.
#pragma once
#include "tools/probe/Peaks.h"
#include "tools/probe/ReadProbe.h"

namespace llmc::probe {

inline constexpr size_t kKinds = 3; // values of Kind

/// Rates of all threads together.
struct Roof {
  double read = 0;           // bytes per second; 0: every attempt was disturbed
  double peaks[kKinds] = {}; // operations per second, by Kind; 0: the CPU has nothing of that kind

  double peak(Kind kind) const { return peaks[size_t(kind)]; }
};

/// Memory and the best peak of each kind, in slices that are short against what they are compared to.
class RoofProbe {
public:
  /// Takes ReadProbe::kBytes of memory, and a few hundred slices to find the best ways. Peaks are those of instructions
  /// that need no more than `features`.
  static llvm::Expected<std::unique_ptr<RoofProbe>> create(int64_t threads, Features features = usableFeatures());
  /// The threads, for what is measured in turn.
  Team &threads() { return team; }
  Roof sample();
  /// A sample without memory.
  Roof peaks();
  /// Bytes per second of memory over several slices, the best guess of a busy machine included; never 0.
  double readRate(int rounds) { return memory.measure(team, rounds).median; }
  /// Bytes per second of reading `footprint` bytes of each thread again and again; 0 if that is 0.
  double cacheRate(uint64_t footprint, int rounds);
  /// Memory that it holds resident.
  uint64_t bytes() const { return memory.bytes(); }
  /// Name of the best peak of a kind; empty if there is none.
  std::string peakName(Kind kind) const { return names[size_t(kind)]; }

private:
  explicit RoofProbe(int64_t threads) : team(threads) {}
  llvm::Error choosePeaks(Features features);
  Team team;
  ReadProbe memory;
  std::optional<PeakProbe> best[kKinds];
  std::string names[kKinds];
};

} // namespace llmc::probe
