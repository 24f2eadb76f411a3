// The rows of the matmul family: which weights, activations and row counts each serves, on which ISA, at what cost.
#include "codegen/kernels/matmul/Amx.h"
#include "codegen/kernels/matmul/Epilogue.h"
#include "codegen/kernels/matmul/Loops.h"
#include "codegen/kernels/matmul/Rows.h"
#include "codegen/portable/Portable.h"
#include <algorithm>
#include <vector>

namespace llmc {

static std::string number(int64_t value) { return std::to_string(value); }

Refusal matmul::refuseKind(const MatmulDesc &d, WeightKind kind) {
  static constexpr const char *kKinds[] = {"4-bit", "8-bit", "f16", "bf16", "f32"};
  if (d.w.kind != kind)
    return std::string("weights are ") + kKinds[unsigned(d.w.kind)] + ", expected " + kKinds[unsigned(kind)];
  if (d.x.is16Bit() && d.x.order != kind)
    return std::string("activations are in the order of ") + kKinds[unsigned(d.x.order)] + " weights, expected " +
           kKinds[unsigned(kind)];
  return std::nullopt;
}

Refusal matmul::refuseRows(const MatmulDesc &d, Rows rows) {
  if (d.minRows < 1 || d.minRows > d.maxRows)
    return "rows " + number(d.minRows) + ".." + number(d.maxRows) + ", expected 1 <= first <= last";
  if (d.maxRows > mostRows(rows))
    return "up to " + number(d.maxRows) + " rows, expected at most " + number(mostRows(rows));
  return std::nullopt;
}

Refusal matmul::refuseSizes(const MatmulDesc &d) {
  constexpr int64_t largestStride = int64_t(1) << 27, largestPanel = int64_t(1) << 31;
  if (d.n < 1 || d.k < 1) return "shape " + number(d.n) + " x " + number(d.k) + ", expected at least 1 x 1";
  for (int64_t stride : {d.xStride, d.yStride})
    if (stride < 1 || stride > largestStride)
      return "row stride of " + number(stride) + " bytes, expected 1.." + number(largestStride);
  if (d.k > largestPanel / 256 || d.w.panelBytes(d.k) >= largestPanel)
    return "k (" + number(d.k) + ") makes a panel of 2 GB or more";
  return std::nullopt;
}

Refusal matmul::refuseGroup(const MatmulDesc &d) {
  if (d.w.group < 1 || d.k < 1) return "group size (" + number(d.w.group) + ") or k (" + number(d.k) + ") below 1";
  if (d.w.group != 16 && (d.w.group < 32 || d.w.group % 32))
    return "group size (" + number(d.w.group) + ") is neither 16 nor a multiple of 32";
  if (d.w.group > 256 && d.w.group != d.k)
    return "group size (" + number(d.w.group) + ") is above 256 and not k (" + number(d.k) + ")";
  return std::nullopt;
}

namespace {
using namespace matmul;
constexpr WeightKind I4 = WeightKind::I4, I8 = WeightKind::I8, F16 = WeightKind::F16, BF16 = WeightKind::BF16;
constexpr RowFormat F32 = RowFormat::F32;
constexpr RowFormat bf16(WeightKind order) { return {RowFormat::Kind::BF16, 0, order}; }
constexpr RowFormat bf16Pair(WeightKind order) { return {RowFormat::Kind::BF16Pair, 0, order}; }
constexpr RowFormat f16(WeightKind order) { return {RowFormat::Kind::F16, 0, order}; }
constexpr RowFormat kBf16I4 = bf16(I4), kBf16I8 = bf16(I8), kBf16Natural = bf16(BF16), kPairI4 = bf16Pair(I4),
                    kPairI8 = bf16Pair(I8), kPairNatural = bf16Pair(BF16), kF16I4 = f16(I4), kF16I8 = f16(I8),
                    kF16Natural = f16(F16);

template <WeightKind kind, RowFormat x, Rows rows> Refusal refuse(const MatmulDesc &d, const Target &) {
  if (d.x.kind != x.kind && d.w.kind == kind) return "activations are " + d.x.name() + ", expected " + x.name();
  if (Refusal reason = refuseKind(d, kind)) return reason;
  if (d.requantise) return std::string("requantised weights, expected exact group scales");
  if (Refusal reason = refuseEpilogue(d)) return reason;
  if (Refusal reason = refuseRows(d, rows)) return reason;
  if (kind == I4 || kind == I8)
    if (Refusal reason = refuseGroup(d)) return reason;
  if (x == F32 && d.k % 8) return "k (" + number(d.k) + ") is not a multiple of 8";
  return refuseSizes(d);
}

/// Seconds for minRows rows (as the portable row counts): the slower of reading the weights once and multiplying.
template <bool avx512, Rows rows> double cost(const MatmulDesc &d, const Target &t) {
  double rate = t.fmaPerSecond * 0.7;
  if (!avx512 && t.features.contains(kAvx512)) rate /= 2; // AVX2 has half of it there
  double columns = double(roundUp(d.n, kPanel));
  double seconds =
      std::max(double(d.w.bytes(d.n, d.k)) / t.bytesPerSecond, double(d.minRows) * columns * double(d.k) / rate);
  // Wider vectors, and the row class that fits the question, win ties.
  return seconds * (avx512 ? 1.0 : 1.05) * (1 + 0.01 * double(rows));
}

/// The same for 16-bit rows. vdpbf16ps: the two products of a pair take twice as long.
/// vfmadd231ph: twice as many lanes as f32, of whose time widening takes a third.
template <RowFormat x, Rows rows> double cost16(const MatmulDesc &d, const Target &t) {
  double rate = t.bf16PerSecond * 0.85;
  if (x.kind == RowFormat::Kind::BF16Pair) rate /= 2;
  if (x.kind == RowFormat::Kind::F16) rate = 2 * t.fmaPerSecond * 0.65;
  double multiply = double(d.minRows) * double(roundUp(d.n, kPanel)) * double(d.k) / rate;
  return std::max(double(d.w.bytes(d.n, d.k)) / t.bytesPerSecond, multiply) * (1 + 0.01 * double(rows));
}

using Emit = llvm::Expected<Code> (*)(const MatmulDesc &, const Target &);

template <WeightKind kind, RowFormat x, Rows rows, bool avx512>
constexpr Kernel<MatmulDesc> row(const char *name, Features needs, Emit emit) {
  return {.name = name, .needs = needs, .refuse = refuse<kind, x, rows>, .cost = cost<avx512, rows>, .emit = emit};
}

template <WeightKind kind, RowFormat x, Rows rows> constexpr Kernel<MatmulDesc> row16(const char *name, Emit emit) {
  constexpr Feature feature = x.kind == RowFormat::Kind::F16 ? Feature::Avx512fp16 : Feature::Avx512bf16;
  return {.name = name,
          .needs = kAvx512 | Features{feature},
          .refuse = refuse<kind, x, rows>,
          .cost = cost16<x, rows>,
          .emit = emit};
}

template <WeightKind kind, RowFormat::Kind x>
constexpr Kernel<MatmulDesc> amx(const char *name, Features needs, Emit emit) {
  return {.name = name,
          .needs = kAvx512 | Features{Feature::AmxTile} | needs,
          .refuse = [](const MatmulDesc &d, const Target &) { return refuseAmx(d, kind, x); },
          .cost = costOfAmx,
          .emit = emit};
}
constexpr Features kAmxInt8 = {Feature::AmxInt8}, kAmxBf16 = {Feature::AmxBf16, Feature::Avx512bf16},
                   kAmxFp16 = {Feature::AmxFp16, Feature::Avx512fp16};

// clang-format off
constexpr Kernel<MatmulDesc> kRows[] = {
  row<I4, F32, Rows::One, true>("matmul_w4a32_m1_avx512", kAvx512, emitIntF32Avx512),
  row<I4, F32, Rows::Small, true>("matmul_w4a32_small_avx512", kAvx512, emitIntF32Avx512),
  row<I4, F32, Rows::Large, true>("matmul_w4a32_large_avx512", kAvx512, emitIntF32Avx512),
  row<I4, F32, Rows::One, false>("matmul_w4a32_m1_avx2", kAvx2, emitIntF32Avx2),
  row<I4, F32, Rows::Small, false>("matmul_w4a32_small_avx2", kAvx2, emitIntF32Avx2),
  row<I4, F32, Rows::Large, false>("matmul_w4a32_large_avx2", kAvx2, emitIntF32Avx2),

  row<I8, F32, Rows::One, true>("matmul_w8a32_m1_avx512", kAvx512, emitIntF32Avx512),
  row<I8, F32, Rows::Small, true>("matmul_w8a32_small_avx512", kAvx512, emitIntF32Avx512),
  row<I8, F32, Rows::Large, true>("matmul_w8a32_large_avx512", kAvx512, emitIntF32Avx512),
  row<I8, F32, Rows::One, false>("matmul_w8a32_m1_avx2", kAvx2, emitIntF32Avx2),
  row<I8, F32, Rows::Small, false>("matmul_w8a32_small_avx2", kAvx2, emitIntF32Avx2),
  row<I8, F32, Rows::Large, false>("matmul_w8a32_large_avx2", kAvx2, emitIntF32Avx2),

  row<WeightKind::F32, F32, Rows::One, true>("matmul_wf32a32_m1_avx512", kAvx512, emitFloatAvx512),
  row<WeightKind::F32, F32, Rows::Small, true>("matmul_wf32a32_small_avx512", kAvx512, emitFloatAvx512),
  row<WeightKind::F32, F32, Rows::Large, true>("matmul_wf32a32_large_avx512", kAvx512, emitFloatAvx512),
  row<WeightKind::F32, F32, Rows::One, false>("matmul_wf32a32_m1_avx2", kAvx2, emitFloatAvx2),
  row<WeightKind::F32, F32, Rows::Small, false>("matmul_wf32a32_small_avx2", kAvx2, emitFloatAvx2),
  row<WeightKind::F32, F32, Rows::Large, false>("matmul_wf32a32_large_avx2", kAvx2, emitFloatAvx2),

  row<F16, F32, Rows::One, true>("matmul_wf16a32_m1_avx512", kAvx512, emitFloatAvx512),
  row<F16, F32, Rows::Small, true>("matmul_wf16a32_small_avx512", kAvx512, emitFloatAvx512),
  row<F16, F32, Rows::Large, true>("matmul_wf16a32_large_avx512", kAvx512, emitFloatAvx512),
  row<F16, F32, Rows::One, false>("matmul_wf16a32_m1_avx2", kAvx2, emitFloatAvx2),
  row<F16, F32, Rows::Small, false>("matmul_wf16a32_small_avx2", kAvx2, emitFloatAvx2),
  row<F16, F32, Rows::Large, false>("matmul_wf16a32_large_avx2", kAvx2, emitFloatAvx2),

  row<BF16, F32, Rows::One, true>("matmul_wbf16a32_m1_avx512", kAvx512, emitFloatAvx512),
  row<BF16, F32, Rows::Small, true>("matmul_wbf16a32_small_avx512", kAvx512, emitFloatAvx512),
  row<BF16, F32, Rows::Large, true>("matmul_wbf16a32_large_avx512", kAvx512, emitFloatAvx512),
  row<BF16, F32, Rows::One, false>("matmul_wbf16a32_m1_avx2", kAvx2, emitFloatAvx2),
  row<BF16, F32, Rows::Small, false>("matmul_wbf16a32_small_avx2", kAvx2, emitFloatAvx2),
  row<BF16, F32, Rows::Large, false>("matmul_wbf16a32_large_avx2", kAvx2, emitFloatAvx2),

  row16<I4, kBf16I4, Rows::One>("matmul_w4a16_m1_avx512bf16", emitIntRows16),
  row16<I4, kBf16I4, Rows::Small>("matmul_w4a16_small_avx512bf16", emitIntRows16),
  row16<I4, kBf16I4, Rows::Large>("matmul_w4a16_large_avx512bf16", emitIntRows16),

  row16<I8, kBf16I8, Rows::One>("matmul_w8a16_m1_avx512bf16", emitIntRows16),
  row16<I8, kBf16I8, Rows::Small>("matmul_w8a16_small_avx512bf16", emitIntRows16),
  row16<I8, kBf16I8, Rows::Large>("matmul_w8a16_large_avx512bf16", emitIntRows16),

  row16<BF16, kBf16Natural, Rows::One>("matmul_wbf16a16_m1_avx512bf16", emitFloatRows16),
  row16<BF16, kBf16Natural, Rows::Small>("matmul_wbf16a16_small_avx512bf16", emitFloatRows16),
  row16<BF16, kBf16Natural, Rows::Large>("matmul_wbf16a16_large_avx512bf16", emitFloatRows16),

  row16<I4, kPairI4, Rows::One>("matmul_w4a16x2_m1_avx512bf16", emitIntRows16),
  row16<I4, kPairI4, Rows::Small>("matmul_w4a16x2_small_avx512bf16", emitIntRows16),
  row16<I4, kPairI4, Rows::Large>("matmul_w4a16x2_large_avx512bf16", emitIntRows16),

  row16<I8, kPairI8, Rows::One>("matmul_w8a16x2_m1_avx512bf16", emitIntRows16),
  row16<I8, kPairI8, Rows::Small>("matmul_w8a16x2_small_avx512bf16", emitIntRows16),
  row16<I8, kPairI8, Rows::Large>("matmul_w8a16x2_large_avx512bf16", emitIntRows16),

  row16<BF16, kPairNatural, Rows::One>("matmul_wbf16a16x2_m1_avx512bf16", emitFloatRows16),
  row16<BF16, kPairNatural, Rows::Small>("matmul_wbf16a16x2_small_avx512bf16", emitFloatRows16),
  row16<BF16, kPairNatural, Rows::Large>("matmul_wbf16a16x2_large_avx512bf16", emitFloatRows16),

  row16<I4, kF16I4, Rows::One>("matmul_w4a16_m1_avx512fp16", emitIntRows16),
  row16<I4, kF16I4, Rows::Small>("matmul_w4a16_small_avx512fp16", emitIntRows16),
  row16<I4, kF16I4, Rows::Large>("matmul_w4a16_large_avx512fp16", emitIntRows16),

  row16<I8, kF16I8, Rows::One>("matmul_w8a16_m1_avx512fp16", emitIntRows16),
  row16<I8, kF16I8, Rows::Small>("matmul_w8a16_small_avx512fp16", emitIntRows16),
  row16<I8, kF16I8, Rows::Large>("matmul_w8a16_large_avx512fp16", emitIntRows16),

  row16<F16, kF16Natural, Rows::One>("matmul_wf16a16_m1_avx512fp16", emitFloatRows16),
  row16<F16, kF16Natural, Rows::Small>("matmul_wf16a16_small_avx512fp16", emitFloatRows16),
  row16<F16, kF16Natural, Rows::Large>("matmul_wf16a16_large_avx512fp16", emitFloatRows16),

  amx<I4, RowFormat::Kind::Q8>("matmul_w4a8_amxint8", kAmxInt8, emitAmxInt8),
  amx<I8, RowFormat::Kind::Q8>("matmul_w8a8_amxint8", kAmxInt8, emitAmxInt8),
  amx<I4, RowFormat::Kind::BF16>("matmul_w4_amxbf16", kAmxBf16, emitAmx16),
  amx<I8, RowFormat::Kind::BF16>("matmul_w8_amxbf16", kAmxBf16, emitAmx16),
  amx<BF16, RowFormat::Kind::BF16>("matmul_wbf16_amxbf16", {Feature::AmxBf16}, emitAmx16),
  amx<I4, RowFormat::Kind::F16>("matmul_w4_amxfp16", kAmxFp16, emitAmx16),
  amx<I8, RowFormat::Kind::F16>("matmul_w8_amxfp16", kAmxFp16, emitAmx16),
  amx<F16, RowFormat::Kind::F16>("matmul_wf16_amxfp16", {Feature::AmxFp16}, emitAmx16),
};
// clang-format on

} // namespace

template <> llvm::ArrayRef<Kernel<MatmulDesc>> kernelTable<MatmulDesc>() {
  static const auto table = [] {
    llvm::ArrayRef<Kernel<MatmulDesc>> intQ8 = intQ8Rows();
    std::vector<Kernel<MatmulDesc>> rows(intQ8.begin(), intQ8.end());
    rows.insert(rows.end(), std::begin(kRows), std::end(kRows));
    rows.push_back(kPortableMatmul); // serves what no row above takes
    return rows;
  }();
  return table;
}

} // namespace llmc
