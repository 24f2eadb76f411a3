#include "dialects/llm/Llm.h"
#include "passes/Passes.h"
#include "passes/support/Rewrite.h"

namespace llmc {
#define GEN_PASS_DEF_FUSERESIDUAL
#include "passes/Passes.h.inc"

using namespace mlir;

namespace {

struct AddInPlace : OpRewritePattern<llm::AddOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(llm::AddOp op, PatternRewriter &rewriter) const override {
    Value x = op.getA();
    auto linear = op.getB().getDefiningOp<wq::LinearOp>();
    if (!linear) linear = op.getA().getDefiningOp<wq::LinearOp>(), x = op.getB();
    if (!linear || linear.getResidual()) return failure();
    if (!linear->hasOneUse()) return rewriter.notifyMatchFailure(op, "the linear has another use");
    for (Operation *user : x.getUsers())
      if (user != op && (user->getBlock() != op->getBlock() || op->isBeforeInBlock(user)))
        return rewriter.notifyMatchFailure(op, "the residual is read after the add");
    if (isa<BlockArgument>(x)) return rewriter.notifyMatchFailure(op, "the residual is an argument");
    rewriter.replaceOpWithNewOp<wq::LinearOp>(op, op.getType(), linear.getX(), linear.getW(), linear.getBias(), x);
    return success();
  }
};

struct FuseResidual : impl::FuseResidualBase<FuseResidual> {
  void runOnOperation() override {
    if (failed(applyWithReasons<AddInPlace>(getOperation(), getArgument()))) signalPassFailure();
  }
};

} // namespace
} // namespace llmc
