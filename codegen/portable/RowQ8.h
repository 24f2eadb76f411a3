// Writing rows of every format (codegen/Descriptor.h) in the portable kernels.
#pragma once
#include "codegen/portable/KernelBuilder.h"

namespace llmc::portable {

/// Writes `columns` values as a row of `format` at `out`: `value(column, valid)` gives the 16 lanes from `column` on,
/// of which those from `valid` on are 0; it is asked once for each, ascending. Padding of a q8 or 16-bit row is written
/// as 0.
void storeRow(KernelBuilder &b, RowFormat format, int64_t columns, Var out,
              llvm::function_ref<Var(Var column, int64_t valid)> value);

} // namespace llmc::portable
