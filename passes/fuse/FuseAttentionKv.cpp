#include "dialects/llm/Llm.h"
#include "passes/Passes.h"
#include "passes/support/Rewrite.h"

namespace llmc {
#define GEN_PASS_DEF_FUSEATTENTIONKV
#include "passes/Passes.h.inc"

using namespace mlir;

namespace {

/// Cosines and sines of the step's positions; equal tables are merged by CSE, so a model with one rope computes one.
Value ropeTable(PatternRewriter &rewriter, Location loc, Value positions, llm::RopeAttr rope) {
  SmallVector<float> frequencies(rope.getInvFreq().begin(), rope.getInvFreq().end());
  frequencies.append(rope.getLongInvFreq().begin(), rope.getLongInvFreq().end()); // RopeKind::Long
  auto type = RankedTensorType::get({int64_t(frequencies.size())}, rewriter.getF32Type());
  Value constant =
      wq::ConstantOp::create(rewriter, loc, type, DenseElementsAttr::get(type, ArrayRef<float>(frequencies)));
  auto table = RankedTensorType::get({ShapedType::kDynamic, rope.getDim()}, rewriter.getF32Type());
  return llm::RopeTableOp::create(rewriter, loc, table, positions, constant, rope);
}

struct FuseAttention : OpRewritePattern<llm::AttentionOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(llm::AttentionOp op, PatternRewriter &rewriter) const override {
    auto ropeQ = op.getQ().getDefiningOp<llm::RopeOp>(), ropeK = op.getK().getDefiningOp<llm::RopeOp>();
    if (bool(ropeQ) != bool(ropeK)) return rewriter.notifyMatchFailure(op, "only one of q and k is rotated");
    Value q = op.getQ(), k = op.getK(), table;
    if (ropeQ) {
      if (ropeQ.getRope() != ropeK.getRope()) return rewriter.notifyMatchFailure(op, "q and k have different ropes");
      if (!ropeQ->hasOneUse() || !ropeK->hasOneUse()) return rewriter.notifyMatchFailure(op, "a rope has another use");
      q = ropeQ.getX(), k = ropeK.getX();
    }
    auto normQ = q.getDefiningOp<llm::HeadNormOp>(), normK = k.getDefiningOp<llm::HeadNormOp>();
    if (bool(normQ) != bool(normK)) return rewriter.notifyMatchFailure(op, "only one of q and k is normalised");
    if (normQ) {
      if (normQ.getEpsilon() != normK.getEpsilon() || normQ.getWeight().getType() != normK.getWeight().getType())
        return rewriter.notifyMatchFailure(op, "q and k have different norms");
      if (!normQ->hasOneUse() || !normK->hasOneUse()) return rewriter.notifyMatchFailure(op, "a norm has another use");
      q = normQ.getX(), k = normK.getX();
    }
    if (ropeQ) table = ropeTable(rewriter, op.getLoc(), op.getPositions(), ropeQ.getRope());
    int64_t columns = int64_t(op.getHeads() + 2 * op.getKvHeads()) * int64_t(op.getHeadDim());
    auto type = RankedTensorType::get({ShapedType::kDynamic, columns}, rewriter.getF32Type());
    Value qkv = llm::ConcatColumnsOp::create(rewriter, op.getLoc(), type, ValueRange{q, k, op.getV()});
    if (normQ)
      qkv = llm::QkNormOp::create(rewriter, op.getLoc(), type, qkv, normQ.getWeight(), normK.getWeight(),
                                  op.getHeadsAttr(), op.getKvHeadsAttr(), normQ.getEpsilonAttr());
    rewriter.replaceOpWithNewOp<llm::AttentionKvOp>(
        op, op.getType(), qkv, op.getPositions(), table, op.getSinks(), op.getLayerAttr(), op.getHeadsAttr(),
        op.getKvHeadsAttr(), op.getHeadDimAttr(), op.getScaleAttr(), op.getWindowAttr(), op.getAlibiAttr(),
        op.getSoftcapAttr(), ropeQ ? ropeQ.getRopeAttr() : llm::RopeAttr());
    return success();
  }
};

struct FuseAttentionKv : impl::FuseAttentionKvBase<FuseAttentionKv> {
  void runOnOperation() override {
    if (failed(applyWithReasons<FuseAttention>(getOperation(), getArgument()))) signalPassFailure();
  }
};

} // namespace
} // namespace llmc
