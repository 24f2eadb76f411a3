// The rowwise ops that have a file of their own.
#pragma once
#include "codegen/portable/KernelBuilder.h"

namespace llmc::portable {

/// One row of a rowwise kernel.
struct RowwiseRow {
  Var index;     // of the row
  Var batch;     // struct llmc_batch
  Var firstX, x; // row 0 and this row of x
  Var w;         // as in the arguments
  Var y;         // this row
};

/// y[c] = scale * table[token, c].
void embedRow(const RowwiseDesc &d, KernelBuilder &b, const RowwiseRow &row);
/// y[i] = scale * cos(position * f[i]), y[C/2 + i] = scale * sin(position * f[i]).
void ropeTableRow(const RowwiseDesc &d, KernelBuilder &b, const RowwiseRow &row);

} // namespace llmc::portable
