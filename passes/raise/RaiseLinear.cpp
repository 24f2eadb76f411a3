#include "passes/raise/Match.h"
#include "passes/raise/Raise.h"

namespace llmc {
#define GEN_PASS_DEF_RAISELINEAR
#include "passes/raise/RaisePasses.h.inc"

using namespace mlir;
using namespace raise;

namespace {

std::string nameOf(llm::OnnxNodeOp node) {
  auto loc = dyn_cast<NameLoc>(node.getLoc());
  return loc ? loc.getName().str() : "";
}

/// MatMul(x, W), W [K, N] an initialiser.
struct RaiseMatMul : OpRewritePattern<llm::OnnxNodeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(llm::OnnxNodeOp node, PatternRewriter &rewriter) const override {
    if (!isNode(node, "MatMul")) return failure();
    Value x = node.getInputs()[0], w = node.getInputs()[1];
    if (nodeOf(w, "DequantizeLinear"))
      return rewriter.notifyMatchFailure(node, "a MatMul of DequantizeLinear: codes are [K, N], expected the rows of "
                                               "MatMulNBits; quantise without use_qdq");
    llm::OnnxTensorOp tensor = floatTensor(w, 2);
    if (!tensor) return rewriter.notifyMatchFailure(node, "the second operand is not a float initialiser [K, N]");
    if (!isActivation(x))
      return rewriter.notifyMatchFailure(node, "the first operand is not [batch, tokens, K] of a known K");
    auto stored = cast<RankedTensorType>(tensor.getType());
    WeightSpec spec;
    spec.name = weightName(tensor.getName(), nameOf(node));
    spec.type = RankedTensorType::get({stored.getDimSize(1), stored.getDimSize(0)}, stored.getElementType());
    spec.storage = {tensor.getStorage()};
    spec.transposed = true;
    Value weight = makeWeight(rewriter, node, spec), rows = toRows(rewriter, x);
    auto type = rowsType(getContext(), spec.type.getDimSize(0));
    Value y = llm::LinearOp::create(rewriter, node.getLoc(), type, rows, weight, Value());
    replaceByRows(rewriter, node.getResult(0), y);
    rewriter.eraseOp(node);
    return success();
  }
};

/// com.microsoft MatMulNBits. `accuracy_level` is the least precision that is asked for: every mode of ours is one of
/// those that it allows, so it changes nothing.
struct RaiseMatMulNBits : OpRewritePattern<llm::OnnxNodeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(llm::OnnxNodeOp node, PatternRewriter &rewriter) const override {
    if (!isNode(node, "MatMulNBits", kMicrosoft)) return failure();
    int64_t bits = intAttr(node, "bits", 4), block = intAttr(node, "block_size", 0);
    if (bits != 4 && bits != 8)
      return rewriter.notifyMatchFailure(node, "MatMulNBits of " + Twine(bits) + " bits, expected 4 or 8");
    if (block < 16 || block > 256)
      return rewriter.notifyMatchFailure(node, "MatMulNBits with blocks of " + Twine(block) + ", expected 16 to 256");
    if (operand(node, 4)) return rewriter.notifyMatchFailure(node, "MatMulNBits with g_idx (reordered K)");
    if (!isActivation(node.getInputs()[0]))
      return rewriter.notifyMatchFailure(node, "the first operand is not [batch, tokens, K] of a known K");

    auto codes = node.getInputs()[1].getDefiningOp<llm::OnnxTensorOp>();
    auto scales = node.getInputs()[2].getDefiningOp<llm::OnnxTensorOp>();
    Value zeroOperand = operand(node, 3), biasOperand = operand(node, 5);
    auto zeros = zeroOperand ? zeroOperand.getDefiningOp<llm::OnnxTensorOp>() : llm::OnnxTensorOp();
    if (!codes || !scales || (zeroOperand && !zeros))
      return rewriter.notifyMatchFailure(node, "B, scales or zero points are not initialisers");
    if (zeros && !zeros.getType().getElementType().isUnsignedInteger(8))
      return rewriter.notifyMatchFailure(node, "MatMulNBits with float zero points, expected UINT8");
    Type element = scales.getType().getElementType();
    if (!element.isF16() && !element.isBF16() && !element.isF32())
      return rewriter.notifyMatchFailure(node, "scales are not F32, F16 or BF16");
    llm::OnnxTensorOp biasTensor = floatTensor(biasOperand, 1);
    if (biasOperand && !biasTensor) return rewriter.notifyMatchFailure(node, "the bias is not a float initialiser");

    auto scale = element.isF16() ? wq::ScaleType::F16 : element.isBF16() ? wq::ScaleType::BF16 : wq::ScaleType::F32;
    auto encoded = wq::EncodedType::get(getContext(), wq::Encoding::MatMulNBits, bits, block, scale, bool(zeros));
    WeightSpec spec;
    spec.name = weightName(codes.getName(), nameOf(node));
    spec.type = RankedTensorType::get({intAttr(node, "N", 0), intAttr(node, "K", 0)}, encoded);
    spec.storage = {codes.getStorage(), scales.getStorage()};
    if (zeros) spec.storage.push_back(zeros.getStorage());
    Value weight = makeWeight(rewriter, node, spec);
    Value bias = biasTensor ? makeVector(rewriter, node, biasTensor) : Value();
    Value rows = toRows(rewriter, node.getInputs()[0]);
    auto type = rowsType(getContext(), spec.type.getDimSize(0));
    replaceByRows(rewriter, node.getResult(0),
                  llm::LinearOp::create(rewriter, node.getLoc(), type, rows, weight, bias));
    rewriter.eraseOp(node);
    return success();
  }
};

/// Add(linear, bias) in either order.
struct RaiseBias : OpRewritePattern<llm::OnnxNodeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(llm::OnnxNodeOp node, PatternRewriter &rewriter) const override {
    if (!isNode(node, "Add")) return failure();
    for (unsigned side : {0u, 1u}) {
      Value value = node.getInputs()[side];
      auto linear = underRows(value).getDefiningOp<llm::LinearOp>();
      llm::OnnxTensorOp tensor = floatTensor(node.getInputs()[1 - side], 1);
      if (!linear || !tensor) continue;
      if (linear.getBias()) return rewriter.notifyMatchFailure(node, "the linear has a bias already");
      auto type = cast<RankedTensorType>(linear.getY().getType());
      if (cast<RankedTensorType>(tensor.getType()).getDimSize(0) != type.getDimSize(1))
        return rewriter.notifyMatchFailure(node, "the bias is broadcast");
      Value bias = makeVector(rewriter, node, tensor);
      replaceByRows(rewriter, node.getResult(0),
                    llm::LinearOp::create(rewriter, linear.getLoc(), type, linear.getX(), linear.getW(), bias));
      rewriter.eraseOp(node);
      return success();
    }
    return failure();
  }
};

struct RaiseLinear : impl::RaiseLinearBase<RaiseLinear> {
  void runOnOperation() override {
    if (failed(applyRaise<RaiseMatMul, RaiseMatMulNBits, RaiseBias>(getOperation(), getArgument())))
      signalPassFailure();
  }
};

} // namespace
} // namespace llmc
