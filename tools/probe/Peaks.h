// Arithmetic peaks: loops of one instruction with nothing to wait for.
#pragma once
#include "codegen/Kernel.h"
#include "codegen/portable/Executable.h"
#include "tools/probe/Statistics.h"
#include "tools/probe/Team.h"

namespace llmc::probe {

/// What is multiplied; each kernel is held against the best peak of its kind.
enum class Kind : uint8_t { Int8, Half, F32 };
const char *kindName(Kind kind); // "int8", "16-bit", "f32"

struct Peak {
  const char *name;        // "vpdpbusd, 512 bits"
  const char *instruction; // one multiplication as a disassembler writes it: "vpdpbusd"
  Kind kind;
  Features needs;
  double operations; // of one of these: a multiply-add is two
  llvm::Expected<Code> (*emit)();
  bool tiles = false; // the system has to be asked
};

/// Multiplications in one turn of an emitted loop; its argument is a pointer to the number of turns, an int64.
inline constexpr int kPeakUnroll = 12;

/// All that this project's kernels could use on any x86-64 CPU.
llvm::ArrayRef<Peak> allPeaks();

/// What this CPU and system allow: hostFeatures, but tiles only if the system grants them to this process.
Features usableFeatures();

/// Operations per second of all threads of the team, by the CPU time of the slowest: a thread that was interrupted is
/// not slower for it.
llvm::Expected<Spread> measurePeak(const Peak &peak, Team &team, int rounds);

/// A peak in short pieces, to be interleaved with what it is compared to.
class PeakProbe {
public:
  static llvm::Expected<PeakProbe> create(const Peak &peak);
  /// Operations per second of one slice of about kSliceSeconds.
  double slice(Team &team);

  static constexpr double kSliceSeconds = 0.5e-3;

private:
  PeakProbe(const Peak &peak, std::unique_ptr<Executable> code) : peak(peak), code(std::move(code)) {}
  double run(Team &team, int64_t turns);
  Peak peak;
  std::unique_ptr<Executable> code;
  int64_t turns = 0; // of a slice; 0: not known yet
};

} // namespace llmc::probe
