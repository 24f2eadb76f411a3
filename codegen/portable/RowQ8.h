// Writing rows of every format (codegen/Descriptor.h) in the portable kernels.
#pragma once
#include "codegen/portable/KernelBuilder.h"

namespace llmc::portable {

/// Writes `columns` values as a row of `format` at `out`: `value(column, valid)` gives the 16 lanes from `column` on,
/// of which those from `valid` on are 0; it is asked once for each, ascending. Padding of a q8 or 16-bit row is written
/// as 0.
void storeRow(KernelBuilder &b, RowFormat format, int64_t columns, Var out,
              llvm::function_ref<Var(Var column, int64_t valid)> value);

/// One block of a q8 row of `columns` columns at `out`: columns [column, column + 16 * values.size()), 32 or more.
/// The largest |x| is found by its bits, which order as integers, so that infinity and NaN arrive in the scale; the
/// codes are 0 then. A largest |x| whose 127/max overflows counts as 0.
void storeQ8Block(KernelBuilder &b, int64_t columns, Var out, Var column, llvm::ArrayRef<Var> values);
/// Zeroes a q8 row to its padded end: codes from column `from` on (a multiple of 16), scales and sums of the blocks
/// that begin there or later.
void padQ8Row(KernelBuilder &b, int64_t columns, int64_t block, int64_t from, Var out);
/// The same for columns [first, first + count) of a row, multiples of 32, if the format is Q8; `first` need not be
/// known. `last`, or null: whether these are the last columns of the row, behind which padding is written.
void storeColumns(KernelBuilder &b, RowFormat format, int64_t columns, Var out, Var first, int64_t count, Var last,
                  llvm::function_ref<Var(Var column, int64_t valid)> value);

} // namespace llmc::portable
