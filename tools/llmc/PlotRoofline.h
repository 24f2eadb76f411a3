// The roofline of a machine with the operations of a model in it.
#pragma once
#include "tools/llmc/ExplainStep.h"

namespace llmc::cli {

/// An SVG, both axes logarithmic: operations per byte from memory, operations per second. The slope is memory, the
/// ceilings are the peaks of `host`. Each step is a colour; its calls with operations are points at what their limit
/// allows, or, if they were measured, at what they reached, with a line up to the limit.
std::string plotRoofline(const std::string &title, const std::string &subtitle, const HostRates &host,
                         const std::vector<StepReport> &steps);

} // namespace llmc::cli
