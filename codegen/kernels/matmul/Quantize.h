// The scalar meaning of a Q8 activation row (codegen/Descriptor.h has the layout).
#pragma once
#include "codegen/Descriptor.h"
#include <numeric>

namespace llmc {

/// x[0..k) to a Q8 row of q8RowBytes(k, block) bytes, padding written as 0. Per block: m = max|x|, scale = m/127,
/// code = round to nearest even of x * (127/m), sum of the codes of the block; with blocks of 32 of each half, too. A
/// block whose 127/m is not finite (m below about 3.7e-37, or 0) has codes and scale 0. x is finite.
void quantiseRowQ8(const float *x, int64_t k, int64_t block, void *out);
/// Its blocks from column `first` to `end`, both multiples of the block; x[0] is column `first`, nothing is read behind
/// column k.
void quantiseBlocksQ8(const float *x, int64_t first, int64_t end, int64_t k, int64_t block, void *out);

/// Parts of a Q8 row. Half sums are there with blocks of 32.
struct Q8Row {
  const int8_t *codes;
  const float *scales;
  const int32_t *sums, *halfSums;
  Q8Row(const void *row, int64_t k, int64_t block)
      : codes(static_cast<const int8_t *>(row)), scales(at<float>(row, q8ScaleOffset(k, block))),
        sums(at<int32_t>(row, q8SumOffset(k, block))),
        halfSums(block == 32 ? at<int32_t>(row, q8HalfSumOffset(k, block)) : nullptr) {}

private:
  template <typename T> static const T *at(const void *row, int64_t offset) {
    return reinterpret_cast<const T *>(static_cast<const char *>(row) + offset);
  }
};

/// k of one integer dot product: inputs that share both their weights' group and their activations' block. The last
/// unit of a row may be short.
inline int64_t unitOf(const WeightFormat &w, int64_t k, int64_t block) {
  return w.group >= k ? block : std::gcd(w.group, block);
}

} // namespace llmc
