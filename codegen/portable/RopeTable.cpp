// Cosines and sines of a row's position, one channel at a time: it runs once a step, not once a layer.
#include "codegen/portable/Rowwise.h"
#include "llmc_kernel.h"

namespace llmc::portable {
namespace {
Var element(KernelBuilder &b, Var batch, size_t field, Var index) {
  return b.signExtend(b.load(b.i32(), b.load(b.ptr(), batch + int64_t(field)) + index * 4), b.i64());
}

/// The stored row of the position, scaled.
void copyRow(const RowwiseDesc &d, KernelBuilder &b, Var table, Var y) {
  b.columns(d.columns, [&](Var column, int64_t valid) {
    b.storeLanes(b.loadLanes(b.f32(), table + column * 4, valid) * double(d.scale), y + column * 4, valid);
  });
}

/// The NTK base for the sequence's length n; only of use if n > ropeMaxPositions.
Var dynamicBase(const RowwiseDesc &d, KernelBuilder &b, Var n) {
  Var stretched = b.toFloat(n) * double(d.ropeFactor) / double(d.ropeMaxPositions) - (double(d.ropeFactor) - 1);
  double exponent = d.columns > 2 ? double(d.columns) / double(d.columns - 2) : 1; // C = 2: f[0] = 1 whatever the base
  return b.pow(stretched, exponent) * double(d.ropeBase);
}
} // namespace

void ropeTableRow(const RowwiseDesc &d, KernelBuilder &b, const RowwiseRow &row) {
  Var position = element(b, row.batch, offsetof(llmc_batch, positions), row.index);
  if (d.rope == RopeKind::Table) return copyRow(d, b, row.w + position * (d.columns * 4), row.y);
  int64_t half = d.columns / 2;
  Var p = b.toFloat(position), base, isLong, scale = b.constant(b.f32(), double(d.scale));
  if (d.rope != RopeKind::Formula) {
    Var sequence = element(b, row.batch, offsetof(llmc_batch, sequences), row.index);
    Var n = element(b, row.batch, offsetof(llmc_batch, lengths), sequence);
    isLong = Var(d.ropeMaxPositions) < n;
    if (d.rope == RopeKind::Dynamic)
      base = dynamicBase(d, b, b.max(n, b.constant(b.i64(), double(d.ropeMaxPositions))));
    else
      scale = b.select(isLong, b.constant(b.f32(), double(d.ropeFactor)), scale);
  }
  b.loop(0, half, 1, [&](Var i) {
    Var frequency = b.load(b.f32(), row.w + i * 4);
    if (d.rope == RopeKind::Long) frequency = b.select(isLong, b.load(b.f32(), row.w + (i + half) * 4), frequency);
    if (d.rope == RopeKind::Dynamic)
      frequency = b.select(isLong, b.pow(base, b.toFloat(i) * -2.0 / double(d.columns)), frequency);
    Var angle = p * frequency;
    b.store(b.cos(angle) * scale, row.y + i * 4);
    b.store(b.sin(angle) * scale, row.y + (i + half) * 4);
  });
}

} // namespace llmc::portable
