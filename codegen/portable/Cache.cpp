#include "codegen/portable/Cache.h"
#include "codegen/portable/Numeric.h"

namespace llmc::portable {

void CacheAccess::open(Var batch, Var layerOffset) {
  positions = b.load(b.ptr(), batch + int64_t(offsetof(llmc_batch, positions)));
  sequences = b.load(b.ptr(), batch + int64_t(offsetof(llmc_batch, sequences)));
  pageTables = b.load(b.ptr(), batch + int64_t(offsetof(llmc_batch, page_tables)));
  pages = b.load(b.ptr(), batch + int64_t(offsetof(llmc_batch, pages))) + layerOffset;
}

Var CacheAccess::keys(Var sequence, Var index, Var kvHead) {
  Var page = i32At(b.load(b.ptr(), pageTables + sequence * 8), index);
  return pages + page * d.pageBytes + kvHead * (LLMC_PAGE_POSITIONS * rowBytes());
}

Var CacheAccess::values(Var sequence, Var index, Var kvHead) {
  return keys(sequence, index, kvHead) + d.kvHeads * LLMC_PAGE_POSITIONS * rowBytes();
}

Var CacheAccess::load(Var slot, Var column, int64_t valid) {
  Var at = slot + column * elementBytes();
  return d.kv == KvType::F32 ? b.loadLanes(b.f32(), at, valid) : fromF16(b, b.loadLanes(b.i16(), at, valid));
}

void CacheAccess::store(Var x, Var slot, Var column, int64_t valid) {
  b.storeLanes(d.kv == KvType::F32 ? x : toF16(b, x), slot + column * elementBytes(), valid);
}

} // namespace llmc::portable
