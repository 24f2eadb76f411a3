#include "dialects/llm/Llm.h"
#include "passes/Passes.h"
#include "passes/support/Formats.h"
#include "passes/support/Rewrite.h"

namespace llmc {
#define GEN_PASS_DEF_FUSENORMINTOLINEAR
#include "passes/Passes.h.inc"

using namespace mlir;

namespace {

/// One kernel writes the rows of attention in all steps: f32, or q8 in blocks of 32, which a head has whole.
bool attentionWrites(llm::AttentionKvOp attention, RankedTensorType rows) {
  return fewRows(rows) == RowFormat::Q8 && manyRows(rows) == RowFormat::Q8 &&
         attention.getHeadDim() % RowFormat::Q8.block == 0;
}

struct WriteQuantizedRows : OpRewritePattern<wq::QuantizeRowsOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(wq::QuantizeRowsOp op, PatternRewriter &rewriter) const override {
    Operation *producer = op.getX().getDefiningOp();
    auto attention = dyn_cast_or_null<llm::AttentionKvOp>(producer);
    if (attention && !attentionWrites(attention, cast<RankedTensorType>(op.getType()))) return failure();
    if (!isa_and_present<llm::RmsNormOp, llm::LayerNormOp, llm::ActivateOp, llm::GluOp, llm::AttentionKvOp>(producer))
      return failure();
    if (!producer->hasOneUse()) return rewriter.notifyMatchFailure(op, "the f32 rows have another use");
    rewriter.modifyOpInPlace(producer, [&] { producer->getResult(0).setType(op.getType()); });
    rewriter.replaceOp(op, producer);
    return success();
  }
};

/// The format itself if a GLU epilogue writes it, else f32.
wq::RowFormatAttr writtenByGlu(wq::RowFormatAttr format) {
  return toRowFormat(format) == RowFormat::Q8 ? format : wq::RowFormatAttr::get(format.getContext(), wq::RowKind::F32);
}

struct WriteQuantizedGlu : OpRewritePattern<wq::QuantizeRowsOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(wq::QuantizeRowsOp op, PatternRewriter &rewriter) const override {
    auto glu = op.getX().getDefiningOp<llm::GluLinearOp>();
    auto type = cast<RankedTensorType>(op.getType());
    auto rows = cast<wq::RowsType>(type.getElementType());
    if (!glu || !cast<RankedTensorType>(glu.getType()).getElementType().isF32()) return failure();
    auto written = wq::RowsType::get(getContext(), writtenByGlu(rows.getFew()), writtenByGlu(rows.getMany()));
    if (fewRows(type.clone(written)) == RowFormat::F32 && manyRows(type.clone(written)) == RowFormat::F32)
      return failure();
    if (!glu->hasOneUse()) return rewriter.notifyMatchFailure(op, "the f32 rows have another use");
    rewriter.modifyOpInPlace(glu, [&] { glu.getY().setType(type.clone(written)); });
    if (written == rows) rewriter.replaceOp(op, glu);
    return success();
  }
};

struct FuseNormIntoLinear : impl::FuseNormIntoLinearBase<FuseNormIntoLinear> {
  void runOnOperation() override {
    if (failed(applyWithReasons<WriteQuantizedRows, WriteQuantizedGlu>(getOperation(), getArgument())))
      signalPassFailure();
  }
};

} // namespace
} // namespace llmc
