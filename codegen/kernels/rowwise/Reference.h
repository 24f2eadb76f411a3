// The meaning of the rowwise ops, in plain scalar f32: what every emitter of the family is tested against.
#pragma once
#include "codegen/Descriptor.h"
#include "llmc_kernel.h"

namespace llmc {

/// Does what a kernel of `desc` does for the rows [args.begin, args.end). Formulas: README.md.
void referenceRowwise(const RowwiseDesc &desc, const llmc_rowwise_args &args);

/// activation(x), computed in double and rounded once: an emitter is measured against the function, not against a
/// second approximation of it.
float referenceActivation(Activation activation, float x);

} // namespace llmc
