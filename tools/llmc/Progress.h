// What a person at a terminal sees while work goes on, and what the process has used.
#pragma once
#include "compiler/Compiler.h"

namespace llmc::cli {

/// On a terminal, one line on stderr that shows the stage and, for weights, how much of them; cleared at the end of its
/// life. Elsewhere nothing.
class ProgressLine {
public:
  ProgressLine();
  ~ProgressLine();
  ProgressLine(const ProgressLine &) = delete;
  /// Refers to this object.
  Progress callbacks();
  void clear();

private:
  void show(const std::string &text);
  const bool terminal;
  size_t shown = 0; // columns
  std::string stage;
  int percent = -1;
};

/// Seconds on a monotonic clock.
double now();
/// The most memory that this process has had resident, bytes; 0 if the system does not say.
uint64_t peakMemory();

} // namespace llmc::cli
