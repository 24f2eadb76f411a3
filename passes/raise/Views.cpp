#include "passes/raise/Views.h"
#include "passes/raise/ShapeValues.h"

using namespace mlir;

namespace llmc::raise {
namespace {

int64_t rankOf(Value value) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  return type ? type.getRank() : -1;
}
bool isFloat(Value value) {
  auto type = dyn_cast<ShapedType>(value.getType());
  return type && isa<FloatType>(type.getElementType());
}

/// Whether the node's operator only shows its first operand in another shape, row by row of the last axis.
bool isView(llm::OnnxNodeOp node) {
  if (!node || !node.getDomain().empty() || !isFloat(node.getInputs()[0])) return false;
  StringRef type = node.getOpType();
  if (type == "Reshape" || type == "Squeeze" || type == "Unsqueeze" || type == "Identity" || type == "Flatten")
    return true;
  if (type == "Cast" || type == "CastLike") return isFloat(node.getResult(0));
  if (type != "Transpose") return false;
  auto perm = node.getOnnxAttributes().getAs<DenseI64ArrayAttr>("perm");
  return perm && !perm.empty() && perm.asArrayRef().back() == perm.size() - 1;
}

} // namespace

std::optional<View> viewOf(Value value) {
  View view;
  view.width = lastSize(value);
  if (view.width <= 0 || !isFloat(value)) return std::nullopt;
  std::optional<View> best;
  SmallVector<llm::OnnxNodeOp, 4> outer; // outermost first
  for (Value at = value;;) {
    if (isRows(at)) {
      best = view;
      best->base = at, best->heads = lastSize(at) / view.width;
      best->views.assign(outer.rbegin(), outer.rend());
    }
    auto node = at.getDefiningOp<llm::OnnxNodeOp>();
    if (!isView(node)) break;
    at = node.getInputs()[0];
    outer.push_back(node);
    if (int64_t size = lastSize(at); size <= 0 || size % view.width) break;
  }
  return best;
}

void replaceByView(PatternRewriter &rewriter, llm::OnnxNodeOp node, Value result, const View &view, Value rows) {
  Value value = UnrealizedConversionCastOp::create(rewriter, node.getLoc(), view.base.getType(), rows).getResult(0);
  for (llm::OnnxNodeOp shown : view.views) {
    auto again = cast<llm::OnnxNodeOp>(rewriter.clone(*shown));
    again->setOperand(0, value);
    value = again.getResult(0);
  }
  if (value.getType() != result.getType())
    value = UnrealizedConversionCastOp::create(rewriter, node.getLoc(), result.getType(), value).getResult(0);
  rewriter.replaceAllUsesWith(result, value);
}

namespace {

/// Whether a size is that of the batch: 1, axis 0 of rows or of a graph input.
bool isBatch(const Size &size, Value input) {
  if (!size.of) return size.number == 1 || (size.number == 0 && rankOf(input) >= 3);
  return size.number == 0 && (isa<BlockArgument>(size.of) || isa<RankedTensorType>(size.of.getType()));
}

/// Whether a Reshape of rows to three axes gives [batch, tokens, C]: others would be the same rows, but attention reads
/// the axes.
bool keepsBatch(llm::OnnxNodeOp node) {
  Value input = node.getInputs()[0];
  if (rankOf(node.getResult(0)) == 2) return true;
  if (isNode(node, "Unsqueeze")) return integers(operand(node, 1)) == SmallVector<int64_t>{0};
  std::optional<Sizes> shape = isNode(node, "Reshape") ? sizesIn(node.getInputs()[1]) : std::nullopt;
  if (!shape || shape->size() != 3 || (intAttr(node, "allowzero", 0) && llvm::is_contained(*shape, Size())))
    return false;
  const Size &first = shape->front(), &second = (*shape)[1];
  if (isBatch(first, input)) return true;
  // -1, tokens, C
  bool tokens = second.of && second.number == 1;
  return !first.of && first.number == -1 && (tokens || (!second.of && second.number == 0 && rankOf(input) >= 3));
}

/// Reshape, Squeeze and Unsqueeze of rows that leave their columns.
struct DropReshape : OpRewritePattern<llm::OnnxNodeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(llm::OnnxNodeOp node, PatternRewriter &rewriter) const override {
    bool reshapes =
        isNode(node, "Reshape") || isNode(node, "Squeeze") || isNode(node, "Unsqueeze") || isNode(node, "Flatten");
    int64_t rank = rankOf(node.getResult(0));
    if (!reshapes || rank < 2 || rank > 3 || lastSize(node.getResult(0)) <= 0) return failure();
    // A Reshape of a Reshape of rows (each head by itself, and back) is one of the rows.
    Value from = node.getInputs()[0], result = node.getResult(0);
    for (llm::OnnxNodeOp inner = nodeOf(from, "Reshape"); inner; inner = nodeOf(from, "Reshape")) {
      if (isRows(from) && lastSize(from) == lastSize(result)) break;
      from = inner.getInputs()[0];
    }
    if (!isRows(from) || lastSize(from) != lastSize(result)) return failure();
    if (!keepsBatch(node)) {
      if (!isNode(node, "Reshape")) return failure(); // of the last row, for instance
      return rewriter.notifyMatchFailure(node, "a Reshape of rows that is not to [batch, tokens, C]");
    }
    replaceByRows(rewriter, result, toRows(rewriter, from));
    rewriter.eraseOp(node);
    return success();
  }
};

/// Slice of everything: x[:, :] as torch.export writes it before it optimises.
struct DropSlice : OpRewritePattern<llm::OnnxNodeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(llm::OnnxNodeOp node, PatternRewriter &rewriter) const override {
    if (!isNode(node, "Slice") || !isRows(node.getInputs()[0])) return failure();
    std::optional<SmallVector<int64_t>> begin = numbersIn(operand(node, 1)), end = numbersIn(operand(node, 2)),
                                        steps = numbersIn(operand(node, 4));
    auto toEnd = [](int64_t at) { return at >= std::numeric_limits<int32_t>::max(); };
    if (!begin || !end || !llvm::all_of(*begin, [](int64_t at) { return at == 0; }) || !llvm::all_of(*end, toEnd))
      return failure();
    if (operand(node, 4) && (!steps || !llvm::all_of(*steps, [](int64_t step) { return step == 1; }))) return failure();
    replaceByRows(rewriter, node.getResult(0), toRows(rewriter, node.getInputs()[0]));
    rewriter.eraseOp(node);
    return success();
  }
};

/// Casts of activations between float types, Identity and Dropout. Activations are f32.
struct DropCast : OpRewritePattern<llm::OnnxNodeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(llm::OnnxNodeOp node, PatternRewriter &rewriter) const override {
    bool isCast = isNode(node, "Cast") || isNode(node, "CastLike");
    if (!isCast && !isNode(node, "Identity") && !isNode(node, "Dropout")) return failure();
    Value from = node.getInputs()[0], result = node.getResult(0);
    if (!isFloat(from) || !isFloat(result) || lastSize(from) <= 0 || rankOf(from) < 2 || rankOf(from) > 4)
      return failure();
    if (isNode(node, "Dropout")) {
      if (operand(node, 2) && scalar(operand(node, 2)) != 0.0)
        return rewriter.notifyMatchFailure(node, "Dropout in training mode");
      if (node.getNumResults() > 1 && !node.getResult(1).use_empty())
        return rewriter.notifyMatchFailure(node, "the mask of Dropout is used");
    }
    if (isRows(from))
      replaceByRows(rewriter, result, toRows(rewriter, from));
    else
      rewriter.replaceAllUsesWith(
          result, UnrealizedConversionCastOp::create(rewriter, node.getLoc(), result.getType(), from).getResult(0));
    rewriter.eraseOp(node);
    return success();
  }
};

/// Whether one of the values has a single token where the other has any number.
bool repeatsTokens(Value a, Value b) {
  auto isOne = [](Value value) {
    auto type = cast<RankedTensorType>(value.getType());
    return type.getDimSize(type.getRank() - 2) == 1;
  };
  return isOne(a) != isOne(b);
}

/// Add of two activations: the residual stream.
struct RaiseAdd : OpRewritePattern<llm::OnnxNodeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(llm::OnnxNodeOp node, PatternRewriter &rewriter) const override {
    if (!isNode(node, "Add") || !isRows(node.getInputs()[0]) || !isRows(node.getInputs()[1])) return failure();
    Value a = node.getInputs()[0], b = node.getInputs()[1];
    if (lastSize(a) != lastSize(b) || repeatsTokens(a, b))
      return rewriter.notifyMatchFailure(node, "an Add that broadcasts");
    Value x = toRows(rewriter, a), y = toRows(rewriter, b);
    replaceByRows(rewriter, node.getResult(0), llm::AddOp::create(rewriter, node.getLoc(), x.getType(), x, y));
    rewriter.eraseOp(node);
    return success();
  }
};

} // namespace

void addRowPatterns(RewritePatternSet &patterns) {
  patterns.add<DropReshape, DropSlice, DropCast, RaiseAdd>(patterns.getContext());
}

} // namespace llmc::raise
