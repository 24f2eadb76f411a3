// The optimisers of ai.onnx.preview.training: each tensor's next values from its gradient and moments.
#include "passes/graph/Building.h"
#include "passes/graph/Lowerings.h"
#include "passes/graph/Scalar.h"

using namespace mlir;

namespace llmc::graph {
namespace {

/// Operands: rate, step count, and then `kinds` groups of tensors: values, gradients, moments...; results are the
/// groups without the gradients. `update` gives a tensor's result of each group, element by element.
struct Optimiser {
  NodeLowering &n;
  unsigned kinds;

  llvm::Expected<Values>
  run(llvm::function_ref<Scalar(unsigned result, ScalarRef operands, Scalar rate, Scalar step)> update) const {
    Builder &b = n.b;
    unsigned tensors = (n.operands.size() - 2) / kinds;
    if (n.operands.size() != 2 + tensors * kinds) return refuse("found " + Twine(n.operands.size()) + " operands");
    Scalar rate = toF32({&b, scalarOf(n, 0)}), step = convert({&b, scalarOf(n, 1)}, b.getF32Type());
    Values results;
    for (unsigned result = 0; result + 1 < kinds; ++result)
      for (unsigned t = 0; t < tensors; ++t) {
        Array x = array(n, 2 + t);
        results.push_back(tabulate(b, x.sizes(), x.element(), [&](ScalarRef i) {
          Scalars all;
          for (unsigned kind = 0; kind < kinds; ++kind) all.push_back(toF32(array(n, 2 + kind * tensors + t)(i)));
          return convert(update(result, all, rate, step), x.element());
        }));
      }
    return results;
  }
};

llvm::Expected<Values> lowerAdagrad(NodeLowering &n) {
  double decay = n.floatAttr("decay_factor", 0), epsilon = n.floatAttr("epsilon", 1e-6),
         norm = n.floatAttr("norm_coefficient", 0);
  return Optimiser{n, 3}.run([&](unsigned result, ScalarRef t, Scalar rate, Scalar step) {
    Scalar gradient = t[0] * norm + t[1], squares = t[2] + gradient * gradient;
    Scalar next = t[0] - rate / (step * decay + 1) * gradient / (sqrt(squares) + epsilon);
    return result == 0 ? next : squares;
  });
}

llvm::Expected<Values> lowerMomentum(NodeLowering &n) {
  double alpha = n.floatAttr("alpha", 0), beta = n.floatAttr("beta", 0), norm = n.floatAttr("norm_coefficient", 0);
  bool nesterov = n.stringAttr("mode", "standard") == "nesterov";
  return Optimiser{n, 3}.run([&](unsigned result, ScalarRef t, Scalar rate, Scalar step) {
    Scalar gradient = t[0] * norm + t[1];
    Scalar share = select(step > 0, constantLike(gradient, beta), constantLike(gradient, 1));
    Scalar moment = t[2] * alpha + share * gradient;
    Scalar next = t[0] - rate * (nesterov ? gradient + moment * alpha : moment);
    return result == 0 ? next : moment;
  });
}

llvm::Expected<Values> lowerAdam(NodeLowering &n) {
  double alpha = n.floatAttr("alpha", 0.9), beta = n.floatAttr("beta", 0.999), epsilon = n.floatAttr("epsilon", 1e-6);
  double norm = n.floatAttr("norm_coefficient", 0), after = n.floatAttr("norm_coefficient_post", 0);
  return Optimiser{n, 4}.run([&](unsigned result, ScalarRef t, Scalar rate, Scalar step) {
    Scalar gradient = t[0] * norm + t[1], one = constantLike(gradient, 1);
    Scalar first = t[2] * alpha + gradient * (1 - alpha), second = t[3] * beta + gradient * gradient * (1 - beta);
    Scalar corrected =
        rate * sqrt(one - pow(constantLike(one, beta), step)) / (one - pow(constantLike(one, alpha), step));
    Scalar next = t[0] - select(step > 0, corrected, rate) * (first / (sqrt(second) + epsilon));
    return result == 0 ? next * (1 - after) : result == 1 ? first : second;
  });
}

constexpr Lowering kRows[] = {
    {"ai.onnx.preview.training", "Adagrad", lowerAdagrad},
    {"ai.onnx.preview.training", "Adam", lowerAdam},
    {"ai.onnx.preview.training", "Momentum", lowerMomentum},
};
} // namespace

llvm::ArrayRef<Lowering> trainLowerings() { return kRows; }

} // namespace llmc::graph
