#include "dialects/llm/Llm.h"
#include "passes/Passes.h"
#include "passes/support/Rewrite.h"

namespace llmc {
#define GEN_PASS_DEF_FUSENORMINTOLINEAR
#include "passes/Passes.h.inc"

using namespace mlir;

namespace {

struct WriteQuantizedRows : OpRewritePattern<wq::QuantizeRowsOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(wq::QuantizeRowsOp op, PatternRewriter &rewriter) const override {
    Operation *producer = op.getX().getDefiningOp();
    if (!isa_and_present<llm::RmsNormOp, llm::GluOp>(producer)) return failure();
    if (!producer->hasOneUse()) return rewriter.notifyMatchFailure(op, "the f32 rows have another use");
    rewriter.setInsertionPoint(producer);
    Operation *quantised = rewriter.clone(*producer);
    rewriter.modifyOpInPlace(quantised, [&] { quantised->getResult(0).setType(op.getType()); });
    rewriter.replaceOp(op, quantised);
    return success();
  }
};

struct FuseNormIntoLinear : impl::FuseNormIntoLinearBase<FuseNormIntoLinear> {
  void runOnOperation() override {
    if (failed(applyWithReasons<WriteQuantizedRows>(getOperation(), getArgument()))) signalPassFailure();
  }
};

} // namespace
} // namespace llmc
