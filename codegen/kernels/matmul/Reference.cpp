#include "codegen/kernels/matmul/Reference.h"
#include "codegen/kernels/matmul/Epilogue.h"
#include "codegen/kernels/matmul/Pack.h"
#include "codegen/kernels/matmul/Quantize.h"
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
  Column w(desc.k);
  std::vector<float> sums(args->rows * kPanel);
  for (int64_t panel = args->begin; panel < args->end; ++panel) {
    for (int64_t column = 0; column < kPanel; ++column) {
      for (int64_t k = 0; k < desc.k; ++k) w[k] = unpackElement(desc.w, desc.k, args->w, panel * kPanel + column, k);
      for (int64_t row = 0; row < args->rows; ++row) {
        const char *x = static_cast<const char *>(args->x) + row * desc.xStride;
        sums[row * kPanel + column] = !desc.w.isInteger() ? floatByF32(w, reinterpret_cast<const float *>(x))
                                      : desc.x.isQ8()
                                          ? integerByQ8(desc.w, w, Q8Row(x, desc.k, desc.x.block), desc.x.block)
                                          : integerByF32(desc.w, w, reinterpret_cast<const float *>(x));
      }
    }
    for (int64_t row = 0; row < args->rows; ++row) finishPanel(desc, *args, row, panel, &sums[row * kPanel]);
  }
}

} // namespace llmc
