// The channels of the heads of q, k or v: what they were proved to be, and the ops that make them so.
#pragma once
#include "passes/raise/Elements.h"
#include "llvm/ADT/STLFunctionalExtras.h"

namespace llmc::raise {

/// factor * rope(x), x of rows: channel d of head h is column begin + h / group * stride + h % group * D + d.
struct HeadRows {
  mlir::Value rows; // [M, C]
  int64_t heads = 0, size = 0, begin = 0, group = 0, stride = 0;
  llm::RopeAttr rope; // or null
  mlir::Value table;  // of cosines that `rope` was read from, or null
  double factor = 1;
};

/// What one of q, k, v is read as.
struct HeadQuery {
  llvm::function_ref<Scalar(Scalar)> channel; // by channel
  Scalar head;                                // variable of the head, or 0
  int64_t heads, size;
  Scalar token, position; // of the row
};

/// Proves it for all heads, tokens and channels. `probes`: the channels, as expressions, that together are all.
std::optional<HeadRows> readHeadRows(Elements &elements, const HeadQuery &query, Scalars &probes, std::string &reason);

/// Why the columns are not rows that emitHeadRows can make, or empty.
std::string refuseHeadRows(const HeadRows &rows);
/// Rows [M, heads * D], before `at`: a part of the linear, rope.
mlir::Value emitHeadRows(mlir::PatternRewriter &rewriter, llm::OnnxNodeOp at, const HeadRows &rows,
                         mlir::Value positions, llvm::StringRef part);

} // namespace llmc::raise
