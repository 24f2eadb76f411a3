#include "test/codegen/MatmulCase.h"
#include "codegen/kernels/matmul/Pack.h"
#include "codegen/kernels/matmul/Quantize.h"
#include "codegen/kernels/matmul/Reference.h"
#include "codegen/kernels/matmul/Rows16.h"
#include <bit>
#include <cmath>
#include <gtest/gtest.h>

namespace llmc::test {

std::vector<RowFormat> rowFormatsFor(WeightKind kind) {
  using Kind = RowFormat::Kind;
  return {
      RowFormat::F32,        RowFormat::Q8, RowFormat::q8(128), row16(Kind::BF16, kind), row16(Kind::BF16Pair, kind),
      row16(Kind::F16, kind)};
}

MatmulDesc makeDesc(const WeightFormat &w, RowFormat x, int64_t n, int64_t k, int64_t minRows, int64_t maxRows) {
  MatmulDesc d{.n = n, .k = k, .w = w, .x = x, .minRows = minRows, .maxRows = maxRows};
  d.xStride = rowStride(x, k);
  d.yStride = rowStride(RowFormat::F32, roundUp(n, kPanel));
  return d;
}

MatmulData::MatmulData(const MatmulDesc &desc, int64_t rows, Kind kind) : desc(desc), rowCount(rows) {
  desc.w.isInteger() ? makeIntegers(kind) : makeFloats(kind);
  pack();
  makeX(rows, kind);
  bias = std::make_unique<GuardedBuffer>(columns() * 4);
  for (int64_t n = 0; n < columns(); ++n) bias->as<float>()[n] = float(int(random() % 201) - 100) / 64;
  bias->makeReadOnly();
}

/// Magnitudes from 2^-10 to 2^-6, either sign.
uint32_t MatmulData::scaleBits(ScaleType type, Kind kind) {
  if (kind == Kind::ZeroScales) return 0;
  uint32_t sign = random() & 1, fraction = random();
  switch (type) {
  case ScaleType::F16: return kind == Kind::LargeScales ? 0x7bff : sign << 15 | (0x1400 + fraction % 0x1000);
  case ScaleType::BF16: return sign << 15 | (0x3a80 + fraction % 0x200);
  case ScaleType::F32: return sign << 31 | (0x3a800000 + fraction % 0x2000000);
  }
  return 0;
}

void MatmulData::makeIntegers(Kind kind) {
  int64_t groups = desc.w.paddedK(desc.k) / desc.w.group;
  uint32_t most = desc.w.kind == WeightKind::I4 ? 15 : 255;
  codes.resize(desc.n * desc.k);
  for (uint8_t &code : codes)
    code = uint8_t(kind == Kind::LargestCodes || kind == Kind::LargestX || kind == Kind::LargestNegativeX ? most
                   : kind == Kind::SmallestCodes ? 0
                                                 : random() % (most + 1));
  for (int64_t i = 0; i < desc.n * groups; ++i) {
    scales.push_back(scaleBits(desc.w.scale, kind));
    offsets.push_back(desc.w.offset == Offset::ZeroPoint
                          ? (i % 7   ? random() % (most + 1)
                             : i % 2 ? most
                                     : 0)
                          : scaleBits(desc.w.offset == Offset::MinF16 ? ScaleType::F16 : ScaleType::F32, kind));
  }
}

void MatmulData::makeFloats(Kind kind) {
  bool wide = desc.w.kind == WeightKind::F32;
  rows_.resize(desc.n * desc.k * (wide ? 4 : 2));
  for (int64_t i = 0; i < desc.n * desc.k; ++i) {
    uint32_t sign = random() & 1, bits = random();
    if (wide) {
      float value = kind == Kind::LargestCodes    ? 1e30f
                    : kind == Kind::SmallestCodes ? 1e-40f
                                                  : float(bits % 4096) / 2048;
      bits = std::bit_cast<uint32_t>(value) | sign << 31;
      memcpy(&rows_[i * 4], &bits, 4);
      continue;
    }
    bool half = desc.w.kind == WeightKind::F16;
    if (kind == Kind::LargestCodes)
      bits = half ? 0x7bff : 0x7000;
    else if (kind == Kind::SmallestCodes)
      bits = 1; // denormal
    else
      bits = half ? bits % 0x4000 : 0x3000 + bits % 0x1000;
    bits |= sign << 15;
    memcpy(&rows_[i * 2], &bits, 2);
  }
}

template <typename T> static std::vector<T> narrow(const std::vector<uint32_t> &from) {
  return std::vector<T>(from.begin(), from.end());
}

void MatmulData::pack() {
  const WeightFormat &f = desc.w;
  w = std::make_unique<GuardedBuffer>(f.bytes(desc.n, desc.k));
  int64_t groups = f.isInteger() ? f.paddedK(desc.k) / f.group : 0;
  int64_t scaleSize = f.scaleBytes() / kPanel, offsetSize = f.offsetBytes() / kPanel;
  auto bytesOf = [](const std::vector<uint32_t> &values, int64_t size) {
    std::vector<uint8_t> bytes(values.size() * size);
    for (size_t i = 0; i < values.size(); ++i) memcpy(&bytes[i * size], &values[i], size);
    return bytes;
  };
  std::vector<uint8_t> s = bytesOf(scales, scaleSize), o = bytesOf(offsets, offsetSize);
  for (int64_t n = 0, panel = 0; n < desc.n; n += kPanel, ++panel) {
    PanelSource source;
    source.codes = codes.data() + n * desc.k, source.codeStride = desc.k;
    source.scales = s.data() + n * groups * scaleSize, source.scaleStride = groups * scaleSize;
    source.offsets = o.data() + n * groups * offsetSize, source.offsetStride = groups * offsetSize;
    source.rowStride = desc.k * (f.kind == WeightKind::F32 ? 4 : 2);
    source.rows = rows_.data() + n * source.rowStride;
    packPanel(f, desc.k, std::min(kPanel, desc.n - n), source, w->as<uint8_t>() + panel * f.panelBytes(desc.k));
  }
  w->makeReadOnly();
}

float MatmulData::weight(int64_t n, int64_t k) const {
  const WeightFormat &f = desc.w;
  if (f.kind == WeightKind::F32) return reinterpret_cast<const float *>(rows_.data())[n * desc.k + k];
  if (!f.isInteger()) {
    uint16_t bits = reinterpret_cast<const uint16_t *>(rows_.data())[n * desc.k + k];
    return f.kind == WeightKind::F16 ? f16ToF32(bits) : bf16ToF32(bits);
  }
  int64_t group = n * (f.paddedK(desc.k) / f.group) + k / f.group;
  float scale = scaleToF32(f.scale, &scales[group], 0), minimum = 0;
  int zero = f.offset == Offset::ZeroPoint ? int(offsets[group])
             : f.hasMinimum()              ? 0
             : f.kind == WeightKind::I4    ? 8
                                           : 128;
  if (f.hasMinimum())
    minimum = scaleToF32(f.offset == Offset::MinF16 ? ScaleType::F16 : ScaleType::F32, &offsets[group], 0);
  return float(int(codes[n * desc.k + k]) - zero) * scale + minimum;
}

void MatmulData::makeX(int64_t rows, Kind kind) {
  x.assign(rows * desc.xStride, char(0xA5));
  std::vector<float> row(desc.k);
  std::vector<double> xs(rows * desc.k);
  magnitudes.assign(rows * columns(), 0);
  flushed.assign(rows * columns(), 0);
  lastPlaces.assign(rows * columns(), 0);
  for (int64_t r = 0; r < rows; ++r) {
    float unit = kind == Kind::ZeroX       ? 0
                 : kind == Kind::HugeX     ? 1e30f
                 : kind == Kind::DenormalX ? 1e-39f
                                           : 1 + float(r);
    for (float &value : row) value = unit * (float(random() % 2001) / 1000 - 1);
    int64_t block = std::max<int64_t>(desc.x.block, 32);
    if (r % 3 == 2 && desc.k > block) std::fill(row.begin(), row.begin() + block, 0.0f); // a block whose scale is 0
    // codes 127 or -127 everywhere, and the weights at their largest
    if (kind == Kind::LargestX) std::fill(row.begin(), row.end(), 1.0f);
    if (kind == Kind::LargestNegativeX) std::fill(row.begin(), row.end(), -1.0f);
    char *out = x.data() + r * desc.xStride;
    if (desc.x == RowFormat::F32) {
      memcpy(out, row.data(), desc.k * 4);
    } else if (desc.x.is16Bit()) {
      toRow16(desc.x, row.data(), desc.k, out);
      for (int64_t k = 0; k < desc.k; ++k) row[k] = fromRow16(desc.x, out, desc.k, k);
    } else {
      quantiseRowQ8(row.data(), desc.k, desc.x.block, out);
      Q8Row q(out, desc.k, desc.x.block);
      for (int64_t k = 0; k < desc.k; ++k) row[k] = float(q.codes[k]) * q.scales[k / desc.x.block];
    }
    for (int64_t k = 0; k < desc.k; ++k) xs[r * desc.k + k] = std::fabs(double(row[k]));
  }
  measure(xs);
}

/// What bound() is made of, from |x|. The parts of a weight with a minimum count apart.
void MatmulData::measure(const std::vector<double> &xs) {
  const double unit = desc.w.kind == WeightKind::I4 ? 8 : desc.w.kind == WeightKind::I8 ? 128 : 1;
  std::vector<double> values(desc.k), most(desc.k), scaleOf(desc.k);
  for (int64_t n = 0; n < columns(); ++n) {
    double places = 0;
    for (int64_t k = 0; k < desc.k; ++k) {
      PackedElement e = unpackElement(desc.w, desc.k, packed(), n, k);
      values[k] = desc.w.isInteger() ? std::fabs(double(e.code - e.zero) * e.scale) + std::fabs(e.minimum)
                                     : std::fabs(double(e.value));
      if (desc.x.is16Bit() && desc.w.offset == Offset::ZeroPoint) { // multiplied about the centre, then corrected
        int centre = desc.w.kind == WeightKind::I4 ? 8 : 128;
        values[k] = (std::abs(e.code - centre) + std::abs(e.zero - centre)) * std::fabs(double(e.scale));
      }
      places += unit * std::fabs(e.scale) * 0x1p-24;
      most[k] = std::fabs(desc.w.isInteger() ? e.code : e.value) + 1;
      scaleOf[k] = std::max(1.0f, std::fabs(e.scale));
    }
    for (int64_t r = 0; r < rowCount; ++r) {
      double sum = 4, flush = 0; // |bias| and |y| are below 2
      for (int64_t k = 0; k < desc.k; ++k) {
        double x = xs[r * desc.k + k];
        sum += values[k] * x;
        flush += (x + most[k]) * scaleOf[k];
      }
      magnitudes[r * columns() + n] = sum;
      flushed[r * columns() + n] = flush;
      lastPlaces[r * columns() + n] = places;
    }
  }
}

void MatmulData::allowFor(Features needs) {
  bool tiles = needs.has(Feature::AmxTile);
  sumsInHalf = needs.has(Feature::Avx512fp16) && !tiles;
  if (tiles && desc.w.isInteger() && desc.x.is16Bit())
    weightError = desc.x.kind == RowFormat::Kind::BF16 ? 0x1p-8 : 0x1p-11;
}

float MatmulData::bound(int64_t i) const {
  double roundings = (desc.x.kind == RowFormat::Kind::BF16Pair ? 4.0 : 2.0) * double(desc.k + 8);
  // Relative to the magnitudes, and half of the smallest denormal for results below the normal range.
  double relative = desc.bias || desc.accumulate ? magnitudes[i] : magnitudes[i] - 4;
  if (sumsInHalf) return float(relative * 0x1p-8 + lastPlaces[i]);
  if (desc.x.is16Bit())
    return float((std::min(roundings * 0x1p-24, 1e-5) + weightError) * relative + flushed[i] * 0x1p-126);
  return float(roundings * (relative * 0x1p-24 + 0x1p-150));
}

llmc_matmul_args MatmulData::call(const char *x, float *y) const {
  return {.begin = 0,
          .end = panels(),
          .rows = rowCount,
          .x = x,
          .w = packed(),
          .bias = desc.bias ? bias->as<float>() : nullptr,
          .y = y};
}

/// What y holds before: small numbers in the columns, a pattern between the rows.
void MatmulData::fillY(char *y, int64_t rows) const {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t n = 0; n < columns(); ++n) {
      float value = oldY(r, n);
      memcpy(y + r * desc.yStride + n * 4, &value, 4);
    }
}

std::vector<float> MatmulData::withBiasAndY(std::vector<float> sums) const {
  for (size_t i = 0; i < sums.size(); ++i) {
    int64_t row = int64_t(i) / columns(), n = int64_t(i) % columns();
    if (desc.bias) sums[i] += bias->as<float>()[n];
    if (desc.accumulate) sums[i] += oldY(row, n);
  }
  return sums;
}

std::vector<float> MatmulData::reference() const {
  std::vector<char> y(rowCount * desc.yStride);
  fillY(y.data(), rowCount);
  llmc_matmul_args args = call(x.data(), reinterpret_cast<float *>(y.data()));
  referenceMatmul(desc, &args);
  std::vector<float> result(rowCount * columns());
  for (int64_t r = 0; r < rowCount; ++r) memcpy(&result[r * columns()], &y[r * desc.yStride], columns() * 4);
  return result;
}

std::vector<float> MatmulData::run(llmc_kernel_fn kernel, int64_t rows, const std::vector<int64_t> &ranges) const {
  int64_t xBytes = rowBytes(desc.x, desc.k);
  GuardedBuffer xs((rows - 1) * desc.xStride + xBytes), ys((rows - 1) * desc.yStride + columns() * 4);
  memcpy(xs.as<char>(), x.data(), xs.size);
  xs.makeReadOnly();
  fillY(ys.as<char>(), rows);
  llmc_matmul_args args = call(xs.as<char>(), ys.as<float>());
  args.rows = rows;
  for (size_t i = 0; i < ranges.size(); i += 2) {
    args.begin = ranges[i], args.end = ranges[i + 1];
    kernel(&args);
  }
  std::vector<float> result(rows * columns());
  for (int64_t r = 0; r < rows; ++r) {
    const char *row = ys.as<char>() + r * desc.yStride;
    memcpy(&result[r * columns()], row, columns() * 4);
    for (int64_t i = columns() * 4; r + 1 < rows && i < desc.yStride; ++i)
      if (row[i] != char(0xA5))
        ADD_FAILURE() << "byte " << i << " of row " << r << " of y, past its columns, was written";
  }
  return result;
}

} // namespace llmc::test
