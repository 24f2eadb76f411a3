// Reading packed weights (layouts: codegen/kernels/matmul/README.md) in the portable kernels.
#pragma once
#include "codegen/portable/KernelBuilder.h"

namespace llmc::portable {

/// How the codes of a line are cut out of 64-byte steps: step s of a line holds k = stepK * s ..
struct LineLayout {
  int64_t stepK;     // k in one dword of a line
  int64_t stepBytes; // from step to step: 4 lines of 64 bytes
};
LineLayout lineLayout(WeightKind kind);

/// Element `j` (0 <= j < stepK) of dwords of a line, as f32: codes as they are stored (not centred), floats decoded.
Var element(KernelBuilder &b, WeightKind kind, Var dwords, int64_t j);

/// Lanes of f32 from `type` scales.
Var loadScales(KernelBuilder &b, ScaleType type, Var pointer, int64_t lanes = kLanes);
int64_t scaleElementBytes(ScaleType type);

/// What is subtracted from each code of a symmetric weight.
inline double centre(WeightKind kind) { return kind == WeightKind::I4 ? 8 : 128; }
/// Lanes of zero points as f32.
Var loadZeroPoints(KernelBuilder &b, Var pointer, int64_t lanes = kLanes);
/// Lanes of minima (Offset::MinF16 or MinF32).
Var loadMinima(KernelBuilder &b, Offset offset, Var pointer, int64_t lanes = kLanes);
/// Bytes of one zero point or minimum; 0 if there is none.
int64_t offsetElementBytes(Offset offset);

/// Nothing, or what is wrong with the format's group.
Refusal refuseFormat(const WeightFormat &format);

} // namespace llmc::portable
