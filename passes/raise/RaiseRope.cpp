#include "passes/raise/Match.h"
#include "passes/raise/Raise.h"
#include "passes/raise/Rotary.h"

namespace llmc {
#define GEN_PASS_DEF_RAISEROPE
#include "passes/raise/RaisePasses.h.inc"

using namespace mlir;
using namespace raise;

namespace {

/// com.microsoft RotaryEmbedding(x, positions, cos_cache, sin_cache), x [batch, tokens, heads * head size].
struct RaiseRotary : OpRewritePattern<llm::OnnxNodeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(llm::OnnxNodeOp node, PatternRewriter &rewriter) const override {
    if (!isNode(node, "RotaryEmbedding", kMicrosoft)) return failure();
    Value x = node.getInputs()[0];
    if (!isActivation(x)) return rewriter.notifyMatchFailure(node, "the input is not [batch, tokens, C] of a known C");
    auto positions = dyn_cast<BlockArgument>(underRows(node.getInputs()[1]));
    if (!positions || positions == node.getInputs()[1] || positions.getArgNumber() != 1)
      return rewriter.notifyMatchFailure(node, "the positions are not the graph's position_ids");
    if (intAttr(node, "is_packed_batching", 0)) return rewriter.notifyMatchFailure(node, "packed batches");
    if (floatAttr(node, "scale", 1.0) != 1.0) return rewriter.notifyMatchFailure(node, "a scale other than 1");
    std::string reason;
    int64_t positionCount = 0;
    llm::RopeAttr rope =
        ropeOf(node.getInputs()[2], node.getInputs()[3], intAttr(node, "interleaved", 0), positionCount, reason);
    if (!rope) return rewriter.notifyMatchFailure(node, reason);

    // Without num_heads a head is as wide as what rotates.
    int64_t columns = cast<RankedTensorType>(x.getType()).getDimSize(2), heads = intAttr(node, "num_heads", 0);
    int64_t dim = intAttr(node, "rotary_embedding_dim", 0);
    if (dim && (dim != rope.getDim() || !heads))
      return rewriter.notifyMatchFailure(node, "rotary_embedding_dim " + Twine(dim) +
                                                   " without num_heads or of other tables");
    if (!heads) heads = columns / rope.getDim();
    if (!heads || columns % heads || columns / heads < rope.getDim())
      return rewriter.notifyMatchFailure(node, "rows of " + Twine(columns) + " in heads of " + Twine(rope.getDim()));
    boundContext(rewriter, node, positionCount);
    Value rows = toRows(rewriter, x);
    Value y = llm::RopeOp::create(rewriter, node.getLoc(), rows.getType(), rows, positions,
                                  rewriter.getI64IntegerAttr(heads), rope);
    replaceByRows(rewriter, node.getResult(0), y);
    rewriter.eraseOp(node);
    return success();
  }
};

struct RaiseRope : impl::RaiseRopeBase<RaiseRope> {
  void runOnOperation() override {
    if (failed(applyRaise<RaiseRotary>(getOperation(), getArgument()))) signalPassFailure();
  }
};

} // namespace
} // namespace llmc
