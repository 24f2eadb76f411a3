#include "tools/llmc/ExplainStep.h"
#include "tools/llmc/Profile.h"
#include "tools/llmc/Progress.h"
#include "tools/probe/Statistics.h"
#include <random>

namespace llmc::cli {
namespace {

constexpr int kSamples = 25; // of each rate of the host

/// Time that the rows of the arena take, from the smallest cache that holds them.
Limit rowLimit(double bytes, const HostRates &host) {
  if (host.l2 > 0 && bytes <= double(host.l2Bytes)) return {"L2", bytes / host.l2};
  if (host.l3 > 0 && bytes <= double(host.l3Bytes)) return {"L3", bytes / host.l3};
  return {"memory", host.roof.read > 0 ? bytes / host.roof.read : 0};
}

} // namespace

llvm::Expected<HostRates> measureHost(int64_t threads) {
  HostRates host{.threads = threads};
  auto probe = probe::RoofProbe::create(threads);
  if (!probe) return probe.takeError();
  std::vector<double> peaks[probe::kKinds];
  for (int i = 0; i < kSamples; ++i) {
    probe::Roof roof = (*probe)->peaks();
    for (size_t kind = 0; kind < probe::kKinds; ++kind) peaks[kind].push_back(roof.peaks[kind]);
  }
  host.roof.read = (*probe)->readRate(kSamples);
  for (size_t kind = 0; kind < probe::kKinds; ++kind) {
    host.roof.peaks[kind] = probe::spreadOf(peaks[kind]).median;
    host.peakNames[kind] = (*probe)->peakName(probe::Kind(kind));
  }
  probe::CacheSizes sizes = probe::cacheSizes();
  host.l2Bytes = sizes.l2 * uint64_t(threads), host.l3Bytes = sizes.l3;
  host.l2 = (*probe)->cacheRate(sizes.l2 / 2, kSamples);
  host.l3 = (*probe)->cacheRate(std::min(4 * sizes.l2, sizes.l3 / uint64_t(threads) / 2), kSamples);
  return host;
}

StepReport explainStep(const ModelCosts &costs, const StepShape &shape, const HostRates &host) {
  StepReport report{.shape = shape};
  for (const CallCost &call : costs.calls) {
    CallLine line{.call = &call, .kernel = &call.kernelFor(call.logitRows ? shape.logitRows : shape.rows)};
    line.work = call.work(shape);
    line.limit = limitOf(line.work, host.roof);
    Limit each = rowLimit(line.work.rowBytes / double(call.count), host);
    each.seconds *= double(call.count);
    if (each.seconds > line.limit.seconds) line.limit = each;
    report.callLimits += line.limit.seconds;
    report.work.add(line.work);
    report.calls.push_back(line);
  }
  report.limit = limitOf(report.work, host.roof);
  return report;
}

namespace {

/// Thread 0's time of each function, dealt to the calls whose kernel it is. In a file with code for several targets,
/// the names of all but one's functions end in the target.
void deal(std::map<std::string, int64_t> counts, const Symbols &symbols, const std::string &target,
          double secondsPerSample, StepReport &report) {
  auto take = [&](const std::string &name) {
    double seconds = double(counts[name]) * secondsPerSample;
    counts.erase(name);
    return seconds;
  };
  std::map<std::string, double> sums; // of the limits of all calls of a kernel
  auto weight = [](const CallLine &line) { return std::max(line.limit.seconds, 1e-9 * double(line.call->count)); };
  auto kernels = [&](const CallLine &line) {
    return line.call->kernelsFor(line.call->logitRows ? report.shape.logitRows : report.shape.rows);
  };
  for (const CallLine &line : report.calls)
    for (const KernelCost &kernel : kernels(line)) sums[kernel.symbol] += weight(line);
  std::map<std::string, double> seconds;
  for (const auto &[symbol, sum] : sums)
    seconds[symbol] = take("kernel_" + symbol) + take("kernel_" + symbol + "_" + target);
  for (CallLine &line : report.calls) {
    line.measured = 0;
    for (const KernelCost &kernel : kernels(line))
      line.measured += seconds[kernel.symbol] * weight(line) / sums[kernel.symbol];
  }
  for (const char *name : {"llmc_step_barrier", "waitForChange", "llmcTeamRun", "sched_yield", "__sched_yield"})
    report.waiting += take(name);
  for (const auto &[name, count] : counts)
    (symbols.has(name) ? report.dealing : report.other) += double(count) * secondsPerSample;
}

double cpuTime() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
}

} // namespace

llvm::Error measureStep(const Model &model, BatchSession &session, double seconds, StepReport &report) {
  auto symbols =
      Symbols::read(model.path(), "llmc_abi_version", reinterpret_cast<const void *>(model.api().abiVersion));
  if (!symbols) return symbols.takeError();
  std::mt19937 random(1);
  std::vector<int32_t> tokens(size_t(std::max(report.shape.rows, report.shape.depth)));
  for (int32_t &token : tokens) token = int32_t(random() % uint64_t(model.info().vocab));
  llvm::ArrayRef<int32_t> ids(tokens);
  if (llvm::Error error = session.feed(0, ids.take_front(report.shape.depth), false)) return error;
  std::vector<double> times;
  auto step = [&]() -> llvm::Error {
    double start = now();
    if (llvm::Error error = session.feed(0, ids.take_front(report.shape.rows), true)) return error;
    times.push_back(now() - start);
    return session.truncate(0, report.shape.depth);
  };
  for (int i = 0; i < 2; ++i) // page faults
    if (llvm::Error error = step()) return error;
  times.clear();
  auto profiler = Profiler::start();
  if (!profiler) return profiler.takeError();
  double cpu = cpuTime();
  for (double end = now() + seconds; now() < end || times.size() < 3;)
    if (llvm::Error error = step()) return error;
  report.cpuSeconds = (cpuTime() - cpu) / double(times.size());
  std::map<std::string, int64_t> counts = (*profiler)->count(*symbols);
  for (const auto &[name, count] : counts) report.samples += count;
  report.steps = int64_t(times.size());
  report.seconds = probe::spreadOf(times).median;
  deal(counts, *symbols, model.info().target, report.cpuSeconds / double(std::max<int64_t>(1, report.samples)), report);
  return session.truncate(0, 0);
}

} // namespace llmc::cli
