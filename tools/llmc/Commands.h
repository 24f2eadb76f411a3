// The subcommands of llmc: each adds its options to the command line and says what to do when it is chosen.
#pragma once
#include <functional>

namespace CLI {
class App;
}

namespace llmc::cli {

/// A subcommand: its part of the command line, and what it does once that is parsed. `run` returns the exit status.
struct Command {
  CLI::App *app;
  std::function<int()> run;
};

Command addCompile(CLI::App &llmc);
Command addRun(CLI::App &llmc);
Command addBench(CLI::App &llmc);
Command addExplain(CLI::App &llmc);
Command addInspect(CLI::App &llmc);
Command addTargets(CLI::App &llmc);

} // namespace llmc::cli
