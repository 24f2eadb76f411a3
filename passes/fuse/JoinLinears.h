// Several linears of one input as one linear of their concatenated weights.
#pragma once
#include "dialects/wq/Wq.h"
#include "mlir/IR/PatternMatch.h"

namespace llmc {

/// Why the results `parts` are not linears that can be joined; empty if they can.
std::string whyNotJoinable(mlir::ValueRange parts);

/// What a linear of all parts reads: their input, their weights and biases one after the other, or in turns of
/// `interleave` rows if that is not 0.
struct JoinedLinears {
  mlir::Value x, w, bias; // bias: null if the parts have none
};
JoinedLinears joinOperands(mlir::PatternRewriter &rewriter, mlir::Location loc, mlir::ValueRange parts,
                           int64_t interleave);

/// One wq.linear whose columns are those of `parts` in order (whyNotJoinable must be empty); at the rewriter's
/// insertion point.
mlir::Value joinLinears(mlir::PatternRewriter &rewriter, mlir::Location loc, mlir::ValueRange parts);

} // namespace llmc
