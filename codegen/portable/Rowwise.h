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
  Var scratch;   // moeScratch(d) bytes of the stack
};

/// y[c] = scale * table[token, c].
void embedRow(const RowwiseDesc &d, KernelBuilder &b, const RowwiseRow &row);
/// y[i] = scale * cos(position * f[i]), y[C/2 + i] = scale * sin(position * f[i]).
void ropeTableRow(const RowwiseDesc &d, KernelBuilder &b, const RowwiseRow &row);

/// The steps of a mixture of experts: a row's experts and weights; all rows by expert; a row's copy at a place; a part
/// of a row's weighted sum.
void moeChooseRow(const RowwiseDesc &d, KernelBuilder &b, const RowwiseRow &row);
void moeSortStep(const RowwiseDesc &d, KernelBuilder &b, const RowwiseRow &row);
void moeGatherRow(const RowwiseDesc &d, KernelBuilder &b, const RowwiseRow &row);
void moeScatterPart(const RowwiseDesc &d, KernelBuilder &b, const RowwiseRow &row);
/// Bytes of the stack that these want.
int64_t moeScratch(const RowwiseDesc &d);
Refusal refuseMoe(const RowwiseDesc &d);

} // namespace llmc::portable
