// Nodes that show the same rows in another shape: what is done to each row, or each head of a row, can be done before
// them.
#pragma once
#include "passes/raise/Match.h"

namespace llmc::raise {

/// A value whose last axis of `width` elements is one of the `heads` equal parts of a row of `base`: `views` (innermost
/// first: Reshape, Squeeze, Unsqueeze, Transpose of other axes, casts between floats) only arrange them.
struct View {
  mlir::Value base; // isRows()
  llvm::SmallVector<llm::OnnxNodeOp, 4> views;
  int64_t width = 0, heads = 1;
};
/// Such a view, with the base as far below as there is one; nothing if the value is none, or has no known last size.
std::optional<View> viewOf(mlir::Value value);

/// Replaces a result that has the form of `view` by `rows`, [M, heads * width], seen in the same way.
void replaceByView(mlir::PatternRewriter &rewriter, llm::OnnxNodeOp node, mlir::Value result, const View &view,
                   mlir::Value rows);

/// Adds the patterns that make rows of activations where there is nothing to compute: Reshape and the like that keep
/// the rows, casts between floats, Identity and Dropout; and of Add of two of them llm.add.
void addRowPatterns(mlir::RewritePatternSet &patterns);

} // namespace llmc::raise
