// Operands and result types of com.microsoft operators of decoders.
#include "frontends/onnx/Check.h"
#include "llvm/Support/MathExtras.h"
#include <cmath>

using llvm::ArrayRef;
using llvm::StringRef;
using llvm::Twine;
using namespace mlir;

namespace llmc::onnx {
namespace {

constexpr int64_t kMostHeads = 1 << 14, kMostSide = int64_t(1) << 32;

bool isFloat(const Node &n, unsigned i) { return isa<FloatType>(n.element(i)); }
bool isUint8(const Node &n, unsigned i) { return n.element(i).isUnsignedInteger(8); }

/// Operand i must be [..., columns] floats of `columns` if both are known.
llvm::Error checkColumns(const Node &n, unsigned i, int64_t columns) {
  if (!isFloat(n, i)) return refuseOperand(n, i, "is not of a float type");
  int64_t found = n.dim(i, -1);
  if (known(found) && known(columns) && found != columns)
    return refuseOperand(n, i, "has rows of " + Twine(found) + ", expected " + Twine(columns));
  return llvm::Error::success();
}
/// A vector of `size` floats.
llvm::Error checkVector(const Node &n, unsigned i, int64_t size) {
  if (n.ranked(i) && n.rank(i) != 1) return refuseOperand(n, i, "has rank " + Twine(n.rank(i)) + ", expected a vector");
  return checkColumns(n, i, size);
}
llvm::Error checkFlag(const Node &n, StringRef name) {
  int64_t value = n.intAttr(name, 0);
  if (value != 0 && value != 1) return refuse("attribute " + name + ": found " + Twine(value) + ", expected 0 or 1");
  return llvm::Error::success();
}
/// The widths that follow from the operands of an attention node: q, k and v of heads * size columns, or all packed.
struct Heads {
  int64_t heads, kvHeads, size; // size kUnknown: not known
};
llvm::Expected<Heads> checkHeads(const Node &n) {
  Heads h{n.intAttr("num_heads", 0), n.intAttr("kv_num_heads", 0), kUnknown};
  for (auto [name, value] : {std::pair("num_heads", h.heads), std::pair("kv_num_heads", h.kvHeads)})
    if (value <= 0 || value > kMostHeads)
      return refuse("attribute " + Twine(name) + ": found " + Twine(value) + ", expected 1 to " + Twine(kMostHeads));
  if (h.heads % h.kvHeads)
    return refuse("found " + Twine(h.heads) + " heads and " + Twine(h.kvHeads) + " kv heads, expected a multiple");
  if (n.has(1) != n.has(2)) return refuse("found one of key and value, expected both or packed QKV");
  int64_t parts = n.has(1) ? h.heads : h.heads + 2 * h.kvHeads, width = n.dim(0, -1);
  if (known(width)) {
    if (width % parts || width == 0)
      return refuseOperand(n, 0, "has rows of " + Twine(width) + ", expected a multiple of " + Twine(parts) + " heads");
    h.size = width / parts;
  }
  for (unsigned i : {1u, 2u})
    if (n.has(i))
      if (auto error = checkColumns(n, i, known(h.size) ? h.kvHeads * h.size : kUnknown)) return error;
  return h;
}

llvm::Error checkPast(const Node &n, const Heads &h) {
  if (n.has(3) != n.has(4)) return refuse("found one of past_key and past_value, expected both or neither");
  for (unsigned i : {3u, 4u}) {
    if (!n.has(i)) continue;
    if (n.ranked(i) && n.rank(i) != 4)
      return refuseOperand(n, i, "has rank " + Twine(n.rank(i)) + ", expected [batch, kv heads, past, head size]");
    if (known(n.dim(i, 1)) && n.dim(i, 1) != h.kvHeads)
      return refuseOperand(n, i, "has " + Twine(n.dim(i, 1)) + " heads, expected " + Twine(h.kvHeads));
    if (known(n.dim(i, 3)) && known(h.size) && n.dim(i, 3) != h.size)
      return refuseOperand(n, i, "has heads of " + Twine(n.dim(i, 3)) + ", expected " + Twine(h.size));
  }
  return llvm::Error::success();
}

/// Tables of cosines and sines [positions, rotated channels / 2].
llvm::Error checkTables(const Node &n, unsigned cos, unsigned sin, int64_t headSize) {
  for (unsigned i : {cos, sin}) {
    if (!n.has(i)) return refuse("found no cos_cache or sin_cache, expected both");
    if (!isFloat(n, i)) return refuseOperand(n, i, "is not of a float type");
    if (n.ranked(i) && n.rank(i) != 2) return refuseOperand(n, i, "has rank " + Twine(n.rank(i)) + ", expected 2");
  }
  for (int64_t axis : {0, 1})
    if (known(n.dim(cos, axis)) && known(n.dim(sin, axis)) && n.dim(cos, axis) != n.dim(sin, axis))
      return refuse("cos_cache and sin_cache differ in shape");
  if (int64_t half = n.dim(cos, 1); known(half) && known(headSize) && half > headSize / 2)
    return refuseOperand(n, cos, "has " + Twine(half) + " columns, expected at most " + Twine(headSize / 2));
  return llvm::Error::success();
}

llvm::Error checkGqaAttributes(const Node &n) {
  for (StringRef flag : {"do_rotary", "rotary_interleaved", "sliding_window_cache"})
    if (auto error = checkFlag(n, flag)) return error;
  int64_t window = n.intAttr("local_window_size", -1);
  if (window != -1 && window < 1)
    return refuse("attribute local_window_size: found " + Twine(window) + ", expected -1 or a number of tokens");
  if (n.intAttr("sliding_window_cache", 0) && window < 1)
    return refuse("attribute sliding_window_cache: found 1 without local_window_size");
  for (StringRef name : {"scale", "softcap"})
    if (double value = n.floatAttr(name, 0); !std::isfinite(value) || value < 0)
      return refuse("attribute " + name + ": found " + std::to_string(value) + ", expected 0 or a positive number");
  return llvm::Error::success();
}
} // namespace

/// B u8 [N, blocks, block * bits / 8], scales [N, blocks] (or flat), zero points u8 [N, ceil(blocks * bits / 8)] or one
/// number of the scales' type for each scale, g_idx i32 [K], bias [N].
llvm::Expected<Types> inferMatMulNBits(const Node &n) {
  int64_t k = n.intAttr("K", 0), outputs = n.intAttr("N", 0), bits = n.intAttr("bits", 4);
  int64_t block = n.intAttr("block_size", 0), level = n.intAttr("accuracy_level", 0);
  for (auto [name, value] : {std::pair("K", k), std::pair("N", outputs)})
    if (value <= 0 || value > kMostSide)
      return refuse("attribute " + Twine(name) + ": found " + Twine(value) + ", expected 1 to 2^32");
  if (bits != 2 && bits != 4 && bits != 8)
    return refuse("attribute bits: found " + Twine(bits) + ", expected 2, 4 or 8");
  if (block < 16 || block > 65536 || !llvm::isPowerOf2_64(block))
    return refuse("attribute block_size: found " + Twine(block) + ", expected a power of two from 16 to 65536");
  if (level < 0 || level > 4) return refuse("attribute accuracy_level: found " + Twine(level) + ", expected 0 to 4");
  if (auto error = checkColumns(n, 0, k)) return error;

  int64_t blocks = (k + block - 1) / block, zeroBytes = (blocks * bits + 7) / 8;
  auto sized = [&](unsigned i, ArrayRef<int64_t> shape) -> llvm::Error {
    auto type = dyn_cast<RankedTensorType>(n.operands[i].getType());
    int64_t elements = 1;
    for (int64_t dim : shape) elements *= dim;
    bool flat = type && type.getRank() == 1 && type.getDimSize(0) == elements && shape.size() == 2;
    if (type && type.hasStaticShape() && (flat || type.getShape() == shape)) return llvm::Error::success();
    std::string text;
    llvm::raw_string_ostream(text) << "has type " << n.operands[i].getType() << ", expected [" << shape[0];
    for (int64_t dim : shape.drop_front()) text += ", " + std::to_string(dim);
    return refuseOperand(n, i, text + "]");
  };
  if (!isUint8(n, 1)) return refuseOperand(n, 1, "is not UINT8");
  if (auto error = sized(1, {outputs, blocks, block * bits / 8})) return error;
  if (!isFloat(n, 2)) return refuseOperand(n, 2, "is not of a float type, expected scales");
  if (auto error = sized(2, {outputs, blocks})) return error;
  if (n.has(3)) {
    if (!isUint8(n, 3) && n.element(3) != n.element(2))
      return refuseOperand(n, 3, "is neither UINT8 nor of the scales' type");
    if (auto error = sized(3, {outputs, isUint8(n, 3) ? zeroBytes : blocks})) return error;
  }
  if (n.has(4)) {
    if (!n.element(4).isInteger(32)) return refuseOperand(n, 4, "is not INT32, expected g_idx");
    int64_t length = n.dim(4, 0);
    if (known(length) && length != k && length != blocks * block)
      return refuseOperand(n, 4, "has " + Twine(length) + " elements, expected g_idx of K = " + Twine(k));
    if (auto values = n.constant(4))
      for (int64_t value : *values)
        if (value < 0 || value >= blocks)
          return refuseOperand(n, 4,
                               "names block " + Twine(value) + ", expected 0 to " + Twine(blocks - 1) + " in g_idx");
  }
  if (n.has(5))
    if (auto error = checkVector(n, 5, outputs)) return error;
  if (!n.ranked(0)) return Types{n.operands[0].getType()};
  SmallVector<int64_t> shape(n.type(0).getShape());
  if (shape.empty()) return refuseOperand(n, 0, "is a scalar");
  shape.back() = outputs;
  return Types{RankedTensorType::get(shape, n.element(0))};
}

llvm::Expected<Types> inferGroupQueryAttention(const Node &n) {
  if (!isFloat(n, 0)) return refuseOperand(n, 0, "is not of a float type");
  if (auto error = checkGqaAttributes(n)) return error;
  llvm::Expected<Heads> h = checkHeads(n);
  if (!h) return h.takeError();
  if (auto error = checkPast(n, *h)) return error;
  for (unsigned i : {5u, 6u})
    if (!n.element(i).isInteger(32)) return refuseOperand(n, i, "is not INT32");
  if (n.intAttr("do_rotary", 0))
    if (auto error = checkTables(n, 7, 8, h->size)) return error;
  if (!n.ranked(0)) return Types(n.results, n.operands[0].getType());
  SmallVector<int64_t> shape(n.type(0).getShape());
  if (shape.size() != 3)
    return refuseOperand(n, 0, "has rank " + Twine(shape.size()) + ", expected [batch, tokens, columns]");
  shape.back() = known(h->size) ? h->heads * h->size : kUnknown;
  Type cache = n.has(3) ? n.element(3) : n.element(0);
  Types types(n.results, RankedTensorType::get({shape[0], h->kvHeads, kUnknown, h->size}, cache));
  types[0] = RankedTensorType::get(shape, n.element(0));
  if (n.results > 3) types[3] = RankedTensorType::get({shape[0], h->heads, shape[1], kUnknown}, n.element(0));
  return types;
}

/// Query [batch, tokens, hidden] with key and value like it or [batch, heads, keys, size], or packed [batch, tokens,
/// heads, parts, size].
llvm::Expected<Types> inferMultiHeadAttention(const Node &n) {
  int64_t heads = n.intAttr("num_heads", 0);
  if (heads <= 0 || heads > kMostHeads) return refuse("attribute num_heads: found " + Twine(heads));
  if (n.has(6) != n.has(7)) return refuse("found one of past_key and past_value, expected both or neither");
  if (n.ranked(0) && n.rank(0) == 5) {
    Types types(n.results, UnrankedTensorType::get(n.element(0)));
    types[0] = RankedTensorType::get({n.dim(0, 0), n.dim(0, 1), mulDims(heads, n.dim(0, 4))}, n.element(0));
    return types;
  }
  if (n.ranked(0) && n.rank(0) != 3)
    return refuseOperand(n, 0, "has rank " + Twine(n.rank(0)) + ", expected 3, or 5 packed");
  if (int64_t width = n.dim(0, -1); known(width) && width % heads)
    return refuseOperand(n, 0, "has rows of " + Twine(width) + ", expected a multiple of " + Twine(heads) + " heads");
  int64_t sizes[2], keys = kUnknown; // of a key's and a value's head
  for (unsigned i : {1u, 2u}) {
    int64_t columns = n.dim(i, -1);
    bool split = n.ranked(i) && n.rank(i) == 4;
    sizes[i - 1] = split || !known(columns) ? columns : columns / heads;
    if (n.ranked(i) && (split || n.rank(i) == 3)) keys = n.dim(i, split ? 2 : 1);
  }
  int64_t batch = n.dim(0, 0), tokens = n.dim(0, 1), total = n.has(6) ? addDims(n.dim(6, 2), keys) : keys;
  auto type = [&](ArrayRef<int64_t> shape) { return RankedTensorType::get(shape, n.element(0)); };
  return Types{type({batch, tokens, mulDims(heads, sizes[1])}), type({batch, heads, total, sizes[0]}),
               type({batch, heads, total, sizes[1]}), type({batch, heads, tokens, total})};
}

/// Attention and QAttention: input [batch, tokens, width], weights [width, q + k + v]; past and present [2, batch,
/// heads, total, size].
llvm::Expected<Types> inferMsAttention(const Node &n) {
  int64_t heads = n.intAttr("num_heads", 0), columns = n.dim(1, 1), value = kUnknown;
  if (heads <= 0 || heads > kMostHeads) return refuse("attribute num_heads: found " + Twine(heads));
  if (n.ranked(0) && n.rank(0) != 3)
    return refuseOperand(n, 0, "has rank " + Twine(n.rank(0)) + ", expected [batch, tokens, width]");
  if (n.ranked(1) && n.rank(1) != 2) return refuseOperand(n, 1, "has rank " + Twine(n.rank(1)) + ", expected a matrix");
  if (known(n.dim(0, 2)) && known(n.dim(1, 0)) && n.dim(0, 2) != n.dim(1, 0))
    return refuseOperand(n, 1, "has K = " + Twine(n.dim(1, 0)) + ", the input rows of " + Twine(n.dim(0, 2)));
  if (auto sizes = n.intsAttr("qkv_hidden_sizes"); sizes && !sizes->empty()) {
    if (sizes->size() != 3) return refuse("attribute qkv_hidden_sizes: expected three numbers");
    value = (*sizes)[2];
    if (value < 1 || value > kMostSide) return refuse("attribute qkv_hidden_sizes: found " + Twine(value));
  } else if (known(columns)) {
    if (columns % (3 * heads))
      return refuseOperand(n, 1, "has " + Twine(columns) + " columns, expected a multiple of 3 times the heads");
    value = columns / 3;
  }
  Type element = n.opType == "QAttention" ? n.element(3) : n.element(0);
  int64_t size = known(value) ? value / heads : kUnknown;
  return Types{RankedTensorType::get({n.dim(0, 0), n.dim(0, 1), value}, element),
               RankedTensorType::get({2, n.dim(0, 0), heads, kUnknown, size}, element)};
}

llvm::Expected<Types> inferMsRotary(const Node &n) {
  if (!isFloat(n, 0)) return refuseOperand(n, 0, "is not of a float type");
  if (!isa<IntegerType>(n.element(1))) return refuseOperand(n, 1, "is not of an integer type, expected positions");
  if (auto error = checkFlag(n, "interleaved")) return error;
  if (int64_t heads = n.intAttr("num_heads", 0); heads < 0 || heads > kMostHeads)
    return refuse("attribute num_heads: found " + Twine(heads));
  if (auto error = checkTables(n, 2, 3, n.dim(0, -1))) return error;
  return Types{n.operands[0].getType()};
}

llvm::Expected<Types> inferGatherBlockQuantized(const Node &n) {
  if (!isa<IntegerType>(n.element(0)) || !isa<IntegerType>(n.element(1)))
    return refuse("expects integer data and indices");
  if (!isFloat(n, 2)) return refuseOperand(n, 2, "is not of a float type, expected scales");
  int64_t block = n.intAttr("block_size", 128), bits = n.intAttr("bits", 4);
  if (block < 16 || block > 65536 || !llvm::isPowerOf2_64(block))
    return refuse("attribute block_size: found " + Twine(block) + ", expected a power of two of at least 16");
  if (bits != 4 && bits != 8) return refuse("attribute bits: found " + Twine(bits) + ", expected 4 or 8");
  if (!n.ranked(0) || !n.ranked(1)) return Types{UnrankedTensorType::get(n.element(2))};
  llvm::Expected<int64_t> gathered = normalAxis(n.intAttr("gather_axis", 0), n.rank(0), "gather_axis");
  if (!gathered) return gathered.takeError();
  llvm::Expected<int64_t> quantized = normalAxis(n.intAttr("quantize_axis", 1), n.rank(0), "quantize_axis");
  if (!quantized) return quantized.takeError();
  SmallVector<int64_t> data(n.type(0).getShape());
  if (isUint8(n, 0)) data.back() = mulDims(data.back(), 8 / bits); // packed
  SmallVector<int64_t> shape(ArrayRef(data).take_front(*gathered));
  llvm::append_range(shape, n.type(1).getShape());
  llvm::append_range(shape, ArrayRef(data).drop_front(*gathered + 1));
  return Types{RankedTensorType::get(shape, n.element(2))};
}

/// A and B with a scale and a zero point each: operands 0 and 3.
llvm::Expected<Types> inferQLinearBinary(const Node &n) {
  if (!n.ranked(0) || !n.ranked(3)) return unranked(n);
  auto shape = broadcastShapes(n.type(0).getShape(), n.type(3).getShape());
  if (!shape) return refuseOperand(n, 3, "does not fit the other: " + llvm::toString(shape.takeError()));
  return ranked(n, *shape);
}

/// Floats, or numbers of the zero point's type if there is a scale for the result.
llvm::Expected<Types> inferQGemm(const Node &n) {
  bool ta = n.intAttr("transA", 0), tb = n.intAttr("transB", 0);
  for (unsigned i : {0u, 3u})
    if (n.ranked(i) && n.rank(i) != 2)
      return refuseOperand(n, i, "has rank " + Twine(n.rank(i)) + ", expected a matrix");
  Type element = n.has(7) && n.has(8) ? n.element(8) : n.element(1);
  return Types{RankedTensorType::get({n.dim(0, ta ? 1 : 0), n.dim(3, tb ? 0 : 1)}, element)};
}

llvm::Expected<Types> inferUnknown(const Node &n) { return unranked(n); }

} // namespace llmc::onnx
