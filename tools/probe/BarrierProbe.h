// What it costs to let all threads of a step wait for each other.
#pragma once
#include "tools/probe/Statistics.h"
#include "llvm/Support/Error.h"

namespace llmc::probe {

/// Seconds of one barrier of the runtime's own team of `threads` threads; errors of the system that gives no threads.
llvm::Expected<Spread> measureBarrier(int64_t threads, int rounds);

} // namespace llmc::probe
