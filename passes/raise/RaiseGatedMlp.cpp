#include "passes/raise/Match.h"
#include "passes/raise/Raise.h"

namespace llmc {
#define GEN_PASS_DEF_RAISEGATEDMLP
#include "passes/raise/RaisePasses.h.inc"

using namespace mlir;
using namespace raise;

namespace {

/// Mul(Mul(gate, Sigmoid(gate)), up), all in either order: every exporter's SwiGLU.
struct RaiseSwiGlu : OpRewritePattern<llm::OnnxNodeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(llm::OnnxNodeOp mul, PatternRewriter &rewriter) const override {
    if (!isNode(mul, "Mul")) return failure();
    for (unsigned outer : {0u, 1u}) {
      llm::OnnxNodeOp silu = nodeOf(mul.getInputs()[outer], "Mul");
      if (!silu) continue;
      for (unsigned inner : {0u, 1u}) {
        llm::OnnxNodeOp sigmoid = nodeOf(silu.getInputs()[inner], "Sigmoid");
        if (!sigmoid) continue;
        Value gate = silu.getInputs()[1 - inner], up = mul.getInputs()[1 - outer];
        if (sigmoid.getInputs()[0] != gate)
          return rewriter.notifyMatchFailure(mul, "the Sigmoid is of another value than it is multiplied with");
        if (!isActivation(gate) || !isActivation(up))
          return rewriter.notifyMatchFailure(mul, "gate and up are not [batch, tokens, C] of a known C");
        Value g = toRows(rewriter, gate), u = toRows(rewriter, up);
        if (g.getType() != u.getType()) return rewriter.notifyMatchFailure(mul, "gate and up differ in width");
        Value y = llm::GatedMulOp::create(rewriter, mul.getLoc(), g.getType(), g, u,
                                          llm::ActivationAttr::get(getContext(), llm::Activation::Silu));
        replaceByRows(rewriter, mul.getResult(0), y);
        rewriter.eraseOp(mul);
        return success();
      }
    }
    return failure();
  }
};

struct RaiseGatedMlp : impl::RaiseGatedMlpBase<RaiseGatedMlp> {
  void runOnOperation() override {
    if (failed(applyRaise<RaiseSwiGlu>(getOperation(), getArgument()))) signalPassFailure();
  }
};

} // namespace
} // namespace llmc
