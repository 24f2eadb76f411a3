// Result types of operators that compute with shapes: the ones that must be exact for ranks to be known.
#include "frontends/onnx/Check.h"
#include <algorithm>

using llvm::ArrayRef;
using llvm::Twine;
using namespace mlir;

namespace llmc::onnx {

llvm::Expected<Types> inferShape(const Node &n) {
  Type i64 = IntegerType::get(n.context(), 64);
  if (!n.ranked(0)) return Types{RankedTensorType::get({kUnknown}, i64)};
  int64_t rank = n.rank(0), start = n.intAttr("start", 0), end = n.intAttr("end", rank);
  auto clamp = [&](int64_t v) { return std::clamp<int64_t>(v < 0 ? v + rank : v, 0, rank); };
  return Types{RankedTensorType::get({std::max<int64_t>(clamp(end) - clamp(start), 0)}, i64)};
}

llvm::Expected<Types> inferSize(const Node &n) { return ranked(n, {}); }

llvm::Expected<Types> inferReshape(const Node &n) {
  bool complete = n.constant(1).has_value();
  std::optional<SmallVector<int64_t>> shape = n.sizes(1);
  if (!shape) return unranked(n);
  if (llvm::count(*shape, -1) > 1) return refuse("shape: found -1 twice, expected it once at most");
  bool zeros = n.intAttr("allowzero", 0);
  // An unknown number may be 0 or -1.
  int64_t elements = 1, unknown = -1;
  for (auto [i, dim] : llvm::enumerate(*shape)) {
    if (!known(dim)) {
      elements = kUnknown;
      continue;
    }
    if (dim < -1) return refuse("shape: found " + Twine(dim) + ", expected -1, 0 or a size");
    if (dim == 0 && !zeros) {
      if (n.ranked(0) && int64_t(i) >= n.rank(0)) return refuse("shape: found 0 where the input has no dim");
      dim = n.dim(0, i);
    }
    if (dim == -1)
      unknown = i, dim = kUnknown;
    else
      elements = mulDims(elements, dim);
  }
  auto input = dyn_cast<RankedTensorType>(n.operands[0].getType());
  if (complete && input && input.hasStaticShape() && known(elements)) {
    int64_t count = input.getNumElements();
    bool fits = unknown < 0 ? count == elements : elements > 0 && count % elements == 0;
    if (!fits) return refuse("shape: found one of " + Twine(elements) + " elements for " + Twine(count));
    if (unknown >= 0) (*shape)[unknown] = count / elements;
  }
  return ranked(n, *shape);
}

llvm::Expected<Types> inferTranspose(const Node &n) {
  std::optional<SmallVector<int64_t>> perm = n.intsAttr("perm");
  if (!n.ranked(0)) {
    if (!perm || perm->size() > 64) return unranked(n);
    return ranked(n, SmallVector<int64_t>(perm->size(), kUnknown));
  }
  int64_t rank = n.rank(0);
  if (!perm) {
    perm.emplace();
    for (int64_t i = rank; i-- > 0;) perm->push_back(i);
  }
  if (int64_t(perm->size()) != rank)
    return refuse("attribute perm: found " + Twine(perm->size()) + " axes, expected " + Twine(rank));
  auto normal = normalAxes(*perm, rank, "attribute perm");
  if (!normal) return normal.takeError();
  SmallVector<int64_t> shape;
  for (int64_t axis : *normal) shape.push_back(n.dim(0, axis));
  return ranked(n, shape);
}

llvm::Expected<Types> inferConcat(const Node &n) {
  std::optional<unsigned> first;
  for (unsigned i = 0; i < n.operands.size(); ++i) {
    if (!n.ranked(i)) continue;
    if (!first) first = i;
    if (n.rank(i) != n.rank(*first))
      return refuseOperand(n, i, "has rank " + Twine(n.rank(i)) + ", expected " + Twine(n.rank(*first)));
  }
  if (!first) return unranked(n);
  int64_t rank = n.rank(*first);
  llvm::Expected<int64_t> axis = normalAxis(n.intAttr("axis", 1), rank, "attribute axis");
  if (!axis) return axis.takeError();
  SmallVector<int64_t> shape(rank, kUnknown);
  shape[*axis] = 0;
  for (unsigned i = 0; i < n.operands.size(); ++i)
    for (int64_t d = 0; d < rank; ++d) {
      int64_t dim = n.dim(i, d);
      if (d == *axis)
        shape[d] = addDims(shape[d], dim);
      else if (!known(shape[d]))
        shape[d] = dim;
      else if (known(dim) && dim != shape[d])
        return refuseOperand(n, i, "has " + Twine(dim) + " elements where another has " + Twine(shape[d]));
    }
  return ranked(n, shape);
}

llvm::Expected<Types> inferUnsqueeze(const Node &n) {
  std::optional<SmallVector<int64_t>> axes = n.list("axes", 1);
  if (!n.ranked(0)) return unranked(n);
  if (!axes) {
    std::optional<SmallVector<int64_t>> count = n.sizes(1);
    if (!count) return unranked(n);
    return ranked(n, SmallVector<int64_t>(n.rank(0) + count->size(), kUnknown));
  }
  int64_t rank = n.rank(0) + axes->size(), next = 0;
  auto added = normalAxes(*axes, rank);
  if (!added) return added.takeError();
  SmallVector<int64_t> shape;
  for (int64_t i = 0; i < rank; ++i) shape.push_back(llvm::is_contained(*added, i) ? 1 : n.dim(0, next++));
  return ranked(n, shape);
}

llvm::Expected<Types> inferSqueeze(const Node &n) {
  std::optional<SmallVector<int64_t>> axes = n.list("axes", 1);
  if (!n.ranked(0)) return unranked(n);
  SmallVector<int64_t> gone;
  if (axes) {
    auto normal = normalAxes(*axes, n.rank(0));
    if (!normal) return normal.takeError();
    gone = std::move(*normal);
  } else {
    // All axes of size 1, which must be known; or those of an operand.
    if (n.has(1) || !cast<RankedTensorType>(n.operands[0].getType()).hasStaticShape()) return unranked(n);
    for (int64_t i = 0; i < n.rank(0); ++i)
      if (n.dim(0, i) == 1) gone.push_back(i);
  }
  SmallVector<int64_t> shape;
  for (int64_t i = 0; i < n.rank(0); ++i)
    if (!llvm::is_contained(gone, i))
      shape.push_back(n.dim(0, i));
    else if (n.dim(0, i) != 1 && known(n.dim(0, i)))
      return refuse("axes: found a dim of " + Twine(n.dim(0, i)) + ", expected 1");
  return ranked(n, shape);
}

/// How many elements start:end:step takes of an axis.
static int64_t sliced(int64_t size, int64_t start, int64_t end, int64_t step) {
  if (size == 0) return 0;
  int64_t least = step < 0 ? -1 : 0, most = step < 0 ? size - 1 : size;
  start = std::clamp<int64_t>(start < 0 ? start + size : start, 0, most);
  end = std::clamp<int64_t>(end < 0 ? std::max(end, -size - 1) + size : end, least, most);
  int64_t span = step > 0 ? end - start : start - end;
  // |step| as an unsigned number: the least one has no positive counterpart.
  uint64_t stride = step > 0 ? uint64_t(step) : 0 - uint64_t(step);
  return span <= 0 ? 0 : int64_t((uint64_t(span) - 1) / stride + 1);
}

llvm::Expected<Types> inferSlice(const Node &n) {
  std::optional<SmallVector<int64_t>> steps = n.constant(4), axes = n.list("axes", 3);
  if (steps && llvm::is_contained(*steps, 0)) return refuse("steps: found 0, expected another number");
  if (!n.ranked(0)) return unranked(n);
  SmallVector<int64_t> shape(n.type(0).getShape());
  std::optional<SmallVector<int64_t>> starts = n.list("starts", 1), ends = n.list("ends", 2);
  if (!axes && !n.has(3))
    if (const auto &some = starts ? starts : ends) axes = llvm::to_vector(llvm::seq<int64_t>(0, some->size()));
  if (!axes) {
    // The number of axes is that of the starts.
    int64_t count = n.ranked(1) ? n.dim(1, 0) : kUnknown;
    if (n.has(3) || !known(count) || count > n.rank(0)) return ranked(n, SmallVector<int64_t>(shape.size(), kUnknown));
    axes = llvm::to_vector(llvm::seq<int64_t>(0, count));
  }
  for (const auto &[name, list] : {std::pair("starts", &starts), {"ends", &ends}, {"steps", &steps}})
    if (*list && (*list)->size() != axes->size())
      return refuse(Twine(name) + ": found " + Twine((*list)->size()) + " numbers for " + Twine(axes->size()) +
                    " axes");
  auto cut = normalAxes(*axes, n.rank(0));
  if (!cut) return cut.takeError();
  for (auto [i, axis] : llvm::enumerate(*cut)) {
    int64_t size = shape[axis], step = steps ? (*steps)[i] : 1;
    shape[axis] = kUnknown;
    if (n.has(4) && !steps) continue;
    if (known(size) && starts && ends) shape[axis] = sliced(size, (*starts)[i], (*ends)[i], step);
    // All of it, whatever its size.
    if (starts && ends && step == 1 && (*starts)[i] == 0 && (*ends)[i] >= INT32_MAX) shape[axis] = size;
  }
  return ranked(n, shape);
}

llvm::Expected<Types> inferSplit(const Node &n) {
  if (!n.ranked(0)) return Types(n.results, n.operands[0].getType());
  llvm::Expected<int64_t> axis = normalAxis(n.intAttr("axis", 0), n.rank(0), "attribute axis");
  if (!axis) return axis.takeError();
  std::optional<SmallVector<int64_t>> sizes = n.list("split", 1);
  int64_t dim = n.dim(0, *axis), parts = n.intAttr("num_outputs", n.results);
  if (parts != int64_t(n.results))
    return refuse("attribute num_outputs: found " + Twine(parts) + " for " + Twine(n.results) + " results");
  if (sizes && sizes->size() != n.results)
    return refuse("split: found " + Twine(sizes->size()) + " sizes for " + Twine(n.results) + " results");
  if (!sizes && !n.has(1) && known(dim)) {
    int64_t each = (dim + n.results - 1) / n.results, left = dim;
    sizes.emplace();
    for (unsigned i = 0; i < n.results; ++i, left -= sizes->back()) sizes->push_back(std::min(each, left));
  }
  int64_t sum = 0;
  for (int64_t size : sizes.value_or(SmallVector<int64_t>())) {
    if (size < 0 || size > kMostDim) return refuse("split: found a size of " + Twine(size));
    sum = addDims(sum, size);
  }
  if (sizes && known(dim) && sum != dim)
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
  std::optional<SmallVector<int64_t>> shape = n.sizes(1);
  if (!shape || !n.ranked(0)) return unranked(n);
  if (int64_t(shape->size()) < n.rank(0)) shape->insert(shape->begin(), n.rank(0) - shape->size(), 1);
  int64_t rank = shape->size();
  for (int64_t axis = 1; axis <= rank; ++axis) {
    int64_t &out = (*shape)[rank - axis], dim = axis <= n.rank(0) ? n.dim(0, -axis) : 1;
    if (known(out) && out < 0) return refuse("shape: found " + Twine(out) + ", expected sizes");
    if (out == 1 || (!known(out) && known(dim) && dim != 1))
      out = dim;
    else if (known(out) && known(dim) && dim != 1 && dim != out)
      return refuse("shape: found " + Twine(out) + " where the input has " + Twine(dim));
  }
  return ranked(n, *shape);
}

llvm::Expected<Types> inferConstantOfShape(const Node &n) {
  auto value = n.attributes.getAs<DenseElementsAttr>("value");
  if (value && value.getNumElements() != 1)
    return refuse("attribute value: found " + Twine(value.getNumElements()) + " elements, expected one");
  Type element = value ? value.getElementType() : Float32Type::get(n.context());
  std::optional<SmallVector<int64_t>> shape = n.sizes(0);
  if (!shape) return Types{UnrankedTensorType::get(element)};
  for (int64_t dim : *shape)
    if (known(dim) && dim < 0) return refuse("shape: found " + Twine(dim) + ", expected sizes");
  return Types{RankedTensorType::get(*shape, element)};
}

llvm::Expected<Types> inferFlatten(const Node &n) {
  if (!n.ranked(0)) return ranked(n, {kUnknown, kUnknown});
  int64_t axis = n.intAttr("axis", 1), rank = n.rank(0);
  if (axis < -rank || axis > rank)
    return refuse("attribute axis: found " + Twine(axis) + ", expected one of a tensor of rank " + Twine(rank));
  if (axis < 0) axis += rank;
  int64_t rows = 1, columns = 1;
  for (int64_t i = 0; i < rank; ++i) {
    int64_t &side = i < axis ? rows : columns;
    side = mulDims(side, n.dim(0, i));
  }
  return ranked(n, {rows, columns});
}

} // namespace llmc::onnx
