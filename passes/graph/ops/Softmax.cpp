// Softmax, LogSoftmax, Hardmax. From opset 13 along an axis; before that over all axes from one on.
#include "passes/graph/Axes.h"
#include "passes/graph/Lowerings.h"

using namespace mlir;

namespace llmc::graph {
namespace {

enum class Kind { Soft, LogSoft, Hard };

/// y[o, k, i] of the row x[o, :, i].
template <Kind kind> Value softmaxRows(Array x) {
  Builder &b = *x.b;
  Type type = sumType(x.element());
  Scalars sizes = x.sizes(), rows = {sizes[0], sizes[2]};
  Scalar zero = index(b, 0);
  auto element = [&](ScalarRef row, Scalar k) { return convert(x({row[0], k, row[1]}), type); };
  auto greatest = array(b, tabulate(b, rows, type, [&](ScalarRef row) {
                          return fold(zero, sizes[1], lowest(b, type, false),
                                      [&](Scalar k, Scalar most) { return maximum(most, element(row, k)); });
                        }));
  if (kind == Kind::Hard) {
    auto first = array(b, tabulate(b, rows, b.getIndexType(), [&](ScalarRef row) {
                         return fold(zero, sizes[1], sizes[1], [&](Scalar k, Scalar found) {
                           return select(equal(element(row, k), greatest(row)), minimum(found, k), found);
                         });
                       }));
    return tabulate(b, sizes, x.element(), [&](ScalarRef i) {
      Scalar hit = equal(first({i[0], i[2]}), i[1]);
      return select(hit, constant(b, x.element(), 1), constant(b, x.element(), 0));
    });
  }
  auto sum = array(b, tabulate(b, rows, type, [&](ScalarRef row) {
                     Scalar most = greatest(row);
                     return fold(zero, sizes[1], constant(b, type, 0),
                                 [&](Scalar k, Scalar sum) { return sum + exp(element(row, k) - most); });
                   }));
  return tabulate(b, sizes, x.element(), [&](ScalarRef i) {
    Scalars row = {i[0], i[2]};
    Scalar shifted = element(row, i[1]) - greatest(row);
    return convert(kind == Kind::Soft ? exp(shifted) / sum(row) : shifted - log(sum(row)), x.element());
  });
}

template <Kind kind> llvm::Expected<Values> lowerSoftmax(NodeLowering &n) {
  Array x = array(n, 0);
  bool flattens = n.opset() < 13;
  auto axis = n.axis("axis", flattens ? 1 : -1, x.rank());
  if (!axis) return axis.takeError();
  AxisSplit split = splitAt(x, index(n.b, *axis));
  if (flattens) split = {split.outer, split.extent * split.inner, index(n.b, 1)};
  Array rows = array(n.b, reshape(x, {split.outer, split.extent, split.inner}));
  return Values{reshape(array(n.b, softmaxRows<kind>(rows)), x.sizes())};
}

constexpr Lowering kRows[] = {
    {"", "Hardmax", lowerSoftmax<Kind::Hard>},
    {"", "LogSoftmax", lowerSoftmax<Kind::LogSoft>},
    {"", "Softmax", lowerSoftmax<Kind::Soft>},
};
} // namespace

llvm::ArrayRef<Lowering> softmaxLowerings() { return kRows; }

} // namespace llmc::graph
