// The rows of the matmul family for Q8 activations.
#include "codegen/kernels/matmul/Epilogue.h"
#include "codegen/kernels/matmul/Q8Loops.h"
#include "codegen/kernels/matmul/Quantize.h"
#include "codegen/kernels/matmul/Requantise.h"
#include "codegen/kernels/matmul/Rows.h"
#include <algorithm>

namespace llmc::matmul {
namespace {
constexpr WeightKind I4 = WeightKind::I4, I8 = WeightKind::I8;
constexpr Features kAvxVnni = kAvx2 | Features{Feature::AvxVnni};

/// Instructions and width of a row.
struct Speed {
  bool avx512, vnni;
  double tie; // what the row's cost is multiplied with: narrower vectors lose ties
};
constexpr Speed kAvx512VnniSpeed = {true, true, 1}, kAvxVnniSpeed = {false, true, 1.02},
                kAvx512BwSpeed = {true, false, 1.03}, kAvx2Speed = {false, false, 1.05};

Refusal refuseFormats(const MatmulDesc &d, WeightKind kind) {
  if (!d.x.isQ8() && d.w.kind == kind) return "activations are " + d.x.name() + ", expected q8";
  if (Refusal reason = refuseKind(d, kind)) return reason;
  return refuseEpilogue(d);
}

template <WeightKind kind, Rows rows> Refusal refuse(const MatmulDesc &d, const Target &) {
  if (Refusal reason = refuseFormats(d, kind)) return reason;
  if (requantises(d)) return std::string("requantised weights, expected exact group scales");
  if (Refusal reason = refuseRows(d, rows)) return reason;
  if (Refusal reason = refuseGroup(d)) return reason;
  if (Refusal reason = refuseUnits(d)) return reason;
  return refuseSizes(d);
}

/// Groups must not cross the 512 k that share a scale, and blocks of x must divide them.
template <WeightKind kind> Refusal refuseRequantised(const MatmulDesc &d, const Target &) {
  auto number = [](int64_t value) { return std::to_string(value); };
  if (Refusal reason = refuseFormats(d, kind)) return reason;
  if (!requantises(d)) return std::string("exact scales, expected requantised weights");
  if (Refusal reason = refuseRows(d, Rows::Large)) return reason;
  if (d.x.block != 128 && d.x.block != 256 && d.x.block != 512)
    return "activations are " + d.x.name() + ", expected blocks of 128, 256 or 512";
  if (d.w.group < 16 || d.w.group > 256 || 256 % d.w.group)
    return "group size (" + number(d.w.group) + ") is none of 16, 32, 64, 128 and 256";
  return refuseSizes(d);
}

/// Multiply-adds per second, from measured shares of peak rates (README.md, "Measured"): a unit of U k takes as long as
/// U + e k of products alone.
double multiplyRate(const MatmulDesc &d, const Target &t, Speed speed, Rows rows) {
  double unit = double(requantises(d) ? d.x.block : unitOf(d.w, d.k, d.x.block));
  if (speed.vnni) {
    bool halved = !speed.avx512 && t.features.has(Feature::Avx512vnni);
    double epilogue = !speed.avx512 ? 0 : rows == Rows::Large ? 9 : 14;
    return t.dot8PerSecond * (halved ? 0.5 : 1) * (speed.avx512 ? 0.94 / (1 + epilogue / unit) : 0.7);
  }
  bool halved = !speed.avx512 && t.features.has(Feature::Avx512f);
  return t.fmaPerSecond * (halved ? 0.5 : 1) * (d.w.kind == I4 ? 3 / (1 + 7 / unit) : 1.3);
}

/// Seconds for minRows rows (as the portable row counts): the slower of reading the weights once and multiplying.
double cost(const MatmulDesc &d, const Target &t, Speed speed, Rows rows) {
  const double widening = requantises(d) ? 8 : 3; // of a panel, as many rows of products
  double count = double(d.minRows) + (rows == Rows::Large ? widening : 0);
  double work = count * double(roundUp(d.n, kPanel)) * double(d.k);
  double seconds = std::max(double(d.w.bytes(d.n, d.k)) / t.bytesPerSecond, work / multiplyRate(d, t, speed, rows));
  return seconds * speed.tie * (1 + 0.01 * double(rows)); // the class that fits the question wins ties
}
template <Rows rows, const Speed &speed> double costOf(const MatmulDesc &d, const Target &t) {
  return cost(d, t, speed, rows);
}

template <WeightKind kind, Rows rows, const Speed &speed>
constexpr Kernel<MatmulDesc> row(const char *name, Features needs) {
  return {.name = name,
          .needs = needs,
          .refuse = refuse<kind, rows>,
          .cost = costOf<rows, speed>,
          .emit = rows == Rows::Large ? emitIntQ8Large<speed.avx512, speed.vnni>
                                      : emitIntQ8Small<speed.avx512, speed.vnni>};
}

template <WeightKind kind> constexpr Kernel<MatmulDesc> requantised(const char *name) {
  return {.name = name,
          .needs = kAvx512Vnni,
          .refuse = refuseRequantised<kind>,
          .cost = costOf<Rows::Large, kAvx512VnniSpeed>,
          .emit = emitIntQ8Large<true, true>};
}

// clang-format off
constexpr Kernel<MatmulDesc> kRows[] = {
  row<I4, Rows::One, kAvx512VnniSpeed>("matmul_w4a8_m1_avx512vnni", kAvx512Vnni),
  row<I4, Rows::Small, kAvx512VnniSpeed>("matmul_w4a8_small_avx512vnni", kAvx512Vnni),
  row<I4, Rows::Medium, kAvx512VnniSpeed>("matmul_w4a8_medium_avx512vnni", kAvx512Vnni),
  row<I4, Rows::Large, kAvx512VnniSpeed>("matmul_w4a8_large_avx512vnni", kAvx512Vnni),
  requantised<I4>("matmul_w4a8_requantised_avx512vnni"),
  row<I4, Rows::One, kAvxVnniSpeed>("matmul_w4a8_m1_avxvnni", kAvxVnni),
  row<I4, Rows::Small, kAvxVnniSpeed>("matmul_w4a8_small_avxvnni", kAvxVnni),
  row<I4, Rows::Medium, kAvxVnniSpeed>("matmul_w4a8_medium_avxvnni", kAvxVnni),
  row<I4, Rows::Large, kAvxVnniSpeed>("matmul_w4a8_large_avxvnni", kAvxVnni),
  row<I4, Rows::One, kAvx512BwSpeed>("matmul_w4a8_m1_avx512bw", kAvx512),
  row<I4, Rows::Small, kAvx512BwSpeed>("matmul_w4a8_small_avx512bw", kAvx512),
  row<I4, Rows::Medium, kAvx512BwSpeed>("matmul_w4a8_medium_avx512bw", kAvx512),
  row<I4, Rows::Large, kAvx512BwSpeed>("matmul_w4a8_large_avx512bw", kAvx512),
  row<I4, Rows::One, kAvx2Speed>("matmul_w4a8_m1_avx2", kAvx2),
  row<I4, Rows::Small, kAvx2Speed>("matmul_w4a8_small_avx2", kAvx2),
  row<I4, Rows::Medium, kAvx2Speed>("matmul_w4a8_medium_avx2", kAvx2),
  row<I4, Rows::Large, kAvx2Speed>("matmul_w4a8_large_avx2", kAvx2),

  // Not without VNNI on AVX-512, which has no vpsignb: AVX2 serves it.
  row<I8, Rows::One, kAvx512VnniSpeed>("matmul_w8a8_m1_avx512vnni", kAvx512Vnni),
  row<I8, Rows::Small, kAvx512VnniSpeed>("matmul_w8a8_small_avx512vnni", kAvx512Vnni),
  row<I8, Rows::Medium, kAvx512VnniSpeed>("matmul_w8a8_medium_avx512vnni", kAvx512Vnni),
  row<I8, Rows::Large, kAvx512VnniSpeed>("matmul_w8a8_large_avx512vnni", kAvx512Vnni),
  requantised<I8>("matmul_w8a8_requantised_avx512vnni"),
  row<I8, Rows::One, kAvxVnniSpeed>("matmul_w8a8_m1_avxvnni", kAvxVnni),
  row<I8, Rows::Small, kAvxVnniSpeed>("matmul_w8a8_small_avxvnni", kAvxVnni),
  row<I8, Rows::Medium, kAvxVnniSpeed>("matmul_w8a8_medium_avxvnni", kAvxVnni),
  row<I8, Rows::Large, kAvxVnniSpeed>("matmul_w8a8_large_avxvnni", kAvxVnni),
  row<I8, Rows::One, kAvx2Speed>("matmul_w8a8_m1_avx2", kAvx2),
  row<I8, Rows::Small, kAvx2Speed>("matmul_w8a8_small_avx2", kAvx2),
  row<I8, Rows::Medium, kAvx2Speed>("matmul_w8a8_medium_avx2", kAvx2),
  row<I8, Rows::Large, kAvx2Speed>("matmul_w8a8_large_avx2", kAvx2),
};
// clang-format on
} // namespace

llvm::ArrayRef<Kernel<MatmulDesc>> intQ8Rows() { return kRows; }

} // namespace llmc::matmul
