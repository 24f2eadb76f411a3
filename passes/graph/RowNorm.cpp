#include "passes/graph/RowNorm.h"

using namespace mlir;

namespace llmc::graph {

RowNorm RowNorm::of(Array rows, double epsilon, bool isCentred) {
  Builder &b = *rows.b;
  Type type = sumType(rows.element());
  Scalar columns = rows.size(1), zero = constant(b, type, 0);
  auto meanOf = [&](Scalar row, llvm::function_ref<Scalar(Scalar)> change) {
    Scalar sum = fold(index(b, 0), columns, zero,
                      [&](Scalar k, Scalar sum) { return sum + change(convert(rows({row, k}), type)); });
    return sum / convert(convert(columns, b.getI64Type()), type);
  };
  RowNorm norm = {epsilon, isCentred};
  if (isCentred)
    norm.mean = tabulate(b, rows.size(0), type, [&](ScalarRef i) { return meanOf(i[0], [](Scalar x) { return x; }); });
  norm.inverse = tabulate(b, rows.size(0), type, [&](ScalarRef i) {
    Scalar centre = isCentred ? array(b, norm.mean)(i) : zero;
    Scalar variance = meanOf(i[0], [&](Scalar x) { return (x - centre) * (x - centre); });
    return constant(b, type, 1) / sqrt(variance + epsilon);
  });
  return norm;
}

Scalar RowNorm::operator()(Array rows, Scalar row, Scalar column) const {
  Builder &b = *rows.b;
  Array scale = array(b, inverse);
  Scalar x = convert(rows({row, column}), scale.element());
  return (isCentred ? x - array(b, mean)(row) : x) * scale(row);
}

Array asRows(Array x, int64_t axis) {
  Scalars sizes = x.sizes();
  Scalar rows = product(*x.b, ScalarRef(sizes).take_front(axis)),
         columns = product(*x.b, ScalarRef(sizes).drop_front(axis));
  return array(*x.b, reshape(x, {rows, columns}), x.isUnsigned);
}

Scalar linearIndex(Builder &b, ScalarRef sizes, ScalarRef i) {
  Scalar place = index(b, 0);
  for (auto [size, at] : llvm::zip_equal(sizes, i)) place = place * size + at;
  return place;
}

} // namespace llmc::graph
