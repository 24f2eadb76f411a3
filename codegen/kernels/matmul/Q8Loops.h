// The K loop of kernels whose activations are Q8 rows: groups, and in them blocks of 32 k (16 when the group is 16).
#pragma once
#include "codegen/kernels/matmul/Loops.h"

namespace llmc::matmul {

/// One block to emit: `k` inputs of all 64 columns. Offsets are in bytes.
struct Q8Block {
  int64_t k;      // 32 or 16
  int64_t w;      // codes, from g.w
  int64_t x;      // codes of row 0, from g.xk
  int64_t index;  // block of 32, from g.block
  int half;       // 0, 1: which half of that block; -1: all of it
  int64_t scales; // of the group, from g.scales
};

/// Emits the blocks of a whole K, k ascending, `unroll` blocks of 32 (or fewer) to a loop iteration. enterGroup(scales)
/// comes before the first block of a group. Scales are prefetched here, codes are the caller's. Sets up and moves g.w,
/// g.xk, g.block, g.scales; uses g.outer, g.inner.
void emitQ8Blocks(Assembler &a, const MatmulDesc &desc, int64_t prefetchDistance, int unroll,
                  llvm::function_ref<void(int64_t)> enterGroup, llvm::function_ref<void(const Q8Block &)> block);

/// Scale and sum of the codes of a block in `row`, for a broadcast.
Xbyak::RegExp q8Scale(const MatmulDesc &desc, const Q8Block &block, int row);
Xbyak::RegExp q8Sum(const MatmulDesc &desc, const Q8Block &block, int row);

} // namespace llmc::matmul
