// The K loop of kernels whose activations are Q8 rows: groups, and in them units of one activation block (16 k when the
// group is 16). A unit is one integer dot product and one scale for each (row, column).
#pragma once
#include "codegen/kernels/matmul/Loops.h"

namespace llmc::matmul {

/// One unit to emit: `k` inputs of all 64 columns. Offsets are in bytes.
struct Q8Unit {
  int64_t k;      // a multiple of 32, or 16
  int64_t w;      // codes, from g.w
  int64_t x;      // codes of row 0, from g.xk
  int64_t index;  // activation block, from g.block
  int half;       // 0, 1: which half of that block of 32; -1: all of it
  int64_t scales; // of the group, from g.scales
};

/// Whether the units of the descriptor are those that emitQ8Units emits.
Refusal refuseUnits(const MatmulDesc &desc);

/// Emits the units of a whole K, k ascending, `unroll` units of 32 (or fewer) to a loop iteration. enterGroup(scales)
/// comes before the first unit of a group. Scales are prefetched here, codes are the caller's. Sets up and moves g.w,
/// g.xk, g.block, g.scales; uses g.outer, g.inner.
void emitQ8Units(Assembler &a, const MatmulDesc &desc, int64_t prefetchDistance, int unroll,
                 llvm::function_ref<void(int64_t)> enterGroup, llvm::function_ref<void(const Q8Unit &)> unit);

/// Emits the k of a unit in pieces of 32 (16), in a loop if there are many: piece(p, isFirst), where p is the unit with
/// k, w and x of the piece. Uses g.args.
void emitQ8Pieces(Assembler &a, const WeightFormat &f, const Q8Unit &unit,
                  llvm::function_ref<void(const Q8Unit &)> piece);

/// Scale and sum of the codes of a unit in `row`, for a broadcast.
Xbyak::RegExp q8Scale(const MatmulDesc &desc, const Q8Unit &unit, int row);
Xbyak::RegExp q8Sum(const MatmulDesc &desc, const Q8Unit &unit, int row);

} // namespace llmc::matmul
