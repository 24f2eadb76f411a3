// Unique, NonMaxSuppression: results whose length the elements decide. Det: elimination.
#include "passes/graph/Axes.h"
#include "passes/graph/Building.h"
#include "passes/graph/Lowerings.h"
#include "passes/graph/Window.h"

using namespace mlir;

namespace llmc::graph {
namespace {

//===- Unique -----------------------------------------------------------------------===//
/// Items [outer, count, inner]: slices along an axis, or the elements of the whole.
struct Items {
  Builder &b;
  Array x;

  /// Whether item i comes before (is equal to) item j, by their elements in order. NaN is the greatest.
  std::pair<Scalar, Scalar> order(Scalar i, Scalar j) const {
    Scalar no = always(b, false), yes = always(b, true);
    Scalars state = folds(index(b, 0), x.size(0) * x.size(2), {no, yes}, [&](Scalar k, ScalarRef state) {
      Scalar outer = k / x.size(2), inner = k % x.size(2);
      Scalar p = x({outer, i, inner}), q = x({outer, j, inner});
      Scalar less = p < q, same = equal(p, q);
      if (p.isFloat()) less = less | (isNan(q) & !isNan(p)), same = same | (isNan(p) & isNan(q));
      return Scalars{state[0] | (state[1] & less), state[1] & same};
    });
    return {state[0], state[1]};
  }
  Scalar before(Scalar i, Scalar j) const { return order(i, j).first; }
  Scalar same(Scalar i, Scalar j) const { return order(i, j).second; }
};

/// Results: the distinct items, their first places, the place of each item among them, how often each is there.
llvm::Expected<Values> lowerUnique(NodeLowering &n) {
  Builder &b = n.b;
  Array x = array(n, 0);
  bool hasAxis = n.node.getOnnxAttributes().contains("axis"), sorts = n.intAttr("sorted", 1);
  auto axis = hasAxis ? n.axis("axis", 0, x.rank()) : llvm::Expected<int64_t>(0);
  if (!axis) return axis.takeError();
  AxisSplit split = splitAt(x, index(b, *axis));
  Scalars rowSizes = {split.outer, split.extent, split.inner};
  if (!hasAxis) rowSizes = {index(b, 1), product(b, x.sizes()), index(b, 1)};
  Items items = {b, array(b, reshape(x, rowSizes), x.isUnsigned)};
  Scalar count = rowSizes[1], zero = index(b, 0), one = index(b, 1);
  Type i64 = b.getI64Type();
  // The first item equal to each, and for each first its place among the results.
  Array first = array(b, tabulate(b, count, b.getIndexType(), [&](ScalarRef i) {
                        return fold(zero, i[0], i[0], [&](Scalar j, Scalar found) {
                          return select(items.same(i[0], j), minimum(found, j), found);
                        });
                      }));
  Array place = array(b, tabulate(b, count, b.getIndexType(), [&](ScalarRef i) {
                        Scalar own = first(i);
                        return fold(zero, count, zero, [&](Scalar j, Scalar sum) {
                          Scalar earlier = sorts ? items.before(j, own) : j < own;
                          return sum + select(equal(first(j), j) & earlier, one, zero);
                        });
                      }));
  Scalar distinct =
      fold(zero, count, zero, [&](Scalar j, Scalar sum) { return sum + select(equal(first(j), j), one, zero); });
  Array source = array(b, forEach(count, filled(distinct, zero), [&](ScalarRef i, Value sources) {
                         Scalar own = first(i);
                         return store(sources, place(i), own);
                       }));
  Scalars sizes = x.sizes();
  if (hasAxis) sizes[*axis] = distinct;
  if (!hasAxis) sizes = {distinct};
  Value y = tabulate(b, sizes, x.element(), [&](ScalarRef i) {
    Scalars at(i);
    at[hasAxis ? *axis : 0] = source(i[hasAxis ? *axis : 0]);
    return hasAxis ? x(at) : items.x({zero, at[0], zero});
  });
  Value indices = tabulate(b, distinct, i64, [&](ScalarRef i) { return convert(source(i), i64); });
  Value inverse = tabulate(b, count, i64, [&](ScalarRef i) { return convert(place(i), i64); });
  Value counts = tabulate(b, distinct, i64, [&](ScalarRef i) {
    Scalar times =
        fold(zero, count, zero, [&](Scalar j, Scalar sum) { return sum + select(equal(place(j), i[0]), one, zero); });
    return convert(times, i64);
  });
  return Values{y, indices, inverse, counts};
}

//===- NonMaxSuppression ----------------------------------------------------------------===//
struct Box {
  Scalar y1, x1, y2, x2;
};
Box boxAt(Array boxes, Scalar batch, Scalar i, bool centred) {
  Builder &b = *i.b;
  auto at = [&](int64_t k) { return boxes({batch, i, index(b, k)}); };
  if (centred) {
    Scalar halfWidth = at(2) / 2, halfHeight = at(3) / 2;
    return {at(1) - halfHeight, at(0) - halfWidth, at(1) + halfHeight, at(0) + halfWidth};
  }
  return {minimum(at(0), at(2)), minimum(at(1), at(3)), maximum(at(0), at(2)), maximum(at(1), at(3))};
}
Scalar overlaps(const Box &p, const Box &q, Scalar threshold) {
  Scalar zero = constantLike(p.x1, 0);
  Scalar height = maximum(minimum(p.y2, q.y2) - maximum(p.y1, q.y1), zero);
  Scalar width = maximum(minimum(p.x2, q.x2) - maximum(p.x1, q.x1), zero);
  Scalar common = height * width;
  Scalar areaP = (p.y2 - p.y1) * (p.x2 - p.x1), areaQ = (q.y2 - q.y1) * (q.x2 - q.x1);
  return (common > 0) & (areaP > 0) & (areaQ > 0) & (common / (areaP + areaQ - common) > threshold);
}

/// For each batch entry and class, the best boxes that do not overlap a better one: [count, (batch, class, box)].
llvm::Expected<Values> lowerNonMaxSuppression(NodeLowering &n) {
  Builder &b = n.b;
  Array boxes = array(n, 0), scores = array(n, 1);
  bool centred = n.intAttr("center_point_box", 0);
  Type f32 = b.getF32Type(), i64 = b.getI64Type();
  Scalar zero = index(b, 0), count = boxes.size(1);
  Scalar most = n.has(2) ? minimum(maximum(axisOperand(n, 2, 0), zero), count) : zero;
  Scalar threshold = n.has(3) ? Scalar{&b, scalarOf(n, 3)} : constant(b, f32, 0);
  Scalar least = n.has(4) ? Scalar{&b, scalarOf(n, 4)} : lowest(b, f32, false);
  Scalar classes = scores.size(1), room = scores.size(0) * classes * most;
  // One round for each box that may be taken: the best that is left, if any.
  Value taken = filled({room, index(b, 3)}, constant(b, i64, 0));
  Values state = loop(zero, scores.size(0) * classes, {taken, zero.value}, [&](Scalar group, ValueRange outer) {
    Scalar batch = group / classes, label = group % classes, base = {&b, outer[1]};
    return loop(zero, most, outer, [&](Scalar, ValueRange state) {
      Array chosen = array(b, state[0]);
      Scalar made = {&b, state[1]};
      Scalar best = fold(zero, count, index(b, -1), [&](Scalar i, Scalar best) {
        Scalar score = scores({batch, label, i}), bestScore = scores({batch, label, maximum(best, zero)});
        Scalar better = (score > least) & ((best < 0) | (score > bestScore));
        return when(
            better,
            [&] {
              Box own = boxAt(boxes, batch, i, centred);
              Scalar blocked = fold(base, made, always(b, false), [&](Scalar k, Scalar any) {
                Scalar other = toIndex(chosen({k, index(b, 2)}));
                return any | equal(other, i) | overlaps(own, boxAt(boxes, batch, other, centred), threshold);
              });
              return select(blocked, best, i);
            },
            [&] { return best; });
      });
      Scalar found = best >= 0;
      // Without one, the row beyond the last is written and not counted.
      Value rows = state[0];
      Scalar row = minimum(made, room - 1);
      Scalar entries[] = {batch, label, best};
      for (int64_t k = 0; k < 3; ++k) {
        Scalar old = array(b, rows)({row, index(b, k)});
        rows = store(rows, {row, index(b, k)}, select(found, convert(entries[k], i64), old));
      }
      return Values{rows, (made + convert(convert(found, i64, true), b.getIndexType())).value};
    });
  });
  Array all = array(b, state[0]);
  return Values{tabulate(b, {{&b, state[1]}, index(b, 3)}, i64, [&](ScalarRef i) { return all(i); })};
}

//===- Det ----------------------------------------------------------------------------------===//
/// Elimination with the greatest pivot of each column, in f64.
llvm::Expected<Values> lowerDet(NodeLowering &n) {
  Builder &b = n.b;
  Array x = array(n, 0);
  if (x.rank() < 2) return refuse("input of rank " + Twine(x.rank()) + ", expected 2 or more");
  Scalars sizes = x.sizes(), batch(sizes.begin(), sizes.end() - 2);
  Scalar size = sizes.back(), zero = index(b, 0), matrices = product(b, batch);
  Type f64 = b.getF64Type();
  Array flat = array(b, reshape(x, {matrices, size, size}));
  Value start = tabulate(b, flat.sizes(), f64, [&](ScalarRef i) { return convert(flat(i), f64); });
  Value results = filled(matrices, constant(b, f64, 1));
  Values state = loop(zero, matrices, {start, results}, [&](Scalar m, ValueRange outer) {
    return loop(zero, size, outer, [&](Scalar column, ValueRange state) {
      Array matrix = array(b, state[0]), found = array(b, state[1]);
      Scalar pivot = fold(column, size, column, [&](Scalar row, Scalar best) {
        return select(abs(matrix({m, row, column})) > abs(matrix({m, best, column})), row, best);
      });
      Scalar value = matrix({m, pivot, column});
      Scalar sign = select(equal(pivot, column), constant(b, f64, 1), constant(b, f64, -1));
      Value dets = store(state[1], m, found(m) * value * sign);
      Value swapped = loop(zero, size, state[0], [&](Scalar k, ValueRange rows) {
        Array own = array(b, rows[0]);
        Scalar top = own({m, column, k}), other = own({m, pivot, k});
        return Values{store(store(rows[0], {m, column, k}, other), {m, pivot, k}, top)};
      })[0];
      Scalar divisor = select(equal(value, 0), constant(b, f64, 1), value);
      Value reduced = loop(column + 1, size, swapped, [&](Scalar row, ValueRange rows) {
        Scalar factor = array(b, rows[0])({m, row, column}) / divisor;
        return loop(column, size, rows, [&](Scalar k, ValueRange inner) {
          Array own = array(b, inner[0]);
          return Values{store(inner[0], {m, row, k}, own({m, row, k}) - factor * own({m, column, k}))};
        });
      })[0];
      return Values{reduced, dets};
    });
  });
  Array dets = array(b, state[1]);
  Value y = tabulate(b, matrices, x.element(), [&](ScalarRef i) { return convert(dets(i), x.element()); });
  return Values{reshape(array(b, y), batch)};
}

constexpr Lowering kRows[] = {
    {"", "Det", lowerDet},
    {"", "NonMaxSuppression", lowerNonMaxSuppression},
    {"", "Unique", lowerUnique},
};
} // namespace

llvm::ArrayRef<Lowering> distinctLowerings() { return kRows; }

} // namespace llmc::graph
