// Result types of operators that gather, scatter, pad and rearrange elements.
#include "frontends/onnx/Check.h"
#include <algorithm>
#include <cmath>

using llvm::ArrayRef;
using llvm::StringRef;
using llvm::Twine;
using namespace mlir;

namespace llmc::onnx {

llvm::Expected<Types> inferGather(const Node &n) {
  if (!n.ranked(0)) return unranked(n);
  llvm::Expected<int64_t> axis = normalAxis(n.intAttr("axis", 0), n.rank(0), "attribute axis");
  if (!axis) return axis.takeError();
  if (!n.ranked(1)) return unranked(n);
  ArrayRef<int64_t> data = n.type(0).getShape(), indices = n.type(1).getShape();
  if (std::optional<SmallVector<int64_t>> values = n.constant(1); values && known(data[*axis]))
    for (int64_t value : *values)
      if (value < -data[*axis] || value >= data[*axis])
        return refuseOperand(n, 1, "has the index " + Twine(value) + ", expected one of " + Twine(data[*axis]));
  SmallVector<int64_t> shape(data.take_front(*axis));
  shape.append(indices.begin(), indices.end());
  shape.append(data.begin() + *axis + 1, data.end());
  return ranked(n, shape);
}

llvm::Expected<Types> inferGatherElements(const Node &n) {
  if (n.ranked(0) && n.ranked(1) && n.rank(0) != n.rank(1))
    return refuseOperand(n, 1, "has rank " + Twine(n.rank(1)) + ", expected " + Twine(n.rank(0)));
  if (n.ranked(0))
    if (auto axis = normalAxis(n.intAttr("axis", 0), n.rank(0), "attribute axis"); !axis) return axis.takeError();
  return Types{n.type(1).clone(n.element(0))};
}

llvm::Expected<Types> inferGatherNd(const Node &n) {
  if (!n.ranked(0) || !n.ranked(1)) return unranked(n);
  int64_t batch = n.intAttr("batch_dims", 0), width = n.rank(1) ? n.dim(1, -1) : kUnknown;
  if (n.rank(0) < 1 || n.rank(1) < 1) return refuse("found a scalar, expected tensors of rank 1 at least");
  if (batch < 0 || batch >= std::min(n.rank(0), n.rank(1)))
    return refuse("attribute batch_dims: found " + Twine(batch) + ", expected less than both ranks");
  if (!known(width)) return unranked(n);
  if (width < 1 || width > n.rank(0) - batch)
    return refuseOperand(n, 1, "has indices of " + Twine(width) + " axes of a tensor of rank " + Twine(n.rank(0)));
  SmallVector<int64_t> shape(n.type(1).getShape().drop_back());
  llvm::append_range(shape, n.type(0).getShape().drop_front(batch + width));
  return ranked(n, shape);
}

llvm::Expected<Types> inferScatterNd(const Node &n) {
  int64_t width = n.ranked(1) && n.rank(1) ? n.dim(1, -1) : kUnknown;
  if (n.ranked(0) && known(width) && (width < 1 || width > n.rank(0)))
    return refuseOperand(n, 1, "has indices of " + Twine(width) + " axes of a tensor of rank " + Twine(n.rank(0)));
  if (n.ranked(0) && n.ranked(1) && n.ranked(2) && known(width) && n.rank(2) != n.rank(1) - 1 + n.rank(0) - width)
    return refuseOperand(n, 2,
                         "has rank " + Twine(n.rank(2)) + ", expected " + Twine(n.rank(1) - 1 + n.rank(0) - width));
  return Types{n.operands[0].getType()};
}

llvm::Expected<Types> inferScatterElements(const Node &n) {
  if (n.ranked(0))
    if (auto axis = normalAxis(n.intAttr("axis", 0), n.rank(0), "attribute axis"); !axis) return axis.takeError();
  for (unsigned i : {1u, 2u})
    if (n.ranked(0) && n.ranked(i) && n.rank(i) != n.rank(0))
      return refuseOperand(n, i, "has rank " + Twine(n.rank(i)) + ", expected " + Twine(n.rank(0)));
  return Types{n.operands[0].getType()};
}

llvm::Expected<Types> inferTile(const Node &n) {
  std::optional<SmallVector<int64_t>> repeats = n.sizes(1);
  if (!n.ranked(0)) return repeats ? ranked(n, SmallVector<int64_t>(repeats->size(), kUnknown)) : unranked(n);
  if (!repeats) return ranked(n, SmallVector<int64_t>(n.rank(0), kUnknown));
  if (int64_t(repeats->size()) != n.rank(0))
    return refuse("repeats: found " + Twine(repeats->size()) + " numbers, expected " + Twine(n.rank(0)));
  SmallVector<int64_t> shape;
  for (auto [i, count] : llvm::enumerate(*repeats)) {
    if (known(count) && count < 0) return refuse("repeats: found " + Twine(count) + ", expected 0 or more");
    shape.push_back(mulDims(n.dim(0, i), count));
  }
  return ranked(n, shape);
}

llvm::Expected<Types> inferPad(const Node &n) {
  StringRef mode = n.stringAttr("mode", "constant");
  if (mode != "constant" && mode != "reflect" && mode != "edge" && !(mode == "wrap" && n.opset >= 19))
    return refuse("attribute mode: found '" + mode + "', expected constant, reflect, edge or wrap");
  if (!n.ranked(0)) return unranked(n);
  int64_t rank = n.rank(0);
  std::optional<SmallVector<int64_t>> pads = n.list("pads", 1);
  SmallVector<int64_t> axes = llvm::to_vector(llvm::seq<int64_t>(0, rank));
  if (n.has(3)) {
    std::optional<SmallVector<int64_t>> given = n.constant(3);
    if (!given) return ranked(n, SmallVector<int64_t>(rank, kUnknown));
    auto normal = normalAxes(*given, rank);
    if (!normal) return normal.takeError();
    axes = std::move(*normal);
  }
  SmallVector<int64_t> shape(n.type(0).getShape());
  if (pads && pads->size() != 2 * axes.size())
    return refuse("pads: found " + Twine(pads->size()) + " numbers, expected " + Twine(2 * axes.size()));
  for (auto [i, axis] : llvm::enumerate(axes)) {
    int64_t more = pads ? addDims((*pads)[i], (*pads)[i + axes.size()]) : kUnknown;
    shape[axis] = addDims(shape[axis], more);
    if (known(shape[axis]) && shape[axis] < 0) return refuse("pads: found ones that remove more than there is");
  }
  return ranked(n, shape);
}

llvm::Expected<Types> inferTopK(const Node &n) {
  if (!n.ranked(0)) return Types(2, n.operands[0].getType());
  llvm::Expected<int64_t> axis = normalAxis(n.intAttr("axis", -1), n.rank(0), "attribute axis");
  if (!axis) return axis.takeError();
  int64_t count = n.intAttr("k", kUnknown);
  if (std::optional<SmallVector<int64_t>> k = n.constant(1)) {
    if (k->size() != 1) return refuse("k: found " + Twine(k->size()) + " numbers, expected one");
    count = k->front();
  }
  SmallVector<int64_t> shape(n.type(0).getShape());
  if (known(count) && (count < 0 || (known(shape[*axis]) && count > shape[*axis])))
    return refuse("k: found " + Twine(count) + " of " + Twine(shape[*axis]) + " elements");
  shape[*axis] = count;
  return Types(2, RankedTensorType::get(shape, n.element(0)));
}

llvm::Expected<Types> inferOneHot(const Node &n) {
  if (!n.ranked(0)) return unranked(n);
  llvm::Expected<int64_t> axis = normalAxis(n.intAttr("axis", -1), n.rank(0) + 1, "attribute axis");
  if (!axis) return axis.takeError();
  std::optional<SmallVector<int64_t>> depth = n.constant(1);
  if (depth && (depth->size() != 1 || depth->front() < 0)) return refuse("depth: expected one number of 0 or more");
  SmallVector<int64_t> shape(n.type(0).getShape());
  shape.insert(shape.begin() + *axis, depth ? depth->front() : kUnknown);
  return ranked(n, shape);
}

llvm::Expected<Types> inferUnique(const Node &n) {
  SmallVector<int64_t> shape{kUnknown};
  Types types(n.results, RankedTensorType::get({kUnknown}, n.element(0)));
  if (!n.attributes.contains("axis")) return types;
  types[0] = n.operands[0].getType();
  if (!n.ranked(0)) return types;
  llvm::Expected<int64_t> axis = normalAxis(n.intAttr("axis", 0), n.rank(0), "attribute axis");
  if (!axis) return axis.takeError();
  shape.assign(n.type(0).getShape().begin(), n.type(0).getShape().end());
  shape[*axis] = kUnknown;
  types[0] = RankedTensorType::get(shape, n.element(0));
  return types;
}

llvm::Expected<Types> inferCompress(const Node &n) {
  if (!n.attributes.contains("axis")) return ranked(n, {kUnknown});
  if (!n.ranked(0)) return unranked(n);
  llvm::Expected<int64_t> axis = normalAxis(n.intAttr("axis", 0), n.rank(0), "attribute axis");
  if (!axis) return axis.takeError();
  SmallVector<int64_t> shape(n.type(0).getShape());
  shape[*axis] = kUnknown;
  return ranked(n, shape);
}

llvm::Expected<Types> inferNonZero(const Node &n) {
  return ranked(n, {n.ranked(0) ? std::max<int64_t>(n.rank(0), 1) : kUnknown, kUnknown});
}

/// [batch, channels, height, width] with blocks of pixels moved from (sign 1) or to (-1) channels.
static llvm::Expected<Types> moveBlocks(const Node &n, bool toSpace) {
  int64_t block = n.intAttr("blocksize", 0);
  if (block < 1 || block > (1 << 20)) return refuse("attribute blocksize: found " + Twine(block));
  if (!n.ranked(0)) return ranked(n, {kUnknown, kUnknown, kUnknown, kUnknown});
  if (n.rank(0) != 4) return refuseOperand(n, 0, "has rank " + Twine(n.rank(0)) + ", expected 4");
  SmallVector<int64_t> shape(n.type(0).getShape());
  auto divide = [&](int64_t &dim, int64_t by) {
    if (known(dim) && dim % by) return false;
    if (known(dim)) dim /= by;
    return true;
  };
  bool fits = toSpace ? divide(shape[1], block * block) : divide(shape[2], block) && divide(shape[3], block);
  if (!fits) return refuseOperand(n, 0, "has a size that is not a multiple of the block");
  for (unsigned i = toSpace ? 2 : 1; i < (toSpace ? 4u : 2u); ++i)
    shape[i] = mulDims(shape[i], toSpace ? block : block * block);
  return ranked(n, shape);
}
llvm::Expected<Types> inferDepthToSpace(const Node &n) { return moveBlocks(n, true); }
llvm::Expected<Types> inferSpaceToDepth(const Node &n) { return moveBlocks(n, false); }

llvm::Expected<Types> inferCenterCropPad(const Node &n) {
  if (!n.ranked(0)) return unranked(n);
  SmallVector<int64_t> shape(n.type(0).getShape());
  std::optional<SmallVector<int64_t>> sizes = n.sizes(1), axes = n.intsAttr("axes");
  auto normal = normalAxes(axes ? *axes : llvm::to_vector(llvm::seq<int64_t>(0, n.rank(0))), n.rank(0));
  if (!normal) return normal.takeError();
  if (sizes && sizes->size() != normal->size())
    return refuse("shape: found " + Twine(sizes->size()) + " sizes for " + Twine(normal->size()) + " axes");
  for (auto [i, axis] : llvm::enumerate(*normal)) {
    shape[axis] = sizes ? (*sizes)[i] : kUnknown;
    if (known(shape[axis]) && shape[axis] < 0) return refuse("shape: found " + Twine(shape[axis]));
  }
  return ranked(n, shape);
}

llvm::Expected<Types> inferCol2Im(const Node &n) {
  std::optional<SmallVector<int64_t>> image = n.sizes(1), block = n.sizes(2);
  if (n.ranked(0) && n.rank(0) != 3) return refuseOperand(n, 0, "has rank " + Twine(n.rank(0)) + ", expected 3");
  if (!image) return unranked(n);
  int64_t pixels = 1;
  for (int64_t dim : block ? *block : SmallVector<int64_t>{kUnknown}) pixels = mulDims(pixels, dim);
  int64_t rows = n.dim(0, 1);
  SmallVector<int64_t> shape{n.dim(0, 0), known(rows) && known(pixels) && pixels > 0 ? rows / pixels : kUnknown};
  for (int64_t dim : *image) {
    if (known(dim) && dim < 0) return refuse("image_shape: found " + Twine(dim));
    shape.push_back(dim);
  }
  return ranked(n, shape);
}

/// Resize and Upsample: sizes if they are constant; scales are floats, which are not followed.
llvm::Expected<Types> inferResize(const Node &n) {
  if (!n.ranked(0)) return unranked(n);
  SmallVector<int64_t> shape(n.rank(0), kUnknown);
  std::optional<SmallVector<int64_t>> sizes = n.constant(3), axes = n.intsAttr("axes");
  auto normal = normalAxes(axes ? *axes : llvm::to_vector(llvm::seq<int64_t>(0, n.rank(0))), n.rank(0));
  if (!normal) return normal.takeError();
  if (axes) {
    shape.assign(n.type(0).getShape().begin(), n.type(0).getShape().end());
    for (int64_t axis : *normal) shape[axis] = kUnknown;
  }
  if (!sizes) return ranked(n, shape);
  if (sizes->size() != normal->size())
    return refuse("sizes: found " + Twine(sizes->size()) + " for " + Twine(normal->size()) + " axes");
  if (n.stringAttr("keep_aspect_ratio_policy", "stretch") != "stretch") return ranked(n, shape);
  for (auto [i, axis] : llvm::enumerate(*normal)) {
    if ((*sizes)[i] < 0) return refuse("sizes: found " + Twine((*sizes)[i]));
    shape[axis] = (*sizes)[i];
  }
  return ranked(n, shape);
}

llvm::Expected<Types> inferTrilu(const Node &n) {
  if (n.ranked(0) && n.rank(0) < 2) return refuseOperand(n, 0, "has rank " + Twine(n.rank(0)) + ", expected matrices");
  return Types{n.operands[0].getType()};
}

} // namespace llmc::onnx
