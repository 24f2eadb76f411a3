#include "passes/raise/MultiHead.h"
#include "passes/raise/ShapeValues.h"
#include <cmath>

using namespace mlir;

namespace llmc::raise {
namespace {

/// The first operand of the operator, or null.
Value under(Value value, StringRef opType) {
  llm::OnnxNodeOp node = nodeOf(value, opType);
  return node ? node.getInputs()[0] : Value();
}
bool isBelow(Value value, double bound) {
  std::optional<double> number = scalar(value);
  return number && *number <= bound;
}
constexpr double kMasked = -1e4; // its exponential is 0, whatever the score

//===- Mask --------------------------------------------------------------------===//
/// Where(bool(1 - m), -65504, 1 - m), m attention_mask as [batch, 1, tokens, total]: 0 where it is 1.
bool isPaddingMask(Value value) {
  llm::OnnxNodeOp where = nodeOf(value, "Where");
  llm::OnnxNodeOp sub = where ? nodeOf(where.getInputs()[2], "Sub") : llm::OnnxNodeOp();
  if (!sub || under(where.getInputs()[0], "Cast") != where.getInputs()[2] || !isBelow(where.getInputs()[1], kMasked) ||
      scalar(sub.getInputs()[0]) != 1.0)
    return false;
  Value mask = under(under(sub.getInputs()[1], "Cast"), "Expand");
  for (int64_t axis : {2, 1}) {
    llm::OnnxNodeOp node = nodeOf(mask, "Unsqueeze");
    if (!node || integers(operand(node, 1)) != SmallVector<int64_t>{axis}) return false;
    mask = node.getInputs()[0];
  }
  return inputName(mask) == "attention_mask";
}

/// The number of new tokens: Shape(input_ids)[1].
bool isTokenCount(const Size &size) {
  auto argument = dyn_cast_or_null<BlockArgument>(size.of);
  return argument && argument.getArgNumber() == 0 && size.number == 1;
}

/// Where(range < column of range + 1, 0, -65504 [tokens, tokens]) in leading axes of 1: token i reads the first i + 1
/// positions. (Of one token it is a 0, which is broadcast to the whole cache; the graph takes no other second chunk.)
bool isCausalMask(Value value) {
  value = under(value, "Expand");
  for (unsigned i : {1u, 0u}) {
    llm::OnnxNodeOp node = nodeOf(value, "Unsqueeze");
    if (!node || integers(operand(node, 1)) != SmallVector<int64_t>{i}) return false;
    value = node.getInputs()[0];
  }
  llm::OnnxNodeOp where = nodeOf(value, "Where");
  llm::OnnxNodeOp less = where ? nodeOf(where.getInputs()[0], "Less") : llm::OnnxNodeOp();
  llm::OnnxNodeOp fill = where ? nodeOf(where.getInputs()[2], "ConstantOfShape") : llm::OnnxNodeOp();
  auto masked = fill ? fill.getOnnxAttributes().getAs<DenseFPElementsAttr>("value") : DenseFPElementsAttr();
  if (!less || !masked || masked.getNumElements() != 1 || scalar(where.getInputs()[1]) != 0.0) return false;
  APFloat number = *masked.begin();
  bool lost;
  number.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven, &lost);
  llm::OnnxNodeOp range = nodeOf(less.getInputs()[0], "Range"), column = nodeOf(less.getInputs()[1], "Reshape");
  llm::OnnxNodeOp next = column ? nodeOf(column.getInputs()[0], "Add") : llm::OnnxNodeOp();
  if (number.convertToDouble() > kMasked || !range || !next || next.getInputs()[0] != range.getResult(0) ||
      scalar(next.getInputs()[1]) != 1.0 || scalar(range.getInputs()[0]) != 0.0 || scalar(range.getInputs()[2]) != 1.0)
    return false;
  std::optional<Sizes> side = sizesIn(fill.getInputs()[0]), end = sizesIn(range.getInputs()[1]);
  std::optional<Sizes> shape = sizesIn(column.getInputs()[1]);
  return side && end && shape && side->size() == 2 && isTokenCount((*side)[0]) && isTokenCount((*side)[1]) &&
         *end == Sizes{(*side)[0]} && *shape == Sizes{(*side)[0], {1, {}}};
}

/// The sum of both, repeated for every head.
bool isMask(Value value) {
  if (llm::OnnxNodeOp tile = nodeOf(value, "Tile")) {
    std::optional<SmallVector<int64_t>> repeats = integers(tile.getInputs()[1]);
    if (!repeats || repeats->size() != 4 || (*repeats)[0] != 1 || (*repeats)[2] != 1 || (*repeats)[3] != 1)
      return false;
    value = tile.getInputs()[0];
  }
  llm::OnnxNodeOp add = nodeOf(value, "Add");
  return add && ((isPaddingMask(add.getInputs()[0]) && isCausalMask(add.getInputs()[1])) ||
                 (isPaddingMask(add.getInputs()[1]) && isCausalMask(add.getInputs()[0])));
}

//===- Cache -------------------------------------------------------------------===//
Value tokensFirst(Value value) { // [batch, tokens, heads, size] and [batch, heads, tokens, size]
  llm::OnnxNodeOp node = nodeOf(value, "Transpose");
  auto perm = node ? node.getOnnxAttributes().getAs<DenseI64ArrayAttr>("perm") : DenseI64ArrayAttr();
  return perm && perm.asArrayRef() == ArrayRef<int64_t>{0, 2, 1, 3} ? node.getInputs()[0] : Value();
}
/// The operand of Reshape to one of these shapes.
Value reshaped(Value value, ArrayRef<Sizes> shapes) {
  llm::OnnxNodeOp node = nodeOf(value, "Reshape");
  std::optional<Sizes> shape = node && !intAttr(node, "allowzero", 0) ? sizesIn(node.getInputs()[1]) : std::nullopt;
  return shape && llvm::is_contained(shapes, *shape) ? node.getInputs()[0] : Value();
}

/// Concat(past, new) on axis 2, new of rows [batch, tokens, kv heads * size].
struct Cache {
  Value past, present, added;
  int64_t kvHeads = 0;
};

/// Each of its heads `heads / kv heads` times: Unsqueeze, Expand, Reshape.
Value beforeRepeat(Value value, int64_t heads) {
  llm::OnnxNodeOp reshape = nodeOf(value, "Reshape");
  llm::OnnxNodeOp expand = reshape ? nodeOf(reshape.getInputs()[0], "Expand") : llm::OnnxNodeOp();
  llm::OnnxNodeOp unsqueeze = expand ? nodeOf(expand.getInputs()[0], "Unsqueeze") : llm::OnnxNodeOp();
  auto type = unsqueeze ? dyn_cast<RankedTensorType>(unsqueeze.getInputs()[0].getType()) : RankedTensorType();
  if (!type || type.getRank() != 4 || type.isDynamicDim(1) || type.getDimSize(1) <= 0 || heads % type.getDimSize(1) ||
      integers(operand(unsqueeze, 1)) != SmallVector<int64_t>{2})
    return {};
  Sizes shape = shapeOf(unsqueeze.getInputs()[0]), five = shape;
  five.insert(five.begin() + 2, {heads / type.getDimSize(1), {}});
  shape[1] = {heads, {}};
  return sizesIn(expand.getInputs()[1]) == five && reshaped(value, {shape}) ? unsqueeze.getInputs()[0] : Value();
}

/// Keys or values of MultiHeadAttention.
std::optional<Cache> cacheOf(Value value, int64_t heads, int64_t size) {
  Value perHead = tokensFirst(reshaped(value, {Sizes{{0, {}}, {0, {}}, {heads * size, {}}}}));
  if (!perHead) return std::nullopt;
  if (Value before = beforeRepeat(perHead, heads)) perHead = before;
  llm::OnnxNodeOp concat = nodeOf(perHead, "Concat");
  if (!concat || concat.getInputs().size() != 2) return std::nullopt;
  if (int64_t axis = intAttr(concat, "axis", 0); axis != 2 && axis != -2) return std::nullopt;
  Cache cache = {concat.getInputs()[0], concat.getResult(0), {}};
  auto type = dyn_cast<RankedTensorType>(cache.past.getType());
  if (inputName(cache.past).empty() || !type || type.getRank() != 4 || type.isDynamicDim(1)) return std::nullopt;
  for (Operation *user : cache.past.getUsers()) // its sizes do not matter
    if (user != concat && !isNode(dyn_cast<llm::OnnxNodeOp>(user), "Shape")) return std::nullopt;
  if (llvm::count_if(cache.present.getUsers(), [](Operation *user) { return isa<func::ReturnOp>(user); }) != 1)
    return std::nullopt;
  cache.kvHeads = type.getDimSize(1);
  Size kv = {cache.kvHeads, {}}, zero = {0, {}};
  Sizes split[] = {{zero, zero, kv, {-1, {}}}, {zero, zero, kv, {size, {}}}};
  cache.added = reshaped(tokensFirst(concat.getInputs()[1]), split);
  if (!isActivation(cache.added) || cast<RankedTensorType>(cache.added.getType()).getDimSize(2) != cache.kvHeads * size)
    return std::nullopt;
  return cache;
}

struct Heads {
  int64_t count, size;
};

void replace(PatternRewriter &rewriter, llm::OnnxNodeOp node, Heads heads, const Cache &keys, const Cache &values) {
  double scale = floatAttr(node, "scale", 0); // 0: the default
  if (scale == 0) scale = 1.0 / std::sqrt(double(heads.size));
  auto i64 = [&](int64_t value) { return rewriter.getI64IntegerAttr(value); };
  Value q = toRows(rewriter, node.getInputs()[0]), k = toRows(rewriter, keys.added), v = toRows(rewriter, values.added);
  Value positions = node->getParentOfType<func::FuncOp>().getArgument(1);
  Value y = llm::AttentionOp::create(rewriter, node.getLoc(), q.getType(), q, k, v, positions,
                                     node->getAttrOfType<IntegerAttr>(kLayerAttr), i64(heads.count), i64(keys.kvHeads),
                                     i64(heads.size), rewriter.getF32FloatAttr(float(scale)), i64(0));
  // The cache is not a value any more: the outputs that it was become the inputs that it was.
  for (const Cache &cache : {keys, values}) {
    OpBuilder::InsertionGuard guard(rewriter);
    rewriter.setInsertionPoint(cache.present.getDefiningOp()); // sizes of it are read before the attention
    auto cast = UnrealizedConversionCastOp::create(rewriter, node.getLoc(), cache.present.getType(), cache.past);
    rewriter.replaceAllUsesWith(cache.present, cast.getResult(0));
  }
  replaceByRows(rewriter, node.getResult(0), y);
  rewriter.eraseOp(node);
}

} // namespace

LogicalResult RaiseMultiHeadAttention::matchAndRewrite(llm::OnnxNodeOp node, PatternRewriter &rewriter) const {
  if (!isNode(node, "MultiHeadAttention", kMicrosoft)) return failure();
  for (unsigned i = 3; i < node.getInputs().size(); ++i)
    if (i != 5 && operand(node, i))
      return rewriter.notifyMatchFailure(node, "a bias, padding mask or past of its own, expected an attention bias");
  for (Value result : node.getResults().drop_front())
    if (!result.use_empty()) return rewriter.notifyMatchFailure(node, "a cache of its own");
  if (intAttr(node, "unidirectional", 0)) return rewriter.notifyMatchFailure(node, "unidirectional beside a mask");
  Value q = node.getInputs()[0];
  if (!isActivation(q)) return rewriter.notifyMatchFailure(node, "the query is not [batch, tokens, C] of a known C");
  int64_t heads = intAttr(node, "num_heads", 0), width = cast<RankedTensorType>(q.getType()).getDimSize(2);
  if (heads <= 0 || width % heads)
    return rewriter.notifyMatchFailure(node, "rows of " + Twine(width) + " in " + Twine(heads) + " heads");
  int64_t size = width / heads;
  if (!isMask(operand(node, 5)))
    return rewriter.notifyMatchFailure(node, "the attention bias is not a causal mask with that of attention_mask");
  std::optional<Cache> keys = cacheOf(operand(node, 1), heads, size), values = cacheOf(operand(node, 2), heads, size);
  if (!keys || !values || keys->kvHeads != values->kvHeads)
    return rewriter.notifyMatchFailure(node, "keys or values are not those of a cache of the graph");

  replace(rewriter, node, {heads, size}, *keys, *values);
  return success();
}

} // namespace llmc::raise
