#include "codegen/kernels/matmul/Quantize.h"
#include <algorithm>
#include <cmath>
#include <cstring>

namespace llmc {

void quantiseBlocksQ8(const float *x, int64_t first, int64_t end, int64_t k, int64_t block, void *out) {
  char *row = static_cast<char *>(out);
  auto *codes = reinterpret_cast<int8_t *>(row);
  auto *scales = reinterpret_cast<float *>(row + q8ScaleOffset(k, block));
  auto *sums = reinterpret_cast<int32_t *>(row + q8SumOffset(k, block));
  auto *halfSums = block == 32 ? reinterpret_cast<int32_t *>(row + q8HalfSumOffset(k, block)) : nullptr;
  for (; first < end; first += block, x += block) {
    int64_t valid = std::clamp<int64_t>(k - first, 0, block), index = first / block;
    memset(codes + first, 0, block);
    scales[index] = 0, sums[index] = 0;
    if (halfSums) halfSums[2 * index] = halfSums[2 * index + 1] = 0;
    float largest = 0;
    for (int64_t i = 0; i < valid; ++i) largest = std::max(largest, std::fabs(x[i]));
    float inverse = 127.0f / largest;
    if (!std::isfinite(inverse)) continue;
    scales[index] = largest / 127.0f;
    for (int64_t i = 0; i < valid; ++i) {
      codes[first + i] = int8_t(std::nearbyintf(x[i] * inverse));
      sums[index] += codes[first + i];
      if (halfSums) halfSums[(first + i) / 16] += codes[first + i];
    }
  }
}

void quantiseRowQ8(const float *x, int64_t k, int64_t block, void *out) {
  quantiseBlocksQ8(x, 0, q8PaddedK(k, block), k, block, out);
}

} // namespace llmc
