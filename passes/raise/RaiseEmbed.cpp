#include "passes/raise/BlockedWeight.h"
#include "passes/raise/Raise.h"

namespace llmc {
#define GEN_PASS_DEF_RAISEEMBED
#include "passes/raise/RaisePasses.h.inc"

using namespace mlir;
using namespace raise;

namespace {

/// Whether a value is the tokens argument of @step, as [batch, tokens].
bool isTokens(Value value) {
  auto argument = dyn_cast<BlockArgument>(underRows(value));
  return argument && argument != value && argument.getArgNumber() == 0;
}

void replaceByEmbed(PatternRewriter &rewriter, llm::OnnxNodeOp node, Value ids, const WeightSpec &spec) {
  Value table = makeWeight(rewriter, node, spec);
  auto type = rowsType(rewriter.getContext(), spec.type.getDimSize(1));
  Value y =
      llm::EmbedOp::create(rewriter, node.getLoc(), type, toRows(rewriter, ids), table, rewriter.getF32FloatAttr(1.0f));
  replaceByRows(rewriter, node.getResult(0), y);
  rewriter.eraseOp(node);
}

struct RaiseGather : OpRewritePattern<llm::OnnxNodeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(llm::OnnxNodeOp node, PatternRewriter &rewriter) const override {
    if (!isNode(node, "Gather") || !isTokens(node.getInputs()[1])) return failure();
    if (intAttr(node, "axis", 0) != 0)
      return rewriter.notifyMatchFailure(node, "tokens gather along another axis than 0");
    Value columns = exchanged(node.getInputs()[0]); // [H, V], shared with the head
    llm::OnnxTensorOp tensor = floatTensor(columns ? columns : node.getInputs()[0], 2);
    if (!tensor) return rewriter.notifyMatchFailure(node, "the table is not a float initialiser [V, H]");
    WeightSpec spec;
    spec.name = weightName(tensor.getName(), "");
    SmallVector<int64_t> shape(cast<RankedTensorType>(tensor.getType()).getShape());
    if (columns) std::swap(shape[0], shape[1]);
    spec.type = RankedTensorType::get(shape, tensor.getType().getElementType());
    spec.storage = {tensor.getStorage()};
    spec.transposed = bool(columns);
    replaceByEmbed(rewriter, node, node.getInputs()[1], spec);
    return success();
  }
};

/// com.microsoft GatherBlockQuantized: rows of codes with a scale for each block, packed in UINT8 as MatMulNBits has
/// them or of another type as DequantizeLinear has them.
struct RaiseGatherBlockQuantized : OpRewritePattern<llm::OnnxNodeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(llm::OnnxNodeOp node, PatternRewriter &rewriter) const override {
    if (!isNode(node, "GatherBlockQuantized", kMicrosoft)) return failure();
    if (!isTokens(node.getInputs()[1])) return rewriter.notifyMatchFailure(node, "the indices are not the tokens");
    int64_t quantizeAxis = intAttr(node, "quantize_axis", 1);
    if (intAttr(node, "gather_axis", 0) != 0 || (quantizeAxis != 1 && quantizeAxis != -1))
      return rewriter.notifyMatchFailure(node, "expected gather_axis 0 and quantize_axis 1");
    // Codes that are shared with the head are [V, blocks, bytes] there.
    llm::OnnxNodeOp reshape = nodeOf(node.getInputs()[0], "Reshape");
    auto codes = (reshape ? reshape.getInputs()[0] : node.getInputs()[0]).getDefiningOp<llm::OnnxTensorOp>();
    if (!codes) return rewriter.notifyMatchFailure(node, "the table is not an initialiser");
    std::string reason;
    bool packed = codes.getType().getElementType().isUnsignedInteger(8);
    std::optional<WeightSpec> spec = packed ? packedTable(node, codes, reason)
                                            : blockedWeight({codes, node.getInputs()[2], operand(node, 3),
                                                             intAttr(node, "block_size", 128), /*transposed=*/false},
                                                            "", reason);
    if (!spec) return rewriter.notifyMatchFailure(node, reason);
    replaceByEmbed(rewriter, node, node.getInputs()[1], *spec);
    return success();
  }

private:
  static std::optional<WeightSpec> packedTable(llm::OnnxNodeOp node, llm::OnnxTensorOp codes, std::string &reason) {
    auto refuse = [&](const Twine &why) {
      reason = why.str();
      return std::nullopt;
    };
    if (operand(node, 3)) return refuse("a packed table with zero points");
    llm::OnnxTensorOp scales = floatTensor(node.getInputs()[2], 2);
    if (!scales) return refuse("the scales are not an initialiser of 2 axes");
    auto type = dyn_cast<RankedTensorType>(node.getInputs()[0].getType());
    if (!type || type.getRank() != 2 || !type.hasStaticShape())
      return refuse("the table is not [V, bytes] of known sizes");
    auto scaleType = cast<RankedTensorType>(scales.getType());
    int64_t bits = intAttr(node, "bits", 4), block = intAttr(node, "block_size", 128);
    int64_t columns = type.getDimSize(1) * (8 / bits);
    if (block > 256 || columns % block || scaleType.getDimSize(0) != type.getDimSize(0) ||
        scaleType.getDimSize(1) != columns / block)
      return refuse("rows of " + Twine(columns) + " and blocks of " + Twine(block) +
                    ", expected whole blocks of 256 at most with a scale each");
    WeightSpec spec;
    spec.name = weightName(codes.getName(), "");
    auto encoded = wq::EncodedType::get(node.getContext(), wq::Encoding::MatMulNBits, bits, block,
                                        scaleTypeOf(scaleType.getElementType()), false);
    spec.type = RankedTensorType::get({type.getDimSize(0), columns}, encoded);
    spec.storage = {codes.getStorage(), scales.getStorage()};
    return spec;
  }
};

struct RaiseEmbed : impl::RaiseEmbedBase<RaiseEmbed> {
  void runOnOperation() override {
    if (failed(applyRaise<RaiseGather, RaiseGatherBlockQuantized>(getOperation(), getArgument()))) signalPassFailure();
  }
};

} // namespace
} // namespace llmc
