// The second operand of a product as a weight [N, K], in all the forms that exporters and quantisers store one.
#pragma once
#include "passes/raise/Match.h"

namespace llmc::raise {

/// Of a value [K, N] (or [N, K] if `transposed`): a float initialiser, DequantizeLinear of one, under Transpose and
/// casts; or why there is none in `reason`.
std::optional<WeightSpec> linearWeight(llm::OnnxNodeOp node, mlir::Value w, bool transposed, std::string &reason);
/// Of com.microsoft MatMulNBits.
std::optional<WeightSpec> nBitsWeight(llm::OnnxNodeOp node, std::string &reason);

/// The node's name in the file.
std::string nameOf(llm::OnnxNodeOp node);

} // namespace llmc::raise
