// NegativeLogLikelihoodLoss, SoftmaxCrossEntropyLoss.
#include "passes/graph/Axes.h"
#include "passes/graph/Building.h"
#include "passes/graph/Lowerings.h"
#include "passes/graph/Window.h"

using namespace mlir;

namespace llmc::graph {
namespace {

/// Index of the class inserted after the batch.
Scalars withClass(ScalarRef i, Scalar label) {
  Scalars at(i);
  at.insert(at.begin() + 1, label);
  return at;
}

/// The losses of `logProbabilities` [N, C, ...] at the targets (operand 1) with the weights of classes (operand 2).
llvm::Expected<Value> reducedLoss(NodeLowering &n, Array logProbabilities) {
  Builder &b = n.b;
  Array target = array(n, 1);
  Type element = logProbabilities.element(), type = sumType(element);
  bool ignores = n.node.getOnnxAttributes().contains("ignore_index");
  double ignored = n.intAttr("ignore_index", 0);
  StringRef reduction = n.stringAttr("reduction", "mean");
  if (reduction != "mean" && reduction != "sum" && reduction != "none")
    return refuse("reduction: found '" + reduction + "', expected mean, sum or none");
  Scalar zero = constant(b, type, 0), one = constant(b, type, 1);
  auto counts = [&](Scalar label) { return ignores ? !equal(label, ignored) : always(b, true); };
  auto weightAt = [&](ScalarRef i) {
    Scalar label = target(i);
    return when(
        counts(label), [&] { return n.has(2) ? convert(array(n, 2)(toIndex(label)), type) : one; },
        [&] { return zero; });
  };
  Array losses = array(
      b, tabulate(b, target.sizes(), type, [&](ScalarRef i) {
        Scalar label = target(i);
        return when(
            counts(label), [&] { return -convert(logProbabilities(withClass(i, toIndex(label))), type) * weightAt(i); },
            [&] { return zero; });
      }));
  if (reduction == "none")
    return tabulate(b, losses.sizes(), element, [&](ScalarRef i) { return convert(losses(i), element); });
  Scalar sum = foldOver(losses.sizes(), zero, [&](ScalarRef i, Scalar sum) { return sum + losses(i); });
  if (reduction == "mean")
    sum = sum / foldOver(losses.sizes(), zero, [&](ScalarRef i, Scalar sum) { return sum + weightAt(i); });
  return tabulate(b, {}, element, [&](ScalarRef) { return convert(sum, element); });
}

llvm::Expected<Values> lowerLikelihoodLoss(NodeLowering &n) {
  auto loss = reducedLoss(n, array(n, 0));
  if (!loss) return loss.takeError();
  return Values{*loss};
}

/// Over axis 1 of the scores. Result 1: the logarithms of the probabilities.
llvm::Expected<Values> lowerCrossEntropy(NodeLowering &n) {
  Builder &b = n.b;
  Array x = array(n, 0);
  Type type = sumType(x.element());
  Scalars rows = x.sizes();
  rows.erase(rows.begin() + 1);
  auto over = [&](ScalarRef row, Scalar start, llvm::function_ref<Scalar(Scalar sum, Scalar x)> step) {
    return fold(index(b, 0), x.size(1), start,
                [&](Scalar k, Scalar sum) { return step(sum, convert(x(withClass(row, k)), type)); });
  };
  Array greatest =
      array(b, tabulate(b, rows, type, [&](ScalarRef row) { return over(row, lowest(b, type, false), maximum); }));
  Array sums = array(b, tabulate(b, rows, type, [&](ScalarRef row) {
                       return over(row, constant(b, type, 0),
                                   [&](Scalar sum, Scalar value) { return sum + exp(value - greatest(row)); });
                     }));
  Value logs = tabulate(b, x.sizes(), x.element(), [&](ScalarRef i) {
    Scalars row(i);
    row.erase(row.begin() + 1);
    return convert(convert(x(i), type) - greatest(row) - log(sums(row)), x.element());
  });
  auto loss = reducedLoss(n, array(b, logs));
  if (!loss) return loss.takeError();
  return Values{*loss, logs};
}

constexpr Lowering kRows[] = {
    {"", "NegativeLogLikelihoodLoss", lowerLikelihoodLoss},
    {"", "SoftmaxCrossEntropyLoss", lowerCrossEntropy},
};
} // namespace

llvm::ArrayRef<Lowering> lossLowerings() { return kRows; }

} // namespace llmc::graph
