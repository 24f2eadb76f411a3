#include "tools/llmc/ExplainText.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/raw_ostream.h"
#include <nlohmann/json.hpp>

namespace llmc::cli {
namespace {

using Json = nlohmann::ordered_json;
using llvm::formatv;

constexpr double kQuiet = 0.9; // share of its time that a thread has its CPU on a machine that is fit for measuring

std::string scaled(double value, const char *const *units, double step) {
  for (; value >= step && units[1]; ++units) value /= step;
  return formatv(value >= 100 ? "{0:f0} {1}" : value >= 10 ? "{0:f1} {1}" : "{0:f2} {1}", value, *units).str();
}
std::string bytesText(double bytes) {
  static constexpr const char *units[] = {"B", "kB", "MB", "GB", "TB", nullptr};
  return bytes > 0 ? scaled(bytes, units, 1000) : "-";
}
std::string operationsText(double operations) {
  static constexpr const char *units[] = {"OP", "kOP", "MOP", "GOP", "TOP", nullptr};
  return operations > 0 ? scaled(operations, units, 1000) : "-";
}
std::string timeText(double seconds) {
  static constexpr const char *units[] = {"ns", "us", "ms", "s", nullptr};
  return scaled(seconds * 1e9, units, 1000);
}
std::string percent(double part, double whole) {
  return whole > 0 ? formatv("{0:f0} %", 100 * part / whole).str() : "-";
}

/// Rows of cells, columns as wide as their widest; columns from `numbers` on are right-aligned.
void printTable(const std::vector<std::vector<std::string>> &rows, size_t numbers) {
  std::vector<size_t> widths;
  for (const auto &row : rows)
    for (size_t i = 0; i < row.size(); ++i) {
      if (i == widths.size()) widths.push_back(0);
      widths[i] = std::max(widths[i], row[i].size());
    }
  for (const auto &row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      std::string padding(widths[i] - row[i].size(), ' ');
      line += (i ? "  " : "") + (i < numbers ? row[i] + padding : padding + row[i]);
    }
    llvm::outs() << llvm::StringRef(line).rtrim() << "\n";
  }
}

std::string shapeText(const StepShape &shape) {
  std::string text = std::to_string(shape.rows) + (shape.rows == 1 ? " row" : " rows");
  return text + " at depth " + std::to_string(shape.depth);
}

std::string layersText(const CallCost &call) {
  return call.layers.empty() ? std::string() : " x " + std::to_string(call.count);
}

void printStep(const StepReport &step) {
  bool measured = step.steps > 0;
  std::vector<std::vector<std::string>> rows = {
      {"call x layers", "kernel", "shape", "reads", "operations", "limit", "at the limit"}};
  if (measured) llvm::append_range(rows[0], std::vector<std::string>{"took", "of the time", "limit/took"});
  for (const CallLine &line : step.calls) {
    rows.push_back({line.call->name + layersText(*line.call), line.kernel->kernel, line.kernel->shape,
                    bytesText(line.work.bytes), operationsText(line.work.allOperations()), line.limit.name,
                    timeText(line.limit.seconds)});
    if (measured)
      llvm::append_range(rows.back(),
                         std::vector<std::string>{timeText(line.measured), percent(line.measured, step.cpuSeconds),
                                                  percent(line.limit.seconds, line.measured)});
  }
  auto extra = [&](const char *name, double seconds) {
    rows.push_back({name, "", "", "", "", "", "", timeText(seconds), percent(seconds, step.cpuSeconds)});
  };
  if (measured) extra("waiting for other threads", step.waiting), extra("between kernels", step.dealing);
  if (measured) extra("outside of the model's code", step.other);
  rows.push_back({"the step", "", "", bytesText(step.work.bytes), operationsText(step.work.allOperations()),
                  step.limit.name, timeText(step.limit.seconds)});
  if (measured)
    llvm::append_range(rows.back(),
                       std::vector<std::string>{timeText(step.seconds), "", percent(step.limit.seconds, step.seconds)});
  llvm::outs() << "\n" << shapeText(step.shape);
  if (measured) llvm::outs() << ", measured: " << step.steps << " steps, " << step.samples << " samples of one thread";
  llvm::outs() << "\n";
  if (measured && step.cpuSeconds < kQuiet * step.seconds)
    llvm::outs() << "other processes had this thread's CPU for "
                 << percent(step.seconds - step.cpuSeconds, step.seconds)
                 << " of the time: what follows says little; measure on a quieter machine\n";
  printTable(rows, 3);
  llvm::outs() << "One after the other, the calls' limits take " << timeText(step.callLimits) << ".\n";
}

/// Kernels of another op or for other weights are no alternative.
bool isAlternative(llvm::StringRef reason) {
  return !reason.starts_with("serves ") && !reason.starts_with("weights are ");
}

/// Each kernel that runs, for the first of its shapes.
void printOthers(const std::vector<StepReport> &steps) {
  constexpr size_t kNames = 4;
  std::vector<const KernelCost *> seen;
  std::vector<std::string> names;
  for (const StepReport &step : steps)
    for (const CallLine &line : step.calls)
      if (!llvm::is_contained(names, line.kernel->kernel))
        names.push_back(line.kernel->kernel), seen.push_back(line.kernel);
  llvm::outs() << "\nwhy not another kernel (of the same op and weights; --json has all)\n";
  for (const KernelCost *kernel : seen) {
    llvm::outs() << kernel->kernel << ", " << kernel->shape << ", from " << kernel->minRows << " rows\n";
    for (const auto &[reason, others] : kernel->others) {
      if (!isAlternative(reason)) continue;
      llvm::SmallVector<llvm::StringRef> list;
      llvm::StringRef(others).split(list, ", ");
      std::string more = list.size() > kNames ? " and " + std::to_string(list.size() - kNames) + " more" : "";
      list.truncate(std::min(kNames, list.size()));
      llvm::outs() << "  " << reason << ": " << llvm::join(list, ", ") << more << "\n";
    }
  }
}

Json toJson(const StepReport &step) {
  bool measured = step.steps > 0;
  Json calls = Json::array();
  for (const CallLine &line : step.calls)
    calls.push_back({{"name", line.call->name},
                     {"layers", line.call->layers},
                     {"count", line.call->count},
                     {"kernel", line.kernel->kernel},
                     {"symbol", line.kernel->symbol},
                     {"shape", line.kernel->shape},
                     {"bytes", line.work.bytes},
                     {"row_bytes", line.work.rowBytes},
                     {"operations", line.work.allOperations()},
                     {"limit", line.limit.name},
                     {"limit_s", line.limit.seconds},
                     {"barriers", line.call->barriers},
                     {"measured_s", measured ? Json(line.measured) : Json()}});
  return {{"rows", step.shape.rows},
          {"depth", step.shape.depth},
          {"calls", calls},
          {"bytes", step.work.bytes},
          {"operations", step.work.allOperations()},
          {"limit", step.limit.name},
          {"limit_s", step.limit.seconds},
          {"sum_of_limits_s", step.callLimits},
          {"measured_s", measured ? Json(step.seconds) : Json()},
          {"steps", measured ? step.steps : 0},
          {"samples", step.samples},
          {"thread_cpu_s", measured ? Json(step.cpuSeconds) : Json()},
          {"waiting_s", measured ? Json(step.waiting) : Json()},
          {"between_kernels_s", measured ? Json(step.dealing) : Json()},
          {"outside_s", measured ? Json(step.other) : Json()}};
}

} // namespace

void printText(const Explanation &e) {
  llvm::outs() << e.name << ", code for " << e.target << "\n"
               << probe::cpuName() << ", " << e.host.threads << (e.host.threads == 1 ? " thread" : " threads")
               << formatv(": memory {0:f1} GB/s", e.host.roof.read / 1e9);
  if (e.host.l2 > 0) llvm::outs() << formatv(", L2 {0:f0} GB/s", e.host.l2 / 1e9);
  if (e.host.l3 > 0) llvm::outs() << formatv(", L3 {0:f0} GB/s", e.host.l3 / 1e9);
  for (size_t kind = 0; kind < probe::kKinds; ++kind)
    if (e.host.roof.peaks[kind] > 0)
      llvm::outs() << formatv(", {0} {1:f2} TOP/s ({2})", probe::kindName(probe::Kind(kind)),
                              e.host.roof.peaks[kind] / 1e12, e.host.peakNames[kind]);
  llvm::outs() << "\n";
  for (const StepReport &step : e.steps) printStep(step);
  printOthers(e.steps);
  if (!e.refusals.empty()) llvm::outs() << "\nwhat passes left as it was\n";
  for (const auto &[reason, count] : e.refusals) llvm::outs() << "  " << reason << " (" << count << " times)\n";
}

Json toJson(const Explanation &e) {
  Json peaks = Json::object(), steps = Json::array(), kernels = Json::array(), refusals = Json::array();
  for (size_t kind = 0; kind < probe::kKinds; ++kind)
    if (e.host.roof.peaks[kind] > 0)
      peaks[probe::kindName(probe::Kind(kind))] = {{"instruction", e.host.peakNames[kind]},
                                                   {"operations_per_s", e.host.roof.peaks[kind]}};
  std::vector<std::string> symbols;
  for (const StepReport &step : e.steps) {
    steps.push_back(toJson(step));
    for (const CallLine &line : step.calls) {
      if (llvm::is_contained(symbols, line.kernel->symbol)) continue;
      symbols.push_back(line.kernel->symbol);
      Json others = Json::array();
      for (const auto &[reason, names] : line.kernel->others)
        others.push_back({{"reason", reason}, {"kernels", names}});
      kernels.push_back({{"kernel", line.kernel->kernel},
                         {"symbol", line.kernel->symbol},
                         {"shape", line.kernel->shape},
                         {"not_chosen", others}});
    }
  }
  for (const auto &[reason, count] : e.refusals) refusals.push_back({{"reason", reason}, {"count", count}});
  return {{"model", e.name},
          {"target", e.target},
          {"cpu", probe::cpuName()},
          {"threads", e.host.threads},
          {"read_bytes_per_s", e.host.roof.read},
          {"l2_bytes_per_s", e.host.l2},
          {"l3_bytes_per_s", e.host.l3},
          {"peaks", peaks},
          {"steps", steps},
          {"kernels", kernels},
          {"refusals", refusals}};
}

} // namespace llmc::cli
