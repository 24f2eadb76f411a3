// What the AMX rows of the table refuse, and what they cost.
#include "codegen/kernels/matmul/Amx.h"
#include "codegen/kernels/matmul/Epilogue.h"
#include "codegen/kernels/matmul/Requantise.h"
#include <algorithm>
#include <cmath>

namespace llmc::matmul {
namespace {

std::string number(int64_t value) { return std::to_string(value); }

Refusal refuseFormats(const MatmulDesc &d, WeightKind kind, RowFormat::Kind x) {
  static constexpr const char *kKinds[] = {"4-bit", "8-bit", "f16", "bf16", "f32"};
  static constexpr const char *kRows[] = {"f32", "q8", "bf16", "bf16pair", "f16"};
  if (d.w.kind != kind)
    return std::string("weights are ") + kKinds[unsigned(d.w.kind)] + ", expected " + kKinds[unsigned(kind)];
  if (d.x.kind != x) return "activations are " + d.x.name() + ", expected " + kRows[unsigned(x)];
  if (d.x.isQ8() && d.x.block != 128 && d.x.block != 256 && d.x.block != 512)
    return "activations are " + d.x.name() + ", expected blocks of 128, 256 or 512";
  if (d.x.is16Bit() && d.x.order != kind)
    return std::string("activations are in the order of ") + kKinds[unsigned(d.x.order)] + " weights, expected " +
           kKinds[unsigned(kind)];
  if (d.requantise && !d.x.isQ8()) return "requantised weights with " + d.x.name() + " rows, expected q8";
  return std::nullopt;
}

Refusal refuseShape(const MatmulDesc &d) {
  constexpr int64_t kLargestStride = int64_t(1) << 25, kLargestPanel = int64_t(1) << 31; // 32 rows in 32 bits
  if (d.minRows < 1 || d.minRows > d.maxRows)
    return "rows " + number(d.minRows) + ".." + number(d.maxRows) + ", expected 1 <= first <= last";
  if (d.n < 1 || d.k < 1) return "shape " + number(d.n) + " x " + number(d.k) + ", expected at least 1 x 1";
  for (int64_t stride : {d.xStride, d.yStride})
    if (stride < 1 || stride > kLargestStride)
      return "row stride of " + number(stride) + " bytes, expected 1.." + number(kLargestStride);
  if (d.k > kLargestPanel / 256 || d.w.panelBytes(d.k) >= kLargestPanel)
    return "k (" + number(d.k) + ") makes a panel of 2 GB or more";
  return std::nullopt;
}

/// Groups must not cross chunks of 512 (256) k, and an i32 tile has one scale of x and one of w.
Refusal refuseGroup(const MatmulDesc &d) {
  const int64_t group = d.w.group, block = d.x.block;
  const bool oneGroup = group >= d.k;
  if (group < 16 || group % 16) return "group size (" + number(group) + ") is not a multiple of 16";
  if (!oneGroup && (group > 256 || 256 % group))
    return "group size (" + number(group) + ") is neither 16, 32, 64, 128 or 256 nor k (" + number(d.k) + ")";
  if (!d.x.isQ8() || oneGroup || requantises(d)) return std::nullopt;
  if (group < 64)
    return "groups of " + number(group) + " with exact scales, expected 64 or more; f16 and bf16 rows take " +
           number(group) + ", requantised weights too";
  if (block % group) return "groups of " + number(group) + " in blocks of " + number(block) + ", expected whole groups";
  const bool needsSums = d.w.hasMinimum() || (d.w.kind == WeightKind::I8 && d.w.offset == Offset::ZeroPoint);
  if (needsSums && block != group)
    return d.x.name() + " rows have no sums over groups of " + number(group) + ", which " + d.w.name() +
           " weights need; expected blocks of the group, requantised weights, f16 or bf16 rows";
  return std::nullopt;
}

/// Vector operations that unpack 64 bytes of codes, loads and stores apart (README.md counts them).
double unpackInstructions(const MatmulDesc &d) {
  const bool i4 = d.w.kind == WeightKind::I4, fp16 = d.x.kind == RowFormat::Kind::F16;
  if (!d.w.isInteger()) return 0;
  if (d.x.isQ8()) return requantises(d) ? (i4 ? 19 : 9) : (i4 ? 5 : 1);
  const bool wide = !fp16 || d.w.scale != ScaleType::F16 || d.w.offset == Offset::MinF32;
  return wide ? (i4 ? 36 : 26) : (i4 ? 11 : 8);
}

} // namespace

Refusal refuseAmx(const MatmulDesc &d, WeightKind kind, RowFormat::Kind x) {
  if (Refusal reason = refuseFormats(d, kind, x)) return reason;
  if (Refusal reason = refuseEpilogue(d)) return reason;
  if (d.w.isInteger() && d.k >= 1)
    if (Refusal reason = refuseGroup(d)) return reason;
  return refuseShape(d);
}

double costOfAmx(const MatmulDesc &d, const Target &t) {
  constexpr int64_t kSuperRows = 256;       // that share one unpacking
  constexpr double kShare = 0.45;           // of the tiles' peak in a whole product: a prototype of fp16 tiles
  constexpr int64_t kLeastRows = 5;         // VNNI was faster up to 4 rows, tiles from 5, in prototypes
  const double cycle = 32 / t.fmaPerSecond; // two 512-bit fma
  // At the most rows of the class, as seconds of minRows: the other rows of the table count these, too.
  const int64_t rows = std::clamp(d.maxRows, d.minRows, std::max(d.minRows, kSuperRows));
  const double columns = double(roundUp(d.n, kPanel)), weights = columns * double(d.k);
  double products = weights * double(roundUp(rows, 16)) / (t.tileDot8PerSecond * kShare) * (d.x.isQ8() ? 1 : 2);
  double codesPerLine = d.w.kind == WeightKind::I4 ? 128 : 64;
  double unpacking = weights / codesPerLine * unpackInstructions(d) / 2 * cycle;
  double compute = products + unpacking * std::ceil(double(rows) / double(kSuperRows));
  double reading = double(d.w.bytes(d.n, d.k)) / t.bytesPerSecond;
  return std::max(reading, compute * double(d.minRows) / double(rows)) * (d.minRows < kLeastRows ? 1.25 : 0.95);
}

} // namespace llmc::matmul
