// llmc targets: the CPUs that llmc compiles for, and which of them this machine is.
#include "compiler/NativeTarget.h"
#include "tools/llmc/Commands.h"
#include "tools/llmc/Usage.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"
#include <nlohmann/json.hpp>

namespace llmc::cli {
namespace {

const char *archName(Arch arch) { return arch == Arch::X86_64 ? "x86-64" : "aarch64"; }

std::vector<std::string> names(Features features) {
  std::vector<std::string> list;
  for (unsigned i = 0; i < unsigned(Feature::Count); ++i)
    if (features.has(Feature(i))) list.push_back(featureName(Feature(i)).str());
  return list;
}

void printJson(const std::string &native) {
  auto targets = nlohmann::ordered_json::array();
  for (const Target &target : allTargets()) {
    bool sameArch = target.arch == hostArch();
    Features missing = missingOnHost(target);
    targets.push_back({{"name", target.name},
                       {"arch", archName(target.arch)},
                       {"features", names(target.features)},
                       {"runs_here", sameArch && missing.empty()},
                       {"missing", names(missing)},
                       {"native", target.name == native}});
  }
  llvm::outs() << targets.dump(1) << "\n";
}

void printTable(const std::string &native) {
  llvm::outs() << "TARGET           ARCH     HERE  FEATURES\n";
  for (const Target &target : allTargets()) {
    bool sameArch = target.arch == hostArch();
    Features missing = missingOnHost(target);
    bool runs = sameArch && missing.empty();
    llvm::outs() << llvm::format("%-16s %-8s %-5s ", target.name.c_str(), archName(target.arch), runs ? "yes" : "no")
                 << toString(target.features);
    if (!sameArch)
      llvm::outs() << " (another architecture)";
    else if (!missing.empty())
      llvm::outs() << " (missing here: " << toString(missing) << ")";
    if (target.name == native) llvm::outs() << " (native)";
    llvm::outs() << "\n";
  }
}

} // namespace

Command addTargets(CLI::App &llmc) {
  CLI::App *app = llmc.add_subcommand("targets", "list the CPUs to compile for, and which of them this one can run");
  auto json = std::make_shared<bool>(false);
  app->add_flag("--json", *json, "as JSON");
  addExamples(*app, "  llmc targets\n"
                    "  llmc compile model.gguf -o model.so --target=icelake-server   for another machine than this");
  return {app, [json] {
            llvm::Expected<Target> native = resolveTarget("native");
            std::string name = native ? native->name : "";
            if (!native) llvm::consumeError(native.takeError());
            *json ? printJson(name) : printTable(name);
            return 0;
          }};
}

} // namespace llmc::cli
