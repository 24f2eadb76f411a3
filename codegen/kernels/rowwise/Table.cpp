#include "codegen/kernels/rowwise/Emitters.h"
#include "codegen/kernels/rowwise/Row.h"
#include "codegen/portable/Portable.h"

namespace llmc {
namespace {

// Relative cost of the ISAs: wider is taken where there is a choice.
constexpr double kFactorBf16 = 0.95, kFactor512 = 1.0, kFactor256 = 1.1;

template <RowwiseOp op, bool formats> Refusal refuse(const RowwiseDesc &d, const Target &) {
  return refuseRowwise(d, op, formats);
}
Refusal refuseQuantize(const RowwiseDesc &d, const Target &) {
  if (Refusal reason = refuseRowwise(d, RowwiseOp::Quantize, true)) return reason;
  if (d.out == RowFormat::F32) return std::string("Quantize: found f32 output, expected another format");
  return std::nullopt;
}
/// The rows that convert by AVX512-BF16 serve nothing else.
template <Refusal (*other)(const RowwiseDesc &, const Target &)>
Refusal refuseBf16(const RowwiseDesc &d, const Target &target) {
  if (d.out.kind != RowFormat::Kind::BF16 && d.out.kind != RowFormat::Kind::BF16Pair)
    return "found " + d.out.name() + " output, expected bf16 or bf16pair";
  return other(d, target);
}
double costBf16(const RowwiseDesc &d, const Target &t) { return rowwiseCost(d, t, kFactorBf16); }
double cost512(const RowwiseDesc &d, const Target &t) { return rowwiseCost(d, t, kFactor512); }
double cost256(const RowwiseDesc &d, const Target &t) { return rowwiseCost(d, t, kFactor256); }

template <llvm::Expected<Code> (*emitter)(const RowwiseDesc &, bool), bool avx512>
llvm::Expected<Code> emit(const RowwiseDesc &d, const Target &) {
  return emitter(d, avx512);
}
template <llvm::Expected<Code> (*emitter)(const RowwiseDesc &, bool, bool), bool avx512, bool bf16 = false>
llvm::Expected<Code> emit(const RowwiseDesc &d, const Target &) {
  return emitter(d, avx512, bf16);
}

constexpr auto refuseRmsNorm = refuse<RowwiseOp::RmsNorm, true>, refuseGlu = refuse<RowwiseOp::Glu, true>,
               refuseLayerNorm = refuse<RowwiseOp::LayerNorm, true>, refuseActivate = refuse<RowwiseOp::Activate, true>,
               refuseAdd = refuse<RowwiseOp::Add, false>, refuseGatherRows = refuse<RowwiseOp::GatherRows, false>;

} // namespace

template <> llvm::ArrayRef<Kernel<RowwiseDesc>> kernelTable<RowwiseDesc>() {
  constexpr Arch kX64 = Arch::X86_64;
  constexpr Features kBf16 = kAvx512 | Features{Feature::Avx512bf16};
  // RopeTable needs libm's cosf and sinf: the portable row alone serves it.
  static const Kernel<RowwiseDesc> table[] = {
      {"rowwise_rmsnorm_avx512bf16", kX64, false, kBf16, refuseBf16<refuseRmsNorm>, costBf16,
       emit<emitRmsNorm, true, true>},
      {"rowwise_rmsnorm_avx512", kX64, false, kAvx512, refuseRmsNorm, cost512, emit<emitRmsNorm, true>},
      {"rowwise_rmsnorm_avx2", kX64, false, kAvx2, refuseRmsNorm, cost256, emit<emitRmsNorm, false>},
      {"rowwise_layernorm_avx512bf16", kX64, false, kBf16, refuseBf16<refuseLayerNorm>, costBf16,
       emit<emitLayerNorm, true, true>},
      {"rowwise_layernorm_avx512", kX64, false, kAvx512, refuseLayerNorm, cost512, emit<emitLayerNorm, true>},
      {"rowwise_layernorm_avx2", kX64, false, kAvx2, refuseLayerNorm, cost256, emit<emitLayerNorm, false>},
      {"rowwise_activate_avx512bf16", kX64, false, kBf16, refuseBf16<refuseActivate>, costBf16,
       emit<emitActivate, true, true>},
      {"rowwise_activate_avx512", kX64, false, kAvx512, refuseActivate, cost512, emit<emitActivate, true>},
      {"rowwise_activate_avx2", kX64, false, kAvx2, refuseActivate, cost256, emit<emitActivate, false>},
      {"rowwise_glu_avx512bf16", kX64, false, kBf16, refuseBf16<refuseGlu>, costBf16, emit<emitGlu, true, true>},
      {"rowwise_glu_avx512", kX64, false, kAvx512, refuseGlu, cost512, emit<emitGlu, true>},
      {"rowwise_glu_avx2", kX64, false, kAvx2, refuseGlu, cost256, emit<emitGlu, false>},
      {"rowwise_quantize_avx512bf16", kX64, false, kBf16, refuseBf16<refuseQuantize>, costBf16,
       emit<emitQuantize, true, true>},
      {"rowwise_quantize_avx512", kX64, false, kAvx512, refuseQuantize, cost512, emit<emitQuantize, true>},
      {"rowwise_quantize_avx2", kX64, false, kAvx2, refuseQuantize, cost256, emit<emitQuantize, false>},
      {"rowwise_add_avx512", kX64, false, kAvx512, refuseAdd, cost512, emit<emitAdd, true>},
      {"rowwise_add_avx2", kX64, false, kAvx2, refuseAdd, cost256, emit<emitAdd, false>},
      {"rowwise_gatherrows_avx512", kX64, false, kAvx512, refuseGatherRows, cost512, emit<emitGatherRows, true>},
      {"rowwise_gatherrows_avx2", kX64, false, kAvx2, refuseGatherRows, cost256, emit<emitGatherRows, false>},
      {"rowwise_embed_avx2", kX64, false, kAvx2, refuseEmbed, cost256, emitEmbed},
      kPortableRowwise,
  };
  return table;
}

} // namespace llmc
