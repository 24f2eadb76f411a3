// llmc-kernel probe: the limits of this machine.
#include "tools/llmc-kernel/Commands.h"
#include "tools/llmc/Usage.h"
#include "tools/probe/HostLimits.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"
#include <nlohmann/json.hpp>

namespace llmc::tool {
namespace {

using probe::Limits, probe::Spread;

struct ProbeCommand {
  int64_t threads = 0, rounds = 40;
  bool json = false;
};

/// 1, 2, 4, ... and `most`.
std::vector<int64_t> threadCounts(int64_t most) {
  std::vector<int64_t> counts;
  for (int64_t n = 1; n < most; n *= 2) counts.push_back(n);
  counts.push_back(most);
  return counts;
}

void printRow(const std::string &name, llvm::ArrayRef<Limits> all, double unit,
              llvm::function_ref<std::optional<Spread>(const Limits &)> value) {
  llvm::outs() << llvm::format("%-40s", name.c_str());
  for (const Limits &limits : all) {
    std::string cell = "-";
    if (std::optional<Spread> s = value(limits)) {
      cell.clear();
      llvm::raw_string_ostream(cell) << llvm::format("%.3g (%.3g to %.3g)", s->median / unit, s->low / unit,
                                                     s->high / unit);
    }
    llvm::outs() << llvm::format("%-26s", cell.c_str());
  }
  llvm::outs() << "\n";
}

std::string megabytes(uint64_t bytes) {
  std::string text;
  llvm::raw_string_ostream(text) << llvm::format("%.3g MB", double(bytes) / (1 << 20));
  return text;
}

void printText(llvm::ArrayRef<Limits> all) {
  llvm::outs() << probe::cpuName() << ", " << probe::allowedCpus() << " CPUs; medians, and 10th to 90th percentile\n";
  llvm::outs() << llvm::format("%-40s", "threads");
  for (const Limits &limits : all) llvm::outs() << llvm::format("%-26lld", (long long)limits.threads);
  llvm::outs() << "\n";
  auto known = [](uint64_t bytes, const Spread &s) { return bytes ? std::optional(s) : std::nullopt; };
  printRow("memory read, GB/s", all, 1e9, [](const Limits &l) { return l.read; });
  printRow("L2 read (" + megabytes(all[0].l2Bytes) + " each), GB/s", all, 1e9,
           [&](const Limits &l) { return known(l.l2Bytes, l.l2); });
  printRow("L3 read (" + megabytes(all[0].l3Bytes) + " each), GB/s", all, 1e9,
           [&](const Limits &l) { return known(l.l3Bytes, l.l3); });
  for (size_t i = 0; i < all[0].peaks.size(); ++i) {
    const probe::PeakResult &first = all[0].peaks[i];
    std::string name = std::string(first.peak.name) + ", TOP/s";
    if (first.missing.empty())
      printRow(name, all, 1e12, [&](const Limits &l) { return l.peaks[i].operations; });
    else
      llvm::outs() << llvm::format("%-40s", name.c_str()) << "not on this CPU: no " << toString(first.missing) << "\n";
  }
  printRow("barrier, ns", all, 1e-9, [&](const Limits &l) { return known(l.threads > 1, l.barrier); });
}

int runProbe(const ProbeCommand &command) {
  probe::ReadProbe memory;
  if (!memory) return cli::fail(llvm::createStringError("bandwidth probe: found no memory for 1.25 GiB"));
  std::vector<Limits> all;
  for (int64_t threads : threadCounts(command.threads ? command.threads : probe::allowedCpus())) {
    llvm::Expected<Limits> limits = probe::measureLimits(memory, threads, int(command.rounds));
    if (!limits) return cli::fail(limits.takeError());
    all.push_back(std::move(*limits));
  }
  if (!command.json) return printText(all), 0;
  nlohmann::ordered_json json = {{"cpu", probe::cpuName()}, {"cpus", probe::allowedCpus()}};
  for (const Limits &limits : all) json["limits"].push_back(toJson(limits));
  llvm::outs() << json.dump(1) << "\n";
  return 0;
}

} // namespace

cli::Command addProbe(CLI::App &tool) {
  CLI::App *app =
      tool.add_subcommand("probe", "measure the limits of this machine: memory, caches, arithmetic, barrier");
  auto command = std::make_shared<ProbeCommand>();
  cli::restrict(app->add_option("--threads", command->threads, "the most; 0: as many as there are CPUs"),
                cli::numberIn(0, 1024, "N"))
      ->capture_default_str();
  cli::restrict(app->add_option("--rounds", command->rounds, "slices of 0.5 to 3 ms for each rate"),
                cli::numberIn(1, 10000, "N"))
      ->capture_default_str();
  app->add_flag("--json", command->json, "as JSON");
  cli::addExamples(*app, "  llmc-kernel probe\n"
                         "  llmc-kernel probe --threads 1 --json\n"
                         "Memory is read over 1.25 GiB; rates are those of all threads together.");
  return {app, [command] { return runProbe(*command); }};
}

} // namespace llmc::tool
