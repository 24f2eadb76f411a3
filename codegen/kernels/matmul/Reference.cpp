#include "codegen/kernels/matmul/Reference.h"
#include "codegen/kernels/matmul/Epilogue.h"
#include "codegen/kernels/matmul/Pack.h"
#include "codegen/kernels/matmul/Quantize.h"
#include "codegen/kernels/rowwise/Reference.h"
#include <algorithm>
#include <cmath>
#include <cstring>

namespace llmc {
namespace {

using Column = std::vector<PackedElement>; // one column, k ascending

float floatByF32(const Column &w, const float *x) {
  float sum = 0;
  for (size_t k = 0; k < w.size(); ++k) sum = std::fma(w[k].value, x[k], sum);
  return sum;
}

float integerByF32(const WeightFormat &f, const Column &w, const float *x) {
  float sum = 0;
  for (size_t first = 0; first < w.size(); first += f.group) {
    size_t end = std::min(w.size(), first + size_t(f.group));
    float accumulator = 0, sumX = 0;
    for (size_t k = first; k < end; ++k) {
      accumulator = std::fma(float(w[k].code - w[k].zero), x[k], accumulator);
      sumX += x[k];
    }
    sum = std::fma(w[first].scale, accumulator, sum);
    if (f.hasMinimum()) sum = std::fma(w[first].minimum, sumX, sum);
  }
  return sum;
}

float integerByQ8(const WeightFormat &f, const Column &w, const Q8Row &x) {
  float sum = 0;
  size_t block = std::min<size_t>(f.group, kActivationBlock);
  for (size_t first = 0; first < w.size(); first += block) {
    size_t end = std::min(w.size(), first + block);
    int32_t dot = 0, sumX = 0;
    for (size_t k = first; k < end; ++k) {
      dot += (w[k].code - w[k].zero) * x.codes[k];
      sumX += x.codes[k];
    }
    float scale = x.scales[first / kActivationBlock];
    sum = std::fma(w[first].scale * scale, float(dot), sum);
    if (f.hasMinimum()) sum = std::fma(w[first].minimum, scale * float(sumX), sum);
  }
  return sum;
}

/// Whole blocks from `column` on of a Q8 row; what lies past its columns is 0. Values are finite.
void quantiseBlocks(const MatmulDesc &desc, char *row, int64_t column, int64_t count, const float *x) {
  int64_t block = desc.y.block, columns = matmul::outputColumns(desc);
  for (int64_t first = 0; first < count; first += block) {
    int64_t index = (column + first) / block, valid = std::clamp<int64_t>(columns - column - first, 0, block);
    float largest = 0;
    for (int64_t i = 0; i < valid; ++i) largest = std::max(largest, std::fabs(x[first + i]));
    float inverse = 127.0f / largest, scale = std::isfinite(inverse) ? largest / 127.0f : 0;
    int32_t sum = 0, halves[2] = {0, 0};
    for (int64_t i = 0; i < block; ++i) {
      auto code = int8_t(i < valid && scale != 0 ? std::nearbyintf(x[first + i] * inverse) : 0);
      row[column + first + i] = code;
      sum += code, halves[i / 16 % 2] += code;
    }
    memcpy(row + q8ScaleOffset(columns, block) + index * 4, &scale, 4);
    memcpy(row + q8SumOffset(columns, block) + index * 4, &sum, 4);
    if (block == 32) memcpy(row + q8HalfSumOffset(columns) + index * 8, halves, 8);
  }
}

/// From the sums of one panel, of row `row`, to y.
void finishPanel(const MatmulDesc &desc, const llmc_matmul_args &args, int64_t row, int64_t panel, float *sums) {
  char *y = reinterpret_cast<char *>(args.y) + row * desc.yStride;
  int64_t made = matmul::panelColumns(desc), column = panel * made;
  auto *values = reinterpret_cast<float *>(y) + column;
  for (int64_t i = 0; i < kPanel; ++i)
    if (desc.bias) sums[i] += args.bias[panel * kPanel + i];
  for (int64_t i = 0; i < made; ++i) {
    sums[i] = referenceActivation(desc.activation, sums[i]);
    if (desc.glu) sums[i] *= sums[made + i];
    if (desc.accumulate) sums[i] += values[i];
  }
  if (!desc.y.isQ8()) {
    memcpy(values, sums, made * 4);
    return;
  }
  quantiseBlocks(desc, y, column, made, sums);
  int64_t end = roundUp(matmul::outputColumns(desc), made);
  std::vector<float> zeros(kPanel);
  if (column + made == end)
    for (int64_t c = end; c < q8PaddedK(matmul::outputColumns(desc), desc.y.block); c += desc.y.block)
      quantiseBlocks(desc, y, c, desc.y.block, zeros.data());
}

} // namespace

void referenceMatmul(const MatmulDesc &desc, const llmc_matmul_args *args) {
  Column w(desc.k);
  std::vector<float> sums(args->rows * kPanel);
  for (int64_t panel = args->begin; panel < args->end; ++panel) {
    for (int64_t column = 0; column < kPanel; ++column) {
      for (int64_t k = 0; k < desc.k; ++k) w[k] = unpackElement(desc.w, desc.k, args->w, panel * kPanel + column, k);
      for (int64_t row = 0; row < args->rows; ++row) {
        const char *x = static_cast<const char *>(args->x) + row * desc.xStride;
        sums[row * kPanel + column] = !desc.w.isInteger() ? floatByF32(w, reinterpret_cast<const float *>(x))
                                      : desc.x == RowFormat::F32
                                          ? integerByF32(desc.w, w, reinterpret_cast<const float *>(x))
                                          : integerByQ8(desc.w, w, Q8Row(x, desc.k));
      }
    }
    for (int64_t row = 0; row < args->rows; ++row) finishPanel(desc, *args, row, panel, &sums[row * kPanel]);
  }
}

} // namespace llmc
