#include "passes/raise/LinearWeight.h"
#include "passes/raise/Raise.h"
#include "passes/raise/ShapeValues.h"
#include "passes/raise/Views.h"

namespace llmc {
#define GEN_PASS_DEF_RAISELINEAR
#include "passes/raise/RaisePasses.h.inc"

using namespace mlir;
using namespace raise;

namespace {

/// Replaces the node's result by the linear of rows of `x`, or says why it is none.
LogicalResult replaceByLinear(PatternRewriter &rewriter, llm::OnnxNodeOp node, Value x, const WeightSpec &spec,
                              const std::optional<Vector> &bias) {
  int64_t n = spec.type.getDimSize(0), k = spec.type.getDimSize(1);
  if (bias && bias->size() != n) return rewriter.notifyMatchFailure(node, "the bias is broadcast");
  Value rows = toRowsOf(rewriter, x, k);
  if (!rows)
    return rewriter.notifyMatchFailure(node, "the first operand is not [batch, tokens, K] or [rows, K] of the weight's "
                                             "K = " +
                                                 Twine(k));
  Value weight = makeWeight(rewriter, node, spec);
  Value b = bias ? makeVector(rewriter, node, *bias) : Value();
  Value y = llm::LinearOp::create(rewriter, node.getLoc(), rowsType(node.getContext(), n), rows, weight, b);
  replaceByRows(rewriter, node.getResult(0), y);
  rewriter.eraseOp(node);
  return success();
}

/// MatMul(x, W), W [K, N] an initialiser or dequantised, and com.microsoft FusedMatMul.
struct RaiseMatMul : OpRewritePattern<llm::OnnxNodeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(llm::OnnxNodeOp node, PatternRewriter &rewriter) const override {
    bool fused = isNode(node, "FusedMatMul", kMicrosoft);
    if (!fused && !isNode(node, "MatMul")) return failure();
    if (fused && (floatAttr(node, "alpha", 1) != 1 || intAttr(node, "transA", 0) || intAttr(node, "transBatchA", 0) ||
                  intAttr(node, "transBatchB", 0)))
      return rewriter.notifyMatchFailure(node, "FusedMatMul with a factor, or of a transposed first operand");
    std::string reason;
    bool transposed = fused && intAttr(node, "transB", 0);
    std::optional<WeightSpec> spec = linearWeight(node, node.getInputs()[1], transposed, reason);
    if (!spec) return rewriter.notifyMatchFailure(node, reason);
    return replaceByLinear(rewriter, node, node.getInputs()[0], *spec, std::nullopt);
  }
};

/// Gemm(rows, W, bias): GPT-2's Conv1D, and nn.Linear of two axes.
struct RaiseGemm : OpRewritePattern<llm::OnnxNodeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(llm::OnnxNodeOp node, PatternRewriter &rewriter) const override {
    if (!isNode(node, "Gemm")) return failure();
    Value c = operand(node, 2);
    if (intAttr(node, "transA", 0) || floatAttr(node, "alpha", 1) != 1 || (c && floatAttr(node, "beta", 1) != 1))
      return rewriter.notifyMatchFailure(node, "Gemm with factors, or of a transposed first operand");
    std::optional<Vector> bias = vectorOf(c);
    if (c && !bias) return rewriter.notifyMatchFailure(node, "the bias is not an initialiser [N]");
    std::string reason;
    std::optional<WeightSpec> spec = linearWeight(node, node.getInputs()[1], intAttr(node, "transB", 0), reason);
    if (!spec) return rewriter.notifyMatchFailure(node, reason);
    return replaceByLinear(rewriter, node, node.getInputs()[0], *spec, bias);
  }
};

/// com.microsoft MatMulNBits. `accuracy_level` is the least precision that is asked for: every mode of ours is one of
/// those that it allows, so it changes nothing.
struct RaiseMatMulNBits : OpRewritePattern<llm::OnnxNodeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(llm::OnnxNodeOp node, PatternRewriter &rewriter) const override {
    if (!isNode(node, "MatMulNBits", kMicrosoft)) return failure();
    std::string reason;
    std::optional<WeightSpec> spec = nBitsWeight(node, reason);
    if (!spec) return rewriter.notifyMatchFailure(node, reason);
    std::optional<Vector> bias = vectorOf(operand(node, 5));
    if (operand(node, 5) && !bias) return rewriter.notifyMatchFailure(node, "the bias is not a float initialiser");
    return replaceByLinear(rewriter, node, node.getInputs()[0], *spec, bias);
  }
};

/// Add(linear, bias) in either order.
struct RaiseBias : OpRewritePattern<llm::OnnxNodeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(llm::OnnxNodeOp node, PatternRewriter &rewriter) const override {
    if (!isNode(node, "Add")) return failure();
    for (unsigned side : {0u, 1u}) {
      auto linear = underRows(node.getInputs()[side]).getDefiningOp<llm::LinearOp>();
      std::optional<Vector> vector = vectorOf(node.getInputs()[1 - side]);
      if (!linear || !vector) continue;
      if (linear.getBias()) return rewriter.notifyMatchFailure(node, "the linear has a bias already");
      auto type = cast<RankedTensorType>(linear.getY().getType());
      if (vector->size() != type.getDimSize(1)) return rewriter.notifyMatchFailure(node, "the bias is broadcast");
      Value bias = makeVector(rewriter, node, *vector);
      replaceByRows(rewriter, node.getResult(0),
                    llm::LinearOp::create(rewriter, linear.getLoc(), type, linear.getX(), linear.getW(), bias));
      rewriter.eraseOp(node);
      return success();
    }
    return failure();
  }
};

//===- Parts of a linear ---------------------------------------------------------===//
/// Columns [begin, begin + count) of a linear as a linear of its own; null if its weight cannot be taken apart.
Value partOf(PatternRewriter &rewriter, llm::OnnxNodeOp node, llm::LinearOp linear, int64_t begin, int64_t count,
             StringRef name) {
  if (!weightOf(linear.getW()) || (linear.getBias() && !weightOf(linear.getBias()))) return {};
  Value w = sliceWeight(rewriter, node, linear.getW(), {begin, count}, name);
  Value b = linear.getBias() ? sliceWeight(rewriter, node, linear.getBias(), {begin, count}, name) : Value();
  if (!w || (linear.getBias() && !b)) return {};
  return llm::LinearOp::create(rewriter, linear.getLoc(), rowsType(node.getContext(), count), linear.getX(), w, b);
}

/// What the parts of a packed linear are called.
std::string partName(StringRef weight, size_t part, size_t parts) {
  static constexpr const char *kQkv[] = {"q", "k", "v"}, *kGateUp[] = {"gate", "up"};
  if (parts == 2 && weight.contains("gate_up")) return kGateUp[part];
  return parts == 3 ? kQkv[part] : std::to_string(part);
}

/// Split of the columns of a linear: one linear each.
struct RaiseSplit : OpRewritePattern<llm::OnnxNodeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(llm::OnnxNodeOp node, PatternRewriter &rewriter) const override {
    if (!isNode(node, "Split") || !isRows(node.getInputs()[0])) return failure();
    auto linear = underRows(node.getInputs()[0]).getDefiningOp<llm::LinearOp>();
    if (!linear) return failure();
    if (!isLastAxis(node.getInputs()[0], intAttr(node, "axis", 0)))
      return rewriter.notifyMatchFailure(node, "a Split of another axis than the columns");
    llm::WeightOp weight = weightOf(linear.getW());
    SmallVector<Value> parts;
    int64_t begin = 0;
    for (auto [i, result] : llvm::enumerate(node.getResults())) {
      int64_t count = lastSize(result);
      if (!weight || count <= 0) return rewriter.notifyMatchFailure(node, "parts of unknown sizes, or of no weight");
      Value part = partOf(rewriter, node, linear, begin, count, partName(weight.getSymName(), i, node.getNumResults()));
      if (!part) return rewriter.notifyMatchFailure(node, "the weight or bias cannot be taken apart");
      parts.push_back(part);
      begin += count;
    }
    if (begin != lastSize(node.getInputs()[0])) return rewriter.notifyMatchFailure(node, "parts of other sizes");
    for (auto [result, part] : llvm::zip(node.getResults(), parts)) replaceByRows(rewriter, result, part);
    rewriter.eraseOp(node);
    return success();
  }
};

/// Slice of the columns of a linear.
struct RaiseSlice : OpRewritePattern<llm::OnnxNodeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(llm::OnnxNodeOp node, PatternRewriter &rewriter) const override {
    if (!isNode(node, "Slice") || !isRows(node.getInputs()[0])) return failure();
    Value x = node.getInputs()[0];
    auto linear = underRows(x).getDefiningOp<llm::LinearOp>();
    std::optional<SmallVector<int64_t>> begin = numbersIn(operand(node, 1)), end = numbersIn(operand(node, 2)),
                                        axes = numbersIn(operand(node, 3)), steps = numbersIn(operand(node, 4));
    if (!linear || !axes || axes->size() != 1 || !isLastAxis(x, axes->front())) return failure(); // not of columns
    if (!begin || begin->size() != 1 || !end || end->size() != 1)
      return rewriter.notifyMatchFailure(node, "columns between bounds that are no numbers");
    if (operand(node, 4) && steps != SmallVector<int64_t>{1})
      return rewriter.notifyMatchFailure(node, "columns in steps other than 1");
    int64_t columns = lastSize(x);
    auto bounded = [&](int64_t at) { return std::clamp<int64_t>(at < 0 ? at + columns : at, 0, columns); };
    int64_t first = bounded(begin->front()), count = bounded(end->front()) - first;
    if (count <= 0) return rewriter.notifyMatchFailure(node, "no columns at all");
    Value part = partOf(rewriter, node, linear, first, count, std::to_string(first));
    if (!part) return rewriter.notifyMatchFailure(node, "the weight or bias cannot be taken apart");
    replaceByRows(rewriter, node.getResult(0), part);
    rewriter.eraseOp(node);
    return success();
  }
};

struct RaiseLinear : impl::RaiseLinearBase<RaiseLinear> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<RaiseMatMul, RaiseGemm, RaiseMatMulNBits, RaiseBias, RaiseSplit, RaiseSlice>(&getContext());
    addRowPatterns(patterns);
    if (failed(applyRaise(getOperation(), getArgument(), std::move(patterns)))) signalPassFailure();
  }
};

} // namespace
} // namespace llmc
