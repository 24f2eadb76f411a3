// A row of the packed embedding table: one column of its panel, so dwords that are 256 bytes apart.
#include "codegen/portable/Rowwise.h"
#include "codegen/portable/Weight.h"
#include "llmc_kernel.h"

namespace llmc::portable {
namespace {
/// The `stepK` elements of one dword as lanes; only the first `valid` are of use.
Var elements(KernelBuilder &b, WeightKind kind, Var pointer) {
  Var dword = b.load(b.i32(), pointer);
  auto lanes = [&](llvm::ArrayRef<int32_t> shifts) {
    return b.broadcast(dword, int64_t(shifts.size())) >> b.constants(shifts);
  };
  switch (kind) {
  case WeightKind::I4: return b.toFloat(lanes({0, 8, 16, 24, 4, 12, 20, 28}) & 15);
  case WeightKind::I8: return b.toFloat(lanes({0, 8, 16, 24}) & 255);
  case WeightKind::F16:
  case WeightKind::BF16: return element(b, kind, lanes({0, 16}) & 0xffff, 0);
  case WeightKind::F32: return b.asFloat(lanes({0}));
  }
  return {};
}

/// Elements k .. of one block: (code - centre) * scale, code * scale + min, or the float itself.
void decodeBlock(const RowwiseDesc &d, KernelBuilder &b, Var block, Var column, Var y, int64_t valid) {
  const WeightFormat &w = d.w;
  LineLayout layout = lineLayout(w.kind);
  Var codes = block + column * 4; // line * 64 + lane * 4
  Var scale, centres, minimum;
  if (w.isInteger()) {
    Var offset = block + (w.codeBytes() + w.scaleBytes()) + column * offsetElementBytes(w.offset);
    auto lane = [&](Var one) { return b.broadcast(b.sum(one), layout.stepK); }; // of a vector of one
    scale = lane(loadScales(b, w.scale, block + w.codeBytes() + column * scaleElementBytes(w.scale), 1));
    if (w.offset == Offset::None) centres = b.constant(b.f32(), centre(w.kind));
    if (w.offset == Offset::ZeroPoint) centres = lane(loadZeroPoints(b, offset, 1));
    if (w.hasMinimum()) minimum = lane(loadMinima(b, w.offset, offset, 1));
  }
  b.columns(valid, layout.stepK, {}, [&](Var k, int64_t inStep, Vars) {
    Var value = elements(b, w.kind, codes + k / layout.stepK * layout.stepBytes);
    if (centres.value) value = value - centres;
    if (scale.value) value = minimum.value ? b.fma(value, scale, minimum) : value * scale;
    b.storeLanes(value * double(d.scale), y + k * 4, inStep);
    return Vars();
  });
}
} // namespace

void embedRow(const RowwiseDesc &d, KernelBuilder &b, const RowwiseRow &row) {
  Var tokens = b.load(
      b.ptr(), row.batch + int64_t(d.byPosition ? offsetof(llmc_batch, positions) : offsetof(llmc_batch, tokens)));
  Var token = b.zeroExtend(b.load(b.i32(), tokens + row.index * 4), b.i64());
  Var panel = row.w + token / kPanel * d.w.panelBytes(d.columns), column = token % kPanel;
  if (!d.w.isInteger()) return decodeBlock(d, b, panel, column, row.y, d.columns);
  b.columns(d.columns, d.w.group, {}, [&](Var k, int64_t valid, Vars) {
    decodeBlock(d, b, panel + k / d.w.group * d.w.blockBytes(), column, row.y + k * 4, valid);
    return Vars();
  });
}

} // namespace llmc::portable
