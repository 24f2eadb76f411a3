// Matrix products of any batch, with operands that are computed as they are read.
#pragma once
#include "passes/graph/Scalar.h"

namespace llmc::graph {

/// An element of an operand: `at` is the batch index and then its row and column.
using ElementAt = llvm::function_ref<Scalar(ScalarRef batch, Scalar row, Scalar column)>;

struct ProductSizes {
  Scalars batch;
  Scalar m, k, n;
};
/// z[batch, m, n] = sum_k x(batch, m, k) * y(batch, k, n), in `type`, which both give. The loop over n is innermost.
mlir::Value multiply(Builder &b, const ProductSizes &sizes, mlir::Type type, ElementAt x, ElementAt y);

/// numpy's matmul: vectors become matrices, batches broadcast.
struct MatmulShape {
  Array x, y; // of rank 2 at least
  ProductSizes sizes;
  Scalars result; // without the axes that vectors got
  static MatmulShape of(Array x, Array y);
  /// The element of x (y) at a batch index of the result.
  Scalar xAt(ScalarRef batch, Scalar row, Scalar column) const;
  Scalar yAt(ScalarRef batch, Scalar row, Scalar column) const;
};
/// The operand's element for matmul's operand: scalar, for each row (x) or column (y), or of the operand's shape with
/// 1s.
mlir::Value matmul(Array x, Array y);

} // namespace llmc::graph
