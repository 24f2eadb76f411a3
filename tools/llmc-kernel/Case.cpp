#include "tools/llmc-kernel/Case.h"
#include "codegen/kernels/matmul/Pack.h"
#include <bit>
#include <cmath>
#include <cstring>

namespace llmc::tool {

void fillRows(const Buffer &buffer, int64_t rows, int64_t stride, int64_t columns, std::mt19937 &random) {
  std::normal_distribution<float> normal;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c) buffer.as<float>(r * stride)[c] = normal(random);
}

double distance(const Buffer &found, const Buffer &expected, int64_t rows, int64_t stride, int64_t columns) {
  double worst = 0;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c) {
      double difference = std::fabs(double(found.as<float>(r * stride)[c]) - expected.as<float>(r * stride)[c]);
      if (std::isnan(difference)) return difference;
      worst = std::max(worst, difference);
    }
  return worst;
}

double magnitude(const Buffer &buffer, int64_t rows, int64_t stride, int64_t columns) {
  double most = 0;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c) most = std::max(most, std::fabs(double(buffer.as<float>(r * stride)[c])));
  return most;
}

namespace {

/// Bits of a number of size 2^-6, either sign.
uint32_t smallNumber(ScaleType type, uint32_t random) {
  float value = std::bit_cast<float>(0x3c000000 | (random & 0x7fffff)); // 2^-7..2^-6
  uint32_t sign = random >> 31;
  switch (type) {
  case ScaleType::F16: return sign << 15 | 0x2000 | (random & 0x3ff);
  case ScaleType::BF16: return sign << 15 | (std::bit_cast<uint32_t>(value) >> 16);
  case ScaleType::F32: return sign << 31 | std::bit_cast<uint32_t>(value);
  }
  return 0;
}

/// `count` numbers of `bytes` bytes each, from the low bytes of `next`.
template <typename Next> std::vector<uint8_t> numbers(int64_t count, int64_t bytes, Next next) {
  std::vector<uint8_t> out(size_t(count * bytes));
  for (int64_t i = 0; i < count; ++i) {
    uint32_t value = next();
    memcpy(&out[size_t(i * bytes)], &value, size_t(bytes));
  }
  return out;
}

ScaleType elementType(WeightKind kind) {
  return kind == WeightKind::F16 ? ScaleType::F16 : kind == WeightKind::BF16 ? ScaleType::BF16 : ScaleType::F32;
}

void packIntegers(const WeightFormat &f, int64_t columns, int64_t k, uint8_t *out, std::mt19937 &random) {
  const uint32_t most = f.kind == WeightKind::I4 ? 15 : 255;
  int64_t groups = f.paddedK(k) / f.group;
  auto codes = numbers(columns * k, 1, [&] { return uint32_t(random()) & most; });
  auto scales =
      numbers(columns * groups, f.scaleBytes() / kPanel, [&] { return smallNumber(f.scale, uint32_t(random())); });
  ScaleType minimum = f.offset == Offset::MinF16 ? ScaleType::F16 : ScaleType::F32;
  auto offsets = numbers(columns * groups, f.offsetBytes() / kPanel, [&] {
    return f.offset == Offset::ZeroPoint ? uint32_t(random()) & most : smallNumber(minimum, uint32_t(random()));
  });
  PanelSource source;
  source.codes = codes.data(), source.codeStride = k;
  source.scales = scales.data(), source.scaleStride = groups * f.scaleBytes() / kPanel;
  source.offsets = offsets.empty() ? nullptr : offsets.data(), source.offsetStride = groups * f.offsetBytes() / kPanel;
  packPanel(f, k, columns, source, out);
}

void packFloats(const WeightFormat &f, int64_t columns, int64_t k, uint8_t *out, std::mt19937 &random) {
  int64_t bytes = f.kind == WeightKind::F32 ? 4 : 2;
  auto rows = numbers(columns * k, bytes, [&] { return smallNumber(elementType(f.kind), uint32_t(random())); });
  PanelSource source;
  source.rows = rows.data(), source.rowStride = k * bytes;
  packPanel(f, k, columns, source, out);
}

} // namespace

void packRandom(const WeightFormat &format, int64_t n, int64_t k, char *out, std::mt19937 &random) {
  for (int64_t first = 0; first < n; first += kPanel) {
    auto *panel = reinterpret_cast<uint8_t *>(out) + first / kPanel * format.panelBytes(k);
    int64_t columns = std::min(kPanel, n - first);
    format.isInteger() ? packIntegers(format, columns, k, panel, random)
                       : packFloats(format, columns, k, panel, random);
  }
}

} // namespace llmc::tool
