// Between attributes of our dialects and codegen's plain structs.
#pragma once
#include "codegen/Descriptor.h"
#include "dialects/kernel/Kernel.h"
#include "dialects/wq/Wq.h"

namespace llmc {

WeightFormat toWeightFormat(wq::SchemeAttr scheme);

/// Bytes of a packed matrix or vector in the weights blob.
int64_t packedBytes(mlir::RankedTensorType packedType);

/// How rows of this type are stored in the arena, in steps of few and of many rows (LLMC_FEW_ROWS).
RowFormat toRowFormat(wq::RowFormatAttr attr); // null: f32
RowFormat fewRows(mlir::RankedTensorType rows);
RowFormat manyRows(mlir::RankedTensorType rows);
/// Of a matmul for steps of up to maxRows rows (a class that does not straddle LLMC_FEW_ROWS, or with one format).
RowFormat xFormat(kernel::MatmulAttr attr, int64_t maxRows);
int64_t xStride(kernel::MatmulAttr attr, int64_t maxRows);
RowFormat yFormat(kernel::MatmulAttr attr, int64_t maxRows);
int64_t yStride(kernel::MatmulAttr attr, int64_t maxRows);
/// Bytes per row of a value in the arena. f32 rows hold whole panels: a matmul writes 64 columns at a time.
int64_t strideOf(mlir::RankedTensorType rows);
wq::RowFormatAttr fewOf(mlir::RankedTensorType rows);
wq::RowFormatAttr manyOf(mlir::RankedTensorType rows);
/// Of a packed weight.
wq::SchemeAttr schemeOf(mlir::Value packed);
/// The attribute of a format; null for f32.
wq::RowFormatAttr toAttr(mlir::MLIRContext *context, RowFormat format);

} // namespace llmc
