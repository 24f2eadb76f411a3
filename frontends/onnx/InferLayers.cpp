// Result types of convolutions, pools, recurrent layers, and operators on pictures and signals.
#include "frontends/onnx/Check.h"
#include <algorithm>

using llvm::ArrayRef;
using llvm::StringRef;
using llvm::Twine;
using namespace mlir;

namespace llmc::onnx {
namespace {

/// The attributes of a window that slides over the spatial axes.
struct Window {
  SmallVector<int64_t> kernel, strides, dilations, pads; // pads: begins, then ends
  StringRef autoPad;
  bool ceil = false;
};

llvm::Expected<Window> readWindow(const Node &n, int64_t spatial, ArrayRef<int64_t> weight) {
  Window w;
  w.autoPad = n.stringAttr("auto_pad", "NOTSET");
  if (w.autoPad != "NOTSET" && w.autoPad != "VALID" && w.autoPad != "SAME_UPPER" && w.autoPad != "SAME_LOWER")
    return refuse("attribute auto_pad: found '" + w.autoPad + "', expected NOTSET, VALID, SAME_UPPER or SAME_LOWER");
  w.ceil = n.intAttr("ceil_mode", 0);
  struct Row {
    StringRef name;
    SmallVector<int64_t> &to;
    int64_t count, least, absent;
  };
  Row rows[] = {{"kernel_shape", w.kernel, spatial, 1, kUnknown},
                {"strides", w.strides, spatial, 1, 1},
                {"dilations", w.dilations, spatial, 1, 1},
                {"pads", w.pads, 2 * spatial, 0, 0}};
  for (Row &row : rows) {
    row.to = n.intsAttr(row.name).value_or(SmallVector<int64_t>());
    if (row.to.empty()) row.to.assign(row.count, row.absent);
    if (int64_t(row.to.size()) != row.count)
      return refuse("attribute " + row.name + ": found " + Twine(row.to.size()) + " numbers, expected " +
                    Twine(row.count));
    for (int64_t value : row.to)
      if (known(value) && (value < row.least || value > (int64_t(1) << 31)))
        return refuse("attribute " + row.name + ": found " + Twine(value));
  }
  for (auto [i, dim] : llvm::enumerate(weight)) {
    if (!known(w.kernel[i])) w.kernel[i] = dim;
    if (known(dim) && dim != w.kernel[i])
      return refuse("attribute kernel_shape: found " + Twine(w.kernel[i]) + ", the weights have " + Twine(dim));
  }
  return w;
}

/// The number of places of a window on axis i of `size` elements.
int64_t places(const Window &w, unsigned i, int64_t size) {
  if (!known(size)) return kUnknown;
  if (w.autoPad.starts_with("SAME")) return (size + w.strides[i] - 1) / w.strides[i];
  if (!known(w.kernel[i])) return kUnknown;
  int64_t half = w.pads.size() / 2, pads = w.autoPad == "VALID" ? 0 : w.pads[i] + w.pads[i + half];
  int64_t span = size + pads - (w.dilations[i] * (w.kernel[i] - 1) + 1);
  if (span < 0) return 0;
  int64_t count = (span + (w.ceil ? w.strides[i] - 1 : 0)) / w.strides[i] + 1;
  // No window begins in the padding at the end.
  if (w.ceil && (count - 1) * w.strides[i] >= size + (w.autoPad == "VALID" ? 0 : w.pads[i])) --count;
  return count;
}

/// The shape of a convolution of operand `data` with operand `weight` [M, C / group, ...].
llvm::Expected<Types> convolve(const Node &n, unsigned data, unsigned weight) {
  if (!n.ranked(data) || !n.ranked(weight)) return unranked(n);
  if (n.rank(data) < 3 || n.rank(weight) != n.rank(data))
    return refuseOperand(n, weight, "has rank " + Twine(n.rank(weight)) + " for data of rank " + Twine(n.rank(data)));
  int64_t spatial = n.rank(data) - 2, group = n.intAttr("group", 1), channels = n.dim(data, 1);
  if (group < 1) return refuse("attribute group: found " + Twine(group) + ", expected 1 or more");
  int64_t each = n.dim(weight, 1), outputs = n.dim(weight, 0);
  if (known(channels) && known(each) && channels != mulDims(each, group))
    return refuseOperand(n, weight,
                         "has " + Twine(each) + " channels in each of " + Twine(group) + " groups, the data " +
                             Twine(channels));
  if (known(outputs) && outputs % group)
    return refuse("attribute group: found " + Twine(group) + " for " + Twine(outputs) + " outputs");
  llvm::Expected<Window> w = readWindow(n, spatial, n.type(weight).getShape().drop_front(2));
  if (!w) return w.takeError();
  SmallVector<int64_t> shape{n.dim(data, 0), outputs};
  for (int64_t i = 0; i < spatial; ++i) shape.push_back(places(*w, i, n.dim(data, i + 2)));
  return ranked(n, shape);
}
} // namespace

llvm::Expected<Types> inferConv(const Node &n) { return convolve(n, 0, 1); }
llvm::Expected<Types> inferQLinearConv(const Node &n) { return convolve(n, 0, 3); }

llvm::Expected<Types> inferConvTranspose(const Node &n) {
  if (!n.ranked(0) || !n.ranked(1)) return unranked(n);
  if (n.rank(0) < 3 || n.rank(1) != n.rank(0))
    return refuseOperand(n, 1, "has rank " + Twine(n.rank(1)) + " for data of rank " + Twine(n.rank(0)));
  int64_t spatial = n.rank(0) - 2, group = n.intAttr("group", 1);
  if (group < 1) return refuse("attribute group: found " + Twine(group) + ", expected 1 or more");
  if (known(n.dim(0, 1)) && known(n.dim(1, 0)) && n.dim(0, 1) != n.dim(1, 0))
    return refuseOperand(n, 1, "has " + Twine(n.dim(1, 0)) + " inputs, the data " + Twine(n.dim(0, 1)));
  llvm::Expected<Window> w = readWindow(n, spatial, n.type(1).getShape().drop_front(2));
  if (!w) return w.takeError();
  SmallVector<int64_t> shape{n.dim(0, 0), mulDims(n.dim(1, 1), group)};
  auto sizes = n.intsAttr("output_shape"), more = n.intsAttr("output_padding");
  for (const auto &[name, list] : {std::pair("output_shape", &sizes), {"output_padding", &more}})
    if (*list && int64_t((*list)->size()) != spatial)
      return refuse("attribute " + Twine(name) + ": found " + Twine((*list)->size()) + " numbers, expected " +
                    Twine(spatial));
  for (int64_t i = 0; i < spatial; ++i) {
    int64_t size = n.dim(0, i + 2), dim = kUnknown;
    if (sizes)
      dim = (*sizes)[i];
    else if (w->autoPad.starts_with("SAME"))
      dim = mulDims(size, w->strides[i]);
    else if (known(size) && known(w->kernel[i]))
      dim = addDims(addDims(mulDims(size - 1, w->strides[i]), more ? (*more)[i] : 0),
                    (w->kernel[i] - 1) * w->dilations[i] + 1 -
                        (w->autoPad == "VALID" ? 0 : w->pads[i] + w->pads[i + spatial]));
    if (known(dim) && dim < 0) return refuse("found a result of size " + Twine(dim));
    shape.push_back(dim);
  }
  return ranked(n, shape);
}

llvm::Expected<Types> inferPool(const Node &n) {
  if (!n.ranked(0)) return Types(n.results, n.operands[0].getType());
  if (n.rank(0) < 3) return refuseOperand(n, 0, "has rank " + Twine(n.rank(0)) + ", expected 3 at least");
  llvm::Expected<Window> w = readWindow(n, n.rank(0) - 2, {});
  if (!w) return w.takeError();
  SmallVector<int64_t> shape(n.type(0).getShape());
  for (auto [i, dim] : llvm::enumerate(llvm::MutableArrayRef(shape).drop_front(2))) dim = places(*w, i, dim);
  return Types(n.results, RankedTensorType::get(shape, n.element(0)));
}

llvm::Expected<Types> inferGlobalPool(const Node &n) {
  if (!n.ranked(0)) return unranked(n);
  if (n.rank(0) < 2) return refuseOperand(n, 0, "has rank " + Twine(n.rank(0)) + ", expected 2 at least");
  SmallVector<int64_t> shape(n.type(0).getShape());
  for (int64_t &dim : llvm::MutableArrayRef(shape).drop_front(2)) dim = 1;
  return ranked(n, shape);
}

/// MaxRoiPool and RoiAlign: [regions, channels, height, width].
llvm::Expected<Types> inferRoi(const Node &n) {
  int64_t height = n.intAttr("output_height", 1), width = n.intAttr("output_width", 1);
  if (auto pooled = n.intsAttr("pooled_shape")) {
    if (pooled->size() != 2) return refuse("attribute pooled_shape: expected two numbers");
    height = (*pooled)[0], width = (*pooled)[1];
  }
  if (height < 1 || width < 1) return refuse("found regions of " + Twine(height) + " by " + Twine(width));
  return ranked(n, {n.dim(1, 0), n.dim(0, 1), height, width});
}

llvm::Expected<Types> inferMaxUnpool(const Node &n) {
  if (!n.ranked(0)) return unranked(n);
  if (n.rank(0) < 3) return refuseOperand(n, 0, "has rank " + Twine(n.rank(0)) + ", expected 3 at least");
  if (auto sizes = n.sizes(2)) {
    for (int64_t size : *sizes)
      if (known(size) && size < 0) return refuse("output_shape: found " + Twine(size));
    return ranked(n, *sizes);
  }
  llvm::Expected<Window> w = readWindow(n, n.rank(0) - 2, {});
  if (!w) return w.takeError();
  SmallVector<int64_t> shape(n.type(0).getShape());
  for (int64_t i = 0; i < n.rank(0) - 2; ++i) {
    int64_t &dim = shape[i + 2];
    if (n.has(2) || !known(dim)) {
      dim = kUnknown;
      continue;
    }
    dim = addDims(addDims(mulDims(dim - 1, w->strides[i]), w->kernel[i]), -w->pads[i] - w->pads[i + n.rank(0) - 2]);
    if (known(dim) && dim < 0) return refuse("found a result of size " + Twine(dim));
  }
  return ranked(n, shape);
}

/// X [N, C, ...] at the places of a grid [N, ..., axes].
llvm::Expected<Types> inferGridSample(const Node &n) {
  if (!n.ranked(0) || !n.ranked(1)) return unranked(n);
  if (n.rank(0) < 3 || n.rank(1) != n.rank(0))
    return refuseOperand(n, 1, "has rank " + Twine(n.rank(1)) + " for data of rank " + Twine(n.rank(0)));
  SmallVector<int64_t> shape{n.dim(0, 0), n.dim(0, 1)};
  llvm::append_range(shape, n.type(1).getShape().drop_front().drop_back());
  return ranked(n, shape);
}

llvm::Expected<Types> inferAffineGrid(const Node &n) {
  std::optional<SmallVector<int64_t>> size = n.sizes(1);
  if (!size) return unranked(n);
  if (size->size() != 4 && size->size() != 5)
    return refuse("size: found " + Twine(size->size()) + " numbers, expected 4 or 5");
  SmallVector<int64_t> shape{(*size)[0]};
  shape.append(size->begin() + 2, size->end());
  for (int64_t dim : shape)
    if (known(dim) && dim < 0) return refuse("size: found " + Twine(dim));
  shape.push_back(int64_t(size->size()) - 2);
  return ranked(n, shape);
}

llvm::Expected<Types> inferNonMaxSuppression(const Node &n) { return ranked(n, {kUnknown, 3}); }

/// The normalised data, then statistics like the operand of the mean.
llvm::Expected<Types> inferBatchNorm(const Node &n) {
  for (unsigned i = 1; i < n.operands.size(); ++i)
    if (n.ranked(i) && n.rank(i) == 1 && known(n.dim(i, 0)) && known(n.dim(0, 1)) && n.dim(i, 0) != n.dim(0, 1) &&
        n.intAttr("spatial", 1))
      return refuseOperand(n, i, "has " + Twine(n.dim(i, 0)) + " elements for " + Twine(n.dim(0, 1)) + " channels");
  Types types(n.results, n.operands[3].getType());
  types[0] = n.operands[0].getType();
  return types;
}

/// X [sequence, batch, input] (layout 1: batch first), weights [directions, gates * hidden, input]: all states
/// [sequence, directions, batch, hidden], then the last ones [directions, batch, hidden].
llvm::Expected<Types> inferRecurrent(const Node &n) {
  StringRef direction = n.stringAttr("direction", "forward");
  if (direction != "forward" && direction != "reverse" && direction != "bidirectional")
    return refuse("attribute direction: found '" + direction + "', expected forward, reverse or bidirectional");
  for (unsigned i : {0u, 1u, 2u})
    if (n.ranked(i) && n.rank(i) != 3) return refuseOperand(n, i, "has rank " + Twine(n.rank(i)) + ", expected 3");
  int64_t directions = direction == "bidirectional" ? 2 : 1, hidden = n.intAttr("hidden_size", n.dim(2, 2));
  if (known(hidden) && hidden < 1) return refuse("attribute hidden_size: found " + Twine(hidden));
  if (known(n.dim(2, 0)) && n.dim(2, 0) != directions)
    return refuseOperand(n, 2, "has " + Twine(n.dim(2, 0)) + " directions, expected " + Twine(directions));
  if (known(hidden) && known(n.dim(2, 2)) && n.dim(2, 2) != hidden)
    return refuseOperand(n, 2, "has rows of " + Twine(n.dim(2, 2)) + ", expected hidden_size " + Twine(hidden));
  bool batchFirst = n.intAttr("layout", 0);
  int64_t sequence = n.dim(0, batchFirst ? 1 : 0), batch = n.dim(0, batchFirst ? 0 : 1);
  SmallVector<int64_t> last{directions, batch, hidden}, all{sequence, directions, batch, hidden};
  if (batchFirst) last = {batch, directions, hidden}, all = {batch, sequence, directions, hidden};
  Types types(n.results, RankedTensorType::get(last, n.element(0)));
  if (n.results) types[0] = RankedTensorType::get(all, n.element(0));
  return types;
}

/// The transformed axis may change its size; the last axis has real and imaginary parts.
llvm::Expected<Types> inferDft(const Node &n) {
  if (!n.ranked(0)) return unranked(n);
  if (n.rank(0) < 2) return refuseOperand(n, 0, "has rank " + Twine(n.rank(0)) + ", expected 2 at least");
  auto given = n.constant(2), length = n.constant(1);
  bool old = n.opset < 20, oneSided = n.intAttr("onesided", 0), inverse = n.intAttr("inverse", 0);
  SmallVector<int64_t> shape(n.type(0).getShape());
  if (n.has(2) && !(given && given->size() == 1)) {
    shape.assign(n.rank(0), kUnknown);
  } else {
    int64_t number = old ? n.intAttr("axis", 1) : given ? given->front() : -2;
    llvm::Expected<int64_t> axis = normalAxis(number, n.rank(0), "axis");
    if (!axis) return axis.takeError();
    if (n.has(1)) shape[*axis] = length && length->size() == 1 && length->front() >= 0 ? length->front() : kUnknown;
    if (oneSided && known(shape[*axis])) shape[*axis] = inverse ? kUnknown : shape[*axis] / 2 + 1;
  }
  shape.back() = oneSided && inverse ? 1 : 2;
  return ranked(n, shape);
}

/// [batch, frames, bins, 2].
llvm::Expected<Types> inferStft(const Node &n) {
  auto step = n.constant(1), frame = n.constant(3);
  if (step && (step->size() != 1 || step->front() < 1)) return refuse("frame_step: expected one positive number");
  if (frame && (frame->size() != 1 || frame->front() < 1)) return refuse("frame_length: expected one positive number");
  int64_t length = frame ? frame->front() : n.has(3) ? kUnknown : n.dim(2, 0), signal = n.dim(0, 1), frames = kUnknown;
  if (step && known(length) && known(signal) && signal >= length) frames = (signal - length) / step->front() + 1;
  int64_t bins = known(length) && n.intAttr("onesided", 1) ? length / 2 + 1 : length;
  return ranked(n, {n.dim(0, 0), frames, bins, 2});
}

llvm::Expected<Types> inferTfIdf(const Node &n) {
  if (!n.attributes.contains("pool_int64s")) return refuse("strings are not supported");
  if (!n.ranked(0)) return unranked(n);
  if (n.rank(0) < 1 || n.rank(0) > 2) return refuseOperand(n, 0, "has rank " + Twine(n.rank(0)) + ", expected 1 or 2");
  SmallVector<int64_t> indexes = n.intsAttr("ngram_indexes").value_or(SmallVector<int64_t>()), shape;
  int64_t most = -1;
  for (int64_t index : indexes) most = std::max(most, index);
  if (n.rank(0) == 2) shape.push_back(n.dim(0, 0));
  shape.push_back(addDims(most, 1));
  return ranked(n, shape);
}

llvm::Expected<Types> inferImageDecoder(const Node &n) {
  StringRef format = n.stringAttr("pixel_format", "RGB");
  if (format != "RGB" && format != "BGR" && format != "Grayscale")
    return refuse("attribute pixel_format: found '" + format + "', expected RGB, BGR or Grayscale");
  return ranked(n, {kUnknown, kUnknown, format == "Grayscale" ? 1 : 3});
}

/// Result i has the shape of operand i, where there is one.
llvm::Expected<Types> inferFirstShapes(const Node &n) {
  Types types;
  for (unsigned i = 0; i < n.results; ++i)
    types.push_back(n.has(i) ? n.operands[i].getType() : Type(UnrankedTensorType::get(n.element(0))));
  return types;
}

} // namespace llmc::onnx
