// com.microsoft MultiHeadAttention with everything around it explicit: mask, cache, repeated heads.
#pragma once
#include "passes/raise/Match.h"

namespace llmc::raise {

/// Attribute of an attention node while llmc-raise-attention runs: its place in the graph, its layer of the cache.
inline constexpr llvm::StringLiteral kLayerAttr = "llm.layer";

struct RaiseMultiHeadAttention : mlir::OpRewritePattern<llm::OnnxNodeOp> {
  using OpRewritePattern::OpRewritePattern;
  mlir::LogicalResult matchAndRewrite(llm::OnnxNodeOp node, mlir::PatternRewriter &rewriter) const override;
};

} // namespace llmc::raise
