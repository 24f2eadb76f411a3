// The axes that a Reduce node goes over: from an attribute, a constant, or an operand that only the run knows.
#pragma once
#include "passes/graph/Scalar.h"

namespace llmc::graph {

/// The elements that make one element of the result: from <= i < to.
struct Group {
  Scalars from, to;
  Scalar count;
  Scalar fold(Scalar start, llvm::function_ref<Scalar(ScalarRef i, Scalar sum)> body) const;
};

/// The group of element `i`, over axes that are known.
Group groupOver(Array x, llvm::ArrayRef<int64_t> axes, ScalarRef i);

class ReducedAxes {
public:
  /// Of operand 0: the attribute `axes` or operand 1; none means all, or nothing with `noop_with_empty_axes`.
  static llvm::Expected<ReducedAxes> of(NodeLowering &n);
  /// Sizes of the result with keepdims, and without: how many axes there are must be known for that.
  Scalars keptSizes(Array x) const;
  llvm::Expected<Scalars> droppedSizes(Array x) const;
  /// The group of the element `i` of the result with keepdims.
  Group group(Array x, ScalarRef i) const;

private:
  Scalars reduced; // i1, for each axis
  std::optional<int64_t> count;
};

/// Whether each of `rank` axes is in a list that only the run knows, an operand of rank 1: i1.
Scalars listedAxes(NodeLowering &n, unsigned operand, int64_t rank);

/// Sizes before, of and after an axis that may be known only at run time: x as [outer, extent, inner].
struct AxisSplit {
  Scalar outer, extent, inner;
};
/// `axis` as index, 0 or more.
AxisSplit splitAt(Array x, Scalar axis);
/// An axis of `rank` axes from an integer operand of one element, negative from the end; not checked.
Scalar axisOperand(NodeLowering &n, unsigned operand, int64_t rank);

} // namespace llmc::graph
