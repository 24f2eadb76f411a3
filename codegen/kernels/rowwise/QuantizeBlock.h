// One block of a Q8 row (layout: codegen/Descriptor.h) from vectors of f32: for rowwise kernels and the epilogues of
// matmuls.
#pragma once
#include "codegen/kernels/rowwise/Lanes.h"

namespace llmc {

/// Addresses of a block's parts. halfSums: of blocks of 32 only.
struct Q8BlockPlace {
  Xbyak::RegExp codes, scale, sum, halfSums;
};

/// Vectors 0.. hold a block of 32 or 64 columns (the last ones 0 where the row ends): writes codes, scale and sums.
/// Clobbers all vectors up to 14.
void quantizeBlock(Lanes &v, int64_t block, const Q8BlockPlace &to);

/// Zeroes what a Q8 row has behind its columns: from column `from` (a multiple of the block) to the padded end. `row`
/// is the row's first byte. Clobbers vector 0.
void padQ8Row(Lanes &v, int64_t columns, int64_t block, int64_t from, const Xbyak::RegExp &row);

} // namespace llmc
