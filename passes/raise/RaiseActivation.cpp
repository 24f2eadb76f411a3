#include "passes/raise/Products.h"
#include "passes/raise/Raise.h"
#include "passes/raise/Views.h"
#include <cmath>

namespace llmc {
#define GEN_PASS_DEF_RAISEACTIVATION
#include "passes/raise/RaisePasses.h.inc"

using namespace mlir;
using namespace raise;

namespace {

/// SiLU, GELU and ReLU in all spellings.
struct RaiseActivate : OpRewritePattern<llm::OnnxNodeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(llm::OnnxNodeOp node, PatternRewriter &rewriter) const override {
    std::string reason;
    std::optional<Activated> activated = activationOf(node, reason);
    if (!activated) return reason.empty() ? failure() : rewriter.notifyMatchFailure(node, reason);
    if (!isRows(activated->x))
      return rewriter.notifyMatchFailure(node, "an activation function of what is not rows of a known width");
    llm::LinearOp linear;
    std::optional<Vector> bias = vectorOf(activated->added);
    if (activated->added) {
      linear = underRows(activated->x).getDefiningOp<llm::LinearOp>();
      if (!linear || linear.getBias() || !bias || bias->size() != lastSize(activated->x))
        return rewriter.notifyMatchFailure(node, "a bias of what is no linear without one");
    }
    Value x = toRows(rewriter, activated->x);
    if (linear)
      x = llm::LinearOp::create(rewriter, linear.getLoc(), x.getType(), linear.getX(), linear.getW(),
                                makeVector(rewriter, node, *bias));
    auto attr = llm::ActivationAttr::get(getContext(), activated->activation);
    replaceByRows(rewriter, node.getResult(0), llm::ActivateOp::create(rewriter, node.getLoc(), x.getType(), x, attr));
    rewriter.eraseOp(node);
    return success();
  }
};

/// Mul(activation(gate), up) in either order.
struct RaiseGatedMul : OpRewritePattern<llm::OnnxNodeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(llm::OnnxNodeOp mul, PatternRewriter &rewriter) const override {
    if (!isNode(mul, "Mul") || !isRows(mul.getInputs()[0]) || !isRows(mul.getInputs()[1])) return failure();
    for (unsigned side : {0u, 1u}) {
      auto activate = underRows(mul.getInputs()[side]).getDefiningOp<llm::ActivateOp>();
      if (!activate) continue;
      if (lastSize(mul.getInputs()[0]) != lastSize(mul.getInputs()[1]))
        return rewriter.notifyMatchFailure(mul, "gate and up differ in width");
      Value gate = activate.getX(), up = toRows(rewriter, mul.getInputs()[1 - side]);
      Value y = llm::GatedMulOp::create(rewriter, mul.getLoc(), gate.getType(), gate, up, activate.getActivationAttr());
      replaceByRows(rewriter, mul.getResult(0), y);
      rewriter.eraseOp(mul);
      return success();
    }
    return failure();
  }
};

//===- Factors and bounds ----------------------------------------------------------===//
/// number * x of one value.
std::optional<std::pair<Value, double>> scaled(Value value) {
  Product product = productOf(value);
  if (product.factors.size() != 1 || !std::isfinite(product.number) || product.number == 0) return std::nullopt;
  return std::pair(product.factors[0], product.number);
}

/// bound * tanh(x * number): the bound on logits of Gemma 2.
struct RaiseSoftcap : OpRewritePattern<llm::OnnxNodeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(llm::OnnxNodeOp node, PatternRewriter &rewriter) const override {
    auto outer = isNode(node, "Mul") ? scaled(node.getResult(0)) : std::nullopt;
    llm::OnnxNodeOp tanh = outer ? nodeOf(outer->first, "Tanh") : llm::OnnxNodeOp();
    auto inner = tanh ? scaled(tanh.getInputs()[0]) : std::nullopt;
    if (!inner || !isRows(inner->first)) return failure();
    if (!(outer->second > 0)) return rewriter.notifyMatchFailure(node, "a bound that is not positive");
    double scale = inner->second * outer->second;
    if (std::abs(scale - 1) < 1e-6) scale = 1; // x / bound, rounded
    Value x = toRows(rewriter, inner->first);
    replaceByRows(rewriter, node.getResult(0),
                  llm::ScaleOp::create(rewriter, node.getLoc(), x.getType(), x, rewriter.getF32FloatAttr(float(scale)),
                                       rewriter.getF32FloatAttr(float(outer->second))));
    rewriter.eraseOp(node);
    return success();
  }
};

/// x times a number: of an embedding its scale, else llm.scale.
struct RaiseScale : OpRewritePattern<llm::OnnxNodeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(llm::OnnxNodeOp node, PatternRewriter &rewriter) const override {
    if (!isNode(node, "Mul") && !isNode(node, "Div")) return failure();
    auto type = dyn_cast<RankedTensorType>(node.getResult(0).getType());
    if (!type || type.getRank() < 2 || type.getRank() > 3) return failure();
    auto product = scaled(node.getResult(0));
    // What a Tanh reads is a part of a bound or a GELU.
    if (!product || product->first == node.getResult(0) || !isRows(product->first) || feedsTanh(node)) return failure();
    Value x = toRows(rewriter, product->first), y;
    auto factor = rewriter.getF32FloatAttr(float(product->second));
    if (auto embed = x.getDefiningOp<llm::EmbedOp>()) {
      factor = rewriter.getF32FloatAttr(float(product->second * embed.getScale().convertToDouble()));
      y = llm::EmbedOp::create(rewriter, node.getLoc(), x.getType(), embed.getTokens(), embed.getTable(), factor);
    } else {
      y = llm::ScaleOp::create(rewriter, node.getLoc(), x.getType(), x, factor, rewriter.getF32FloatAttr(0.0f));
    }
    replaceByRows(rewriter, node.getResult(0), y);
    rewriter.eraseOp(node);
    return success();
  }

private:
  static bool feedsTanh(llm::OnnxNodeOp node) {
    return llvm::any_of(node->getUsers(), [](Operation *user) {
      return isNode(dyn_cast<llm::OnnxNodeOp>(user), "Tanh") || isNode(dyn_cast<llm::OnnxNodeOp>(user), "Erf");
    });
  }
};

struct RaiseActivation : impl::RaiseActivationBase<RaiseActivation> {
  void runOnOperation() override {
    RewritePatternSet functions(&getContext()), rest(&getContext());
    functions.add<RaiseActivate>(&getContext());
    addRowPatterns(functions);
    rest.add<RaiseGatedMul, RaiseSoftcap>(&getContext());
    addRowPatterns(rest);
    // Factors last: they are parts of the others.
    if (failed(applyRaise(getOperation(), getArgument(), std::move(functions))) ||
        failed(applyRaise(getOperation(), getArgument(), std::move(rest))) ||
        failed(applyRaise<RaiseScale>(getOperation(), getArgument())))
      signalPassFailure();
  }
};

} // namespace
} // namespace llmc
