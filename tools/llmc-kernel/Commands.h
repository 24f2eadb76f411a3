// The subcommands of llmc-kernel that have a file of their own.
#pragma once
#include "tools/llmc/Commands.h"

namespace llmc::tool {

cli::Command addBench(CLI::App &tool);
cli::Command addMakeModel(CLI::App &tool);
cli::Command addProbe(CLI::App &tool);

} // namespace llmc::tool
