#include "codegen/kernels/attention/Emitters.h"
#include "codegen/portable/Portable.h"
#include "llmc_kernel.h"

namespace llmc {
namespace {

template <bool avx512> llvm::Expected<Code> emitAppend(const KvAppendDesc &d, const Target &) {
  return emitKvAppend(d, avx512);
}
template <bool avx512> llvm::Expected<Code> emitAttend(const AttentionDesc &d, const Target &) {
  return emitAttention(d, avx512);
}

// Relative cost of the ISAs: wider is taken where there is a choice.
constexpr double kFactor512 = 1.0, kFactor256 = 1.1;

/// One row: q, k and v are read, q and the cache written.
template <bool avx512> double appendCost(const KvAppendDesc &d, const Target &target) {
  double bytes = 4.0 * double((d.heads + 2 * d.kvHeads) * d.headDim);
  return (avx512 ? kFactor512 : kFactor256) * bytes / target.bytesPerSecond;
}

/// One page for a block of rows: keys and values are read once; two multiply-adds for each (row, head, position,
/// channel).
template <bool avx512> double attendCost(const AttentionDesc &d, const Target &target) {
  double cells = double(LLMC_PAGE_POSITIONS * d.headDim);
  double read = 2 * double(d.kvHeads) * cells * (d.kv == KvType::F32 ? 4 : 2) / target.bytesPerSecond;
  double arithmetic = 2 * double(d.heads * d.rowBlock) * cells / target.fmaPerSecond;
  // Wider arithmetic only where the target's rate has it; memory is the same for both.
  return (avx512 ? kFactor512 : kFactor256) * (read + arithmetic) / double(d.rowBlock);
}

} // namespace

template <> llvm::ArrayRef<Kernel<KvAppendDesc>> kernelTable<KvAppendDesc>() {
  static const Kernel<KvAppendDesc> table[] = {
      {"kv_append_avx512", Arch::X86_64, false, kAvx512, refuseKvAppend, appendCost<true>, emitAppend<true>},
      {"kv_append_avx2", Arch::X86_64, false, kAvx2, refuseKvAppend, appendCost<false>, emitAppend<false>},
      kPortableKvAppend,
  };
  return table;
}

template <> llvm::ArrayRef<Kernel<AttentionDesc>> kernelTable<AttentionDesc>() {
  static const Kernel<AttentionDesc> table[] = {
      {"attention_f32_avx512", Arch::X86_64, false, kAvx512, refuseAttention, attendCost<true>, emitAttend<true>},
      {"attention_f32_avx2", Arch::X86_64, false, kAvx2, refuseAttention, attendCost<false>, emitAttend<false>},
      kPortableAttention,
  };
  return table;
}

} // namespace llmc
