// Writing q8 rows (layout: codegen/Descriptor.h) in the portable kernels.
#pragma once
#include "codegen/portable/KernelBuilder.h"

namespace llmc::portable {

/// Writes `columns` values as a row of `format` at `out`: `value(column, valid)` gives the 16 lanes from `column` on,
/// of which those from `valid` on are 0; it is asked once for each, ascending. Padding of a q8 row is written as 0.
void storeRow(KernelBuilder &b, RowFormat format, int64_t columns, Var out,
              llvm::function_ref<Var(Var column, int64_t valid)> value);

/// The same for columns [first, first + count) of a row, multiples of 32, if the format is Q8; `first` need not be
/// known. `last`, or null: whether these are the last columns of the row, behind which padding is written.
void storeColumns(KernelBuilder &b, RowFormat format, int64_t columns, Var out, Var first, int64_t count, Var last,
                  llvm::function_ref<Var(Var column, int64_t valid)> value);

} // namespace llmc::portable
