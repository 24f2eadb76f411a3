// Rotary embedding of one head in the portable kernels.
#pragma once
#include "codegen/portable/KernelBuilder.h"

namespace llmc::portable {

/// to[0..headDim) := scale * the f32 head at `from`, whose first ropeDim channels are rotated by the cosines and sines
/// at `rope`; products and sums are rounded one by one. `to` does not overlap `from`.
void rotateHead(KernelBuilder &b, const AttentionDesc &d, Var from, Var rope, Var to, double scale = 1);

} // namespace llmc::portable
