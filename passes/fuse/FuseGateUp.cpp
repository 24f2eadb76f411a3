#include "dialects/llm/Llm.h"
#include "passes/Passes.h"
#include "passes/fuse/JoinLinears.h"
#include "passes/support/Rewrite.h"

namespace llmc {
#define GEN_PASS_DEF_FUSEGATEUP
#include "passes/Passes.h.inc"

using namespace mlir;

namespace {

/// Rows of the gate, then rows of up: the halves of a panel (MatmulDesc::glu).
constexpr int64_t kTurn = 32;

struct JoinGateAndUp : OpRewritePattern<llm::GatedMulOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(llm::GatedMulOp op, PatternRewriter &rewriter) const override {
    SmallVector<Value> parts = {op.getGate(), op.getUp()};
    Value both;
    if (whyNotJoinable(parts).empty() && cast<RankedTensorType>(op.getType()).getDimSize(1) % kTurn == 0) {
      JoinedLinears joined = joinOperands(rewriter, op.getLoc(), parts, kTurn);
      rewriter.replaceOpWithNewOp<llm::GluLinearOp>(op, op.getType(), joined.x, joined.w, joined.bias,
                                                    op.getActivationAttr());
      return success();
    }
    if (std::string reason = whyNotJoinable(parts); reason.empty()) {
      both = joinLinears(rewriter, op.getLoc(), parts);
    } else {
      (void)rewriter.notifyMatchFailure(op, reason); // reported; the parts then write into one buffer
      auto type = cast<RankedTensorType>(op.getType());
      both = llm::ConcatColumnsOp::create(rewriter, op.getLoc(),
                                          type.clone({type.getDimSize(0), 2 * type.getDimSize(1)}), parts);
    }
    rewriter.replaceOpWithNewOp<llm::GluOp>(op, op.getType(), both, op.getActivationAttr());
    return success();
  }
};

struct FuseGateUp : impl::FuseGateUpBase<FuseGateUp> {
  void runOnOperation() override {
    if (failed(applyWithReasons<JoinGateAndUp>(getOperation(), getArgument()))) signalPassFailure();
  }
};

} // namespace
} // namespace llmc
