#include "passes/raise/BlockedWeight.h"
#include "passes/raise/Raise.h"
#include "passes/raise/Rotary.h"

namespace llmc {
#define GEN_PASS_DEF_RAISEEMBED
#include "passes/raise/RaisePasses.h.inc"

using namespace mlir;
using namespace raise;

namespace {

/// Tokens or positions of @step behind indices [batch, tokens], or [rows]: the argument, and what is added to it.
struct Indices {
  BlockArgument argument;
  int64_t plus = 0;
};
std::optional<Indices> indicesOf(Value value) {
  Indices indices;
  for (;;) {
    Value under = underRows(value);
    if (auto argument = dyn_cast<BlockArgument>(under); argument && argument != value && argument.getArgNumber() < 2) {
      indices.argument = argument;
      // A token is what it is; a table of positions may begin with rows for others (OPT).
      return indices.plus && argument.getArgNumber() == 0 ? std::nullopt : std::optional(indices);
    }
    auto node = under.getDefiningOp<llm::OnnxNodeOp>();
    if (!node || !node.getDomain().empty()) return std::nullopt;
    auto sum = isNode(node, "Add") ? withNumber(node) : std::nullopt;
    bool shows = isNode(node, "Reshape") || isNode(node, "Cast") || isNode(node, "Identity") ||
                 isNode(node, "Unsqueeze") || isNode(node, "Squeeze");
    if (!sum && !shows) return std::nullopt;
    if (sum) indices.plus += int64_t(sum->second);
    value = sum ? sum->first : node.getInputs()[0];
  }
}
bool isTokens(Value value) {
  std::optional<Indices> indices = indicesOf(value);
  return indices && indices->argument.getArgNumber() == 0;
}

void replaceByEmbed(PatternRewriter &rewriter, llm::OnnxNodeOp node, Value indices, const WeightSpec &spec) {
  Value table = makeWeight(rewriter, node, spec);
  auto type = rowsType(rewriter.getContext(), spec.type.getDimSize(1));
  Value y = llm::EmbedOp::create(rewriter, node.getLoc(), type, indices, table, rewriter.getF32FloatAttr(1.0f));
  replaceByRows(rewriter, node.getResult(0), y);
  rewriter.eraseOp(node);
}

/// Gather of rows of a table, by tokens or positions.
struct RaiseGather : OpRewritePattern<llm::OnnxNodeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(llm::OnnxNodeOp node, PatternRewriter &rewriter) const override {
    std::optional<Indices> indices = isNode(node, "Gather") ? indicesOf(node.getInputs()[1]) : std::nullopt;
    if (!indices) return failure();
    bool byPosition = indices->argument.getArgNumber() == 1;
    Value data = beforeCasts(node.getInputs()[0]), columns = exchanged(data); // [H, V], shared with the head
    llm::OnnxTensorOp tensor = floatTensor(columns ? beforeCasts(columns) : data, 2);
    if (intAttr(node, "axis", 0) != 0 || !tensor) {
      if (byPosition) return failure(); // a table of cosines, or a mask
      return rewriter.notifyMatchFailure(node, tensor ? "tokens gather along another axis than 0"
                                                      : "the table is not a float initialiser [V, H]");
    }
    WeightSpec spec;
    spec.name = weightName(tensor.getName(), "");
    SmallVector<int64_t> shape(cast<RankedTensorType>(tensor.getType()).getShape());
    if (columns) std::swap(shape[0], shape[1]);
    if (byPosition) {
      if (indices->plus < 0 || indices->plus >= shape[0])
        return rewriter.notifyMatchFailure(node, "positions plus " + Twine(indices->plus) + " in a table of " +
                                                     Twine(shape[0]) + " rows");
      if (tensor.getRope() || tensor.getNoRope()) return failure();
      if (indices->plus) spec.storedRows = shape[0], spec.rowBegin = indices->plus, shape[0] -= indices->plus;
      boundContext(rewriter, node, shape[0]);
    }
    spec.type = RankedTensorType::get(shape, tensor.getType().getElementType());
    spec.storage = {tensor.getStorage()};
    spec.transposed = bool(columns);
    replaceByEmbed(rewriter, node, indices->argument, spec);
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
    replaceByEmbed(rewriter, node, indicesOf(node.getInputs()[1])->argument, *spec);
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
