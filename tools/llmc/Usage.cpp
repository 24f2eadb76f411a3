#include "tools/llmc/Usage.h"
#include "codegen/Target.h"
#include "compiler/Pipeline.h"
#include "passes/support/Schemes.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/raw_ostream.h"
#include <cmath>

namespace llmc::cli {
namespace {

std::vector<std::string> targetNames() {
  std::vector<std::string> names = {"native"};
  for (const Target &target : allTargets()) names.push_back(target.name);
  return names;
}

std::vector<std::string> computeModes() {
  std::vector<std::string> names = {"auto"};
  names.insert(names.end(), std::begin(kComputeModes), std::end(kComputeModes));
  return names;
}

/// Parsing accepts the whole text only, unlike stod.
bool parseNumber(const std::string &text, double &value) {
  return !llvm::StringRef(text).getAsDouble(value) && std::isfinite(value);
}

std::string brief(double value) {
  std::string text;
  llvm::raw_string_ostream(text) << llvm::format("%.10g", value);
  return text;
}

} // namespace

int fail(llvm::Error error) {
  llvm::errs() << "error: " << llvm::toString(std::move(error)) << "\n";
  return kFailure;
}

int failUsage(const std::string &message) {
  llvm::errs() << "error: " << message << "\n";
  return kUsage;
}

llvm::Error about(const std::string &path, llvm::Error error) {
  if (!error) return error;
  std::string message = llvm::toString(std::move(error));
  return llvm::createStringError(llvm::StringRef(message).starts_with(path + ":") ? message : path + ": " + message);
}

CLI::Validator oneOf(std::vector<std::string> values) {
  std::string names = llvm::join(values, ", ");
  auto check = [values, names](std::string &value) -> std::string {
    if (llvm::is_contained(values, value)) return "";
    return "found '" + value + "', expected one of " + names;
  };
  return CLI::Validator(check, llvm::join(values, "|"));
}

CLI::Validator listOf(std::vector<std::string> values) {
  CLI::Validator one = oneOf(std::move(values));
  auto check = [one](std::string &text) -> std::string {
    llvm::SmallVector<llvm::StringRef> parts;
    llvm::StringRef(text).split(parts, ',');
    for (llvm::StringRef part : parts)
      if (std::string wrong = one(part.str()); !wrong.empty()) return wrong;
    return "";
  };
  return CLI::Validator(check, "LIST");
}

CLI::Validator numberIn(double least, double most, const std::string &unit) {
  auto check = [least, most](std::string &text) -> std::string {
    double value;
    if (parseNumber(text, value) && value >= least && value <= most) return "";
    return "found '" + text + "', expected a number from " + brief(least) + " to " + brief(most);
  };
  return CLI::Validator(check, unit);
}

CLI::Validator atLeast(int64_t least, const std::string &unit) {
  auto check = [least](std::string &text) -> std::string {
    int64_t value;
    constexpr int64_t most = int64_t(1) << 40; // what any size or count here stays below, sums included
    if (!llvm::StringRef(text).getAsInteger(10, value) && value >= least && value <= most) return "";
    return "found '" + text + "', expected a whole number of at least " + std::to_string(least);
  };
  return CLI::Validator(check, unit);
}

CLI::Option *restrict(CLI::Option *option, CLI::Validator check) {
  option->type_name(check.get_description());
  return option->check(check.description(""));
}

void addExamples(CLI::App &app, const std::string &examples) { app.footer("Examples:\n" + examples); }

void CompileFlags::add(CLI::App &app, bool jit) {
  std::string group = jit ? "Compiling (a MODEL that is not compiled yet)" : "Compiling";
  auto option = [&](const char *name, auto &value, const char *help, CLI::Validator check) {
    flags.push_back(restrict(app.add_option(name, value, help), std::move(check))->group(group)->capture_default_str());
  };
  option(
      "--target", values.target,
      "CPU to compile for: see llmc targets. native: the best named one that runs here. Several, with commas: code for "
      "each, one copy of the weights, and the best that runs is taken when the file is loaded",
      listOf(targetNames()).description("NAMES"));
  option("--quantize", values.quantize,
         "auto: as the file has it if that is quantised, else int4. keep: the file's values exactly. "
         "int8, int4: quantise (or requantise) to that",
         oneOf({"auto", "keep", "int8", "int4"}));
  option("--group-size", values.groupSize, "weights per scale, along the inputs",
         oneOf({"16", "32", "64", "128", "256"}));
  flags.push_back(
      app.add_flag("--asymmetric", values.asymmetric, "zero points: groups need not be centred at 0")->group(group));
  option(
      "--compute", values.compute,
      "arithmetic of quantised layers. f32: exact reference. bf16, f16: rounded activations. bf16-pair: two bf16 for "
      "each, nearly f32. int8: activations quantised in blocks, the fast one. int8-requantised: for prompts weights "
      "too, "
      "faster and less exact. auto: int8 if the model is wide, else bf16, or f32 on CPUs without",
      oneOf(computeModes()).description("MODE"));
  option("--kv-type", values.kvType, "elements of the KV cache", oneOf({"f16", "f32", "bf16", "int8"}));
  option("--raise", values.raise,
         "ONNX: auto: as a decoder with all its kernels if every node is recognised, else as the plain graph it is, "
         "slowly. require: else an error. off: as the plain graph",
         oneOf({"auto", "require", "off"}));
  option("--max-context", values.maxContext, "tokens of a sequence; 0: as many as the model is made for",
         atLeast(0, "TOKENS"));
}

std::string CompileFlags::given() const {
  std::string names;
  for (const CLI::Option *flag : flags)
    if (flag->count()) (names += names.empty() ? "" : ", ") += flag->get_name();
  return names;
}

int parseAndRun(CLI::App &app, int argc, char **argv, const std::function<int()> &chosen) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    if (error.get_exit_code() == 0) return app.exit(error); // --help, --version
    const CLI::App *at = &app;
    while (!at->get_subcommands().empty()) at = at->get_subcommands().front();
    std::string command = at == &app ? app.get_name() : app.get_name() + " " + at->get_name();
    std::string message = error.what();
    if (at == &app && error.get_exit_code() == int(CLI::ExitCodes::RequiredError)) { // of a subcommand
      std::vector<std::string> names;
      for (const CLI::App *subcommand : app.get_subcommands({})) names.push_back(subcommand->get_name());
      message = "found " + (argc > 1 ? "'" + std::string(argv[1]) + "'" : std::string("no command")) +
                ", expected one of " + llvm::join(names, ", ");
    }
    return failUsage(message + "; " + command + " --help explains the options");
  }
  return chosen();
}

} // namespace llmc::cli
