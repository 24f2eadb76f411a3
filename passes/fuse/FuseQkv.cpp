#include "dialects/llm/Llm.h"
#include "passes/Passes.h"
#include "passes/fuse/JoinLinears.h"
#include "passes/support/Rewrite.h"

namespace llmc {
#define GEN_PASS_DEF_FUSEQKV
#include "passes/Passes.h.inc"

using namespace mlir;

namespace {

struct JoinProjections : OpRewritePattern<llm::ConcatColumnsOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(llm::ConcatColumnsOp op, PatternRewriter &rewriter) const override {
    if (!llvm::any_of(op->getUsers(), llvm::IsaPred<llm::AttentionKvOp, llm::QkNormOp>)) return failure();
    if (std::string reason = whyNotJoinable(op.getParts()); !reason.empty())
      return rewriter.notifyMatchFailure(op, reason);
    rewriter.replaceOp(op, joinLinears(rewriter, op.getLoc(), op.getParts()));
    return success();
  }
};

struct FuseQkv : impl::FuseQkvBase<FuseQkv> {
  void runOnOperation() override {
    if (failed(applyWithReasons<JoinProjections>(getOperation(), getArgument()))) signalPassFailure();
  }
};

} // namespace
} // namespace llmc
