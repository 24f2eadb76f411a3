// What a step takes from the machine, call by call, as the compile report of a model says.
#pragma once
#include "tools/probe/RoofProbe.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include <string>
#include <vector>

namespace llmc::cli {

/// Kernel of a call for steps of minRows..maxRows rows.
struct KernelCost {
  std::string kernel, symbol, shape; // shape: "w4g32 x q8b32, 4096 x 4096"
  int64_t minRows = 1, maxRows = INT64_MAX;
  probe::Kind kind = probe::Kind::F32;                     // of its products
  std::vector<std::pair<std::string, std::string>> others; // reason, kernels that were not chosen for it
};

/// Rows of a step: `rows` tokens spread evenly over `sequences`, each of which had `depth` tokens before; logits of
/// `logitRows` of them.
struct StepShape {
  int64_t rows = 1, sequences = 1, depth = 0, logitRows = 1;
};

/// Of some calls in one step.
struct Work {
  double bytes = 0;                      // weights, tables and cache, from memory
  double rowBytes = 0;                   // rows of the arena, read and written: in a cache as a rule
  double operations[probe::kKinds] = {}; // by kind; a multiply-add is two

  void add(const Work &other);
  double allOperations() const;
};

/// A call of compiler/CallReport.h, which says what the fields mean.
struct CallCost {
  std::string name, family;
  std::vector<int64_t> layers;
  int64_t count = 1, n = 0, k = 0, weightBytes = 0, weightRowBytes = 0, experts = 0, chosen = 0, fewSymbols = 0,
          rowBytesIn = 0, rowBytesOut = 0, rowOperations = 0, positionBytes = 0, positionOperations = 0, window = 0,
          barriers = 0;
  bool logitRows = false;
  std::vector<KernelCost> kernels; // ascending

  /// Those that a step of that many rows may run: of experts several, as each is chosen by the rows of an expert.
  llvm::ArrayRef<KernelCost> kernelsFor(int64_t rows) const;
  /// The one that a step of that many rows runs; of experts, for as many rows as each has if all have as many.
  const KernelCost &kernelFor(int64_t rows) const;
  /// Weights that one call in a step of that many rows reads but for gathered lines: of experts, what is to be expected
  /// if rows choose among them evenly.
  double weightsRead(int64_t rows) const;
  /// Of all `count` calls.
  Work work(const StepShape &step) const;
};

struct ModelCosts {
  std::vector<CallCost> calls;
  /// Of the code for `target`, from the JSON of a report; one without calls of it is an error that says to compile
  /// again.
  static llvm::Expected<ModelCosts> parse(llvm::StringRef report, llvm::StringRef target);
  Work work(const StepShape &step) const;
};

/// Which limit a piece of work runs into first, and how long it takes at that.
struct Limit {
  std::string name; // "memory", "int8", "16-bit", "f32"
  double seconds = 0;
};
/// Without a rate of memory (roof.read 0) nothing is said of it; seconds 0: no limit is known.
Limit limitOf(const Work &work, const probe::Roof &roof);

} // namespace llmc::cli
