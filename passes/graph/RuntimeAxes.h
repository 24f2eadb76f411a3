// Slice, Pad, Squeeze and Unsqueeze whose axes or steps only the run knows. How many there are must be known.
#pragma once
#include "passes/graph/Building.h"

namespace llmc::graph {

/// Whether operand `i` is there and its numbers are not known while compiling.
bool isRuntimeList(NodeLowering &n, unsigned i);

llvm::Expected<Values> sliceAtRun(NodeLowering &n);
llvm::Expected<Values> squeezeAtRun(NodeLowering &n);
llvm::Expected<Values> unsqueezeAtRun(NodeLowering &n);
/// The pads of each axis of operand 0, from those of the axes that operand 3 lists: all before, then all after.
llvm::Expected<std::pair<Sizes, Sizes>> padsAtRun(NodeLowering &n, llvm::ArrayRef<Size> pads);

} // namespace llmc::graph
