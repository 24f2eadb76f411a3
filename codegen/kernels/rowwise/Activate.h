// Activation functions of f32 vectors, for GLUs, activations and the epilogues of matmuls.
#pragma once
#include "codegen/kernels/rowwise/Lanes.h"

namespace llmc {

/// Vector i := activation(vector i), i < 8 (formulas: README.md). Clobbers vectors 8 to 11.
void activate(Lanes &v, Activation activation, int i);

} // namespace llmc
