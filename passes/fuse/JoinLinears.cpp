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
Value concat(PatternRewriter &rewriter, Location loc, SmallVector<Value> parts) {
  auto first = cast<RankedTensorType>(parts[0].getType());
  SmallVector<int64_t> shape(first.getShape());
  shape[0] = 0;
  for (Value part : parts) shape[0] += cast<RankedTensorType>(part.getType()).getDimSize(0);
  return wq::ConcatOp::create(rewriter, loc, first.clone(shape), parts);
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

Value joinLinears(PatternRewriter &rewriter, Location loc, ValueRange parts) {
  SmallVector<Value> weights, biases;
  int64_t columns = 0;
  for (Value part : parts) {
    auto linear = part.getDefiningOp<wq::LinearOp>();
    weights.push_back(linear.getW());
    if (linear.getBias()) biases.push_back(linear.getBias());
    columns += cast<RankedTensorType>(linear.getType()).getDimSize(1);
  }
  auto first = parts[0].getDefiningOp<wq::LinearOp>();
  auto type = RankedTensorType::get({ShapedType::kDynamic, columns}, rewriter.getF32Type());
  Value bias = biases.empty() ? Value() : concat(rewriter, loc, biases);
  return wq::LinearOp::create(rewriter, loc, type, first.getX(), concat(rewriter, loc, weights), bias, Value());
}

} // namespace llmc
