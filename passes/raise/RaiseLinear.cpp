#include "passes/raise/BlockedWeight.h"
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

/// DequantizeLinear(codes, scales, zero points) of [K, N] in blocks along K, or Transpose of it of [N, K].
std::optional<WeightSpec> dequantised(llm::OnnxNodeOp matmul, Value w, std::string &reason) {
  Value rows = exchanged(w); // [N, K]
  llm::OnnxNodeOp node = nodeOf(rows ? rows : w, "DequantizeLinear");
  if (!node) {
    reason = "the second operand is not a float initialiser [K, N]";
    return std::nullopt;
  }
  int64_t axis = intAttr(node, "axis", 1), kAxis = rows ? 1 : 0;
  if (axis != kAxis && axis != kAxis - 2) {
    reason = "DequantizeLinear along axis " + std::to_string(axis) + ", expected that of K, " + std::to_string(kAxis);
    return std::nullopt;
  }
  if (intAttr(node, "output_dtype", 0)) {
    reason = "DequantizeLinear with output_dtype, expected the type of the scales";
    return std::nullopt;
  }
  return blockedWeight({node.getInputs()[0], node.getInputs()[1], operand(node, 2), intAttr(node, "block_size", 0),
                        /*transposed=*/!rows},
                       nameOf(matmul), reason);
}

/// MatMul(x, W), W [K, N] an initialiser or dequantised.
struct RaiseMatMul : OpRewritePattern<llm::OnnxNodeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(llm::OnnxNodeOp node, PatternRewriter &rewriter) const override {
    if (!isNode(node, "MatMul")) return failure();
    Value x = node.getInputs()[0], w = node.getInputs()[1];
    std::string reason;
    std::optional<WeightSpec> spec = stored(node, w, reason);
    if (!spec) return rewriter.notifyMatchFailure(node, reason);
    if (!isActivation(x))
      return rewriter.notifyMatchFailure(node, "the first operand is not [batch, tokens, K] of a known K");
    Value weight = makeWeight(rewriter, node, *spec), rows = toRows(rewriter, x);
    auto type = rowsType(getContext(), spec->type.getDimSize(0));
    Value y = llm::LinearOp::create(rewriter, node.getLoc(), type, rows, weight, Value());
    replaceByRows(rewriter, node.getResult(0), y);
    rewriter.eraseOp(node);
    return success();
  }

private:
  static std::optional<WeightSpec> stored(llm::OnnxNodeOp node, Value w, std::string &reason) {
    llm::OnnxTensorOp tensor = floatTensor(w, 2);
    if (!tensor) return dequantised(node, w, reason);
    auto type = cast<RankedTensorType>(tensor.getType());
    WeightSpec spec;
    spec.name = weightName(tensor.getName(), nameOf(node));
    spec.type = RankedTensorType::get({type.getDimSize(1), type.getDimSize(0)}, type.getElementType());
    spec.storage = {tensor.getStorage()};
    spec.transposed = true;
    return spec;
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

    auto encoded =
        wq::EncodedType::get(getContext(), wq::Encoding::MatMulNBits, bits, block, scaleTypeOf(element), bool(zeros));
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
