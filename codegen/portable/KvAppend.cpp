// Rotates q in place and k, and stores k and v in the cache.
#include "codegen/portable/Cache.h"
#include "codegen/portable/Portable.h"

namespace llmc {
using namespace portable;

namespace {
class KvAppendEmitter {
public:
  KvAppendEmitter(const KvAppendDesc &desc, KernelBuilder &b)
      : d(desc), b(b), cache(desc, b), rotated(desc.rope == RopeStyle::None ? 0 : desc.ropeDim) {}
  void emit();

private:
  /// Where `count` lanes of a rotated or copied head go.
  using Store = llvm::function_ref<void(Var x, Var column, int64_t valid)>;

  void appendRow(Var row);
  void rotate(Var head, Store store);
  void rotateHalf(Var head, Store store);
  void rotateInterleaved(Var head, Store store);
  void copy(Var head, int64_t from, Store store);

  const KvAppendDesc &d;
  KernelBuilder &b;
  CacheAccess cache;
  const int64_t rotated; // channels
  Var qkv, rope;
  Var cosines, sines; // of the current row
};

void KvAppendEmitter::emit() {
  Var args = b.args();
  auto field = [&](mlir::Type type, size_t offset) { return b.load(type, args + int64_t(offset)); };
  cache.open(field(b.ptr(), offsetof(llmc_kv_append_args, batch)),
             field(b.i64(), offsetof(llmc_kv_append_args, layer_offset)));
  qkv = field(b.ptr(), offsetof(llmc_kv_append_args, qkv));
  rope = field(b.ptr(), offsetof(llmc_kv_append_args, rope));
  b.loop(field(b.i64(), offsetof(llmc_kv_append_args, begin)), field(b.i64(), offsetof(llmc_kv_append_args, end)), 1,
         [&](Var row) { appendRow(row); });
}

void KvAppendEmitter::appendRow(Var row) {
  cosines = rope + row * d.ropeStride;
  sines = cosines + rotated / 2 * 4;
  Var q = qkv + row * d.qkvStride, k = q + d.heads * d.headDim * 4, v = k + d.kvHeads * d.headDim * 4;
  if (rotated)
    b.loop(0, d.heads, 1, [&](Var head) {
      Var at = q + head * (d.headDim * 4);
      rotate(at, [&](Var x, Var column, int64_t valid) { b.storeLanes(x, at + column * 4, valid); });
    });
  Var position = cache.position(row), sequence = cache.sequence(row);
  Var page = position / LLMC_PAGE_POSITIONS, slot = position % LLMC_PAGE_POSITIONS;
  b.loop(0, d.kvHeads, 1, [&](Var head) {
    Var key = cache.keys(sequence, page, head) + slot * cache.rowBytes();
    Var value = cache.values(sequence, page, head) + slot * cache.rowBytes();
    auto toKey = [&](Var x, Var column, int64_t valid) { cache.store(x, key, column, valid); };
    rotate(k + head * (d.headDim * 4), toKey);
    copy(k + head * (d.headDim * 4), rotated, toKey);
    copy(v + head * (d.headDim * 4), 0,
         [&](Var x, Var column, int64_t valid) { cache.store(x, value, column, valid); });
  });
}

void KvAppendEmitter::rotate(Var head, Store store) {
  if (d.rope == RopeStyle::Half) rotateHalf(head, store);
  if (d.rope == RopeStyle::Interleaved) rotateInterleaved(head, store);
}

void KvAppendEmitter::rotateHalf(Var head, Store store) {
  b.columns(rotated / 2, [&](Var i, int64_t valid) {
    auto lanes = [&](Var from) { return b.loadLanes(b.f32(), from + i * 4, valid); };
    Var x = lanes(head), y = lanes(head + rotated / 2 * 4), cosine = lanes(cosines), sine = lanes(sines);
    store(x * cosine - y * sine, i, valid);
    store(y * cosine + x * sine, i + rotated / 2, valid);
  });
}

void KvAppendEmitter::rotateInterleaved(Var head, Store store) {
  b.columns(rotated / 2, [&](Var i, int64_t valid) {
    Var pairs = b.loadLanes(b.f32(), head + i * 8, 2 * valid, 2 * kLanes);
    Var x = b.every(pairs, 0, 2), y = b.every(pairs, 1, 2);
    Var cosine = b.loadLanes(b.f32(), cosines + i * 4, valid), sine = b.loadLanes(b.f32(), sines + i * 4, valid);
    store(b.interleave(x * cosine - y * sine, y * cosine + x * sine), i * 2, 2 * valid);
  });
}

/// Channels from..headDim as they are.
void KvAppendEmitter::copy(Var head, int64_t from, Store store) {
  b.columns(d.headDim - from, [&](Var column, int64_t valid) {
    Var channel = column + from;
    store(b.loadLanes(b.f32(), head + channel * 4, valid), channel, valid);
  });
}

Refusal refuse(const KvAppendDesc &d, const Target &) {
  if (d.rope == RopeStyle::None || (d.ropeDim % 2 == 0 && d.ropeDim <= d.headDim)) return std::nullopt;
  return "found " + std::to_string(d.ropeDim) + " rotated channels, expected an even number up to " +
         std::to_string(d.headDim);
}

double cost(const KvAppendDesc &d, const Target &target) {
  return 8.0 * double((d.heads + 2 * d.kvHeads) * d.headDim) / target.bytesPerSecond;
}

llvm::Expected<Code> emit(const KvAppendDesc &desc, const Target &target) {
  KernelBuilder b(target);
  KvAppendEmitter(desc, b).emit();
  return b.finish();
}
} // namespace

const Kernel<KvAppendDesc> kPortableKvAppend = {
    .name = "kv_append_any_portable", .anyArch = true, .needs = {}, .refuse = refuse, .cost = cost, .emit = emit};

} // namespace llmc
