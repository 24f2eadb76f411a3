#include "passes/raise/Raise.h"
#include "passes/raise/ShapeValues.h"
#include "passes/raise/Views.h"

namespace llmc {
#define GEN_PASS_DEF_RAISENORM
#include "passes/raise/RaisePasses.h.inc"

using namespace mlir;
using namespace raise;

namespace {

//===- Building ----------------------------------------------------------------===//
enum class Kind { Rms, Layer };

/// The norm of a value whose last axis is a row, or a head of one. `weight` is a vector of its width, `bias` may be
/// null. Nothing if a head is to be normalised in a way that llm.head_norm has not.
Value makeNorm(PatternRewriter &rewriter, Location loc, Kind kind, const View &view, Value weight, Value bias,
               FloatAttr epsilon) {
  Value rows = toRows(rewriter, view.base);
  if (kind == Kind::Layer)
    return view.heads > 1 ? Value()
                          : llm::LayerNormOp::create(rewriter, loc, rows.getType(), rows, weight, bias, epsilon);
  if (view.heads > 1) return llm::HeadNormOp::create(rewriter, loc, rows.getType(), rows, weight, epsilon);
  return llm::RmsNormOp::create(rewriter, loc, rows.getType(), rows, weight, epsilon);
}

constexpr const char *kHeadLayerNorm = "LayerNorm of each head, expected RMSNorm";

/// Of the value that makeVector gives.
Type elementOf(Vector vector) {
  return vector.tensor ? vector.tensor.getType().getElementType() : Float32Type::get(vector.constant.getContext());
}
/// Whether a weight and a bias, if there are operands for them, are vectors of the width and of one type.
bool areVectors(const std::optional<Vector> &weight, Value biasOperand, const std::optional<Vector> &bias,
                int64_t width) {
  if (!weight || weight->size() != width) return false;
  return !biasOperand || (bias && bias->size() == width && elementOf(*bias) == elementOf(*weight));
}
constexpr const char *kNoVectors = "the weight or bias is not an initialiser of the width, or they differ in type";

//===- Fused operators -----------------------------------------------------------===//
/// Why a norm node is not one of rows, or empty. `first` is its first result that nothing may use.
std::string refusal(llm::OnnxNodeOp node, Value x, double epsilon, unsigned first) {
  if (!isLastAxis(x, intAttr(node, "axis", -1))) return "a norm over another axis than the last";
  if (!(epsilon > 0)) return "a norm whose epsilon is not positive";
  for (unsigned i = first; i < std::min(node.getNumResults(), 3u); ++i)
    if (!node.getResult(i).use_empty()) return "the mean or deviation is used";
  return "";
}

/// SimplifiedLayerNormalization (ONNX Runtime), RMSNormalization (opset 23), LayerNormalization (opset 17).
struct RaiseFusedNorm : OpRewritePattern<llm::OnnxNodeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(llm::OnnxNodeOp node, PatternRewriter &rewriter) const override {
    bool isLayer = isNode(node, "LayerNormalization");
    if (!isLayer && !isNode(node, "SimplifiedLayerNormalization") && !isNode(node, "RMSNormalization"))
      return failure();
    Value x = node.getInputs()[0], biasOperand = isLayer ? operand(node, 2) : Value();
    double epsilon = floatAttr(node, "epsilon", 1e-5);
    if (std::string reason = refusal(node, x, epsilon, 1); !reason.empty())
      return rewriter.notifyMatchFailure(node, reason);
    std::optional<View> view = viewOf(x);
    if (!view) return rewriter.notifyMatchFailure(node, "the input is not rows, or heads of rows, of a known width");
    std::optional<Vector> weight = vectorOf(node.getInputs()[1]), bias = vectorOf(biasOperand);
    if (!areVectors(weight, biasOperand, bias, view->width)) return rewriter.notifyMatchFailure(node, kNoVectors);
    if (isLayer && view->heads > 1) return rewriter.notifyMatchFailure(node, kHeadLayerNorm);
    Value w = makeVector(rewriter, node, *weight), b = bias ? makeVector(rewriter, node, *bias) : Value();
    Value y = makeNorm(rewriter, node.getLoc(), isLayer ? Kind::Layer : Kind::Rms, *view, w, b,
                       rewriter.getF32FloatAttr(float(epsilon)));
    replaceByView(rewriter, node, node.getResult(0), *view, y);
    rewriter.eraseOp(node);
    return success();
  }
};

/// com.microsoft SkipSimplifiedLayerNormalization and SkipLayerNormalization: results (norm, -, -, input + skip).
struct RaiseSkipNorm : OpRewritePattern<llm::OnnxNodeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(llm::OnnxNodeOp node, PatternRewriter &rewriter) const override {
    bool isLayer = isNode(node, "SkipLayerNormalization", kMicrosoft);
    if (!isLayer && !isNode(node, "SkipSimplifiedLayerNormalization", kMicrosoft)) return failure();
    Value x = node.getInputs()[0], skip = node.getInputs()[1];
    Value betaOperand = isLayer ? operand(node, 3) : Value(), addedOperand = operand(node, isLayer ? 4 : 3);
    double epsilon = floatAttr(node, "epsilon", 1e-12);
    if (std::string reason = refusal(node, x, epsilon, 1); !reason.empty())
      return rewriter.notifyMatchFailure(node, reason);
    if (!isRows(x) || !isRows(skip) || lastSize(x) != lastSize(skip))
      return rewriter.notifyMatchFailure(node, "the input and skip are not rows of one known width");
    std::optional<Vector> gamma = vectorOf(node.getInputs()[2]), beta = vectorOf(betaOperand);
    if (!areVectors(gamma, betaOperand, beta, lastSize(x))) return rewriter.notifyMatchFailure(node, kNoVectors);
    // A bias that is added too is that of the linear among the two.
    std::optional<Vector> added = vectorOf(addedOperand);
    llm::LinearOp linear = bareLinear(skip) ? bareLinear(skip) : bareLinear(x);
    if (addedOperand && (!added || !linear || added->size() != lastSize(x)))
      return rewriter.notifyMatchFailure(node, "a bias is added before the norm to what is no linear without one");
    Value a = toRows(rewriter, x), b = toRows(rewriter, skip);
    if (added)
      (b.getDefiningOp() == linear ? b : a) = llm::LinearOp::create(
          rewriter, linear.getLoc(), a.getType(), linear.getX(), linear.getW(), makeVector(rewriter, node, *added));
    Value sum = llm::AddOp::create(rewriter, node.getLoc(), a.getType(), a, b);
    View view;
    view.base = x, view.width = lastSize(x);
    if (node.getNumResults() == 4) replaceByRows(rewriter, node.getResult(3), sum);
    Value w = makeVector(rewriter, node, *gamma), shift = beta ? makeVector(rewriter, node, *beta) : Value();
    FloatAttr eps = rewriter.getF32FloatAttr(float(epsilon));
    Value y = isLayer ? Value(llm::LayerNormOp::create(rewriter, node.getLoc(), sum.getType(), sum, w, shift, eps))
                      : Value(llm::RmsNormOp::create(rewriter, node.getLoc(), sum.getType(), sum, w, eps));
    replaceByRows(rewriter, node.getResult(0), y);
    rewriter.eraseOp(node);
    return success();
  }

private:
  /// A linear without a bias.
  static llm::LinearOp bareLinear(Value value) {
    auto linear = underRows(value).getDefiningOp<llm::LinearOp>();
    return linear && !linear.getBias() ? linear : llm::LinearOp();
  }
};

//===- Decomposed ------------------------------------------------------------------===//
/// v if the value is v * v.
Value squared(Value value) {
  value = beforeCasts(value);
  if (llm::OnnxNodeOp pow = nodeOf(value, "Pow"); pow && scalar(beforeCasts(pow.getInputs()[1])) == 2.0)
    return beforeCasts(pow.getInputs()[0]);
  llm::OnnxNodeOp mul = nodeOf(value, "Mul");
  return mul && isSame(mul.getInputs()[0], mul.getInputs()[1]) ? beforeCasts(mul.getInputs()[0]) : Value();
}

/// What is under the square root of a value.
Value underRoot(Value value) {
  value = beforeCasts(value);
  if (llm::OnnxNodeOp sqrt = nodeOf(value, "Sqrt")) return sqrt.getInputs()[0];
  llm::OnnxNodeOp pow = nodeOf(value, "Pow");
  return pow && scalar(beforeCasts(pow.getInputs()[1])) == 0.5 ? pow.getInputs()[0] : Value();
}
/// The same of 1 / sqrt(d), as Reciprocal, Div or Pow.
Value underInverseRoot(Value value) {
  value = beforeCasts(value);
  if (llm::OnnxNodeOp inverse = nodeOf(value, "Reciprocal")) return underRoot(inverse.getInputs()[0]);
  if (llm::OnnxNodeOp div = nodeOf(value, "Div"); div && scalar(beforeCasts(div.getInputs()[0])) == 1.0)
    return underRoot(div.getInputs()[1]);
  llm::OnnxNodeOp pow = nodeOf(value, "Pow");
  return pow && scalar(beforeCasts(pow.getInputs()[1])) == -0.5 ? pow.getInputs()[0] : Value();
}

/// x / sqrt(d) as a node writes it.
struct Quotient {
  Value x, d;
};
std::optional<Quotient> quotient(llm::OnnxNodeOp node) {
  if (isNode(node, "Div")) {
    if (Value d = underRoot(node.getInputs()[1])) return Quotient{beforeCasts(node.getInputs()[0]), d};
    return std::nullopt;
  }
  for (unsigned side : {0u, 1u})
    if (Value d = isNode(node, "Mul") ? underInverseRoot(node.getInputs()[side]) : Value())
      return Quotient{beforeCasts(node.getInputs()[1 - side]), d};
  return std::nullopt;
}

/// What a ReduceMean over the last axis is the mean of.
Value underMean(Value value) {
  llm::OnnxNodeOp mean = nodeOf(beforeCasts(value), "ReduceMean");
  if (!mean || intAttr(mean, "keepdims", 1) != 1) return {};
  SmallVector<int64_t> axes;
  if (std::optional<Sizes> sizes = operand(mean, 1) ? sizesIn(operand(mean, 1)) : std::nullopt)
    for (const Size &size : *sizes) axes.push_back(size.of ? INT64_MAX : size.number);
  if (auto attr = mean.getOnnxAttributes().getAs<DenseI64ArrayAttr>("axes"))
    axes = SmallVector<int64_t>(attr.asArrayRef());
  bool last = axes.size() == 1 && isLastAxis(mean.getInputs()[0], axes.front());
  return last ? mean.getInputs()[0] : Value();
}

/// x / sqrt(mean(x^2) + epsilon), or of x - mean(x): what torch.onnx and torch.export write. The weight is 1: another
/// pattern multiplies by the one that follows.
struct RaiseDecomposedNorm : OpRewritePattern<llm::OnnxNodeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(llm::OnnxNodeOp node, PatternRewriter &rewriter) const override {
    std::optional<Quotient> q = quotient(node);
    auto sum = q ? withNumber(nodeOf(beforeCasts(q->d), "Add")) : std::nullopt;
    llm::OnnxNodeOp mean = sum ? nodeOf(beforeCasts(sum->first), "ReduceMean") : llm::OnnxNodeOp();
    if (!mean || squared(mean.getInputs()[0]) != q->x) return failure(); // not a norm at all
    if (!underMean(sum->first)) return rewriter.notifyMatchFailure(node, "a norm over another axis than the last");
    if (!(sum->second > 0)) return rewriter.notifyMatchFailure(node, "a norm whose epsilon is not positive");
    llm::OnnxNodeOp centre = nodeOf(q->x, "Sub");
    bool centred = centre && isSame(underMean(centre.getInputs()[1]), centre.getInputs()[0]);
    std::optional<View> view = viewOf(centred ? centre.getInputs()[0] : q->x);
    if (!view) return rewriter.notifyMatchFailure(node, "the input is not rows, or heads of rows, of a known width");
    if (centred && view->heads > 1) return rewriter.notifyMatchFailure(node, kHeadLayerNorm);
    Value ones = makeSplat(rewriter, node, view->width, 1.0f);
    Value y = makeNorm(rewriter, node.getLoc(), centred ? Kind::Layer : Kind::Rms, *view, ones, Value(),
                       rewriter.getF32FloatAttr(float(sum->second)));
    replaceByView(rewriter, node, node.getResult(0), *view, y);
    rewriter.eraseOp(node);
    return success();
  }
};

//===- Weight and bias ---------------------------------------------------------------===//
/// A view of a norm's result and a vector of its width that a Mul or Add takes, in either order.
struct NormAndVector {
  View view;
  Operation *norm;
  Vector vector;
};
std::optional<NormAndVector> normAndVector(llm::OnnxNodeOp node) {
  for (unsigned side : {0u, 1u}) {
    std::optional<Vector> vector = vectorOf(node.getInputs()[side]);
    std::optional<View> view = vector ? viewOf(node.getInputs()[1 - side]) : std::nullopt;
    Operation *norm = view ? underRows(view->base).getDefiningOp() : nullptr;
    if (isa_and_present<llm::RmsNormOp, llm::HeadNormOp, llm::LayerNormOp>(norm) && vector->size() == view->width)
      return NormAndVector{*view, norm, *vector};
  }
  return std::nullopt;
}

/// Mul(norm with a weight of 1, vector).
struct RaiseWeight : OpRewritePattern<llm::OnnxNodeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(llm::OnnxNodeOp node, PatternRewriter &rewriter) const override {
    std::optional<NormAndVector> found = isNode(node, "Mul") ? normAndVector(node) : std::nullopt;
    if (!found || !isSplat(found->norm->getOperand(1), 1.0f)) return failure();
    // Heads are those of the norm: a view of the whole row is no place for a weight of a head.
    int64_t width = cast<RankedTensorType>(found->norm->getOperand(1).getType()).getDimSize(0);
    if (auto layer = dyn_cast<llm::LayerNormOp>(found->norm);
        width != found->vector.size() || (layer && layer.getBias()))
      return rewriter.notifyMatchFailure(node, "a weight of another width than the norm, or after its bias");
    Value weight = makeVector(rewriter, node, found->vector);
    Operation *norm = rewriter.clone(*found->norm);
    norm->setOperand(1, weight);
    norm->setLoc(node.getLoc());
    replaceByView(rewriter, node, node.getResult(0), found->view, norm->getResult(0));
    rewriter.eraseOp(node);
    return success();
  }
};

/// Add(LayerNorm without a bias, vector).
struct RaiseShift : OpRewritePattern<llm::OnnxNodeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(llm::OnnxNodeOp node, PatternRewriter &rewriter) const override {
    std::optional<NormAndVector> found = isNode(node, "Add") ? normAndVector(node) : std::nullopt;
    auto norm = found ? dyn_cast<llm::LayerNormOp>(found->norm) : llm::LayerNormOp();
    if (!norm || norm.getBias()) return failure();
    if (elementOf(found->vector) != cast<RankedTensorType>(norm.getWeight().getType()).getElementType())
      return rewriter.notifyMatchFailure(node, "a bias of another element type than the weight");
    Value bias = makeVector(rewriter, node, found->vector);
    Value y = llm::LayerNormOp::create(rewriter, node.getLoc(), norm.getType(), norm.getX(), norm.getWeight(), bias,
                                       norm.getEpsilonAttr());
    replaceByView(rewriter, node, node.getResult(0), found->view, y);
    rewriter.eraseOp(node);
    return success();
  }
};

struct RaiseNorm : impl::RaiseNormBase<RaiseNorm> {
  void runOnOperation() override {
    RewritePatternSet rows(&getContext());
    addRowPatterns(rows);
    if (failed(applyRaise<RaiseFusedNorm, RaiseSkipNorm, RaiseDecomposedNorm, RaiseWeight, RaiseShift>(
            getOperation(), getArgument())) ||
        failed(applyRaise(getOperation(), getArgument(), std::move(rows))))
      signalPassFailure();
  }
};

} // namespace
} // namespace llmc
