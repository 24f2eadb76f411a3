// The memory that a model will take, from its metadata: nothing of it is executed.
#pragma once
#include "llmc.h"
#include "llvm/Support/Error.h"
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace llmc::cli {

/// Sequences of up to `context` tokens, `batch` of them at one time, steps of up to `rows` tokens.
struct PlanRequest {
  int64_t context = 0, batch = 1, rows = 0, threads = 0; // 0: the runtime's default
  std::string target;                                    // whose code
};

struct PlanResult {
  std::string target, kvType;
  int64_t context = 0, batch = 1, rows = 0;
  llmc_memory_plan plan = {}; // what llmc_plan of the loaded artifact says
  int64_t stacks = 0;         // of it: address space of threads' stacks that is never used
  int64_t spare = 0;          // of it: cache that sequences of `context` tokens leave empty, as lengths can be uneven
  int64_t program = 0;        // resident memory of llmc itself, once started

  /// Peak resident memory of a C program that loads the artifact and uses all of the plan: the mapped weights,
  /// everything that llmc_context_create maps, less `stacks` and `spare`, and kLibraries.
  int64_t residentPeak() const { return plan.weights + plan.total - stacks - spare + kLibraries; }
  /// The C library, the loader, and the artifact's code (x86-64, glibc 2.36).
  static constexpr int64_t kLibraries = 2'500'000;
};

/// Resident memory of this process, bytes; 0 if the system does not say.
int64_t residentNow();

/// `metadata` is the model's. Errors: sizes that are missing or impossible, an unknown target, limits that the runtime
/// refuses.
llvm::Expected<PlanResult> planMemory(const std::string &metadata, const PlanRequest &request);

nlohmann::ordered_json toJson(const PlanResult &result);
void printText(const PlanResult &result);

} // namespace llmc::cli
