#include "codegen/portable/Cache.h"
#include "codegen/portable/Numeric.h"
#include <limits>

namespace llmc::portable {

void CacheAccess::open(Var batch, Var layerOffset) {
  positions = b.load(b.ptr(), batch + int64_t(offsetof(llmc_batch, positions)));
  sequences = b.load(b.ptr(), batch + int64_t(offsetof(llmc_batch, sequences)));
  pageTables = b.load(b.ptr(), batch + int64_t(offsetof(llmc_batch, page_tables)));
  pages = b.load(b.ptr(), batch + int64_t(offsetof(llmc_batch, pages))) + layerOffset;
}

Var CacheAccess::part(Var sequence, Var index, Var kvHead) {
  Var page = i32At(b.load(b.ptr(), pageTables + sequence * 8), index);
  return pages + page * d.pageBytes + kvHead * layout.bytes();
}

Var CacheAccess::element(Var dwords, Var index) {
  Var bits = b.truncate(index * (32 / layout.together()), b.i32());
  Var shifted = dwords >> bits;
  if (layout.type == KvType::BF16) return b.asFloat(shifted << 16);
  return b.toFloat(b.signExtend(b.truncate(shifted, b.i8()), b.i32()));
}

Var CacheAccess::keys(Var part, Var channel, int64_t slot) {
  const int64_t e = layout.together(), size = e * layout.elementBytes();
  Var at = part + channel / e * (kPagePositions * size) + slot * size;
  if (layout.type == KvType::F32) return b.load(b.lanes(b.f32()), at);
  if (layout.type == KvType::F16) return fromF16(b, b.load(b.lanes(b.i16()), at));
  return element(b.load(b.lanes(b.i32()), at), channel % e);
}

Var CacheAccess::keyScales(Var part, int64_t slot) {
  return b.load(b.lanes(b.f32()), part + layout.keyScaleOffset(slot));
}

/// KvLayout::valueOffset of what may not be known.
Var CacheAccess::valueAddress(Var part, Var channel, Var slot) {
  const int64_t e = layout.together();
  Var block = channel / 64 * 64, width = b.min(b.constant(b.i64(), double(d.headDim)) - block, 64);
  Var inBlock = (slot / e * width + (channel - block)) * e + slot % e;
  return part + (block * kPagePositions + inBlock) * layout.elementBytes() + layout.valuesOffset();
}

Var CacheAccess::values(Var part, Var channel, int64_t valid, Var slot) {
  const int64_t e = layout.together();
  Var at = valueAddress(part, channel, slot - slot % e);
  if (layout.type == KvType::F32) return b.loadLanes(b.f32(), at, valid);
  if (layout.type == KvType::F16) return fromF16(b, b.loadLanes(b.i16(), at, valid));
  return element(b.loadLanes(b.i32(), at, valid), slot % e);
}

Var CacheAccess::valueScale(Var part, Var slot) {
  if (layout.type != KvType::I8) return b.constant(b.f32(), 1);
  return b.load(b.f32(), part + slot * 4 + layout.valueScaleOffset(0));
}

void CacheAccess::storeKey(Var part, Var slot, Var from) {
  Var factor = storeScale(from, part + slot * 4 + layout.keyScaleOffset(0));
  const int64_t e = layout.together();
  b.loop(0, d.headDim, 1, [&](Var channel) {
    Var element = (channel / e * kPagePositions + slot) * e + channel % e;
    storeElement(b.load(b.f32(), from + channel * 4), part + element * layout.elementBytes(), factor);
  });
}

void CacheAccess::storeValue(Var part, Var slot, Var from) {
  Var factor = storeScale(from, part + slot * 4 + layout.valueScaleOffset(0));
  b.loop(0, d.headDim, 1, [&](Var channel) {
    storeElement(b.load(b.f32(), from + channel * 4), valueAddress(part, channel, slot), factor);
  });
}

/// I8: the scale of the f32 head at `from` to `to`; 127/max|x|, 0 where that is not a positive number. The largest is
/// found by its bits, so that infinity and NaN arrive in the scale.
Var CacheAccess::storeScale(Var from, Var to) {
  if (layout.type != KvType::I8) return b.constant(b.f32(), 1);
  Var none = b.constant(b.lanes(b.i32()), 0);
  Vars most = b.columns(d.headDim, kLanes, {none}, [&](Var column, int64_t valid, Vars largest) {
    return Vars{b.max(b.asInt(b.abs(b.loadLanes(b.f32(), from + column * 4, valid))), largest[0])};
  });
  Var largest = b.asFloat(b.maximum(most[0]));
  Var infinity = b.constant(b.f32(), std::numeric_limits<float>::infinity());
  Var inverse = b.constant(b.f32(), 127) / largest;
  b.store(b.select(inverse == infinity, 0.0, largest / 127.0), to);
  Var usable = (Var(0.0) < inverse) & (inverse < infinity);
  return b.select(usable, inverse, 0.0);
}

void CacheAccess::storeElement(Var x, Var to, Var factor) {
  switch (layout.type) {
  case KvType::F32: return b.store(x, to);
  case KvType::F16: return b.store(toF16(b, x), to);
  case KvType::BF16: return b.store(toBf16(b, x), to);
  case KvType::I8: break;
  }
  Var code = b.select(factor == 0.0, 0.0, b.roundEven(x * factor));
  b.store(b.truncate(b.toInt(code, b.i32()), b.i8()), to);
}

} // namespace llmc::portable
