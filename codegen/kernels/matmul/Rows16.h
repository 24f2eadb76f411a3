// The scalar meaning of rows of 16-bit elements (codegen/Descriptor.h has the layout).
#pragma once
#include "codegen/Descriptor.h"

namespace llmc {

/// Where element k of a row is, in elements: `order` is the kind of the consumer's weights.
int64_t positionInRow16(WeightKind order, int64_t k);

/// To nearest even; too large gives infinity, a NaN a quiet NaN, a denormal the zero of its sign (as vcvtneps2bf16).
uint16_t f32ToBf16Row(float x);

/// x[0..k) to a row of rowBytes of that format, padding written as 0. F16 as vcvtps2ph rounds (denormals are kept).
/// Pair: bf16(x), then bf16(x - bf16(x)); |x| rounds to a finite bf16.
void toBf16Row(const float *x, int64_t k, WeightKind order, void *out);
void toBf16PairRow(const float *x, int64_t k, WeightKind order, void *out);
void toF16Row(const float *x, int64_t k, WeightKind order, void *out);
/// The one of these that `format` says.
void toRow16(RowFormat format, const float *x, int64_t k, void *out);

/// Element k of such a row; of a pair the sum of both.
float fromRow16(RowFormat format, const void *row, int64_t columns, int64_t k);

} // namespace llmc
