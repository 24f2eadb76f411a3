#include "passes/graph/Contract.h"
#include "passes/graph/Building.h"

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

llvm::Expected<MatmulShape> MatmulShape::of(NodeLowering &n, Array x, Array y) {
  Builder &b = n.b;
  if (!x.rank() || !y.rank()) return refuse("an operand without dims");
  bool vectorX = x.rank() == 1, vectorY = y.rank() == 1;
  if (vectorX) x.tensor = reshape(x, {index(b, 1), x.size(0)});
  if (vectorY) y.tensor = reshape(y, {y.size(0), index(b, 1)});
  Scalars xs = x.sizes(), ys = y.sizes();
  MatmulShape shape = {x, y, {}, {}};
  shape.sizes.m = xs[xs.size() - 2], shape.sizes.k = xs.back(), shape.sizes.n = ys.back();
  shape.sizes.batch = broadcastSizes(b, ScalarRef(xs).drop_back(2), ScalarRef(ys).drop_back(2));
  Scalar fits = equal(shape.sizes.k, ys[ys.size() - 2]);
  if (!matchPattern(fits.value, m_One())) check(n, fits.value, "the inner sizes differ");
  for (ScalarRef own : {ScalarRef(xs), ScalarRef(ys)})
    checkBroadcast(n, own.drop_back(2), shape.sizes.batch, "the batches do not broadcast");
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

llvm::Expected<Value> matmul(NodeLowering &n, Array x, Array y) {
  Builder &b = n.b;
  auto made = MatmulShape::of(n, x, y);
  if (!made) return made.takeError();
  MatmulShape shape = *made;
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
