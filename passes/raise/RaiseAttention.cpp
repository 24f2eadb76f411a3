#include "passes/raise/MultiHead.h"
#include "passes/raise/Raise.h"
#include "passes/raise/Rotary.h"
#include <cmath>

namespace llmc {
#define GEN_PASS_DEF_RAISEATTENTION
#include "passes/raise/RaisePasses.h.inc"

using namespace mlir;
using namespace raise;

namespace {

//===- What may be dropped ------------------------------------------------------===//
/// Cast to i32, or the value itself.
Value beforeCast(Value value) {
  llm::OnnxNodeOp cast = nodeOf(value, "Cast");
  return cast ? cast.getInputs()[0] : value;
}
/// Sum(attention_mask, 1) - 1: the last position of each sequence, as the builders write seqlens_k.
bool isLastPosition(Value value) {
  llm::OnnxNodeOp sub = nodeOf(beforeCast(value), "Sub");
  llm::OnnxNodeOp sum = sub ? nodeOf(sub.getInputs()[0], "ReduceSum") : llm::OnnxNodeOp();
  if (!sum || scalar(sub.getInputs()[1]) != 1.0 || inputName(sum.getInputs()[0]) != "attention_mask") return false;
  std::optional<SmallVector<int64_t>> axes = integers(operand(sum, 1));
  return axes && axes->size() == 1 && (axes->front() == 1 || axes->front() == -1);
}
/// Shape(attention_mask)[1]: the number of positions, past and new.
bool isTotalLength(Value value) {
  llm::OnnxNodeOp gather = nodeOf(beforeCast(value), "Gather");
  llm::OnnxNodeOp shape = gather ? nodeOf(gather.getInputs()[0], "Shape") : llm::OnnxNodeOp();
  return shape && inputName(shape.getInputs()[0]) == "attention_mask" && scalar(gather.getInputs()[1]) == 1.0 &&
         intAttr(shape, "start", 0) == 0 && !shape.getOnnxAttributes().contains("end");
}

/// Of a layer with sliding_window_cache, whose cache holds the last positions of a fixed number C. With C >= window
/// every position that a query sees is in it, so it computes what a window over the whole cache does; the model's
/// declaration leaves C open or says it.
std::optional<std::string> tooSmallCache(llm::OnnxNodeOp node) {
  if (!intAttr(node, "sliding_window_cache", 0)) return std::nullopt;
  int64_t window = intAttr(node, "local_window_size", -1);
  if (window <= 0) return "a sliding_window_cache without local_window_size";
  for (unsigned i : {3u, 4u}) {
    auto type = operand(node, i) ? dyn_cast<RankedTensorType>(operand(node, i).getType()) : RankedTensorType();
    if (type && type.getRank() == 4 && !type.isDynamicDim(2) && type.getDimSize(2) < window)
      return "a sliding_window_cache of " + std::to_string(type.getDimSize(2)) + " positions, expected the window of " +
             std::to_string(window) + " at least";
  }
  return std::nullopt;
}

/// The first attribute or operand that changes what attention computes in a way that llm.attention has not.
std::optional<std::string> unsupported(llm::OnnxNodeOp node) {
  for (StringRef name : {"qk_output", "kv_cache_bit_width"})
    if (int64_t value = intAttr(node, name, 0); value > 0)
      return (name + " = " + Twine(value) + " is not supported").str();
  for (StringRef name : {"k_quant_type", "v_quant_type"})
    if (auto type = node.getOnnxAttributes().getAs<StringAttr>(name); type && !type.empty() && type != "NONE")
      return ("a cache of " + name + " " + type.getValue() + " is not supported").str();
  static constexpr std::pair<unsigned, const char *> kOperands[] = {
      {10, "attention_bias"}, {12, "k_scale"}, {13, "v_scale"}};
  for (auto [i, name] : kOperands)
    if (operand(node, i)) return std::string(name) + " is not supported";
  if (double softcap = floatAttr(node, "softcap", 0); !(softcap >= 0))
    return "a softcap of " + std::to_string(softcap) + ", expected a positive one";
  if (std::optional<std::string> reason = tooSmallCache(node)) return reason;
  if (!isLastPosition(node.getInputs()[5])) return "seqlens_k is not the sum of attention_mask minus one";
  if (!isTotalLength(node.getInputs()[6])) return "total_sequence_length is not the length of attention_mask";
  return std::nullopt;
}

/// Why past_* and present_* are not a cache that only this node appends to, or nothing.
std::optional<std::string> notACache(llm::OnnxNodeOp node) {
  if (node.getNumResults() > 3 && !node.getResult(3).use_empty()) return "its fourth result is used";
  static constexpr const char *kNames[] = {"key", "value"};
  for (unsigned i : {0u, 1u}) {
    Value past = operand(node, 3 + i);
    std::string name = kNames[i];
    if (!past || inputName(past).empty()) return "past " + name + " is not a graph input, expected a cache";
    if (!past.hasOneUse()) return "past " + name + " '" + inputName(past).str() + "' has another use";
    if (node.getNumResults() < 2 + i || node.getResult(1 + i).use_empty())
      return "its present " + name + " is not a graph output";
    for (Operation *user : node.getResult(1 + i).getUsers())
      if (!isa<func::ReturnOp>(user)) return "its present " + name + " is read in the graph";
    if (!node.getResult(1 + i).hasOneUse()) return "its present " + name + " is two graph outputs";
  }
  return std::nullopt;
}

//===- Packed QKV --------------------------------------------------------------===//
struct Qkv {
  Value q, k, v; // rows
};

FailureOr<Qkv> splitPacked(PatternRewriter &rewriter, llm::OnnxNodeOp node, int64_t qColumns, int64_t kvColumns) {
  auto linear = underRows(node.getInputs()[0]).getDefiningOp<llm::LinearOp>();
  llm::WeightOp weight = linear ? weightOf(linear.getW()) : llm::WeightOp();
  if (!weight) return rewriter.notifyMatchFailure(node, "packed QKV is not the result of a linear with a weight");
  llm::WeightOp bias = linear.getBias() ? weightOf(linear.getBias()) : llm::WeightOp();
  if (linear.getBias() && !bias) return rewriter.notifyMatchFailure(node, "the bias of packed QKV is not a weight");
  Value parts[3];
  int64_t begin = 0;
  static constexpr const char *kParts[] = {"q", "k", "v"};
  for (unsigned i = 0; i < 3; ++i) {
    int64_t count = i ? kvColumns : qColumns;
    Value w = sliceWeight(rewriter, node, linear.getW(), {begin, count}, kParts[i]);
    Value b = bias ? sliceWeight(rewriter, node, linear.getBias(), {begin, count}, kParts[i]) : Value();
    if (!w || (bias && !b)) return rewriter.notifyMatchFailure(node, "the weight of packed QKV cannot be taken apart");
    parts[i] =
        llm::LinearOp::create(rewriter, linear.getLoc(), rowsType(node.getContext(), count), linear.getX(), w, b);
    begin += count;
  }
  return Qkv{parts[0], parts[1], parts[2]};
}

//===- The pattern -----------------------------------------------------------------===//
/// com.microsoft GroupQueryAttention(q or packed qkv, k, v, past_key, past_value, seqlens_k, total_sequence_length,
/// cos_cache, sin_cache, position_ids, ...).
struct RaiseGroupQueryAttention : OpRewritePattern<llm::OnnxNodeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(llm::OnnxNodeOp node, PatternRewriter &rewriter) const override {
    if (!isNode(node, "GroupQueryAttention", kMicrosoft)) return failure();
    if (auto reason = unsupported(node)) return rewriter.notifyMatchFailure(node, *reason);
    if (auto reason = notACache(node)) return rewriter.notifyMatchFailure(node, *reason);
    bool packed = !operand(node, 1);
    for (unsigned i = 0; i < (packed ? 1 : 3); ++i)
      if (!isActivation(node.getInputs()[i]))
        return rewriter.notifyMatchFailure(node, "operand " + Twine(i) + " is not [batch, tokens, C] of a known C");

    int64_t heads = intAttr(node, "num_heads", 0), kvHeads = intAttr(node, "kv_num_heads", 0);
    int64_t width = cast<RankedTensorType>(node.getInputs()[0].getType()).getDimSize(2);
    int64_t size = width / (packed ? heads + 2 * kvHeads : heads);
    llm::RopeAttr rope;
    int64_t tableRows = 0;
    if (intAttr(node, "do_rotary", 0)) {
      std::string reason;
      rope = ropeOf(operand(node, 7), operand(node, 8), intAttr(node, "rotary_interleaved", 0), tableRows, reason);
      if (!rope) return rewriter.notifyMatchFailure(node, reason);
      if (rope.getDim() > size) return rewriter.notifyMatchFailure(node, "more channels rotate than a head has");
      if (Value ids = operand(node, 9); ids && !isPositions(ids))
        return rewriter.notifyMatchFailure(node, "the positions are not the graph's position_ids");
    }
    std::optional<Vector> sinks = vectorOf(operand(node, 11));
    if (operand(node, 11) && (!sinks || sinks->size() != heads))
      return rewriter.notifyMatchFailure(node, "head_sink is not an initialiser of a number for each head");
    Qkv rows;
    if (packed) {
      FailureOr<Qkv> split = splitPacked(rewriter, node, heads * size, kvHeads * size);
      if (failed(split)) return failure();
      rows = *split;
    } else {
      rows = {toRows(rewriter, node.getInputs()[0]), toRows(rewriter, node.getInputs()[1]),
              toRows(rewriter, node.getInputs()[2])};
    }
    if (rope) boundContext(rewriter, node, tableRows);
    Value sink;
    if (sinks) sink = makeVector(rewriter, node, *sinks);
    // One more logit of 0 in the sum of each head's softmax.
    if (!sinks && intAttr(node, "smooth_softmax", 0) > 0) sink = makeSplat(rewriter, node, heads, 0.0f);
    replace(rewriter, node, rows, rope, size, sink);
    return success();
  }

private:
  static bool isPositions(Value value) {
    auto argument = dyn_cast<BlockArgument>(underRows(value));
    return argument && argument != value && argument.getArgNumber() == 1;
  }

  static void replace(PatternRewriter &rewriter, llm::OnnxNodeOp node, Qkv rows, llm::RopeAttr rope, int64_t size,
                      Value sinks) {
    Location loc = node.getLoc();
    Value positions = node->getParentOfType<func::FuncOp>().getArgument(1);
    int64_t heads = intAttr(node, "num_heads", 0), kvHeads = intAttr(node, "kv_num_heads", 0);
    auto i64 = [&](int64_t value) { return rewriter.getI64IntegerAttr(value); };
    if (rope) {
      rows.q = llm::RopeOp::create(rewriter, loc, rows.q.getType(), rows.q, positions, i64(heads), rope);
      rows.k = llm::RopeOp::create(rewriter, loc, rows.k.getType(), rows.k, positions, i64(kvHeads), rope);
    }
    double scale = floatAttr(node, "scale", 0); // 0: the default
    if (scale == 0) scale = 1.0 / std::sqrt(double(size));
    int64_t window = std::max<int64_t>(intAttr(node, "local_window_size", -1), 0);
    auto layer = node->getAttrOfType<IntegerAttr>(kLayerAttr);
    Value y = llm::AttentionOp::create(rewriter, loc, rows.q.getType(), rows.q, rows.k, rows.v, positions, sinks, layer,
                                       i64(heads), i64(kvHeads), i64(size), rewriter.getF32FloatAttr(float(scale)),
                                       i64(window), UnitAttr(),
                                       rewriter.getF32FloatAttr(float(floatAttr(node, "softcap", 0))));
    // The cache is not a value any more: the outputs that it was become the inputs that it was.
    for (unsigned i : {1u, 2u}) {
      Value past = node.getInputs()[2 + i], present = node.getResult(i);
      auto cast = UnrealizedConversionCastOp::create(rewriter, loc, present.getType(), past);
      rewriter.replaceAllUsesWith(present, cast.getResult(0));
    }
    replaceByRows(rewriter, node.getResult(0), y);
    rewriter.eraseOp(node);
  }
};

struct RaiseAttention : impl::RaiseAttentionBase<RaiseAttention> {
  void runOnOperation() override {
    int64_t layers = 0;
    getOperation().walk([&](llm::OnnxNodeOp node) {
      if (isNode(node, "GroupQueryAttention", kMicrosoft) || isNode(node, "MultiHeadAttention", kMicrosoft))
        node->setAttr(kLayerAttr, IntegerAttr::get(IntegerType::get(&getContext(), 64), layers++));
    });
    if (failed(applyRaise<RaiseGroupQueryAttention, RaiseMultiHeadAttention>(getOperation(), getArgument())))
      signalPassFailure();
  }
};

} // namespace
} // namespace llmc
