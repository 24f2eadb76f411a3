// Stores k, rotated, and v in the cache.
#include "codegen/portable/KvAppend.h"
#include "codegen/portable/Portable.h"
#include "codegen/portable/Rotation.h"

namespace llmc {
using namespace portable;

void portable::appendHead(KernelBuilder &b, const AttentionDesc &d, CacheAccess &cache, const AppendRow &row, Var head,
                          Var scratch) {
  Var k = row.qkv + (head + d.heads) * (d.headDim * 4), v = k + d.kvHeads * d.headDim * 4;
  Var part = cache.part(row.sequence, row.position / LLMC_PAGE_POSITIONS, head);
  Var slot = row.position % LLMC_PAGE_POSITIONS;
  rotateHead(b, d, k, row.rope, scratch, 1);
  cache.storeKey(part, slot, scratch);
  cache.storeValue(part, slot, v);
}

namespace {

Refusal refuse(const KvAppendDesc &d, const Target &) {
  if (d.rope == RopeStyle::None || (d.ropeDim % 2 == 0 && d.ropeDim <= d.headDim)) return std::nullopt;
  return "found " + std::to_string(d.ropeDim) + " rotated channels, expected an even number up to " +
         std::to_string(d.headDim);
}

double cost(const KvAppendDesc &d, const Target &target) {
  return 16.0 * double(2 * d.kvHeads * d.headDim) / target.bytesPerSecond;
}

llvm::Expected<Code> emit(const KvAppendDesc &d, const Target &target) {
  KernelBuilder b(target);
  CacheAccess cache(d, b);
  Var args = b.args();
  auto field = [&](mlir::Type type, size_t offset) { return b.load(type, args + int64_t(offset)); };
  cache.open(field(b.ptr(), offsetof(llmc_kv_append_args, batch)),
             field(b.i64(), offsetof(llmc_kv_append_args, layer_offset)));
  Var qkv = field(b.ptr(), offsetof(llmc_kv_append_args, qkv));
  Var rope = field(b.ptr(), offsetof(llmc_kv_append_args, rope));
  Var scratch = b.stack(roundUp(d.headDim * 4, kAlign));
  b.loop(field(b.i64(), offsetof(llmc_kv_append_args, begin)), field(b.i64(), offsetof(llmc_kv_append_args, end)), 1,
         [&](Var row) {
           AppendRow at = {qkv + row * d.qkvStride, rope + row * d.ropeStride, cache.sequence(row),
                           cache.position(row)};
           b.loop(0, d.kvHeads, 1, [&](Var head) { appendHead(b, d, cache, at, head, scratch); });
         });
  return b.finish();
}
} // namespace

const Kernel<KvAppendDesc> kPortableKvAppend = {
    .name = "kv_append_any_portable", .anyArch = true, .needs = {}, .refuse = refuse, .cost = cost, .emit = emit};

} // namespace llmc
