#include "frontends/onnx/Check.h"
#include "dialects/llm/Llm.h"
#include "frontends/onnx/Tensors.h"

using llvm::StringRef;
using llvm::Twine;
using namespace mlir;

namespace llmc::onnx {

int64_t Node::dim(unsigned i, int64_t axis) const {
  if (!ranked(i)) return ShapedType::kDynamic;
  if (axis < 0) axis += rank(i);
  return axis < 0 || axis >= rank(i) ? ShapedType::kDynamic : type(i).getDimSize(axis);
}
int64_t Node::intAttr(StringRef name, int64_t absent) const {
  auto attr = attributes.getAs<IntegerAttr>(name);
  return attr ? attr.getInt() : absent;
}
double Node::floatAttr(StringRef name, double absent) const {
  auto attr = attributes.getAs<FloatAttr>(name);
  return attr ? attr.getValueAsDouble() : absent;
}
StringRef Node::stringAttr(StringRef name, StringRef absent) const {
  auto attr = attributes.getAs<StringAttr>(name);
  return attr ? attr.getValue() : absent;
}
std::optional<SmallVector<int64_t>> Node::intsAttr(StringRef name) const {
  auto attr = attributes.getAs<DenseI64ArrayAttr>(name);
  if (!attr) return std::nullopt;
  return SmallVector<int64_t>(attr.asArrayRef());
}
std::optional<SmallVector<int64_t>> Node::constant(unsigned i) const {
  if (!has(i)) return std::nullopt;
  auto op = operands[i].getDefiningOp<llm::OnnxConstantOp>();
  auto values = op ? dyn_cast<DenseIntElementsAttr>(op.getValue()) : DenseIntElementsAttr();
  if (!values) return std::nullopt;
  SmallVector<int64_t> out;
  for (const APInt &value : values) out.push_back(value.getSExtValue());
  return out;
}

llvm::Error refuse(const Twine &reason) { return llvm::createStringError(reason); }

llvm::Expected<int64_t> normalAxis(int64_t axis, int64_t rank, StringRef what) {
  if (axis < -rank || axis >= rank)
    return refuse(what + ": found " + Twine(axis) + ", expected one of a tensor of rank " + Twine(rank));
  return axis < 0 ? axis + rank : axis;
}

namespace {

Type like(Type shape, Type element) { return cast<ShapedType>(shape).clone(element); }

llvm::Expected<Types> unary(const Node &n) { return Types{n.operands[0].getType()}; }

llvm::Expected<Types> floatUnary(const Node &n) {
  if (!isa<FloatType>(n.element(0))) return refuse("operand '" + n.names[0] + "' is not of a float type");
  return unary(n);
}

/// NumPy's broadcast of operands `from`..; dims that do not fit are an error.
llvm::Expected<Type> broadcast(const Node &n, unsigned from, Type element) {
  SmallVector<int64_t> shape;
  for (unsigned i = from; i < n.operands.size(); ++i)
    if (!n.ranked(i)) return UnrankedTensorType::get(element);
  for (unsigned i = from; i < n.operands.size(); ++i)
    if (size_t(n.rank(i)) > shape.size()) shape.insert(shape.begin(), n.rank(i) - shape.size(), 1);
  for (unsigned i = from; i < n.operands.size(); ++i)
    for (int64_t axis = 1; axis <= n.rank(i); ++axis) {
      int64_t dim = n.dim(i, -axis), &out = shape[shape.size() - axis];
      if (dim == 1 || dim == out) continue;
      if (out == 1)
        out = dim;
      else if (ShapedType::isDynamic(out))
        out = dim;
      else if (!ShapedType::isDynamic(dim))
        return refuse("operand '" + n.names[i] + "' has " + Twine(dim) + " elements where another has " + Twine(out));
    }
  return RankedTensorType::get(shape, element);
}
llvm::Error sameElements(const Node &n, unsigned from) {
  for (unsigned i = from + 1; i < n.operands.size(); ++i)
    if (n.element(i) != n.element(from))
      return refuse("operands '" + n.names[from] + "' and '" + n.names[i] + "' differ in element type");
  return llvm::Error::success();
}
llvm::Expected<Types> binary(const Node &n) {
  if (auto error = sameElements(n, 0)) return error;
  llvm::Expected<Type> type = broadcast(n, 0, n.element(0));
  if (!type) return type.takeError();
  return Types{*type};
}
llvm::Expected<Types> power(const Node &n) {
  llvm::Expected<Type> type = broadcast(n, 0, n.element(0));
  if (!type) return type.takeError();
  return Types{*type};
}
llvm::Expected<Types> compare(const Node &n) {
  if (auto error = sameElements(n, 0)) return error;
  llvm::Expected<Type> type = broadcast(n, 0, IntegerType::get(n.attributes.getContext(), 1));
  if (!type) return type.takeError();
  return Types{*type};
}
llvm::Expected<Types> where(const Node &n) {
  if (!n.element(0).isInteger(1)) return refuse("operand '" + n.names[0] + "' is not BOOL");
  if (auto error = sameElements(n, 1)) return error;
  llvm::Expected<Type> type = broadcast(n, 0, n.element(1));
  if (!type) return type.takeError();
  return Types{*type};
}
llvm::Expected<Types> isNan(const Node &n) {
  return Types{like(n.operands[0].getType(), IntegerType::get(n.attributes.getContext(), 1))};
}
llvm::Expected<Types> cast(const Node &n) {
  int64_t to = n.intAttr("to", 0);
  Type element = elementType(n.attributes.getContext(), to);
  if (!element) return refuse("attribute to: found " + elementName(to) + ", expected a type of numbers");
  return Types{like(n.operands[0].getType(), element)};
}
llvm::Expected<Types> castLike(const Node &n) { return Types{like(n.operands[0].getType(), n.element(1))}; }

llvm::Expected<Types> matMul(const Node &n) {
  if (auto error = sameElements(n, 0)) return error;
  if (!n.ranked(0) || !n.ranked(1)) return Types{UnrankedTensorType::get(n.element(0))};
  if (n.rank(0) < 2 || n.rank(1) < 2) return refuse("found a vector operand, expected matrices");
  int64_t k0 = n.dim(0, -1), k1 = n.dim(1, -2);
  if (!ShapedType::isDynamic(k0) && !ShapedType::isDynamic(k1) && k0 != k1)
    return refuse("operand '" + n.names[0] + "' has rows of " + Twine(k0) + ", '" + n.names[1] +
                  "' has K = " + Twine(k1));
  int64_t rank = std::max(n.rank(0), n.rank(1));
  SmallVector<int64_t> shape(rank, ShapedType::kDynamic);
  for (int64_t axis = 3; axis <= rank; ++axis) { // batch dims
    int64_t a = axis <= n.rank(0) ? n.dim(0, -axis) : 1, b = axis <= n.rank(1) ? n.dim(1, -axis) : 1;
    shape[rank - axis] = a == 1 ? b : b == 1 || ShapedType::isDynamic(b) ? a : b;
  }
  shape[rank - 2] = n.dim(0, -2), shape[rank - 1] = n.dim(1, -1);
  return Types{RankedTensorType::get(shape, n.element(0))};
}
llvm::Expected<Types> fusedMatMul(const Node &n) {
  if (auto error = sameElements(n, 0)) return error;
  return Types{UnrankedTensorType::get(n.element(0))};
}
llvm::Expected<Types> gemm(const Node &n) {
  if (!n.ranked(0) || !n.ranked(1)) return Types{UnrankedTensorType::get(n.element(0))};
  if (n.rank(0) != 2 || n.rank(1) != 2) return refuse("expects matrices");
  bool ta = n.intAttr("transA", 0), tb = n.intAttr("transB", 0);
  int64_t ka = n.dim(0, ta ? 0 : 1), kb = n.dim(1, tb ? 1 : 0);
  if (!ShapedType::isDynamic(ka) && !ShapedType::isDynamic(kb) && ka != kb)
    return refuse("found K = " + Twine(ka) + " and " + Twine(kb) + ", expected equal ones");
  return Types{RankedTensorType::get({n.dim(0, ta ? 1 : 0), n.dim(1, tb ? 0 : 1)}, n.element(0))};
}
llvm::Expected<Types> softmax(const Node &n) {
  if (n.ranked(0))
    if (auto axis = normalAxis(n.intAttr("axis", -1), n.rank(0), "attribute axis"); !axis) return axis.takeError();
  return unary(n);
}
llvm::Expected<Types> reduce(const Node &n) {
  std::optional<SmallVector<int64_t>> axes = n.intsAttr("axes");
  if (!axes) axes = n.constant(1);
  bool keep = n.intAttr("keepdims", 1);
  if (!n.ranked(0)) return Types{UnrankedTensorType::get(n.element(0))};
  if (!axes) {
    if (!keep && n.has(1)) return Types{UnrankedTensorType::get(n.element(0))};
    SmallVector<int64_t> shape(keep ? n.rank(0) : 0, n.has(1) ? ShapedType::kDynamic : 1);
    return Types{RankedTensorType::get(shape, n.element(0))};
  }
  SmallVector<int64_t> shape(n.type(0).getShape());
  llvm::SmallBitVector gone(n.rank(0));
  for (int64_t axis : *axes) {
    llvm::Expected<int64_t> normal = normalAxis(axis, n.rank(0), "axes");
    if (!normal) return normal.takeError();
    gone.set(*normal);
  }
  SmallVector<int64_t> out;
  for (int64_t i = 0; i < n.rank(0); ++i)
    if (!gone[i])
      out.push_back(shape[i]);
    else if (keep)
      out.push_back(1);
  return Types{RankedTensorType::get(out, n.element(0))};
}
llvm::Expected<Types> range(const Node &n) {
  if (auto error = sameElements(n, 0)) return error;
  return Types{RankedTensorType::get({ShapedType::kDynamic}, n.element(0))};
}

constexpr unsigned kMany = 64; // operands of Concat and Max, results of Split

/// The operators of the exporters that are known to write decoders. One that is not here is refused by name.
constexpr Operator kOperators[] = {
    {"", "Add", 2, 2, 1, 1, "", binary},
    {"", "And", 2, 2, 1, 1, "", binary},
    {"", "Attention", 3, 6, 1, 4,
     "is_causal:i kv_num_heads:i q_num_heads:i qk_matmul_output_mode:i scale:f softcap:f softmax_precision:i",
     inferAttention},
    {"", "Cast", 1, 1, 1, 1, "to:i! saturate:i", cast},
    {"", "CastLike", 2, 2, 1, 1, "saturate:i", castLike},
    {"", "Concat", 1, kMany, 1, 1, "axis:i!", inferConcat},
    {"", "ConstantOfShape", 1, 1, 1, 1, "value:t", inferConstantOfShape},
    {"", "Cos", 1, 1, 1, 1, "", floatUnary},
    {"", "DequantizeLinear", 2, 3, 1, 1, "axis:i block_size:i output_dtype:i", inferDequantizeLinear},
    {"", "Div", 2, 2, 1, 1, "", binary},
    {"", "Equal", 2, 2, 1, 1, "", compare},
    {"", "Erf", 1, 1, 1, 1, "", floatUnary},
    {"", "Expand", 2, 2, 1, 1, "", inferExpand},
    {"", "Flatten", 1, 1, 1, 1, "axis:i", inferFlatten},
    {"", "Gather", 2, 2, 1, 1, "axis:i", inferGather},
    {"", "GatherND", 2, 2, 1, 1, "batch_dims:i", inferGatherNd},
    {"", "Gelu", 1, 1, 1, 1, "approximate:s", floatUnary},
    {"", "Gemm", 2, 3, 1, 1, "alpha:f beta:f transA:i transB:i", gemm},
    {"", "Greater", 2, 2, 1, 1, "", compare},
    {"", "GreaterOrEqual", 2, 2, 1, 1, "", compare},
    {"", "Identity", 1, 1, 1, 1, "", unary},
    {"", "IsNaN", 1, 1, 1, 1, "", isNan},
    {"", "LayerNormalization", 2, 3, 1, 3, "axis:i epsilon:f stash_type:i", inferLayerNorm},
    {"", "Less", 2, 2, 1, 1, "", compare},
    {"", "LessOrEqual", 2, 2, 1, 1, "", compare},
    {"", "MatMul", 2, 2, 1, 1, "", matMul},
    {"", "Max", 1, kMany, 1, 1, "", binary},
    {"", "Min", 1, kMany, 1, 1, "", binary},
    {"", "Mul", 2, 2, 1, 1, "", binary},
    {"", "Neg", 1, 1, 1, 1, "", unary},
    {"", "Not", 1, 1, 1, 1, "", unary},
    {"", "Or", 2, 2, 1, 1, "", binary},
    {"", "Pow", 2, 2, 1, 1, "", power},
    {"", "RMSNormalization", 2, 2, 1, 1, "axis:i epsilon:f stash_type:i", inferRmsNorm},
    {"", "Range", 3, 3, 1, 1, "", range},
    {"", "Reciprocal", 1, 1, 1, 1, "", floatUnary},
    {"", "ReduceMean", 1, 2, 1, 1, "axes:I keepdims:i noop_with_empty_axes:i", reduce},
    {"", "ReduceSum", 1, 2, 1, 1, "axes:I keepdims:i noop_with_empty_axes:i", reduce},
    {"", "Relu", 1, 1, 1, 1, "", unary},
    {"", "Reshape", 2, 2, 1, 1, "allowzero:i", inferReshape},
    {"", "RotaryEmbedding", 3, 4, 1, 1, "interleaved:i num_heads:i rotary_embedding_dim:i", floatUnary},
    {"", "ScatterND", 3, 3, 1, 1, "reduction:s", unary},
    {"", "Shape", 1, 1, 1, 1, "end:i start:i", inferShape},
    {"", "Sigmoid", 1, 1, 1, 1, "", floatUnary},
    {"", "SimplifiedLayerNormalization", 2, 2, 1, 2, "axis:i epsilon:f stash_type:i", inferRmsNorm},
    {"", "Sin", 1, 1, 1, 1, "", floatUnary},
    {"", "Slice", 3, 5, 1, 1, "", inferSlice},
    {"", "Softmax", 1, 1, 1, 1, "axis:i", softmax},
    {"", "Split", 1, 2, 1, kMany, "axis:i num_outputs:i", inferSplit},
    {"", "Sqrt", 1, 1, 1, 1, "", floatUnary},
    {"", "Squeeze", 1, 2, 1, 1, "", inferSqueeze},
    {"", "Sub", 2, 2, 1, 1, "", binary},
    {"", "Tanh", 1, 1, 1, 1, "", floatUnary},
    {"", "Tile", 2, 2, 1, 1, "", inferTile},
    {"", "Transpose", 1, 1, 1, 1, "perm:I", inferTranspose},
    {"", "Trilu", 1, 2, 1, 1, "upper:i", unary},
    {"", "Unsqueeze", 2, 2, 1, 1, "", inferUnsqueeze},
    {"", "Where", 3, 3, 1, 1, "", where},
    {"com.microsoft", "BiasGelu", 2, 2, 1, 1, "", binary},
    {"com.microsoft", "FastGelu", 1, 2, 1, 1, "", floatUnary},
    {"com.microsoft", "FusedMatMul", 2, 2, 1, 1, "alpha:f transA:i transB:i transBatchA:i transBatchB:i", fusedMatMul},
    {"com.microsoft", "GatherBlockQuantized", 3, 4, 1, 1, "bits:i block_size:i gather_axis:i quantize_axis:i",
     inferGatherBlockQuantized},
    {"com.microsoft", "GroupQueryAttention", 7, 14, 1, 4,
     "do_rotary:i kv_num_heads:i! local_window_size:i num_heads:i! qk_output:i rotary_interleaved:i scale:f "
     "sliding_window_cache:i smooth_softmax:i softcap:f k_quant_type:s v_quant_type:s kv_cache_bit_width:i",
     inferGroupQueryAttention, 0b0011110},
    {"com.microsoft", "MatMulNBits", 3, 6, 1, 1, "K:i! N:i! accuracy_level:i bits:i block_size:i!", inferMatMulNBits},
    {"com.microsoft", "MultiHeadAttention", 1, 10, 1, 4, "mask_filter_value:f num_heads:i! scale:f unidirectional:i",
     inferMultiHeadAttention},
    {"com.microsoft", "QuickGelu", 1, 1, 1, 1, "alpha:f", floatUnary},
    {"com.microsoft", "RotaryEmbedding", 4, 4, 1, 1,
     "interleaved:i is_packed_batching:i num_heads:i rotary_embedding_dim:i scale:f", inferMsRotary},
    {"com.microsoft", "SkipLayerNormalization", 3, 5, 1, 4, "epsilon:f", inferSkipNorm},
    {"com.microsoft", "SkipSimplifiedLayerNormalization", 3, 4, 1, 4, "epsilon:f", inferSkipNorm},
};
} // namespace

const Operator *findOperator(StringRef domain, StringRef name) {
  for (const Operator &op : kOperators)
    if (name == op.name && domain == op.domain) return &op;
  return nullptr;
}

char attributeKind(const Operator &op, StringRef name) {
  for (StringRef rest = op.attributes; !rest.empty();) {
    auto [entry, tail] = rest.split(' ');
    auto [key, kind] = entry.split(':');
    if (key == name) return kind.front();
    rest = tail;
  }
  return 0;
}

StringRef missingAttribute(const Operator &op, DictionaryAttr attributes) {
  for (StringRef rest = op.attributes; !rest.empty();) {
    auto [entry, tail] = rest.split(' ');
    auto [key, kind] = entry.split(':');
    if (kind.ends_with("!") && !attributes.contains(key)) return key;
    rest = tail;
  }
  return {};
}

} // namespace llmc::onnx
