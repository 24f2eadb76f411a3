#include "passes/fuse/JoinLinears.h"
#include "mlir/IR/AsmState.h"
#include "llvm/ADT/STLExtras.h"

using namespace mlir;

namespace llmc {
namespace {
Type elementOf(Value v) { return cast<RankedTensorType>(v.getType()).getElementType(); }

std::string print(Type type) {
  std::string text;
  llvm::raw_string_ostream(text) << type;
  return text;
}

/// The concatenation of weights or biases of one element type.
Value concat(PatternRewriter &rewriter, Location loc, SmallVector<Value> parts, int64_t interleave) {
  auto first = cast<RankedTensorType>(parts[0].getType());
  SmallVector<int64_t> shape(first.getShape());
  shape[0] = 0;
  for (Value part : parts) shape[0] += cast<RankedTensorType>(part.getType()).getDimSize(0);
  return wq::ConcatOp::create(rewriter, loc, first.clone(shape), parts, interleave);
}
} // namespace

std::string whyNotJoinable(ValueRange parts) {
  wq::LinearOp first;
  for (Value part : parts) {
    auto linear = part.getDefiningOp<wq::LinearOp>();
    if (!linear) return "a part is not a linear";
    if (!linear->hasOneUse()) return "a projection has another use";
    if (linear.getResidual()) return "a projection adds a residual";
    if (!first) first = linear;
    if (linear.getX() != first.getX()) return "the projections read different inputs";
    if (elementOf(linear.getW()) != elementOf(first.getW()))
      return "the weights differ in type: " + print(elementOf(first.getW())) + " and " +
             print(elementOf(linear.getW()));
    if (bool(linear.getBias()) != bool(first.getBias())) return "one projection has a bias and another has none";
  }
  return "";
}

JoinedLinears joinOperands(PatternRewriter &rewriter, Location loc, ValueRange parts, int64_t interleave) {
  SmallVector<Value> weights, biases;
  for (Value part : parts) {
    auto linear = part.getDefiningOp<wq::LinearOp>();
    weights.push_back(linear.getW());
    if (linear.getBias()) biases.push_back(linear.getBias());
  }
  return {parts[0].getDefiningOp<wq::LinearOp>().getX(), concat(rewriter, loc, weights, interleave),
          biases.empty() ? Value() : concat(rewriter, loc, biases, interleave)};
}

Value joinLinears(PatternRewriter &rewriter, Location loc, ValueRange parts) {
  JoinedLinears joined = joinOperands(rewriter, loc, parts, 0);
  int64_t columns = cast<RankedTensorType>(joined.w.getType()).getDimSize(0);
  auto type = RankedTensorType::get({ShapedType::kDynamic, columns}, rewriter.getF32Type());
  return wq::LinearOp::create(rewriter, loc, type, joined.x, joined.w, joined.bias, Value());
}

} // namespace llmc
