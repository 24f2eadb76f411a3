// The meaning of a matmul kernel: README.md, "Numerics", in plain loops.
#pragma once
#include "codegen/Descriptor.h"
#include "llmc_kernel.h"

namespace llmc {

/// What a kernel of `desc` computes. Kernels agree with it within rounding (they may sum in another order), not bit by
/// bit. desc.n need not be a multiple of 64: all 64 columns of the panels [begin, end) are written.
void referenceMatmul(const MatmulDesc &desc, const llmc_matmul_args *args);

} // namespace llmc
