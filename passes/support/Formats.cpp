#include "passes/support/Formats.h"

using namespace mlir;

namespace llmc {

// The two enums have the same order; Formats is the only place that relies on it.
static_assert(int(wq::Kind::I4) == int(WeightKind::I4) && int(wq::Kind::F32) == int(WeightKind::F32));
static_assert(int(wq::ScaleType::F32) == int(ScaleType::F32) && int(wq::ScaleType::BF16) == int(ScaleType::BF16));
static_assert(int(wq::Offset::ZeroPoint) == int(Offset::ZeroPoint) && int(wq::Offset::MinF32) == int(Offset::MinF32));

WeightFormat toWeightFormat(wq::SchemeAttr scheme) {
  return {WeightKind(scheme.getKind()), scheme.getGroup(), ScaleType(scheme.getScale()), Offset(scheme.getOffset())};
}

int64_t packedBytes(RankedTensorType type) {
  if (type.getRank() == 1) return roundUp(type.getDimSize(0), kPanel) * 4;
  return toWeightFormat(cast<wq::PackedType>(type.getElementType()).getScheme())
      .bytes(type.getDimSize(0), type.getDimSize(1));
}

RowFormat rowFormat(RankedTensorType rows) {
  return isa<wq::Q8Type>(rows.getElementType()) ? RowFormat::Q8 : RowFormat::F32;
}

} // namespace llmc
