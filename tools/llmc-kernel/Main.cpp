// llmc-kernel: lists, checks, times and disassembles single kernels of the catalogue.
#include "codegen/portable/Executable.h"
#include "compiler/NativeTarget.h"
#include "tools/llmc-kernel/Check.h"
#include "tools/llmc-kernel/Commands.h"
#include "tools/llmc-kernel/Disassemble.h"
#include "tools/llmc-kernel/ShapeOptions.h"
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

int check(const std::vector<std::string> &names) {
  llvm::Expected<Target> host = usableTarget();
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

llvm::Error disasm(ShapeOptions &options) {
  llvm::Expected<Target> target = resolveTarget(options.target);
  if (!target) return target.takeError();
  auto chosen = options.resolve(*target);
  if (!chosen) return chosen.takeError();
  auto code = chosen->accepted.emit();
  if (!code) return code.takeError();
  auto text = disassemble(*code, *target);
  if (!text) return text.takeError();
  llvm::outs() << "; " << options.name << ": " << chosen->accepted.what << ", " << target->name << "\n" << *text;
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

Command addDisasm(CLI::App &tool) {
  CLI::App *app = tool.add_subcommand("disasm", "print a kernel's instructions");
  auto options = std::make_shared<ShapeOptions>();
  options->add(*app);
  cli::restrict(app->add_option("--target", options->target, "CPU to emit for"),
                cli::oneOf(targetNames()).description("NAME"));
  cli::addExamples(*app, "  llmc-kernel disasm matmul_w4a8_m1_avx2 --target haswell --n 64 --k 256\n"
                         "  llmc-kernel disasm rowwise_any_portable --op rms_norm --target aarch64 --n 256");
  return {app, [=] {
            llvm::Error error = disasm(*options);
            return error ? cli::fail(std::move(error)) : 0;
          }};
}

} // namespace

int main(int argc, char **argv) {
  CLI::App app("llmc-kernel works with single kernels of llmc's catalogue.", "llmc-kernel");
  app.set_help_flag("-h,--help", "explain the options");
  app.require_subcommand(1);
  const Command commands[] = {addList(app),   addCheck(app), addBench(app),
                              addDisasm(app), addProbe(app), addMakeModel(app)};
  return cli::parseAndRun(app, argc, argv, [&] {
    for (const Command &command : commands)
      if (command.app->parsed()) return command.run();
    return cli::kUsage;
  });
}
