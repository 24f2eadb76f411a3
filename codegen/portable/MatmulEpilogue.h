// From the sums of a panel to rows of y in the portable matmul (codegen/kernels/matmul/Epilogue.h says what there is).
#pragma once
#include "codegen/portable/KernelBuilder.h"

namespace llmc::portable {

/// One row of one panel: `sums` are 64 f32, `bias` the bias of column 0, `y` the row of y, `panel` the panel's number.
void finishPanel(KernelBuilder &b, const MatmulDesc &desc, Var sums, Var bias, Var y, Var panel);

} // namespace llmc::portable
