// The rowwise ops that have a file of their own.
#pragma once
#include "codegen/portable/KernelBuilder.h"

namespace llmc::portable {

/// One row of a rowwise kernel, or one of the parts of a row.
struct RowwiseRow {
  Var index;     // of the unit
  Var batch;     // struct llmc_batch
  Var firstX, x; // row 0 and this row of x
  Var w, b;      // as in the arguments
  Var y;         // this row
};

/// y[c] = scale * table[token, c].
void embedRow(const RowwiseDesc &d, KernelBuilder &b, const RowwiseRow &row);
/// y[i] = scale * cos(position * f[i]), y[C/2 + i] = scale * sin(position * f[i]).
void ropeTableRow(const RowwiseDesc &d, KernelBuilder &b, const RowwiseRow &row);

/// The k largest of one part of a row; the k largest of the results of its parts.
void topKPart(const RowwiseDesc &d, KernelBuilder &b, const RowwiseRow &row);
void mergeTopKRow(const RowwiseDesc &d, KernelBuilder &b, const RowwiseRow &row);

} // namespace llmc::portable
