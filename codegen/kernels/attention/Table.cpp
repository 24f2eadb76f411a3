#include "codegen/kernels/attention/Emitters.h"
#include "codegen/portable/Portable.h"
#include "llmc_kernel.h"
#include <algorithm>

namespace llmc {
namespace {

// ---- refusals

Refusal outside(const char *what, int64_t found, int64_t least, int64_t most) {
  if (found >= least && found <= most) return std::nullopt;
  return std::string(what) + ": found " + std::to_string(found) + ", expected " + std::to_string(least) + ".." +
         std::to_string(most);
}

constexpr const char *kKvNames[] = {"f32", "f16", "bf16", "int8"};

/// A row serves some types of the cache.
template <KvType... types> Refusal refuseType(const AttentionDesc &d) {
  if (((d.kv == types) || ...)) return std::nullopt;
  std::string names;
  ((names += (names.empty() ? "" : " or ") + std::string(kKvNames[unsigned(types)])), ...);
  return "cache type: found " + std::string(kKvNames[unsigned(d.kv)]) + ", expected " + names;
}

template <KvType... types> Refusal refuseAttend(const AttentionDesc &d, const Target &target) {
  if (Refusal reason = refuseType<types...>(d)) return reason;
  return refuseAttention(d, target);
}

/// bf16 products are for steps that may round to it.
template <KvType type> Refusal refusePairs(const AttentionDesc &d, const Target &target) {
  if (Refusal reason = refuseAttend<type>(d, target)) return reason;
  if (!d.bf16) return "products: found f32 (the compute mode does not round as far), expected bf16";
  if (type == KvType::F16) return outside("headDim", d.headDim, 8, 256); // a page's part is on the stack
  return std::nullopt;
}

// ---- costs

// Relative cost of the ISAs: wider is taken where there is a choice.
constexpr int64_t kRunRows = 8; // that share a page, at least, where there are enough
constexpr double kFactor512 = 1.0, kFactor256 = 1.1;

/// One row: k and v are read, the cache written.
template <bool avx512> double appendCost(const KvAppendDesc &d, const Target &target) {
  double bytes = 8.0 * double(2 * d.kvHeads * d.headDim);
  return (avx512 ? kFactor512 : kFactor256) * bytes / target.bytesPerSecond;
}

/// One page for one row: keys and values are read; two multiply-adds for each (head, position, channel), of which
/// `perFma` are done in the time of one in f32.
double attendCost(const AttentionDesc &d, const Target &target, double factor, double perFma) {
  double read = double(d.kvLayerBytes()) / target.bytesPerSecond;
  double products = 2 * double(d.heads) * double(kPagePositions * d.headDim);
  return factor * (read + products / (perFma * target.fmaPerSecond));
}
double cost256(const AttentionDesc &d, const Target &t) { return attendCost(d, t, kFactor256, 1); }
double cost512(const AttentionDesc &d, const Target &t) { return attendCost(d, t, kFactor512, 1); }
double costPairs(const AttentionDesc &d, const Target &t) { return attendCost(d, t, kFactor512, 2); }
/// A page is converted once for the rows of a run: 7 operations for 32 elements, in vectors of 16 as multiply-adds are.
double costConverted(const AttentionDesc &d, const Target &t) {
  double vectors = 7.0 / 32 * double(2 * d.kvHeads * kPagePositions * d.headDim);
  return costPairs(d, t) + vectors * 16 / t.fmaPerSecond / double(std::min<int64_t>(d.minRows, kRunRows));
}

// ---- emission

template <bool avx512> llvm::Expected<Code> emitAppend(const KvAppendDesc &d, const Target &) {
  return emitKvAppend(d, avx512);
}
template <bool avx512, bool bf16, bool vnni> llvm::Expected<Code> emitAttend(const AttentionDesc &d, const Target &) {
  return emitAttention(d, {avx512, bf16, vnni});
}

constexpr Features kBf16 = kAvx512 | Features{Feature::Avx512bf16};

} // namespace

Refusal refuseShape(const AttentionDesc &d) {
  if (Refusal reason = outside("kvHeads", d.kvHeads, 1, 1024)) return reason;
  if (d.heads < 1 || d.heads % d.kvHeads)
    return "heads: found " + std::to_string(d.heads) + ", expected a multiple of kvHeads (" +
           std::to_string(d.kvHeads) + ")";
  if (d.headDim < 8 || d.headDim % 8)
    return "headDim: found " + std::to_string(d.headDim) + ", expected a multiple of 8";
  constexpr int64_t kMaxHeadDim = 576; // a head is unrolled in places
  if (Refusal reason = outside("headDim", d.headDim, 8, kMaxHeadDim)) return reason;
  if (d.rope != RopeStyle::None && (d.ropeDim < 2 || d.ropeDim % 2 || d.ropeDim > d.headDim))
    return "ropeDim: found " + std::to_string(d.ropeDim) + ", expected an even number, 2.." + std::to_string(d.headDim);
  if (Refusal reason = outside("pageBytes", d.pageBytes, d.kvLayerBytes(), INT32_MAX)) return reason;
  return outside("qkvStride", d.qkvStride, (d.heads + 2 * d.kvHeads) * d.headDim * 4, INT32_MAX);
}

Refusal refuseAttention(const AttentionDesc &d, const Target &) {
  constexpr int64_t kMaxGroup = 128; // a group's states are on the stack
  if (Refusal reason = refuseShape(d)) return reason;
  if (Refusal reason = outside("heads per kv head", d.heads / d.kvHeads, 1, kMaxGroup)) return reason;
  if (Refusal reason = outside("window", d.window, 0, 1 << 30)) return reason;
  const bool q8 = d.out == RowFormat::Q8;
  if (q8 && d.headDim % kActivationBlock)
    return "headDim: found " + std::to_string(d.headDim) + ", expected a multiple of 32 for q8 rows";
  return outside("yStride", d.yStride, q8 ? q8RowBytes(d.heads * d.headDim) : d.heads * d.headDim * 4, INT32_MAX);
}

template <> llvm::ArrayRef<Kernel<KvAppendDesc>> kernelTable<KvAppendDesc>() {
  static const Kernel<KvAppendDesc> table[] = {
      {"kv_append_avx512", Arch::X86_64, false, kAvx512, refuseKvAppend, appendCost<true>, emitAppend<true>},
      {"kv_append_avx2", Arch::X86_64, false, kAvx2, refuseKvAppend, appendCost<false>, emitAppend<false>},
      kPortableKvAppend,
  };
  return table;
}

template <> llvm::ArrayRef<Kernel<AttentionDesc>> kernelTable<AttentionDesc>() {
  using enum KvType;
  static const Kernel<AttentionDesc> table[] = {
      {"attention_bf16_avx512bf16", Arch::X86_64, false, kBf16, refusePairs<BF16>, costPairs,
       emitAttend<true, true, false>},
      {"attention_f16_avx512bf16", Arch::X86_64, false, kBf16, refusePairs<F16>, costConverted,
       emitAttend<true, true, false>},
      {"attention_int8_avx512vnni", Arch::X86_64, false, kAvx512Vnni, refuseAttend<I8>, costPairs,
       emitAttend<true, false, true>},
      {"attention_f32_avx512", Arch::X86_64, false, kAvx512, refuseAttend<F32, F16, BF16>, cost512,
       emitAttend<true, false, false>},
      {"attention_int8_avx512", Arch::X86_64, false, kAvx512, refuseAttend<I8>, cost512,
       emitAttend<true, false, false>},
      {"attention_f32_avx2", Arch::X86_64, false, kAvx2, refuseAttend<F32, F16, BF16>, cost256,
       emitAttend<false, false, false>},
      {"attention_int8_avx2", Arch::X86_64, false, kAvx2, refuseAttend<I8>, cost256, emitAttend<false, false, false>},
      kPortableAttention,
  };
  return table;
}

} // namespace llmc
