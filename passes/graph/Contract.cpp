#include "passes/graph/Contract.h"

using namespace mlir;

namespace llmc::graph {

Value multiply(Builder &b, const ProductSizes &sizes, Type type, ElementAt x, ElementAt y) {
  Scalars result = sizes.batch, nest = sizes.batch;
  result.append({sizes.m, sizes.n});
  nest.append({sizes.m, sizes.k});
  return forEach(nest, filled(result, constant(b, type, 0)), [&](ScalarRef i, Value sums) {
    ScalarRef batch = i.drop_back(2);
    Scalar row = i[i.size() - 2], k = i.back(), factor = x(batch, row, k);
    return forEach({sizes.n}, sums, [&](ScalarRef column, Value sums) {
      Scalars at(batch);
      at.append({row, column[0]});
      Scalar sum = array(b, sums)(at);
      return store(sums, at, sum + factor * y(batch, k, column[0]));
    });
  });
}

MatmulShape MatmulShape::of(Array x, Array y) {
  Builder &b = *x.b;
  bool vectorX = x.rank() == 1, vectorY = y.rank() == 1;
  if (vectorX) x.tensor = reshape(x, {index(b, 1), x.size(0)});
  if (vectorY) y.tensor = reshape(y, {y.size(0), index(b, 1)});
  Scalars xs = x.sizes(), ys = y.sizes();
  MatmulShape shape = {x, y, {}, {}};
  shape.sizes.m = xs[xs.size() - 2], shape.sizes.k = xs.back(), shape.sizes.n = ys.back();
  shape.sizes.batch = broadcastSizes(b, ScalarRef(xs).drop_back(2), ScalarRef(ys).drop_back(2));
  shape.result = shape.sizes.batch;
  if (!vectorX) shape.result.push_back(shape.sizes.m);
  if (!vectorY) shape.result.push_back(shape.sizes.n);
  return shape;
}
static Scalar elementAt(Array x, ScalarRef batch, Scalar row, Scalar column) {
  Scalars sizes = x.sizes(), at = broadcastIndices(ScalarRef(sizes).drop_back(2), batch);
  at.append({row, column});
  return x(at);
}
Scalar MatmulShape::xAt(ScalarRef batch, Scalar row, Scalar column) const { return elementAt(x, batch, row, column); }
Scalar MatmulShape::yAt(ScalarRef batch, Scalar row, Scalar column) const { return elementAt(y, batch, row, column); }

Value matmul(Array x, Array y) {
  Builder &b = *x.b;
  MatmulShape shape = MatmulShape::of(x, y);
  Type type = sumType(x.element());
  auto read = [&](Scalar element) { return convert(element, type, x.isUnsigned); };
  Array sums =
      array(b, multiply(
                   b, shape.sizes, type, [&](ScalarRef i, Scalar m, Scalar k) { return read(shape.xAt(i, m, k)); },
                   [&](ScalarRef i, Scalar k, Scalar n) { return read(shape.yAt(i, k, n)); }));
  Value narrow = type == x.element() ? sums.tensor : tabulate(b, sums.sizes(), x.element(), [&](ScalarRef i) {
    return convert(sums(i), x.element());
  });
  return reshape(array(b, narrow), shape.result);
}

} // namespace llmc::graph
