#include "codegen/portable/Weight.h"
#include "codegen/portable/Numeric.h"

namespace llmc::portable {

LineLayout lineLayout(WeightKind kind) {
  switch (kind) {
  case WeightKind::I4: return {8, 4 * 64};
  case WeightKind::I8: return {4, 4 * 64};
  case WeightKind::F16:
  case WeightKind::BF16: return {2, 4 * 64};
  case WeightKind::F32: return {1, 4 * 64};
  }
  return {};
}

Var element(KernelBuilder &b, WeightKind kind, Var dwords, int64_t j) {
  auto shifted = [&](int64_t bits) { return bits ? dwords >> bits : dwords; };
  switch (kind) {
  case WeightKind::I4: return b.toFloat(shifted(8 * (j % 4) + 4 * (j / 4)) & 15);
  case WeightKind::I8: return b.toFloat(j == 3 ? shifted(24) : shifted(8 * j) & 255);
  case WeightKind::F16: return fromF16(b, b.truncate(shifted(16 * j), b.i16()));
  case WeightKind::BF16: return b.asFloat(j ? dwords & int64_t(-65536) : dwords << 16);
  case WeightKind::F32: return b.asFloat(dwords);
  }
  return {};
}

int64_t scaleElementBytes(ScaleType type) { return type == ScaleType::F32 ? 4 : 2; }

Var loadScales(KernelBuilder &b, ScaleType type, Var pointer, int64_t lanes) {
  switch (type) {
  case ScaleType::F16: return fromF16(b, b.load(b.lanes(b.i16(), lanes), pointer));
  case ScaleType::BF16: return fromBf16(b, b.load(b.lanes(b.i16(), lanes), pointer));
  case ScaleType::F32: return b.load(b.lanes(b.f32(), lanes), pointer);
  }
  return {};
}

Var loadZeroPoints(KernelBuilder &b, Var pointer, int64_t lanes) {
  return b.toFloat(b.zeroExtend(b.load(b.lanes(b.i8(), lanes), pointer), b.i32()));
}

Var loadMinima(KernelBuilder &b, Offset offset, Var pointer, int64_t lanes) {
  return loadScales(b, offset == Offset::MinF16 ? ScaleType::F16 : ScaleType::F32, pointer, lanes);
}

int64_t offsetElementBytes(Offset offset) {
  switch (offset) {
  case Offset::None: return 0;
  case Offset::ZeroPoint: return 1;
  case Offset::MinF16: return 2;
  case Offset::MinF32: return 4;
  }
  return 0;
}

Refusal refuseFormat(const WeightFormat &format) {
  if (format.isInteger() && (format.group < 16 || format.group % 16))
    return "found group size " + std::to_string(format.group) + ", expected a multiple of 16";
  return std::nullopt;
}

} // namespace llmc::portable
