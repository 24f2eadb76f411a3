#include "codegen/Descriptor.h"
#include "llmc_kernel.h"
#include <cmath>

namespace llmc {

int64_t WeightFormat::paddedK(int64_t k) const {
  if (isInteger()) return roundUp(k, group);
  return kind == WeightKind::F32 ? k : roundUp(k, 2);
}

int64_t WeightFormat::codeBytes() const {
  switch (kind) {
  case WeightKind::I4: return kPanel * group / 2;
  case WeightKind::I8: return kPanel * group;
  case WeightKind::F16:
  case WeightKind::BF16: return kPanel * 4; // a k pair
  case WeightKind::F32: return kPanel * 4;
  }
  return 0;
}

int64_t WeightFormat::scaleBytes() const {
  if (!isInteger()) return 0;
  return kPanel * (scale == ScaleType::F32 ? 4 : 2);
}

int64_t WeightFormat::offsetBytes() const {
  if (!isInteger()) return 0;
  switch (offset) {
  case Offset::None: return 0;
  case Offset::ZeroPoint: return kPanel;
  case Offset::MinF16: return kPanel * 2;
  case Offset::MinF32: return kPanel * 4;
  }
  return 0;
}

int64_t WeightFormat::panelBytes(int64_t k) const {
  int64_t kPerBlock = isInteger() ? group : kind == WeightKind::F32 ? 1 : 2;
  return paddedK(k) / kPerBlock * blockBytes();
}

int64_t WeightFormat::bytes(int64_t n, int64_t k) const { return roundUp(n, kPanel) / kPanel * panelBytes(k); }

std::string WeightFormat::name() const {
  switch (kind) {
  case WeightKind::F32: return "wf32";
  case WeightKind::F16: return "wf16";
  case WeightKind::BF16: return "wbf16";
  default: break;
  }
  std::string s = (kind == WeightKind::I4 ? "w4g" : "w8g") + std::to_string(group);
  if (scale == ScaleType::F32) s += "sf32";
  if (scale == ScaleType::BF16) s += "sbf16";
  if (offset == Offset::ZeroPoint) s += "zp";
  if (offset == Offset::MinF16) s += "mf16";
  if (offset == Offset::MinF32) s += "mf32";
  return s;
}

std::string RowFormat::name() const {
  static constexpr const char *names[] = {"f32", "q8b", "bf16", "bf16pair", "f16"};
  return names[unsigned(kind)] + (isQ8() ? std::to_string(block) : "");
}

int64_t rowBytes(RowFormat format, int64_t columns) {
  switch (format.kind) {
  case RowFormat::Kind::F32: return columns * 4;
  case RowFormat::Kind::Q8: return q8RowBytes(columns, format.block);
  case RowFormat::Kind::BF16Pair: return paddedK16(columns) * 4;
  case RowFormat::Kind::BF16:
  case RowFormat::Kind::F16: return paddedK16(columns) * 2;
  }
  return 0;
}

int64_t rowStride(RowFormat format, int64_t columns) {
  int64_t bytes = roundUp(rowBytes(format, columns), kAlign);
  return bytes % 4096 ? bytes : bytes + kAlign;
}

static_assert(kPagePositions == LLMC_PAGE_POSITIONS && kAttentionChunk == LLMC_CHUNK_POSITIONS);

float alibiSlope(int64_t heads, int64_t h) {
  int64_t power = 1;
  while (power * 2 <= heads) power *= 2;
  // Head h of a power of two: 2^(-8 (h+1) / power). The heads beyond take every other slope of twice as many.
  double exponent = h < power ? double(h + 1) / double(power) : double(2 * (h - power) + 1) / double(2 * power);
  return float(std::exp2(-8 * exponent));
}

} // namespace llmc
