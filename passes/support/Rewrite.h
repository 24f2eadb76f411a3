// Greedy rewriting that says why a candidate was refused.
#pragma once
#include "mlir/IR/Operation.h"
#include "mlir/IR/PatternMatch.h"
#include "llvm/ADT/StringRef.h"

namespace llmc {

/// Reports `reason` for the op at `loc` as a remark of category "refusal" (see --remarks-filter of llmc-opt).
void reportRefusal(mlir::Location loc, llvm::StringRef pass, const llvm::Twine &reason);

/// Runs the patterns greedily on `root`; each reason given to notifyMatchFailure becomes a refusal remark. A reason is
/// reported once for an op.
mlir::LogicalResult applyPatternsWithReasons(mlir::Operation *root, llvm::StringRef pass,
                                             mlir::RewritePatternSet &&patterns);

template <typename... Patterns> mlir::LogicalResult applyWithReasons(mlir::Operation *root, llvm::StringRef pass) {
  mlir::RewritePatternSet patterns(root->getContext());
  patterns.add<Patterns...>(root->getContext());
  return applyPatternsWithReasons(root, pass, std::move(patterns));
}

} // namespace llmc
