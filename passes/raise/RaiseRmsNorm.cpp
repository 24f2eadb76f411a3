#include "passes/raise/Match.h"
#include "passes/raise/Raise.h"

namespace llmc {
#define GEN_PASS_DEF_RAISERMSNORM
#include "passes/raise/RaisePasses.h.inc"

using namespace mlir;
using namespace raise;

namespace {

Value norm(PatternRewriter &rewriter, llm::OnnxNodeOp node, Value rows, llm::OnnxTensorOp weight, double epsilon) {
  Value vector = makeVector(rewriter, node, weight);
  return llm::RmsNormOp::create(rewriter, node.getLoc(), rows.getType(), rows, vector,
                                rewriter.getF32FloatAttr(float(epsilon)));
}
bool isVectorOf(llm::OnnxTensorOp tensor, Value x) {
  return tensor && isActivation(x) &&
         cast<RankedTensorType>(tensor.getType()).getDimSize(0) == cast<RankedTensorType>(x.getType()).getDimSize(2);
}

/// SimplifiedLayerNormalization (ONNX Runtime) and RMSNormalization (opset 23).
struct RaiseFusedNorm : OpRewritePattern<llm::OnnxNodeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(llm::OnnxNodeOp node, PatternRewriter &rewriter) const override {
    if (!isNode(node, "SimplifiedLayerNormalization") && !isNode(node, "RMSNormalization")) return failure();
    Value x = node.getInputs()[0];
    double epsilon = floatAttr(node, "epsilon", 1e-5);
    if (!isActivation(x)) return rewriter.notifyMatchFailure(node, "the input is not [batch, tokens, C] of a known C");
    if (int64_t axis = intAttr(node, "axis", -1); axis != -1 && axis != 2)
      return rewriter.notifyMatchFailure(node, "RMSNorm over another axis than the last");
    if (!(epsilon > 0)) return rewriter.notifyMatchFailure(node, "RMSNorm whose epsilon is not positive");
    llm::OnnxTensorOp weight = floatTensor(node.getInputs()[1], 1);
    if (!isVectorOf(weight, x)) return rewriter.notifyMatchFailure(node, "the weight is not an initialiser [C]");
    if (node.getNumResults() > 1 && !node.getResult(1).use_empty())
      return rewriter.notifyMatchFailure(node, "the inverse deviation is used");
    replaceByRows(rewriter, node.getResult(0), norm(rewriter, node, toRows(rewriter, x), weight, epsilon));
    rewriter.eraseOp(node);
    return success();
  }
};

/// com.microsoft SkipSimplifiedLayerNormalization: results (norm, -, -, input + skip).
struct RaiseSkipNorm : OpRewritePattern<llm::OnnxNodeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(llm::OnnxNodeOp node, PatternRewriter &rewriter) const override {
    if (!isNode(node, "SkipSimplifiedLayerNormalization", kMicrosoft)) return failure();
    Value x = node.getInputs()[0], skip = node.getInputs()[1];
    double epsilon = floatAttr(node, "epsilon", 1e-12);
    if (!isActivation(x) || !isActivation(skip))
      return rewriter.notifyMatchFailure(node, "the inputs are not [batch, tokens, C] of a known C");
    if (operand(node, 3)) return rewriter.notifyMatchFailure(node, "a bias is added before the norm");
    if (!(epsilon > 0)) return rewriter.notifyMatchFailure(node, "RMSNorm whose epsilon is not positive");
    llm::OnnxTensorOp weight = floatTensor(node.getInputs()[2], 1);
    if (!isVectorOf(weight, x)) return rewriter.notifyMatchFailure(node, "the weight is not an initialiser [C]");
    for (unsigned i = 1; i < std::min(node.getNumResults(), 3u); ++i)
      if (!node.getResult(i).use_empty()) return rewriter.notifyMatchFailure(node, "the mean or deviation is used");
    Value a = toRows(rewriter, x), b = toRows(rewriter, skip);
    if (a.getType() != b.getType()) return rewriter.notifyMatchFailure(node, "the input and skip differ in width");
    Value sum = llm::AddOp::create(rewriter, node.getLoc(), a.getType(), a, b);
    if (node.getNumResults() == 4) replaceByRows(rewriter, node.getResult(3), sum);
    replaceByRows(rewriter, node.getResult(0), norm(rewriter, node, sum, weight, epsilon));
    rewriter.eraseOp(node);
    return success();
  }
};

/// A value before casts between float types.
Value beforeCasts(Value value) {
  while (llm::OnnxNodeOp cast = nodeOf(value, "Cast")) {
    auto from = dyn_cast<ShapedType>(cast.getInputs()[0].getType());
    if (!from || !isa<FloatType>(from.getElementType())) break;
    value = cast.getInputs()[0];
  }
  return value;
}

/// x if `value` is x / sqrt(d) as torch.onnx writes it: Div(x, s), Mul(x, Div(1, s)) or Mul(x, Reciprocal(s)).
struct Normalized {
  Value x;
  llm::OnnxNodeOp sqrt;
};
std::optional<Normalized> matchDivision(Value value) {
  if (llm::OnnxNodeOp div = nodeOf(value, "Div"))
    if (llm::OnnxNodeOp sqrt = nodeOf(beforeCasts(div.getInputs()[1]), "Sqrt"))
      return Normalized{div.getInputs()[0], sqrt};
  llm::OnnxNodeOp mul = nodeOf(value, "Mul");
  for (unsigned side : {0u, 1u}) {
    if (!mul) break;
    Value factor = beforeCasts(mul.getInputs()[side]);
    llm::OnnxNodeOp inverse = nodeOf(factor, "Reciprocal"), div = nodeOf(factor, "Div");
    if (!inverse && div && scalar(div.getInputs()[0]) == 1.0) inverse = div;
    if (!inverse) continue;
    if (llm::OnnxNodeOp sqrt = nodeOf(beforeCasts(inverse.getInputs().back()), "Sqrt"))
      return Normalized{mul.getInputs()[1 - side], sqrt};
  }
  return std::nullopt;
}

bool meansOverLastAxis(llm::OnnxNodeOp mean) {
  if (intAttr(mean, "keepdims", 1) != 1) return false;
  std::optional<SmallVector<int64_t>> axes = integers(operand(mean, 1));
  if (auto attr = mean.getOnnxAttributes().getAs<DenseI64ArrayAttr>("axes"))
    axes = SmallVector<int64_t>(attr.asArrayRef());
  return axes && axes->size() == 1 && (axes->front() == -1 || axes->front() == 2);
}

/// Mul(weight, x / Sqrt(Add(ReduceMean(Pow(x, 2)), epsilon))): torch.onnx and torch.export, opset 17 and later.
struct RaiseDecomposedNorm : OpRewritePattern<llm::OnnxNodeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(llm::OnnxNodeOp mul, PatternRewriter &rewriter) const override {
    if (!isNode(mul, "Mul")) return failure();
    for (unsigned side : {0u, 1u}) {
      std::optional<Normalized> normalized = matchDivision(beforeCasts(mul.getInputs()[side]));
      if (!normalized) continue;
      Value x = beforeCasts(normalized->x), weightValue = beforeCasts(mul.getInputs()[1 - side]);
      llm::OnnxNodeOp add = nodeOf(normalized->sqrt.getInputs()[0], "Add");
      llm::OnnxNodeOp mean = nodeOf(operand(add, 0), "ReduceMean"), pow = nodeOf(operand(mean, 0), "Pow");
      if (!pow || beforeCasts(pow.getInputs()[0]) != x) continue; // not an RMSNorm at all
      std::optional<double> epsilon = scalar(add.getInputs()[1]);
      if (!epsilon || !(*epsilon > 0) || scalar(pow.getInputs()[1]) != 2.0)
        return rewriter.notifyMatchFailure(mul, "RMSNorm whose exponent or epsilon is not a fixed number");
      llm::OnnxTensorOp weight = floatTensor(weightValue, 1);
      if (!meansOverLastAxis(mean) || !isVectorOf(weight, x))
        return rewriter.notifyMatchFailure(mul, "RMSNorm over another axis, or with a broadcast weight");
      replaceByRows(rewriter, mul.getResult(0), norm(rewriter, mul, toRows(rewriter, x), weight, *epsilon));
      rewriter.eraseOp(mul);
      return success();
    }
    return failure();
  }
};

/// Add of two activations: the residual stream.
struct RaiseAdd : OpRewritePattern<llm::OnnxNodeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(llm::OnnxNodeOp node, PatternRewriter &rewriter) const override {
    if (!isNode(node, "Add") || !isActivation(node.getInputs()[0]) || !isActivation(node.getInputs()[1]))
      return failure();
    if (cast<ShapedType>(node.getInputs()[0].getType()).getDimSize(2) !=
        cast<ShapedType>(node.getInputs()[1].getType()).getDimSize(2))
      return rewriter.notifyMatchFailure(node, "an Add that broadcasts");
    Value a = toRows(rewriter, node.getInputs()[0]), b = toRows(rewriter, node.getInputs()[1]);
    replaceByRows(rewriter, node.getResult(0), llm::AddOp::create(rewriter, node.getLoc(), a.getType(), a, b));
    rewriter.eraseOp(node);
    return success();
  }
};

/// Casts of activations between float types, and Identity.
struct DropCast : OpRewritePattern<llm::OnnxNodeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(llm::OnnxNodeOp node, PatternRewriter &rewriter) const override {
    bool isCast = isNode(node, "Cast") && isActivation(node.getResult(0));
    if ((!isCast && !isNode(node, "Identity")) || !isActivation(node.getInputs()[0])) return failure();
    replaceByRows(rewriter, node.getResult(0), toRows(rewriter, node.getInputs()[0]));
    rewriter.eraseOp(node);
    return success();
  }
};

struct RaiseRmsNorm : impl::RaiseRmsNormBase<RaiseRmsNorm> {
  void runOnOperation() override {
    // First the norms: a cast within a decomposed one is part of it.
    if (failed(applyRaise<RaiseFusedNorm, RaiseSkipNorm, RaiseDecomposedNorm>(getOperation(), getArgument())) ||
        failed(applyRaise<RaiseAdd, DropCast>(getOperation(), getArgument())))
      signalPassFailure();
  }
};

} // namespace
} // namespace llmc
