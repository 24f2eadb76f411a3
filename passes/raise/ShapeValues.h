// Shapes that a graph computes: which sizes the elements of a small integer tensor are.
#pragma once
#include "passes/raise/Match.h"

namespace llmc::raise {

/// A number, or the size of a value (under casts) along an axis.
struct Size {
  int64_t number = 0; // or the axis
  mlir::Value of;     // null: a number
  bool operator==(const Size &) const = default;
};
using Sizes = llvm::SmallVector<Size, 5>;

/// The shape of a ranked value.
Sizes shapeOf(mlir::Value value);
/// The elements of a vector or number of integers, or nothing if they are not of such a form. Looks through the
/// arithmetic that exporters write: Shape, Gather, Slice, Concat, Mul by constants, the -1 of Expand, views.
std::optional<Sizes> sizesIn(mlir::Value value);
/// The same if all of them are numbers.
std::optional<llvm::SmallVector<int64_t>> numbersIn(mlir::Value value);

} // namespace llmc::raise
