#include "codegen/kernels/matmul/Quantize.h"
#include <algorithm>
#include <cmath>
#include <cstring>

namespace llmc {

void quantiseRowQ8(const float *x, int64_t k, int64_t block, void *out) {
  char *row = static_cast<char *>(out);
  memset(row, 0, q8RowBytes(k, block));
  auto *codes = reinterpret_cast<int8_t *>(row);
  auto *scales = reinterpret_cast<float *>(row + q8ScaleOffset(k, block));
  auto *sums = reinterpret_cast<int32_t *>(row + q8SumOffset(k, block));
  auto *halfSums = block == 32 ? reinterpret_cast<int32_t *>(row + q8HalfSumOffset(k, block)) : nullptr;
  for (int64_t first = 0; first < k; first += block) {
    int64_t end = std::min(k, first + block);
    float largest = 0;
    for (int64_t i = first; i < end; ++i) largest = std::max(largest, std::fabs(x[i]));
    float inverse = 127.0f / largest;
    if (!std::isfinite(inverse)) continue;
    scales[first / block] = largest / 127.0f;
    for (int64_t i = first; i < end; ++i) {
      codes[i] = int8_t(std::nearbyintf(x[i] * inverse));
      sums[i / block] += codes[i];
      if (halfSums) halfSums[i / 16] += codes[i];
    }
  }
}

} // namespace llmc
