// What a compilation tells about itself: metadata that tools need, and the report of choices.
#pragma once
#include "compiler/Compiler.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/MLIRContext.h"
#include <map>

namespace llmc {

/// Collects the refusal remarks (passes/support/Rewrite.h) that passes report while it is alive, with counts.
class RefusalLog {
public:
  explicit RefusalLog(mlir::MLIRContext &context);
  ~RefusalLog();
  /// (pass, reason) -> how often.
  using Counts = std::map<std::pair<std::string, std::string>, int64_t>;
  const Counts &counts() const { return *log; }

private:
  mlir::MLIRContext &context;
  std::shared_ptr<Counts> log;
};

/// JSON of the constants and names that running needs: vocab, layers, max_context, eos_ids, bos, target, ...
std::string metadataJson(const Compilation &compilation);
/// JSON of the choices: kernels with their calls, weights with their schemes and bytes, refusals.
std::string reportJson(const Compilation &compilation, const RefusalLog &refusals);

} // namespace llmc
