// Functions of f32 lanes in terms of KernelBuilder, the same on every target.
#pragma once
#include "codegen/portable/KernelBuilder.h"

namespace llmc::portable {

/// The f32 of the f16 in 16-bit integer lanes: exact, infinities and NaN included.
Var fromF16(KernelBuilder &b, Var bits);
/// The f16 of f32 lanes as 16-bit integers, to nearest even; too large becomes infinity.
Var toF16(KernelBuilder &b, Var x);
/// The f32 of the bf16 in 16-bit integer lanes: exact.
Var fromBf16(KernelBuilder &b, Var bits);
/// The bf16 of f32, to nearest even, as 16-bit integers; denormals as all other numbers.
Var toBf16(KernelBuilder &b, Var x);
/// The same, but a denormal becomes the zero of its sign (as vcvtneps2bf16): elements of activation rows.
Var toBf16Row(KernelBuilder &b, Var x);

/// e^x, relative error below 2e-7 for x in [-87.3, 88.3]; 0 below, at 88.3 above, NaN for NaN.
Var exp(KernelBuilder &b, Var x);
/// The error function, within 2 units in the last place.
Var erf(KernelBuilder &b, Var x);
/// activation(x) of README.md in codegen/kernels/rowwise.
Var activate(KernelBuilder &b, Activation activation, Var x);

} // namespace llmc::portable
