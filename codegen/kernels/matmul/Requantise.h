// The scalar meaning of MatmulDesc::requantise: weights as s8 with one scale per column and 512 k.
#pragma once
#include "codegen/kernels/matmul/Pack.h"
#include "llvm/ADT/ArrayRef.h"

namespace llmc {

/// k per scale of requantised weights.
inline constexpr int64_t kRequantiseBlock = 512;

/// Whether `requantise` changes the weights: not those with one scale per column.
inline bool requantises(const MatmulDesc &desc) { return desc.requantise && desc.w.group < kRequantiseBlock; }

/// One column of a block of up to 512 k (each element unpacked, k ascending) to s8 codes and their scale; codes * scale
/// are the weights within `scale` * (1/2 + 1/128). Kernels make the same codes bit by bit: 16-bit fixed point with 8
/// bits behind the point, which a code, a ratio and an offset of the group give. With H = 8 (I4), 128 (I8), s the scale
/// of a group, in f32:
///   offset = 0; (H - zero) * s; fma(H, s, minimum)                                   no zero point; one; a minimum
///   largest = max of fma(H, |s|, |offset|) over the groups, scale = largest / 127, inverse = 127 / largest
///   ratio = round(256 H * (s * inverse)), added = round(256 * (offset * inverse)) + 128             to nearest even
///   code' = saturate16(mulhrs(2^15 / H * (code - H), ratio) + added) >> 8
/// mulhrs is vpmulhrsw: (a * b + 2^14) >> 15. Where 127 / largest is not finite, scale and codes are 0.
/// Returns the scale.
float requantise(const WeightFormat &f, llvm::ArrayRef<PackedElement> block, int8_t *codes);

} // namespace llmc
