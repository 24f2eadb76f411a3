#include "codegen/kernels/matmul/Reference.h"
#include "codegen/kernels/matmul/Epilogue.h"
#include "codegen/kernels/matmul/Pack.h"
#include "codegen/kernels/matmul/Quantize.h"
#include "codegen/kernels/matmul/Requantise.h"
#include "codegen/kernels/matmul/Rows16.h"
#include "codegen/kernels/rowwise/Reference.h"
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

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

float integerByQ8(const WeightFormat &f, const Column &w, const Q8Row &x, int64_t block) {
  float sum = 0;
  size_t unit = unitOf(f, int64_t(w.size()), block);
  for (size_t first = 0; first < w.size(); first += unit) {
    size_t end = std::min(w.size(), first + unit);
    int32_t dot = 0, sumX = 0;
    for (size_t k = first; k < end; ++k) {
      dot += (w[k].code - w[k].zero) * x.codes[k];
      sumX += x.codes[k];
    }
    float scale = x.scales[first / block];
    sum = std::fma(w[first].scale * scale, float(dot), sum);
    if (f.hasMinimum()) sum = std::fma(w[first].minimum, scale * float(sumX), sum);
  }
  return sum;
}

/// The column as s8 codes with a scale for each 512 k.
Column requantised(const WeightFormat &f, const Column &w) {
  Column out(w.size());
  std::vector<int8_t> codes(kRequantiseBlock);
  for (size_t first = 0; first < w.size(); first += kRequantiseBlock) {
    size_t count = std::min<size_t>(kRequantiseBlock, w.size() - first);
    float scale = requantise(f, llvm::ArrayRef(w).slice(first, count), codes.data());
    for (size_t k = 0; k < count; ++k) {
      out[first + k].code = codes[k];
      out[first + k].scale = scale;
    }
  }
  return out;
}

/// The sum of a row and a column of format f, before the epilogue; 16-bit rows are decoded, then as for f32.
float sumOf(const MatmulDesc &desc, const WeightFormat &f, const Column &w, const char *row) {
  if (desc.x.isQ8()) return integerByQ8(f, w, Q8Row(row, desc.k, desc.x.block), desc.x.block);
  std::vector<float> decoded(desc.k);
  for (int64_t k = 0; k < desc.k; ++k)
    decoded[k] = desc.x.is16Bit() ? fromRow16(desc.x, row, desc.k, k) : reinterpret_cast<const float *>(row)[k];
  return f.isInteger() ? integerByF32(f, w, decoded.data()) : floatByF32(w, decoded.data());
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
  int64_t columns = matmul::outputColumns(desc), block = desc.y.block;
  bool last = column + made >= columns;
  quantiseBlocksQ8(sums, column, last ? q8PaddedK(columns, block) : column + made, columns, block, y);
}

} // namespace

void referenceMatmul(const MatmulDesc &desc, const llmc_matmul_args *args) {
  const WeightFormat f = requantises(desc) ? WeightFormat{WeightKind::I8, kRequantiseBlock} : desc.w;
  Column w(desc.k);
  std::vector<float> sums(args->rows * kPanel);
  for (int64_t panel = args->begin; panel < args->end; ++panel) {
    for (int64_t column = 0; column < kPanel; ++column) {
      for (int64_t k = 0; k < desc.k; ++k) w[k] = unpackElement(desc.w, desc.k, args->w, panel * kPanel + column, k);
      if (requantises(desc)) w = requantised(desc.w, w);
      for (int64_t row = 0; row < args->rows; ++row)
        sums[row * kPanel + column] = sumOf(desc, f, w, static_cast<const char *>(args->x) + row * desc.xStride);
    }
    for (int64_t row = 0; row < args->rows; ++row) finishPanel(desc, *args, row, panel, &sums[row * kPanel]);
  }
}

} // namespace llmc
