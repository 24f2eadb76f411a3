#include "codegen/portable/Rotation.h"

namespace llmc::portable {

void rotateHead(KernelBuilder &b, const AttentionDesc &d, Var from, Var rope, Var to, double scale) {
  const int64_t rotated = d.rope == RopeStyle::None ? 0 : d.ropeDim, half = rotated / 2;
  auto store = [&](Var x, Var column, int64_t valid) {
    b.storeLanes(scale == 1 ? x : x * scale, to + column * 4, valid);
  };
  if (half)
    b.columns(half, [&](Var i, int64_t valid) {
      Var cosine = b.loadLanes(b.f32(), rope + i * 4, valid), sine = b.loadLanes(b.f32(), rope + (i + half) * 4, valid);
      Var pairs, x, y;
      if (d.rope == RopeStyle::Half) {
        x = b.loadLanes(b.f32(), from + i * 4, valid), y = b.loadLanes(b.f32(), from + (i + half) * 4, valid);
      } else {
        pairs = b.loadLanes(b.f32(), from + i * 8, 2 * valid, 2 * kLanes);
        x = b.every(pairs, 0, 2), y = b.every(pairs, 1, 2);
      }
      Var first = x * cosine - y * sine, second = y * cosine + x * sine;
      if (d.rope == RopeStyle::Half) {
        store(first, i, valid);
        store(second, i + half, valid);
      } else {
        store(b.interleave(first, second), i * 2, 2 * valid);
      }
    });
  b.columns(d.headDim - rotated, [&](Var column, int64_t valid) {
    Var channel = column + rotated;
    store(b.loadLanes(b.f32(), from + channel * 4, valid), channel, valid);
  });
}

} // namespace llmc::portable
