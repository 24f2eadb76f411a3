#include "dialects/llm/Llm.h"
#include "passes/Passes.h"
#include "passes/support/Rewrite.h"

namespace llmc {
#define GEN_PASS_DEF_FUSERESIDUAL
#include "passes/Passes.h.inc"

using namespace mlir;

namespace {

/// `Linear` is wq.linear or llm.experts.
template <typename Linear> struct AddInPlace : OpRewritePattern<llm::AddOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(llm::AddOp op, PatternRewriter &rewriter) const override {
    Value x = op.getA();
    auto linear = op.getB().getDefiningOp<Linear>();
    if (!linear) linear = op.getA().getDefiningOp<Linear>(), x = op.getB();
    if (!linear || linear.getResidual()) return failure();
    if (!linear->hasOneUse()) return rewriter.notifyMatchFailure(op, "the linear has another use");
    for (Operation *user : x.getUsers())
      if (user != op && (user->getBlock() != op->getBlock() || op->isBeforeInBlock(user)))
        return rewriter.notifyMatchFailure(op, "the residual is read after the add");
    if (isa<BlockArgument>(x)) return rewriter.notifyMatchFailure(op, "the residual is an argument");
    auto added = cast<Linear>(rewriter.clone(*linear));
    rewriter.modifyOpInPlace(added, [&] { added.getResidualMutable().assign(x); });
    rewriter.replaceOp(op, added.getY());
    rewriter.eraseOp(linear);
    return success();
  }
};

struct FuseResidual : impl::FuseResidualBase<FuseResidual> {
  void runOnOperation() override {
    if (failed(applyWithReasons<AddInPlace<wq::LinearOp>, AddInPlace<llm::ExpertsOp>>(getOperation(), getArgument())))
      signalPassFailure();
  }
};

} // namespace
} // namespace llmc
