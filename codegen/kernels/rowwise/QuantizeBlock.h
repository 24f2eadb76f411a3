// One block of a Q8 row (layout: codegen/Descriptor.h) from f32: for rowwise kernels and the epilogues of matmuls.
#pragma once
#include "codegen/kernels/rowwise/Lanes.h"

namespace llmc {

/// Addresses of a block's parts. halfSums: of blocks of 32 only.
struct Q8BlockPlace {
  Xbyak::RegExp codes, scale, sum, halfSums;
};

/// Vectors 0.. hold a block of 32 or 64 columns (the last ones 0 where the row ends): writes codes, scale and sums.
/// Clobbers all vectors up to 13, of a block of 32 up to 9.
void quantizeBlock(Lanes &v, int64_t block, const Q8BlockPlace &to);
/// The same of the `columns` floats at `from`, a multiple of 32, of a block of more than that; codes of further columns
/// are not written. Clobbers vectors up to 9.
void quantizeStored(Lanes &v, int64_t columns, const Xbyak::RegExp &from, const Q8BlockPlace &to);

/// Zeroes what a Q8 row has behind its columns: codes from column `from` on, a multiple of 32, and scales and sums of
/// the blocks that begin there or later. `row` is the row's first byte. Clobbers vector 0.
void padQ8Row(Lanes &v, int64_t columns, int64_t block, int64_t from, const Xbyak::RegExp &row);

} // namespace llmc
