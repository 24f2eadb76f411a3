#include "codegen/kernels/matmul/Quantize.h"
#include <algorithm>
#include <cmath>
#include <cstring>

namespace llmc {

void quantiseRowQ8(const float *x, int64_t k, void *out) {
  char *row = static_cast<char *>(out);
  memset(row, 0, q8RowBytes(k));
  auto *codes = reinterpret_cast<int8_t *>(row);
  auto *scales = reinterpret_cast<float *>(row + q8ScaleOffset(k));
  auto *sums = reinterpret_cast<int32_t *>(row + q8SumOffset(k));
  auto *halfSums = reinterpret_cast<int32_t *>(row + q8HalfSumOffset(k));
  for (int64_t first = 0; first < k; first += kActivationBlock) {
    int64_t end = std::min(k, first + kActivationBlock);
    float largest = 0;
    for (int64_t i = first; i < end; ++i) largest = std::max(largest, std::fabs(x[i]));
    float inverse = 127.0f / largest;
    if (!std::isfinite(inverse)) continue;
    scales[first / kActivationBlock] = largest / 127.0f;
    for (int64_t i = first; i < end; ++i) {
      codes[i] = int8_t(std::nearbyintf(x[i] * inverse));
      sums[i / kActivationBlock] += codes[i];
      halfSums[i / 16] += codes[i];
    }
  }
}

} // namespace llmc
