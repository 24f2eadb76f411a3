// What the subcommands share of the command line: exit statuses, validators, and the options of a compilation.
#pragma once
#include "compiler/Options.h"
#include "llvm/Support/Error.h"
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <functional>
#include <string>
#include <vector>

namespace llmc::cli {

/// Exit statuses of every tool: a wrong input, a wrong command line.
inline constexpr int kFailure = 1, kUsage = 2;

/// Prints `error: ...` on stderr and returns kFailure.
int fail(llvm::Error error);
/// Prints `error: ...` on stderr and returns kUsage.
int failUsage(const std::string &message);
/// The error with `path: ` in front, unless its message starts with that already.
llvm::Error about(const std::string &path, llvm::Error error);
/// One of these words; the message lists them.
CLI::Validator oneOf(std::vector<std::string> values);
/// Some of the values, with commas between them.
CLI::Validator listOf(std::vector<std::string> values);
/// A number from `least` to `most`; `unit` is for --help ("TOKENS").
CLI::Validator numberIn(double least, double most, const std::string &unit);
/// A whole number from `least` up.
CLI::Validator atLeast(int64_t least, const std::string &unit);

/// Adds the check; its description is what --help shows for the value.
CLI::Option *restrict(CLI::Option *option, CLI::Validator check);

/// The paragraph of examples under --help.
void addExamples(CLI::App &app, const std::string &examples);

/// Options that choose what is compiled, the same for `compile` and for the JIT of `run` and `bench`.
class CompileFlags {
public:
  /// `jit`: the options are for models that are not compiled yet.
  void add(CLI::App &app, bool jit);
  const Options &options() const { return values; }
  Options &options() { return values; }
  /// Names of the options that were given, "--target, --kv-type"; empty if none.
  std::string given() const;

private:
  Options values;
  std::vector<CLI::Option *> flags;
};

/// Parses argv, runs the chosen subcommand, and maps what CLI11 reports to the exit statuses.
int parseAndRun(CLI::App &app, int argc, char **argv, const std::function<int()> &chosen);

} // namespace llmc::cli
