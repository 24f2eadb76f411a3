// llmc-kernel: lists, checks, times and disassembles single kernels of the catalogue.
#include "codegen/portable/Executable.h"
#include "compiler/NativeTarget.h"
#include "tools/llmc-kernel/Catalogue.h"
#include "tools/llmc-kernel/Commands.h"
#include "tools/llmc-kernel/Disassemble.h"
#include "tools/llmc/Bandwidth.h"
#include "tools/llmc/Progress.h"
#include "tools/llmc/Usage.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"
#include <nlohmann/json.hpp>

using namespace llmc;
using namespace llmc::tool;
using cli::Command;

namespace {

std::vector<std::string> servedTargets(const Row &row) {
  std::vector<std::string> names;
  for (const Target &target : allTargets())
    if (row.serves(target)) names.push_back(target.name);
  return names;
}

int list(const std::string &targetName, bool json) {
  std::optional<Target> only;
  if (!targetName.empty()) {
    llvm::Expected<Target> target = resolveTarget(targetName);
    if (!target) return cli::fail(target.takeError());
    only = *target;
  }
  auto all = nlohmann::ordered_json::array();
  for (const Row &row : catalogue()) {
    if (only && !row.serves(*only)) continue;
    std::vector<std::string> targets = servedTargets(row);
    all.push_back({{"family", row.family}, {"name", row.name}, {"needs", toString(row.needs)}, {"targets", targets}});
    if (!json)
      llvm::outs() << llvm::format("%-10s %-30s ", row.family, row.name.c_str()) << llvm::join(targets, ", ")
                   << (row.needs.empty() ? "" : " (needs " + toString(row.needs) + ")") << "\n";
  }
  if (json) llvm::outs() << all.dump(1) << "\n";
  return 0;
}

/// Tails of panels and groups, one to many rows; small enough to take a second for the whole catalogue.
constexpr Shape kCheckedShapes[] = {
    {.n = 64, .k = 64, .rows = 1},
    {.n = 192, .k = 320, .rows = 5, .group = 16, .offset = Offset::ZeroPoint},
    {.n = 100, .k = 256, .rows = 1, .group = 128, .offset = Offset::MinF16},
    {.n = 576, .k = 96, .rows = 19, .group = 32, .scale = ScaleType::F32, .offset = Offset::MinF32},
};

/// One row over all shapes; false if it fails. What this host cannot run is said and passes.
llvm::Expected<bool> checkRow(const Row &row, const Target &host) {
  llvm::outs() << llvm::format("%-30s ", row.name.c_str());
  if (!row.serves(host)) {
    llvm::outs() << "SKIP " << host.name << " lacks " << toString(row.needs - host.features) << "\n";
    return true;
  }
  int cases = 0;
  Deviation worst;
  std::string worstCase;
  for (const Shape &shape : kCheckedShapes)
    for (const Accepted &one : row.accepted(shape, host, nullptr)) {
      auto code = one.emit();
      if (!code) return code.takeError();
      auto kernel = Executable::create(*code, host);
      if (!kernel) return kernel.takeError();
      Deviation deviation = one.makeCase(false)->check((*kernel)->function);
      ++cases;
      if (cases > 1 && deviation.ok() && deviation.found * worst.allowed <= worst.found * deviation.allowed) continue;
      if (cases > 1 && !worst.ok()) continue;
      worst = deviation, worstCase = one.what;
    }
  bool ok = cases > 0 && worst.ok();
  llvm::outs() << (ok ? "OK   " : "FAIL ")
               << llvm::format("%3d cases, largest error %.1e of %.1e allowed", cases, worst.found, worst.allowed);
  llvm::outs() << (worstCase.empty() ? "" : " (" + worstCase + ")") << "\n";
  return ok;
}

int check(const std::vector<std::string> &names) {
  llvm::Expected<Target> host = resolveTarget("native");
  if (!host) return cli::fail(host.takeError());
  std::vector<Row> rows;
  for (const std::string &name : names) {
    llvm::Expected<Row> row = findRow(name);
    if (!row) return cli::fail(row.takeError());
    rows.push_back(std::move(*row));
  }
  int failures = 0;
  for (const Row &row : names.empty() ? catalogue() : rows) {
    llvm::Expected<bool> ok = checkRow(row, *host);
    if (!ok) return cli::fail(cli::about(row.name, ok.takeError()));
    failures += !*ok;
  }
  if (failures) llvm::errs() << "error: " << failures << " kernels differ from their reference\n";
  return failures ? cli::kFailure : 0;
}

std::vector<std::string> kernelNames() {
  std::vector<std::string> names;
  for (const Row &row : catalogue()) names.push_back(row.name);
  return names;
}

/// A shape on the command line, and the descriptor that the row makes of it.
struct ShapeOptions {
  std::string name, target = "native", offset = "none", scale = "f16", only;
  Shape shape;

  void add(CLI::App &app) {
    auto number = [&](const char *option, int64_t &value, const char *help) {
      cli::restrict(app.add_option(option, value, help), cli::atLeast(1, "N"))->capture_default_str();
    };
    cli::restrict(app.add_option("NAME", name, "a row of llmc-kernel list"), cli::oneOf(kernelNames()).description(""))
        ->required();
    number("--n", shape.n, "matmul: outputs; rowwise: columns; attention: heads x 64");
    number("--k", shape.k, "matmul: inputs; embed: rows of the table; attention: positions in the cache");
    number("--rows", shape.rows, "tokens of the step");
    number("--group-size", shape.group, "of integer weights");
    auto word = [&](const char *option, std::string &value, const char *help, std::vector<std::string> values) {
      cli::restrict(app.add_option(option, value, help), cli::oneOf(std::move(values)))->capture_default_str();
    };
    word("--scale", scale, "of integer weights", {"f16", "bf16", "f32"});
    word("--offset", offset, "of integer weights", {"none", "zero-point", "min-f16", "min-f32"});
    app.add_option("--op", only, "the first descriptor whose description starts with this: rms_norm, embed, ...");
  }

  llvm::Expected<Accepted> resolve(const Target &on) {
    shape.scale = scale == "f16" ? ScaleType::F16 : scale == "bf16" ? ScaleType::BF16 : ScaleType::F32;
    shape.offset = offset == "none"         ? Offset::None
                   : offset == "zero-point" ? Offset::ZeroPoint
                   : offset == "min-f16"    ? Offset::MinF16
                                            : Offset::MinF32;
    llvm::Expected<Row> row = findRow(name);
    if (!row) return row.takeError();
    std::vector<std::string> refused;
    for (Accepted &one : row->accepted(shape, on, &refused))
      if (llvm::StringRef(one.what).starts_with(only)) return one;
    std::sort(refused.begin(), refused.end());
    refused.erase(std::unique(refused.begin(), refused.end()), refused.end());
    return llvm::createStringError(name + ": accepts nothing of this shape: " + llvm::join(refused, "; "));
  }
};

llvm::Error bench(ShapeOptions &options) {
  llvm::Expected<Target> host = resolveTarget("native");
  if (!host) return host.takeError();
  auto accepted = options.resolve(*host);
  if (!accepted) return accepted.takeError();
  auto code = accepted->emit();
  if (!code) return code.takeError();
  auto kernel = Executable::create(*code, *host);
  if (!kernel) return kernel.takeError();
  std::unique_ptr<Case> operands = accepted->makeCase(/*forTiming=*/true);
  cli::ReadProbe probe;
  if (!probe) return llvm::createStringError("bandwidth probe: found no memory for 512 MB");
  operands->run((*kernel)->function); // page faults
  // Probe and kernel by turns: both see the same neighbours.
  double best = INFINITY, roof = 0;
  constexpr int kRounds = 7;
  constexpr double kRoundSeconds = 0.1;
  for (int round = 0; round < kRounds; ++round) {
    roof = std::max(roof, probe.measure(1, 1));
    int64_t runs = 0;
    double start = cli::now(), seconds;
    do operands->run((*kernel)->function), ++runs;
    while ((seconds = cli::now() - start) < kRoundSeconds);
    best = std::min(best, seconds / double(runs));
  }
  llvm::outs() << options.name << ": " << accepted->what << ", " << options.shape.rows << " rows, 1 thread of "
               << host->name << "\n";
  llvm::outs() << llvm::format("%.2f us, %.2f GB/s (memory reads %.2f GB/s: %.0f %%)", best * 1e6,
                               operands->bytes() / best / 1e9, roof / 1e9, 100 * operands->bytes() / best / roof);
  if (operands->operations() > 0) llvm::outs() << llvm::format(", %.1f GOP/s", operands->operations() / best / 1e9);
  llvm::outs() << "\n";
  return llvm::Error::success();
}

llvm::Error disasm(ShapeOptions &options) {
  llvm::Expected<Target> target = resolveTarget(options.target);
  if (!target) return target.takeError();
  auto accepted = options.resolve(*target);
  if (!accepted) return accepted.takeError();
  auto code = accepted->emit();
  if (!code) return code.takeError();
  auto text = disassemble(*code, *target);
  if (!text) return text.takeError();
  llvm::outs() << "; " << options.name << ": " << accepted->what << ", " << target->name << "\n" << *text;
  return llvm::Error::success();
}

std::vector<std::string> targetNames() {
  std::vector<std::string> names = {"native"};
  for (const Target &target : allTargets()) names.push_back(target.name);
  return names;
}

Command addList(CLI::App &tool) {
  CLI::App *app = tool.add_subcommand("list", "list the kernels, and which targets have the features that each needs");
  auto target = std::make_shared<std::string>();
  auto json = std::make_shared<bool>(false);
  cli::restrict(app->add_option("--target", *target, "only those that this target can run"),
                cli::oneOf(targetNames()).description("NAME"));
  app->add_flag("--json", *json, "as JSON");
  return {app, [=] { return list(*target, *json); }};
}

Command addCheck(CLI::App &tool) {
  CLI::App *app = tool.add_subcommand("check", "compare kernels with their scalar references, on this CPU");
  auto names = std::make_shared<std::vector<std::string>>();
  cli::restrict(app->add_option("NAME", *names, "rows of llmc-kernel list; all of them without any"),
                cli::oneOf(kernelNames()).description(""));
  cli::addExamples(*app, "  llmc-kernel check\n"
                         "  llmc-kernel check matmul_w4a8_m1_avx2\n"
                         "The exit status is 1 if one differs by more than is allowed.");
  return {app, [=] { return check(*names); }};
}

Command addTool(CLI::App &tool, const char *name, const char *help, llvm::Error (*run)(ShapeOptions &), bool anyTarget,
                const char *examples) {
  CLI::App *app = tool.add_subcommand(name, help);
  auto options = std::make_shared<ShapeOptions>();
  options->add(*app);
  if (anyTarget)
    cli::restrict(app->add_option("--target", options->target, "CPU to emit for"),
                  cli::oneOf(targetNames()).description("NAME"));
  cli::addExamples(*app, examples);
  return {app, [=] {
            llvm::Error error = run(*options);
            return error ? cli::fail(std::move(error)) : 0;
          }};
}

} // namespace

int main(int argc, char **argv) {
  CLI::App app("llmc-kernel works with single kernels of llmc's catalogue.", "llmc-kernel");
  app.set_help_flag("-h,--help", "explain the options");
  app.require_subcommand(1);
  const Command commands[] = {
      addList(app),
      addCheck(app),
      addTool(app, "bench", "time a kernel on this CPU, against what memory gives", bench, false,
              "  llmc-kernel bench matmul_w4a8_m1_avx512vnni --n 4096 --k 4096 --rows 1\n"
              "Weights are read from memory: copies of 512 MB are used in turn. One thread."),
      addTool(app, "disasm", "print a kernel's instructions", disasm, true,
              "  llmc-kernel disasm matmul_w4a8_m1_avx2 --target haswell --n 64 --k 256\n"
              "  llmc-kernel disasm rowwise_any_portable --op rms_norm --target aarch64 --n 256"),
      addProbe(app),
      addMakeModel(app)};
  return cli::parseAndRun(app, argc, argv, [&] {
    for (const Command &command : commands)
      if (command.app->parsed()) return command.run();
    return cli::kUsage;
  });
}
