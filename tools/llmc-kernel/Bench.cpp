// llmc-kernel bench: a kernel against the limits that the machine gives in the same moment.
#include "codegen/portable/Executable.h"
#include "tools/llmc-kernel/Commands.h"
#include "tools/llmc-kernel/ShapeOptions.h"
#include "tools/llmc/Progress.h"
#include "tools/probe/HostLimits.h"
#include "tools/probe/RoofProbe.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/raw_ostream.h"
#include <nlohmann/json.hpp>

namespace llmc::tool {
namespace {

using probe::Spread;

constexpr double kSliceSeconds = 0.8e-3; // short against a scheduler's slice
constexpr double kPatience = 0.25;       // seconds of attempts at an undisturbed slice

struct BenchCommand {
  ShapeOptions options;
  int64_t rounds = 40, threads = 1;
  bool json = false;
};

/// What the rounds gave. A memory-bound slice counts if it was undisturbed, by wall time; an arithmetic-bound one by
/// CPU time, always: it may be longer than a scheduler's slice.
struct Measured {
  Deviation deviation; // of the check before
  double bytes = 0, operations = 0;
  std::vector<double> seconds; // of one run
  std::vector<double> shares;  // of the limit; none for what is in a cache
  std::vector<double> reads, peaks;
  std::string limit, peakName;
  int64_t dropped = 0; // rounds that were disturbed
};

class KernelBench {
public:
  KernelBench(probe::RoofProbe &probe, Case &operands, llmc_kernel_fn kernel, probe::Kind kind)
      : probe(probe), operands(operands), kernel(kernel), kind(kind) {
    result.bytes = operands.bytes(), result.operations = operands.operations();
    result.peakName = probe.peakName(kind);
  }

  Measured run(int64_t rounds) {
    double first = run().cpuSeconds; // page faults
    first = std::min(first, run().cpuSeconds);
    repeats = std::max<int64_t>(1, int64_t(kSliceSeconds / std::max(first, 1e-7)));
    for (int64_t i = 0; i < rounds; ++i) {
      probe::Roof roof = probe.sample();
      double limit = limitSeconds(roof);
      probe::Slice slice = arithmetic ? run() : runUndisturbed();
      bool good = arithmetic || (slice.steady && (limit > 0 || !operands.readsMemory()));
      if (!good) {
        ++result.dropped;
        continue;
      }
      double seconds = (arithmetic ? slice.cpuSeconds : slice.seconds) / double(repeats);
      result.seconds.push_back(seconds);
      if (limit > 0) result.shares.push_back(limit / seconds);
      result.reads.push_back(lastRead), result.peaks.push_back(roof.peak(kind));
    }
    return std::move(result);
  }

private:
  /// Seconds that memory or arithmetic takes at least, whichever is more; 0 for what is in a cache, and where that is
  /// memory and its probe was disturbed. Which of the two it is decides how slices are timed.
  double limitSeconds(const probe::Roof &roof) {
    if (!operands.readsMemory()) return 0;
    if (roof.read > 0) lastRead = roof.read;
    double memory = lastRead > 0 ? result.bytes / lastRead : 0;
    double products = roof.peak(kind) > 0 ? result.operations / roof.peak(kind) : 0;
    arithmetic = products > memory && lastRead > 0;
    result.limit = arithmetic ? probe::kindName(kind) : "memory";
    if (arithmetic) return products;
    return roof.read > 0 ? memory : 0;
  }

  probe::Slice run() {
    int64_t threads = probe.threads().threads();
    probe::Slice slice = probe.threads().time([&](int64_t thread) {
      for (int64_t i = 0; i < repeats; ++i) operands.run(kernel, {thread, threads, number + i});
    });
    number += repeats;
    return slice;
  }

  probe::Slice runUndisturbed() {
    probe::Slice slice = run();
    for (double end = cli::now() + kPatience; !slice.steady && cli::now() < end;) slice = run();
    return slice;
  }

  probe::RoofProbe &probe;
  Case &operands;
  const llmc_kernel_fn kernel;
  const probe::Kind kind;
  bool arithmetic = false;
  double lastRead = 0; // bytes per second
  int64_t repeats = 1, number = 0;
  Measured result;
};

Spread rates(const std::vector<double> &seconds, double work) {
  std::vector<double> all;
  for (double s : seconds) all.push_back(work / s);
  return probe::spreadOf(all);
}

void printText(const BenchCommand &command, const Chosen &chosen, const Target &host, const Measured &m) {
  llvm::outs() << command.options.name << ": " << chosen.accepted.what << ", " << command.options.shape.rows
               << " rows, " << command.threads << (command.threads == 1 ? " thread of " : " threads of ") << host.name
               << "\n";
  llvm::outs() << llvm::format("agrees with its reference: error %.1e of %.1e allowed\n", m.deviation.found,
                               m.deviation.allowed);
  if (m.seconds.empty()) {
    llvm::outs() << "no round of " << command.rounds << " was undisturbed: the machine is too busy\n";
    return;
  }
  Spread seconds = probe::spreadOf(m.seconds), share = probe::spreadOf(m.shares);
  llvm::outs() << llvm::format("%.2f us, %.2f GB/s", seconds.median * 1e6, rates(m.seconds, m.bytes).median / 1e9);
  if (m.operations > 0) llvm::outs() << llvm::format(", %.1f GOP/s", rates(m.seconds, m.operations).median / 1e9);
  if (share.count)
    llvm::outs() << llvm::format("; %.0f %% of the limit (%.0f to %.0f), which is ", 100 * share.median,
                                 100 * share.low, 100 * share.high)
                 << m.limit;
  llvm::outs() << llvm::format("\nmemory reads %.2f GB/s", probe::spreadOf(m.reads).median / 1e9);
  if (m.operations > 0 && !m.peakName.empty())
    llvm::outs() << llvm::format(", %.1f GOP/s is the peak of ", probe::spreadOf(m.peaks).median / 1e9) << m.peakName;
  llvm::outs() << "; " << seconds.count << " rounds, " << m.dropped << " more were disturbed\n";
}

void printJson(const BenchCommand &command, const Chosen &chosen, const Target &host, const Measured &m) {
  using Json = nlohmann::ordered_json;
  auto spread = [](const Spread &s) { return s.count ? probe::toJson(s) : Json(); };
  Json json = {{"kernel", command.options.name},
               {"shape", chosen.accepted.what},
               {"rows", command.options.shape.rows},
               {"threads", command.threads},
               {"target", host.name},
               {"error", m.deviation.found},
               {"error_allowed", m.deviation.allowed},
               {"bytes", m.bytes},
               {"operations", m.operations},
               {"seconds", spread(probe::spreadOf(m.seconds))},
               {"bytes_per_s", spread(rates(m.seconds, m.bytes))},
               {"operations_per_s", m.operations > 0 ? spread(rates(m.seconds, m.operations)) : Json()},
               {"limit", m.limit.empty() ? Json() : Json(m.limit)},
               {"share_of_limit", spread(probe::spreadOf(m.shares))},
               {"read_bytes_per_s", spread(probe::spreadOf(m.reads))},
               {"peak_operations_per_s", spread(probe::spreadOf(m.peaks))},
               {"peak", m.peakName},
               {"rounds_disturbed", m.dropped}};
  llvm::outs() << json.dump(1) << "\n";
}

llvm::Error bench(BenchCommand &command) {
  llvm::Expected<Target> host = usableTarget();
  if (!host) return host.takeError();
  auto chosen = command.options.resolve(*host);
  if (!chosen) return chosen.takeError();
  auto code = chosen->accepted.emit();
  if (!code) return code.takeError();
  auto kernel = Executable::create(*code, *host);
  if (!kernel) return kernel.takeError();
  std::unique_ptr<Case> operands = chosen->accepted.makeCase(/*forTiming=*/true);
  Deviation deviation = operands->check((*kernel)->function);
  if (!deviation.ok())
    return llvm::createStringError(
        llvm::formatv("{0}: found an error of {1:e1} against its reference, expected at most "
                      "{2:e1}; nothing is timed",
                      command.options.name, deviation.found, deviation.allowed));
  Features features = chosen->row.needs.empty() ? probe::usableFeatures() : chosen->row.needs;
  auto probe = probe::RoofProbe::create(command.threads, features);
  if (!probe) return probe.takeError();
  KernelBench run(**probe, *operands, (*kernel)->function, chosen->accepted.kind);
  Measured measured = run.run(command.rounds);
  measured.deviation = deviation;
  (command.json ? printJson : printText)(command, *chosen, *host, measured);
  return llvm::Error::success();
}

} // namespace

cli::Command addBench(CLI::App &tool) {
  CLI::App *app = tool.add_subcommand("bench", "time a kernel on this CPU, against what memory and arithmetic give");
  auto command = std::make_shared<BenchCommand>();
  command->options.add(*app);
  cli::restrict(app->add_option("--rounds", command->rounds, "of probes and kernel by turns"), cli::atLeast(1, "N"))
      ->capture_default_str();
  cli::restrict(app->add_option("--threads", command->threads, "that share the work"), cli::numberIn(1, 1024, "N"))
      ->capture_default_str();
  app->add_flag("--json", command->json, "as JSON");
  cli::addExamples(
      *app,
      "  llmc-kernel bench matmul_w4a8_m1_avx512vnni --n 4096 --k 4096 --rows 1\n"
      "  llmc-kernel bench matmul_w4a8_large_avx512vnni --n 4096 --k 4096 --rows 512 --threads 2 --json\n"
      "The kernel first passes its scalar reference. Weights and caches are read from memory: copies of 1.25 GiB\n"
      "are used in turn; quantising activations is not part of the time. The limit is memory or the peak of the\n"
      "best instruction that the kernel's features have, probed in the same round; shares are medians of rounds.\n"
      "Slices in which a thread did not have its CPU for 97 % of the time are dropped; where arithmetic is the\n"
      "limit, CPU time is taken.");
  return {app, [command] {
            llvm::Error error = bench(*command);
            return error ? cli::fail(std::move(error)) : 0;
          }};
}

} // namespace llmc::tool
