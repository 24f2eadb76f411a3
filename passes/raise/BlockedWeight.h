// Weights of 4- or 8-bit codes with a scale per block, as DequantizeLinear and GatherBlockQuantized have them.
#pragma once
#include "passes/raise/Match.h"

namespace llmc::raise {

/// The operands of such a node; `zeros` is null if there are none.
struct BlockedOperands {
  mlir::Value codes, scales, zeros;
  int64_t block = 0;       // 0: one scale for each of N, a vector
  bool transposed = false; // codes [K, N] in blocks along their first axis; else [N, K]
};

/// The weight [N, K] of `!wq.encoded<onnx_blocks>`, or why there is none in `reason`.
std::optional<WeightSpec> blockedWeight(const BlockedOperands &operands, llvm::StringRef node, std::string &reason);

} // namespace llmc::raise
