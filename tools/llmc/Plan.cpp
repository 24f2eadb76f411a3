#include "tools/llmc/Plan.h"
#include "runtime/internal.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"
#include <fstream>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace llmc::cli {
namespace {

using Json = nlohmann::ordered_json;

llvm::Error readSize(const Json &object, const char *key, int64_t limit, int64_t &value) {
  auto found = object.find(key);
  if (found == object.end() || !found->is_number_integer() || found->get<int64_t>() < 0 ||
      found->get<int64_t>() > limit)
    return llvm::createStringError(std::string("metadata: ") + key + ": found " +
                                   (found == object.end() ? "nothing" : found->dump()) + ", expected 0 to " +
                                   std::to_string(limit) + "; compile the model again");
  value = found->get<int64_t>();
  return llvm::Error::success();
}

/// The entry of `target`.
llvm::Expected<const Json *> variantOf(const Json &metadata, const std::string &target) {
  std::string names;
  auto variants = metadata.find("variants");
  if (variants != metadata.end() && variants->is_array())
    for (const Json &variant : *variants) {
      std::string name = variant.is_object() ? variant.value("target", "") : "";
      if (variant.is_object() && name == target) return &variant;
      (names += names.empty() ? "" : ", ") += name;
    }
  return llvm::createStringError("--target: found '" + target + "', expected one of the model's: " + names);
}

/// The parts of `r`, in the order of the table: name, bytes, what it is.
std::vector<std::tuple<const char *, int64_t, const char *>> partsOf(const PlanResult &r) {
  return {{"weights", r.plan.weights, "mapped from the file, shared by all processes that use it"},
          {"KV cache", r.plan.kv_cache - r.spare,
           r.spare ? "keys and values; more is reserved, for sequences of uneven lengths" : "keys and values"},
          {"arena", r.plan.arena, "intermediate values of a step"},
          {"logits", r.plan.logit_arena, "and the values before them"},
          {"other", r.plan.other - r.stacks, "page tables, description of a step, threads"},
          {"libraries", PlanResult::kLibraries, "C library, loader, the model's code"}};
}

} // namespace

int64_t residentNow() {
  std::ifstream statm("/proc/self/statm");
  int64_t total = 0, resident = 0;
  statm >> total >> resident;
  return statm ? resident * sysconf(_SC_PAGESIZE) : 0;
}

llvm::Expected<PlanResult> planMemory(const std::string &text, const PlanRequest &request) {
  Json metadata = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!metadata.is_object()) return llvm::createStringError("metadata: found no JSON object; compile the model again");
  if (metadata.value("kind", "") == "graph")
    return llvm::createStringError("found a plain graph, expected a decoder: what it takes depends on its inputs");
  PlanResult result;
  result.target = request.target;
  llvm::Expected<const Json *> variantJson = variantOf(metadata, result.target);
  if (!variantJson) return variantJson.takeError();
  struct llmc_model_constants constants = {};
  struct llmc_variant variant = {};
  constexpr int64_t kRow = int64_t(1) << 32, kAll = int64_t(1) << 46; // what keeps the sums of the runtime in range
  const std::tuple<const Json *, const char *, int64_t, int64_t *> sizes[] = {
      {&metadata, "max_context", INT32_MAX, &constants.max_context},
      {&metadata, "page_bytes", kAll, &constants.page_bytes},
      {&metadata, "weight_bytes", kAll, &constants.weight_bytes},
      {*variantJson, "arena_row_bytes", kRow, &variant.arena_row_bytes},
      {*variantJson, "logit_arena_row_bytes", kRow, &variant.logit_arena_row_bytes},
      {*variantJson, "private_bytes", kRow, &variant.private_bytes},
      {*variantJson, "matmul_calls", kRow, &variant.matmul_calls},
      {*variantJson, "partial_bytes", kRow, &variant.partial_bytes}};
  for (auto [object, key, limit, value] : sizes)
    if (llvm::Error error = readSize(*object, key, limit, *value)) return std::move(error);
  if (request.context > constants.max_context)
    return llvm::createStringError("--context: found " + std::to_string(request.context) + ", expected at most " +
                                   std::to_string(constants.max_context) + ", the model's");
  result.context = request.context ? request.context : std::min<int64_t>(4096, constants.max_context);
  result.batch = request.batch;
  result.kvType = metadata.contains("kv_type") && metadata["kv_type"].is_string() ? metadata["kv_type"] : "?";
  llmc_context_options options = {};
  options.max_batch_rows = request.rows, options.threads = request.threads;
  options.max_sequences = result.batch, options.max_positions = result.context * result.batch;
  llmcSizes all = {&constants, &variant};
  llmcLimits limits;
  llmc_error error;
  if (llmcPlanSizes(&all, &options, &limits, &result.plan, &error))
    return llvm::createStringError(llvm::StringRef(error.message));
  result.rows = limits.rows;
  int64_t used = result.batch * ((result.context + LLMC_PAGE_POSITIONS - 1) / LLMC_PAGE_POSITIONS);
  if (used < result.plan.kv_pages)
    result.spare = result.plan.kv_cache - int64_t(llmcMapSize(uint64_t(used * constants.page_bytes), /*huge=*/true));
  result.stacks = int64_t(llmcTeamBytes(result.plan.threads) - llmcTeamBytes(1));
  return result;
}

Json toJson(const PlanResult &r) {
  return {{"target", r.target},
          {"kv_type", r.kvType},
          {"context", r.context},
          {"batch", r.batch},
          {"rows", r.rows},
          {"threads", r.plan.threads},
          {"weights", r.plan.weights},
          {"kv_cache", r.plan.kv_cache},
          {"kv_pages", r.plan.kv_pages},
          {"arena", r.plan.arena},
          {"logit_arena", r.plan.logit_arena},
          {"other", r.plan.other},
          {"total", r.plan.total},
          {"stacks_unused", r.stacks},
          {"kv_cache_spare", r.spare},
          {"libraries", PlanResult::kLibraries},
          {"peak_rss_bytes", r.residentPeak()},
          {"llmc_program_bytes", r.program}};
}

void printText(const PlanResult &r) {
  auto row = [](const char *name, int64_t bytes, const char *note) {
    llvm::outs() << llvm::format("  %-18s %14lld bytes %10.1f MB  ", name, (long long)bytes, double(bytes) / 1e6)
                 << note << "\n";
  };
  llvm::outs() << "memory with code for " << r.target << ": " << r.batch << " x " << r.context << " tokens of context, "
               << r.kvType << " cache, steps of up to " << r.rows << " rows, " << r.plan.threads
               << (r.plan.threads == 1 ? " thread\n" : " threads\n");
  for (auto [name, bytes, note] : partsOf(r)) row(name, bytes, note);
  row("peak resident", r.residentPeak(), "of a C program, all of it in use: the sum");
  if (r.program) row("with llmc itself", r.residentPeak() + r.program, "of llmc run and llmc bench");
}

} // namespace llmc::cli
