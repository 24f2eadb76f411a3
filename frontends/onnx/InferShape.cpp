// Result types of operators that compute with shapes and move data.
#include "frontends/onnx/Check.h"
#include "llvm/ADT/SmallBitVector.h"
#include <algorithm>

using llvm::Twine;
using namespace mlir;

namespace llmc::onnx {
namespace {

constexpr int64_t kUnknown = ShapedType::kDynamic;

llvm::Expected<Types> one(ArrayRef<int64_t> shape, Type element) {
  return Types{RankedTensorType::get(shape, element)};
}
llvm::Expected<Types> unknownRank(const Node &n) { return Types{UnrankedTensorType::get(n.element(0))}; }

/// A shape operand: its values, or unknown dims if only their number is known.
std::optional<SmallVector<int64_t>> shapeOperand(const Node &n, unsigned i, bool &isConstant) {
  std::optional<SmallVector<int64_t>> shape = n.constant(i);
  isConstant = shape.has_value();
  if (shape || !n.ranked(i) || n.rank(i) != 1) return shape;
  int64_t rank = n.dim(i, 0);
  if (rank == kUnknown || rank > 8) return std::nullopt;
  return SmallVector<int64_t>(rank, kUnknown);
}

/// Axes as a set of a tensor of `rank`; out of range or twice is an error.
llvm::Expected<llvm::SmallBitVector> axisSet(ArrayRef<int64_t> axes, int64_t rank) {
  llvm::SmallBitVector set(rank);
  for (int64_t axis : axes) {
    llvm::Expected<int64_t> normal = normalAxis(axis, rank, "axes");
    if (!normal) return normal.takeError();
    if (set[*normal]) return refuse("axes: found " + Twine(axis) + " twice, expected different ones");
    set.set(*normal);
  }
  return set;
}
} // namespace

llvm::Expected<Types> inferShape(const Node &n) {
  Type i64 = IntegerType::get(n.attributes.getContext(), 64);
  if (!n.ranked(0)) return one({kUnknown}, i64);
  int64_t rank = n.rank(0), start = n.intAttr("start", 0), end = n.intAttr("end", rank);
  auto clamp = [&](int64_t v) { return std::clamp<int64_t>(v < 0 ? v + rank : v, 0, rank); };
  return one({std::max<int64_t>(clamp(end) - clamp(start), 0)}, i64);
}

llvm::Expected<Types> inferGather(const Node &n) {
  if (!isa<IntegerType>(n.element(1)))
    return refuse("operand '" + n.names[1] + "' has elements of a float type, expected indices (INT32 or INT64)");
  if (!n.ranked(0) || !n.ranked(1)) return unknownRank(n);
  llvm::Expected<int64_t> axis = normalAxis(n.intAttr("axis", 0), n.rank(0), "attribute axis");
  if (!axis) return axis.takeError();
  ArrayRef<int64_t> data = n.type(0).getShape(), indices = n.type(1).getShape();
  SmallVector<int64_t> shape(data.take_front(*axis));
  shape.append(indices.begin(), indices.end());
  shape.append(data.begin() + *axis + 1, data.end());
  return one(shape, n.element(0));
}

llvm::Expected<Types> inferGatherNd(const Node &n) {
  if (!isa<IntegerType>(n.element(1))) return refuse("operand '" + n.names[1] + "' is not of an integer type");
  return unknownRank(n);
}

llvm::Expected<Types> inferReshape(const Node &n) {
  bool isConstant = false;
  std::optional<SmallVector<int64_t>> shape = shapeOperand(n, 1, isConstant);
  if (!shape) return unknownRank(n);
  if (!isConstant) return one(*shape, n.element(0));
  if (llvm::count(*shape, -1) > 1) return refuse("shape: found -1 twice, expected it once at most");
  int64_t known = 1, unknown = -1;
  for (auto [i, dim] : llvm::enumerate(*shape)) {
    if (dim < -1) return refuse("shape: found " + Twine(dim) + ", expected -1, 0 or a size");
    if (dim == 0 && !n.intAttr("allowzero", 0)) {
      if (n.ranked(0) && int64_t(i) >= n.rank(0)) return refuse("shape: found 0 where the input has no dim");
      dim = n.dim(0, i);
    }
    if (dim == -1)
      unknown = i, dim = kUnknown;
    else if (dim == kUnknown || known == kUnknown || (dim && known > (int64_t(1) << 42) / dim))
      known = kUnknown;
    else
      known *= dim;
    (*shape)[i] = dim;
  }
  auto input = dyn_cast<RankedTensorType>(n.operands[0].getType());
  if (input && input.hasStaticShape() && known != kUnknown) {
    int64_t elements = input.getNumElements();
    bool fits = unknown < 0 ? elements == known : known > 0 && elements % known == 0;
    if (!fits) return refuse("shape: found one of " + Twine(known) + " elements for " + Twine(elements));
    if (unknown >= 0) (*shape)[unknown] = elements / known;
  }
  return one(*shape, n.element(0));
}

llvm::Expected<Types> inferTranspose(const Node &n) {
  if (!n.ranked(0)) return unknownRank(n);
  int64_t rank = n.rank(0);
  SmallVector<int64_t> shape;
  std::optional<SmallVector<int64_t>> perm = n.intsAttr("perm");
  if (!perm) {
    perm.emplace();
    for (int64_t i = rank; i-- > 0;) perm->push_back(i);
  }
  if (int64_t(perm->size()) != rank)
    return refuse("attribute perm: found " + Twine(perm->size()) + " axes, expected " + Twine(rank));
  llvm::SmallBitVector seen(rank);
  for (int64_t axis : *perm) {
    if (axis < 0 || axis >= rank || seen[axis])
      return refuse("attribute perm: found " + Twine(axis) + ", expected each axis from 0 to " + Twine(rank - 1) +
                    " once");
    seen.set(axis);
    shape.push_back(n.dim(0, axis));
  }
  return one(shape, n.element(0));
}

llvm::Expected<Types> inferConcat(const Node &n) {
  for (unsigned i = 0; i < n.operands.size(); ++i) {
    if (n.element(i) != n.element(0)) return refuse("operand '" + n.names[i] + "' differs in element type");
    if (!n.ranked(i)) return unknownRank(n);
    if (n.rank(i) != n.rank(0)) return refuse("operand '" + n.names[i] + "' differs in rank");
  }
  llvm::Expected<int64_t> axis = normalAxis(n.intAttr("axis", 0), n.rank(0), "attribute axis");
  if (!axis) return axis.takeError();
  SmallVector<int64_t> shape(n.type(0).getShape());
  for (unsigned i = 1; i < n.operands.size(); ++i)
    for (int64_t d = 0; d < n.rank(0); ++d) {
      int64_t dim = n.dim(i, d);
      if (d == *axis)
        shape[d] = shape[d] == kUnknown || dim == kUnknown ? kUnknown : shape[d] + dim;
      else if (shape[d] == kUnknown)
        shape[d] = dim;
      else if (dim != kUnknown && dim != shape[d])
        return refuse("operand '" + n.names[i] + "' has " + Twine(dim) + " elements where another has " +
                      Twine(shape[d]));
    }
  return one(shape, n.element(0));
}

llvm::Expected<Types> inferUnsqueeze(const Node &n) {
  std::optional<SmallVector<int64_t>> axes = n.constant(1);
  if (!axes || !n.ranked(0)) return unknownRank(n);
  int64_t rank = n.rank(0) + axes->size(), next = 0;
  llvm::Expected<llvm::SmallBitVector> added = axisSet(*axes, rank);
  if (!added) return added.takeError();
  SmallVector<int64_t> shape;
  for (int64_t i = 0; i < rank; ++i) shape.push_back((*added)[i] ? 1 : n.dim(0, next++));
  return one(shape, n.element(0));
}

llvm::Expected<Types> inferSqueeze(const Node &n) {
  std::optional<SmallVector<int64_t>> axes = n.constant(1);
  if (!axes || !n.ranked(0)) return unknownRank(n);
  llvm::Expected<llvm::SmallBitVector> gone = axisSet(*axes, n.rank(0));
  if (!gone) return gone.takeError();
  SmallVector<int64_t> shape;
  for (int64_t i = 0; i < n.rank(0); ++i)
    if (!(*gone)[i])
      shape.push_back(n.dim(0, i));
    else if (n.dim(0, i) != 1 && n.dim(0, i) != kUnknown)
      return refuse("axes: found a dim of " + Twine(n.dim(0, i)) + ", expected 1");
  return one(shape, n.element(0));
}

llvm::Expected<Types> inferSlice(const Node &n) {
  if (std::optional<SmallVector<int64_t>> steps = n.constant(4); steps && llvm::is_contained(*steps, 0))
    return refuse("steps: found 0, expected another number");
  if (!n.ranked(0)) return unknownRank(n);
  SmallVector<int64_t> shape(n.type(0).getShape());
  std::optional<SmallVector<int64_t>> axes = n.constant(3), starts = n.constant(1), ends = n.constant(2);
  if (!n.has(3) && starts) axes = llvm::to_vector(llvm::seq<int64_t>(0, starts->size()));
  if (!axes) return one(SmallVector<int64_t>(shape.size(), kUnknown), n.element(0));
  if ((starts && starts->size() != axes->size()) || (ends && ends->size() != axes->size()))
    return refuse("starts, ends and axes differ in length");
  llvm::Expected<llvm::SmallBitVector> cut = axisSet(*axes, n.rank(0));
  if (!cut) return cut.takeError();
  for (auto [i, axis] : llvm::enumerate(*axes)) {
    int64_t &dim = shape[axis < 0 ? axis + n.rank(0) : axis], size = dim;
    dim = kUnknown;
    if (!starts || !ends || n.has(4) || size == kUnknown) continue;
    auto clamp = [&](int64_t v) { return std::clamp<int64_t>(v < 0 ? v + size : v, 0, size); };
    dim = std::max<int64_t>(clamp((*ends)[i]) - clamp((*starts)[i]), 0);
  }
  return one(shape, n.element(0));
}

llvm::Expected<Types> inferSplit(const Node &n) {
  if (!n.ranked(0)) return Types(n.results, UnrankedTensorType::get(n.element(0)));
  llvm::Expected<int64_t> axis = normalAxis(n.intAttr("axis", 0), n.rank(0), "attribute axis");
  if (!axis) return axis.takeError();
  std::optional<SmallVector<int64_t>> sizes = n.constant(1);
  int64_t dim = n.dim(0, *axis);
  if (sizes && sizes->size() != n.results)
    return refuse("split: found " + Twine(sizes->size()) + " sizes for " + Twine(n.results) + " results");
  if (!n.has(1) && dim != kUnknown) {
    int64_t each = (dim + n.results - 1) / n.results, left = dim;
    sizes.emplace();
    for (unsigned i = 0; i < n.results; ++i, left -= sizes->back()) sizes->push_back(std::min(each, left));
  }
  int64_t sum = 0;
  if (sizes)
    for (int64_t size : *sizes) {
      if (size < 0 || size > (int64_t(1) << 42)) return refuse("split: found a size of " + Twine(size));
      sum += size;
    }
  if (sizes && dim != kUnknown && sum != dim)
    return refuse("split: found sizes of " + Twine(sum) + " in all, expected " + Twine(dim));
  Types types;
  for (unsigned i = 0; i < n.results; ++i) {
    SmallVector<int64_t> shape(n.type(0).getShape());
    shape[*axis] = sizes ? (*sizes)[i] : kUnknown;
    types.push_back(RankedTensorType::get(shape, n.element(0)));
  }
  return types;
}

llvm::Expected<Types> inferExpand(const Node &n) {
  bool isConstant = false;
  std::optional<SmallVector<int64_t>> shape = shapeOperand(n, 1, isConstant);
  if (!shape || !n.ranked(0)) return unknownRank(n);
  if (int64_t(shape->size()) < n.rank(0)) shape->insert(shape->begin(), n.rank(0) - shape->size(), 1);
  for (int64_t axis = 1; axis <= int64_t(shape->size()); ++axis) {
    int64_t &out = (*shape)[shape->size() - axis], dim = axis <= n.rank(0) ? n.dim(0, -axis) : 1;
    if (isConstant && out < 0) return refuse("shape: found " + Twine(out) + ", expected sizes");
    if (out == 1)
      out = dim;
    else if (isConstant && dim != 1 && dim != kUnknown && dim != out)
      return refuse("shape: found " + Twine(out) + " where the input has " + Twine(dim));
  }
  return one(*shape, n.element(0));
}

llvm::Expected<Types> inferConstantOfShape(const Node &n) {
  auto value = n.attributes.getAs<DenseElementsAttr>("value");
  if (value && value.getNumElements() != 1)
    return refuse("attribute value: found " + Twine(value.getNumElements()) + " elements, expected one");
  Type element = value ? value.getElementType() : Float32Type::get(n.attributes.getContext());
  bool isConstant = false;
  std::optional<SmallVector<int64_t>> shape = shapeOperand(n, 0, isConstant);
  if (!shape) return Types{UnrankedTensorType::get(element)};
  for (int64_t dim : *shape)
    if (isConstant && dim < 0) return refuse("shape: found " + Twine(dim) + ", expected sizes");
  return one(*shape, element);
}

llvm::Expected<Types> inferFlatten(const Node &n) {
  if (n.ranked(0)) {
    int64_t axis = n.intAttr("axis", 1);
    if (axis < -n.rank(0) || axis > n.rank(0)) return refuse("attribute axis: found " + Twine(axis));
  }
  return one({kUnknown, kUnknown}, n.element(0));
}

llvm::Expected<Types> inferTile(const Node &n) {
  if (!n.ranked(0)) return unknownRank(n);
  return one(SmallVector<int64_t>(n.rank(0), kUnknown), n.element(0));
}

} // namespace llmc::onnx
