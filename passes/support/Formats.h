// Between attributes of our dialects and codegen's plain structs.
#pragma once
#include "codegen/Descriptor.h"
#include "dialects/wq/Wq.h"

namespace llmc {

WeightFormat toWeightFormat(wq::SchemeAttr scheme);

/// Bytes of a packed matrix or vector in the weights blob.
int64_t packedBytes(mlir::RankedTensorType packedType);

/// How rows of this type are stored in the arena: f32 or q8.
RowFormat rowFormat(mlir::RankedTensorType rows);

} // namespace llmc
