// Where the windows of convolutions and pools are: kernel, strides, dilations, pads and output sizes.
#pragma once
#include "passes/graph/Scalar.h"

namespace llmc::graph {

struct Window {
  Scalars extents; // of the input's spatial axes
  Scalars kernel, begin, end, output;
  llvm::SmallVector<int64_t> strides, dilations;

  /// From the attributes auto_pad, pads, strides, dilations and ceil_mode. The kernel's sizes are given.
  static llvm::Expected<Window> of(NodeLowering &n, ScalarRef extents, ScalarRef kernel);
  /// The input's index on an axis under element `k` of the window at `o`; may be outside.
  Scalar position(unsigned axis, Scalar o, Scalar k) const;
  /// The spatial indices, and whether all are inside.
  struct Place {
    Scalars at;
    Scalar inside;
  };
  Place place(Builder &b, ScalarRef o, ScalarRef k) const;
  unsigned rank() const { return extents.size(); }
};
/// The attribute `kernel_shape`, or a refusal.
llvm::Expected<Scalars> kernelShape(NodeLowering &n, int64_t rank);
/// An attribute of `rank` numbers, all `absent` if it is not there.
llvm::Expected<llvm::SmallVector<int64_t>> numbersOf(NodeLowering &n, llvm::StringRef name, int64_t rank,
                                                     int64_t absent);
/// x >= 0 and x < size.
Scalar within(Scalar x, Scalar size);
Scalar always(Builder &b, bool value);

} // namespace llmc::graph
