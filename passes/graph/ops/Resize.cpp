// Resize and Upsample: nearest, linear and cubic interpolation along any axes, each axis on its own.
#include "passes/graph/Building.h"
#include "passes/graph/Lowerings.h"
#include "passes/graph/Window.h"

using namespace mlir;

namespace llmc::graph {
namespace {

/// How one axis is resized. Numbers in f64, as sizes are rounded from products of f32 scales.
struct ResizedAxis {
  Scalar in, out, scale, roiBegin, roiEnd;
};
struct ResizeForm {
  StringRef mode, coordinates, nearest;
  double cubic = -0.75, extrapolation = 0;
  bool antialias = false, excludesOutside = false;
};

Scalar real(Scalar x) { return convert(x, x.b->getF64Type()); }
Scalar whole(Scalar x) { return toIndex(convert(x, x.b->getI64Type())); }

/// The coordinate in x of the output's index.
Scalar sourceOf(const ResizeForm &form, const ResizedAxis &axis, Scalar i) {
  Builder &b = *i.b;
  Scalar x = real(i), in = real(axis.in), out = axis.scale * in;
  auto one = [&](Scalar onlyOne, Scalar many) { return select(equal(out, 1), onlyOne, many); };
  Scalar half = (x + 0.5) / axis.scale - 0.5;
  if (form.coordinates == "asymmetric") return x / axis.scale;
  if (form.coordinates == "align_corners") return one(constantLike(x, 0), x * (in - 1) / (out - 1));
  if (form.coordinates == "pytorch_half_pixel") return select(equal(axis.out, 1), constantLike(x, -0.5), half);
  if (form.coordinates == "half_pixel_symmetric")
    return in / 2 * (constant(b, x.type(), 1) - real(axis.out) / out) + half;
  if (form.coordinates == "tf_crop_and_resize") {
    Scalar extent = axis.roiEnd - axis.roiBegin;
    return one(extent * (in - 1) / 2, x * extent * (in - 1) / (out - 1)) + axis.roiBegin * (in - 1);
  }
  return half;
}

Scalar nearestOf(StringRef mode, Scalar x) {
  if (mode == "floor") return floor(x);
  if (mode == "ceil") return ceil(x);
  return mode == "round_prefer_ceil" ? floor(x + 0.5) : ceil(x - 0.5);
}

/// The weight of an element at a distance from the coordinate.
Scalar kernelAt(const ResizeForm &form, Scalar distance) {
  Scalar d = abs(distance), zero = constantLike(d, 0), one = constantLike(d, 1);
  if (form.mode == "linear") return maximum(one - d, zero);
  double a = form.cubic;
  Scalar inner = ((d * (a + 2)) - (a + 3)) * d * d + 1;
  Scalar outer = ((d * a - 5 * a) * d + 8 * a) * d - 4 * a;
  return select(d <= 1, inner, select(d < 2, outer, zero));
}

/// The elements of an axis that make one of the output: `count` from `first`, clamped to the axis.
struct Taps {
  Scalar source, first, count, narrowing, sum;
};
Taps tapsOf(const ResizeForm &form, const ResizedAxis &axis, Scalar i) {
  Builder &b = *i.b;
  Scalar source = sourceOf(form, axis, i), one = constantLike(source, 1);
  Scalar same = equal(axis.scale, 1) & equal(axis.in, axis.out);
  if (form.coordinates == "tf_crop_and_resize") same = always(b, false);
  if (form.mode == "nearest") {
    Scalar at = whole(nearestOf(form.nearest, source));
    return {source, select(same, i, at), index(b, 1), one, one};
  }
  double reach = form.mode == "linear" ? 1 : 2;
  Scalar narrowing = form.antialias ? minimum(axis.scale, one) : one;
  Scalar start = floor(constantLike(source, -reach) / narrowing) + 1;
  Scalar count = whole(constantLike(source, 2) - start * 2);
  Taps taps = {source, whole(floor(source) + start), count, narrowing, one};
  taps.first = select(same, i, taps.first), taps.count = select(same, index(b, 1), count);
  taps.source = select(same, real(i), source);
  return taps;
}
Scalar weightAt(const ResizeForm &form, const ResizedAxis &axis, const Taps &taps, Scalar t) {
  if (form.mode == "nearest") return constantLike(taps.source, 1);
  Scalar at = taps.first + t, weight = kernelAt(form, (real(at) - taps.source) * taps.narrowing);
  return form.excludesOutside ? select(within(at, axis.in), weight, constantLike(weight, 0)) : weight;
}

Value resize(NodeLowering &n, Array x, ArrayRef<ResizedAxis> axes, const ResizeForm &form) {
  Builder &b = n.b;
  Scalars sizes;
  for (const ResizedAxis &axis : axes) sizes.push_back(axis.out);
  Type f64 = b.getF64Type();
  Scalar zero = constant(b, f64, 0);
  return tabulate(b, sizes, x.element(), [&](ScalarRef i) {
    SmallVector<Taps> taps;
    Scalars counts;
    Scalar outside = always(b, false);
    for (auto [axis, at] : llvm::zip_equal(axes, i)) {
      Taps own = tapsOf(form, axis, at);
      if (form.antialias || form.excludesOutside)
        own.sum = fold(index(b, 0), own.count, zero,
                       [&](Scalar t, Scalar sum) { return sum + weightAt(form, axis, own, t); });
      if (form.coordinates == "tf_crop_and_resize")
        outside = outside | (own.source < 0) | (own.source > real(axis.in) - 1);
      taps.push_back(own), counts.push_back(own.count);
    }
    Scalar sum = foldOver(counts, zero, [&](ScalarRef t, Scalar sum) {
      Scalar weight = constant(b, f64, 1);
      Scalars at;
      for (auto [axis, own, step] : llvm::zip_equal(axes, taps, t)) {
        weight = weight * weightAt(form, axis, own, step) / own.sum;
        at.push_back(minimum(maximum(own.first + step, index(b, 0)), axis.in - 1));
      }
      return sum + weight * convert(x(at), f64);
    });
    return convert(select(outside, constant(b, f64, form.extrapolation), sum), x.element(), x.isUnsigned);
  });
}

/// Element i of a float operand as f64.
Scalar entry(NodeLowering &n, unsigned operand, int64_t i) { return real(array(n, operand)(index(n.b, i))); }
bool isEmpty(NodeLowering &n, unsigned operand) {
  return !n.has(operand) || (n.rank(operand) == 1 && n.type(operand).getDimSize(0) == 0);
}

/// Scales of equal size for all axes so that the output is within (around) the sizes that were asked for.
void keepAspect(NodeLowering &n, MutableArrayRef<ResizedAxis> axes, ArrayRef<int64_t> chosen, bool notLarger) {
  Scalar scale = axes[chosen[0]].scale;
  for (int64_t axis : chosen.drop_front())
    scale = notLarger ? minimum(scale, axes[axis].scale) : maximum(scale, axes[axis].scale);
  for (int64_t axis : chosen) {
    axes[axis].scale = scale;
    axes[axis].out = whole(floor(scale * real(axes[axis].in) + 0.5));
  }
}

llvm::Expected<Values> lowerResize(NodeLowering &n) {
  Builder &b = n.b;
  Array x = array(n, 0);
  bool old = n.opset() < 11;
  ResizeForm form = {n.stringAttr("mode", "nearest"),
                     old ? "asymmetric" : n.stringAttr("coordinate_transformation_mode", "half_pixel"),
                     old ? "floor" : n.stringAttr("nearest_mode", "round_prefer_floor")};
  form.cubic = n.floatAttr("cubic_coeff_a", -0.75), form.extrapolation = n.floatAttr("extrapolation_value", 0);
  form.antialias = n.intAttr("antialias", 0), form.excludesOutside = n.intAttr("exclude_outside", 0);
  if (form.mode != "nearest" && form.mode != "linear" && form.mode != "cubic")
    return refuse("mode: found '" + form.mode + "', expected nearest, linear or cubic");
  unsigned roi = 1, scales = old ? 1 : 2, extents = 3;
  auto axes = n.axes(~0u, x.rank());
  if (!axes) return axes.takeError();
  SmallVector<int64_t> chosen = axes->value_or(llvm::to_vector(llvm::seq<int64_t>(x.rank())));
  if (auto inOrder = n.intsAttr("axes"))
    for (auto [own, axis] : llvm::zip_equal(chosen, *inOrder)) own = axis < 0 ? axis + x.rank() : axis;
  Scalar one = constant(b, b.getF64Type(), 1), zero = constant(b, b.getF64Type(), 0);
  SmallVector<ResizedAxis> all;
  for (Scalar size : x.sizes()) all.push_back({size, size, one, zero, one});
  bool bySizes = !old && !isEmpty(n, extents);
  if (!bySizes && isEmpty(n, scales)) return refuse("neither scales nor sizes");
  for (auto [i, axis] : llvm::enumerate(chosen)) {
    ResizedAxis &own = all[axis];
    if (bySizes) {
      own.out = toIndex(array(n, extents)(index(b, i)));
      own.scale = real(own.out) / real(own.in);
    } else {
      own.scale = entry(n, scales, i);
      own.out = whole(floor(real(own.in) * own.scale));
    }
    if (form.coordinates == "tf_crop_and_resize")
      own.roiBegin = entry(n, roi, i), own.roiEnd = entry(n, roi, i + chosen.size());
  }
  StringRef policy = n.stringAttr("keep_aspect_ratio_policy", "stretch");
  if (bySizes && policy != "stretch") keepAspect(n, all, chosen, policy == "not_larger");
  return Values{resize(n, x, all, form)};
}

llvm::Expected<Values> lowerUpsample(NodeLowering &n) {
  Builder &b = n.b;
  Array x = array(n, 0);
  auto scales = n.floatsAttr("scales");
  if (!scales && !n.has(1)) return refuse("no scales");
  if (scales && int64_t(scales->size()) != x.rank())
    return refuse("scales: found " + Twine(scales->size()) + ", expected " + Twine(x.rank()));
  ResizeForm form = {n.stringAttr("mode", "nearest"), "asymmetric", "floor"};
  SmallVector<ResizedAxis> all;
  Scalar one = constant(b, b.getF64Type(), 1);
  for (auto [axis, size] : llvm::enumerate(x.sizes())) {
    Scalar scale = scales ? constant(b, b.getF64Type(), (*scales)[axis]) : entry(n, 1, axis);
    all.push_back({size, whole(floor(real(size) * scale)), scale, one, one});
  }
  return Values{resize(n, x, all, form)};
}

constexpr Lowering kRows[] = {{"", "Resize", lowerResize}, {"", "Upsample", lowerUpsample}};
} // namespace

llvm::ArrayRef<Lowering> resizeLowerings() { return kRows; }

} // namespace llmc::graph
