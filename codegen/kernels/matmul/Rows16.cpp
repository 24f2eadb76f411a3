#include "codegen/kernels/matmul/Rows16.h"
#include "codegen/kernels/attention/Half.h"
#include "codegen/kernels/matmul/Pack.h"
#include <bit>
#include <cstring>

namespace llmc {

int64_t positionInRow16(WeightKind order, int64_t k) {
  static constexpr int8_t kOfI4[8] = {0, 4, 1, 5, 2, 6, 3, 7}, kOfI8[4] = {0, 2, 1, 3}; // by k
  if (order == WeightKind::I4) return k / 8 * 8 + kOfI4[k % 8];
  if (order == WeightKind::I8) return k / 4 * 4 + kOfI8[k % 4];
  return k;
}

uint16_t f32ToBf16Row(float x) {
  uint32_t bits = std::bit_cast<uint32_t>(x), magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return uint16_t(bits >> 16 | 0x40);
  if (magnitude < 0x00800000) return uint16_t(bits >> 16 & 0x8000);
  return uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

template <typename Convert>
static void convertRow(const float *x, int64_t k, WeightKind order, void *out, Convert convert) {
  auto *row = static_cast<uint16_t *>(out);
  memset(row, 0, size_t(paddedK16(k)) * 2);
  for (int64_t i = 0; i < k; ++i) row[positionInRow16(order, i)] = convert(x[i]);
}

void toBf16Row(const float *x, int64_t k, WeightKind order, void *out) { convertRow(x, k, order, out, f32ToBf16Row); }

void toBf16PairRow(const float *x, int64_t k, WeightKind order, void *out) {
  convertRow(x, k, order, out, f32ToBf16Row);
  convertRow(x, k, order, static_cast<uint16_t *>(out) + paddedK16(k),
             [](float value) { return f32ToBf16Row(value - bf16ToF32(f32ToBf16Row(value))); });
}

void toF16Row(const float *x, int64_t k, WeightKind order, void *out) { convertRow(x, k, order, out, f32ToF16); }

void toRow16(RowFormat format, const float *x, int64_t k, void *out) {
  switch (format.kind) {
  case RowFormat::Kind::BF16: return toBf16Row(x, k, format.order, out);
  case RowFormat::Kind::BF16Pair: return toBf16PairRow(x, k, format.order, out);
  case RowFormat::Kind::F16: return toF16Row(x, k, format.order, out);
  case RowFormat::Kind::F32:
  case RowFormat::Kind::Q8: break;
  }
}

float fromRow16(RowFormat format, const void *row, int64_t columns, int64_t k) {
  const auto *at = static_cast<const uint16_t *>(row) + positionInRow16(format.order, k);
  if (format.kind == RowFormat::Kind::F16) return f16ToF32(*at);
  float value = bf16ToF32(*at);
  return format.kind == RowFormat::Kind::BF16Pair ? value + bf16ToF32(at[paddedK16(columns)]) : value;
}

} // namespace llmc
