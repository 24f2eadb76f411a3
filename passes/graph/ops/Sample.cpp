// GridSample, AffineGrid, RoiAlign: values between the elements of an image.
#include "passes/graph/Building.h"
#include "passes/graph/Lowerings.h"
#include "passes/graph/Window.h"

using namespace mlir;

namespace llmc::graph {
namespace {

Scalar real(Scalar x) { return convert(x, x.b->getF32Type()); }
Scalar whole(Scalar x) { return toIndex(convert(x, x.b->getI64Type())); }

//===- GridSample --------------------------------------------------------------------===//
/// Back and forth between two borders.
Scalar reflected(Scalar x, Scalar low, Scalar high) {
  Scalar extent = high - low, beyond = select(x < low, low - x, x - high);
  Scalar turns = floor(beyond / extent), rest = beyond - turns * extent;
  Scalar even = equal(turns - floor(turns / 2) * 2, 0);
  Scalar below = select(even, low + rest, high - rest), above = select(even, high - rest, low + rest);
  return select(x < low, below, select(x > high, above, x));
}

struct GridForm {
  int taps; // along each axis: 1 nearest, 2 linear, 4 cubic
  StringRef padding;
  bool corners;

  Scalar coordinate(Scalar grid, Scalar size) const {
    Scalar n = real(size);
    return corners ? (grid + 1) / 2 * (n - 1) : ((grid + 1) * n - 1) / 2;
  }
  std::pair<Scalar, Scalar> borders(Scalar size) const {
    Scalar n = real(size);
    return {constantLike(n, corners ? 0 : -0.5), n - (corners ? 1 : 0.5)};
  }
  /// The coordinate moved inside, as the padding says.
  Scalar inside(Scalar x, Scalar size) const {
    auto [low, high] = borders(size);
    Scalar out = (x < low) | (x > high), n = real(size);
    if (padding == "border") return select(out, minimum(maximum(x, constantLike(x, 0)), n - 1), x);
    return padding == "reflection" ? select(out, reflected(x, low, high), x) : x;
  }
  /// The element's index on an axis; the flag is false where it counts as 0.
  std::pair<Scalar, Scalar> element(Scalar i, Scalar size) const {
    Scalar zero = index(*i.b, 0);
    if (padding == "zeros") return {minimum(maximum(i, zero), size - 1), within(i, size)};
    if (padding == "border") return {minimum(maximum(i, zero), size - 1), always(*i.b, true)};
    auto [low, high] = borders(size);
    Scalar back = whole(reflected(real(i), low, high));
    return {minimum(maximum(back, zero), size - 1), always(*i.b, true)};
  }
  Scalar weight(Scalar fraction, Scalar tap) const {
    Scalar one = constantLike(fraction, 1);
    if (taps == 1) return one;
    if (taps == 2) return select(equal(tap, 0), one - fraction, fraction);
    Scalar d = abs(fraction + 1 - real(tap));
    constexpr double a = -0.75;
    Scalar inner = (d * (a + 2) - (a + 3)) * d * d + 1, outer = ((d * a - 5 * a) * d + 8 * a) * d - 4 * a;
    return select(d <= 1, inner, outer);
  }
};

llvm::Expected<Values> lowerGridSample(NodeLowering &n) {
  Builder &b = n.b;
  Array x = array(n, 0), grid = array(n, 1);
  int64_t rank = x.rank() - 2;
  if (rank < 1 || grid.rank() != x.rank())
    return refuse("operands of rank " + Twine(x.rank()) + " and " + Twine(grid.rank()));
  StringRef mode = n.stringAttr("mode", "linear");
  GridForm form = {mode == "nearest"                      ? 1
                   : mode == "cubic" || mode == "bicubic" ? 4
                                                          : 2,
                   n.stringAttr("padding_mode", "zeros"), n.intAttr("align_corners", 0) != 0};
  Scalars sizes = {x.size(0), x.size(1)};
  for (int64_t axis = 0; axis < rank; ++axis) sizes.push_back(grid.size(axis + 1));
  Scalar zero = constant(b, b.getF32Type(), 0);
  return Values{tabulate(b, sizes, x.element(), [&](ScalarRef i) {
    Scalars base, fractions, counts(rank, index(b, form.taps));
    for (int64_t axis = 0; axis < rank; ++axis) {
      Scalars at(i.drop_front(2));
      at.insert(at.begin(), i[0]);
      at.push_back(index(b, rank - 1 - axis)); // the grid has the last axis first
      Scalar size = x.size(axis + 2), place = form.coordinate(real(grid(at)), size);
      if (form.taps == 1) place = roundEven(place);
      place = form.inside(place, size);
      base.push_back(whole(floor(place)) - double(form.taps == 4 ? 1 : 0));
      fractions.push_back(place - floor(place));
    }
    return convert(foldOver(counts, zero,
                            [&](ScalarRef tap, Scalar sum) {
                              Scalars at(i.take_front(2));
                              Scalar weight = constant(b, b.getF32Type(), 1), counts = always(b, true);
                              for (int64_t axis = 0; axis < rank; ++axis) {
                                auto [place, valid] = form.element(base[axis] + tap[axis], x.size(axis + 2));
                                at.push_back(place), counts = counts & valid;
                                weight = weight * form.weight(fractions[axis], tap[axis]);
                              }
                              return sum + select(counts, weight * real(x(at)), zero);
                            }),
                   x.element());
  })};
}

//===- AffineGrid ----------------------------------------------------------------------===//
/// theta [N, r, r + 1], size [N, C, ...] -> [N, ..., r]: theta applied to each coordinate from -1 to 1, last axis
/// first.
llvm::Expected<Values> lowerAffineGrid(NodeLowering &n) {
  Builder &b = n.b;
  Array theta = array(n, 0), size = array(n, 1);
  if (size.type().isDynamicDim(0)) return refuse("how many numbers size has is not known while compiling");
  int64_t rank = size.type().getDimSize(0) - 2;
  bool corners = n.intAttr("align_corners", 0);
  Scalars sizes = {theta.size(0)};
  for (int64_t axis = 0; axis < rank; ++axis) sizes.push_back(toIndex(size(index(b, axis + 2))));
  sizes.push_back(index(b, rank));
  return Values{tabulate(b, sizes, theta.element(), [&](ScalarRef i) {
    Scalar sum = real(theta({i[0], i.back(), index(b, rank)}));
    for (int64_t axis = 0; axis < rank; ++axis) {
      Scalar place = real(i[axis + 1]), extent = real(sizes[axis + 1]);
      Scalar at = corners ? place * 2 / (extent - 1) - 1 : (place * 2 + 1) / extent - 1;
      sum = sum + real(theta({i[0], i.back(), index(b, rank - 1 - axis)})) * at;
    }
    return convert(sum, theta.element());
  })};
}

//===- RoiAlign ----------------------------------------------------------------------------===//
/// The two elements around a coordinate and the second one's weight; nothing counts outside of -1 to size.
struct Between {
  Scalar low, high, weight, valid;
};
Between between(Scalar x, Scalar size) {
  Scalar extent = real(size), zero = constantLike(x, 0);
  Scalar valid = (x >= -1) & (x <= extent), from = maximum(x, zero), last = size - 1;
  Scalar low = minimum(whole(floor(minimum(from, extent))), last), high = minimum(low + 1, last);
  Scalar atEnd = low >= last;
  return {low, high, select(atEnd, zero, from - real(low)), valid};
}

llvm::Expected<Values> lowerRoiAlign(NodeLowering &n) {
  Builder &b = n.b;
  Array x = array(n, 0), rois = array(n, 1), batches = array(n, 2);
  bool half = n.stringAttr("coordinate_transformation_mode", n.opset() < 16 ? "output_half_pixel" : "half_pixel") ==
              "half_pixel";
  bool isMean = n.stringAttr("mode", "avg") == "avg";
  int64_t height = n.intAttr("output_height", 1), width = n.intAttr("output_width", 1),
          ratio = n.intAttr("sampling_ratio", 0);
  double scale = n.floatAttr("spatial_scale", 1);
  Scalar zero = constant(b, b.getF32Type(), 0), one = constantLike(zero, 1);
  Scalars sizes = {rois.size(0), x.size(1), index(b, height), index(b, width)};
  return Values{tabulate(b, sizes, x.element(), [&](ScalarRef i) {
    // Start, bin and samples of an axis: the box is x1, y1, x2, y2.
    struct Bins {
      Scalar start, bin, samples;
    };
    auto bins = [&](int64_t column, int64_t outputs) {
      Scalar start = real(rois({i[0], index(b, column)})) * scale - (half ? 0.5 : 0);
      Scalar extent = real(rois({i[0], index(b, column + 2)})) * scale - (half ? 0.5 : 0) - start;
      if (!half) extent = maximum(extent, one);
      Scalar bin = extent / double(outputs);
      return Bins{start, bin, ratio > 0 ? index(b, ratio) : whole(ceil(bin))};
    };
    Bins rows = bins(1, height), columns = bins(0, width);
    Scalar batch = toIndex(batches(i[0])), start = isMean ? zero : lowest(b, zero.type(), false);
    Scalar sum = foldOver({rows.samples, columns.samples}, start, [&](ScalarRef s, Scalar sum) {
      auto place = [&](const Bins &axis, Scalar output, Scalar sample) {
        return axis.start + real(output) * axis.bin + (real(sample) + 0.5) * axis.bin / real(axis.samples);
      };
      Between y = between(place(rows, i[2], s[0]), x.size(2)), z = between(place(columns, i[3], s[1]), x.size(3));
      auto at = [&](Scalar row, Scalar column, Scalar weight) {
        return select(y.valid & z.valid, weight * real(x({batch, i[1], row, column})), zero);
      };
      Scalar a = at(y.low, z.low, (one - y.weight) * (one - z.weight)),
             c = at(y.low, z.high, (one - y.weight) * z.weight);
      Scalar d = at(y.high, z.low, y.weight * (one - z.weight)), e = at(y.high, z.high, y.weight * z.weight);
      return isMean ? sum + a + c + d + e : maximum(sum, maximum(maximum(a, c), maximum(d, e)));
    });
    Scalar count = maximum(real(rows.samples * columns.samples), one);
    return convert(isMean ? sum / count : select(sum > lowest(b, zero.type(), false), sum, zero), x.element());
  })};
}

constexpr Lowering kRows[] = {
    {"", "AffineGrid", lowerAffineGrid},
    {"", "GridSample", lowerGridSample},
    {"", "RoiAlign", lowerRoiAlign},
};
} // namespace

llvm::ArrayRef<Lowering> sampleLowerings() { return kRows; }

} // namespace llmc::graph
