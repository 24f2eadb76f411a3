// Normalisation of rows: what LayerNormalization, RMSNormalization and their relatives share.
#pragma once
#include "passes/graph/Scalar.h"

namespace llmc::graph {

struct RowNorm {
  double epsilon;
  bool isCentred;           // LayerNorm; otherwise the root of the mean square
  mlir::Value mean = {};    // [rows], f32 or wider; only of centred rows
  mlir::Value inverse = {}; // [rows], 1 / sqrt(variance + epsilon)

  /// The statistics of rows: [rows, columns].
  static RowNorm of(Array rows, double epsilon, bool isCentred);
  /// The element in the type of the statistics.
  Scalar operator()(Array rows, Scalar row, Scalar column) const;
};
/// x as [product of sizes before `axis`, product of the others].
Array asRows(Array x, int64_t axis);
/// The place of an element among those of `sizes`, in order.
Scalar linearIndex(Builder &b, ScalarRef sizes, ScalarRef i);

} // namespace llmc::graph
