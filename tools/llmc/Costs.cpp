#include "tools/llmc/Costs.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringMap.h"
#include <cmath>
#include <nlohmann/json.hpp>

namespace llmc::cli {
namespace {

using Json = nlohmann::json;
using probe::Kind;

/// The report was written by this program's own version or an older one: a missing number is 0.
int64_t number(const Json &object, const char *key, int64_t fallback = 0) {
  auto value = object.find(key);
  return value != object.end() && value->is_number_integer() ? value->get<int64_t>() : fallback;
}
std::string text(const Json &object, const char *key) {
  auto value = object.find(key);
  return value != object.end() && value->is_string() ? value->get<std::string>() : "";
}
const Json &list(const Json &object, const char *key) {
  static const Json empty = Json::array();
  auto value = object.find(key);
  return value != object.end() && value->is_array() ? *value : empty;
}

Kind kindOf(const std::string &arithmetic) {
  for (Kind kind : {Kind::Int8, Kind::Half})
    if (arithmetic == probe::kindName(kind)) return kind;
  return Kind::F32;
}

KernelCost parseKernel(const Json &object) {
  KernelCost kernel{.kernel = text(object, "kernel"), .symbol = text(object, "symbol"), .shape = text(object, "shape")};
  kernel.minRows = number(object, "min_rows", 1), kernel.maxRows = number(object, "max_rows", INT64_MAX);
  kernel.kind = kindOf(text(object, "arithmetic"));
  for (const Json &other : list(object, "others")) {
    std::vector<std::string> names;
    for (const Json &name : list(other, "kernels"))
      if (name.is_string()) names.push_back(name.get<std::string>());
    kernel.others.emplace_back(text(other, "reason"), llvm::join(names, ", "));
  }
  return kernel;
}

llvm::Expected<CallCost> parseCall(const Json &object, const llvm::StringMap<KernelCost> &kernels) {
  CallCost call;
  call.name = text(object, "name"), call.family = text(object, "family");
  const std::pair<const char *, int64_t *> fields[] = {{"count", &call.count},
                                                       {"n", &call.n},
                                                       {"k", &call.k},
                                                       {"weight_bytes", &call.weightBytes},
                                                       {"weight_row_bytes", &call.weightRowBytes},
                                                       {"experts", &call.experts},
                                                       {"chosen", &call.chosen},
                                                       {"few_symbols", &call.fewSymbols},
                                                       {"row_bytes_in", &call.rowBytesIn},
                                                       {"row_bytes_out", &call.rowBytesOut},
                                                       {"row_operations", &call.rowOperations},
                                                       {"position_bytes", &call.positionBytes},
                                                       {"position_operations", &call.positionOperations},
                                                       {"window", &call.window},
                                                       {"barriers", &call.barriers}};
  for (auto [key, field] : fields) *field = number(object, key, *field);
  for (const Json &layer : list(object, "layers"))
    if (layer.is_number_integer()) call.layers.push_back(layer.get<int64_t>());
  call.logitRows = object.value("logit_rows", false);
  for (const Json &symbol : list(object, "symbols")) {
    auto found = kernels.find(symbol.is_string() ? symbol.get<std::string>() : "");
    if (found == kernels.end())
      return llvm::createStringError("report: call " + call.name + ": found " + symbol.dump() +
                                     ", expected the symbol of a kernel");
    call.kernels.push_back(found->second);
  }
  if (call.kernels.empty()) return llvm::createStringError("report: call " + call.name + ": found no kernel");
  return call;
}

/// Positions that the rows of one sequence see together: row i sees depth + i + 1 of them, at most `window`.
double positionsSeen(double rows, double depth, double window) {
  double all = rows * (depth + (rows + 1) / 2);
  if (window <= 0 || depth + rows <= window) return all;
  double full = std::max(0.0, std::min(rows, window - depth)); // rows that still see everything
  return full * (depth + (full + 1) / 2) + (rows - full) * window;
}

} // namespace

void Work::add(const Work &other) {
  bytes += other.bytes, rowBytes += other.rowBytes;
  for (size_t kind = 0; kind < probe::kKinds; ++kind) operations[kind] += other.operations[kind];
}

double Work::allOperations() const { return operations[0] + operations[1] + operations[2]; }

llvm::ArrayRef<KernelCost> CallCost::kernelsFor(int64_t rows) const {
  llvm::ArrayRef<KernelCost> all(kernels);
  if (!experts || fewSymbols <= 0 || fewSymbols >= int64_t(all.size())) return kernelFor(rows);
  return rows <= all[fewSymbols - 1].maxRows ? all.take_front(fewSymbols) : all.drop_front(fewSymbols);
}

const KernelCost &CallCost::kernelFor(int64_t rows) const {
  llvm::ArrayRef<KernelCost> all(kernels);
  if (experts && fewSymbols > 0 && fewSymbols < int64_t(all.size())) {
    all = kernelsFor(rows);
    rows = (rows * chosen + experts - 1) / experts;
  }
  for (const KernelCost &kernel : all)
    if (rows <= kernel.maxRows) return kernel;
  return all.back();
}

double CallCost::weightsRead(int64_t rows) const {
  if (!experts) return double(weightBytes);
  double unread = std::pow(1 - double(chosen) / double(experts), double(rows)); // share that no row has chosen
  return double(weightBytes) * (1 - unread);
}

Work CallCost::work(const StepShape &step) const {
  int64_t rows = logitRows ? step.logitRows : step.rows;
  if (rows == 0) return {};
  double each = double(rows) / double(step.sequences), sequences = double(step.sequences); // rows of a sequence
  double seen = positionsSeen(each, double(step.depth), double(window)) * sequences;
  double cached = double(step.depth) + each;
  if (window > 0) cached = std::min(cached, double(window) + each - 1);
  double calls = double(count);
  Work work;
  work.bytes = calls * (weightsRead(rows) + double(rows * weightRowBytes) + double(positionBytes) * cached * sequences);
  work.rowBytes = calls * double(rows * (rowBytesIn + rowBytesOut));
  work.operations[size_t(kernelFor(rows).kind)] =
      calls * (double(rows * rowOperations) + double(positionOperations) * seen);
  return work;
}

llvm::Expected<ModelCosts> ModelCosts::parse(llvm::StringRef report, llvm::StringRef target) {
  Json json = Json::parse(report.begin(), report.end(), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) json = Json::object();
  llvm::StringMap<KernelCost> kernels;
  for (const Json &kernel : list(json, "kernels"))
    if (text(kernel, "target") == target) kernels[text(kernel, "symbol")] = parseKernel(kernel);
  ModelCosts costs;
  for (const Json &object : list(json, "calls")) {
    if (text(object, "target") != target) continue;
    llvm::Expected<CallCost> call = parseCall(object, kernels);
    if (!call) return call.takeError();
    costs.calls.push_back(std::move(*call));
  }
  if (costs.calls.empty())
    return llvm::createStringError("report: found no calls of the code for " + target + "; compile the model again");
  return costs;
}

Work ModelCosts::work(const StepShape &step) const {
  Work all;
  for (const CallCost &call : calls) all.add(call.work(step));
  return all;
}

Limit limitOf(const Work &work, const probe::Roof &roof) {
  Limit limit;
  if (roof.read > 0) limit = {"memory", work.bytes / roof.read};
  double arithmetic = 0;
  size_t most = 0;
  for (size_t kind = 0; kind < probe::kKinds; ++kind) {
    if (roof.peaks[kind] > 0) arithmetic += work.operations[kind] / roof.peaks[kind];
    if (work.operations[kind] > work.operations[most]) most = kind;
  }
  if (arithmetic > limit.seconds) limit = {probe::kindName(Kind(most)), arithmetic};
  return limit;
}

} // namespace llmc::cli
