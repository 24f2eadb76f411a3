// The scalar meaning of a Q8 activation row (codegen/Descriptor.h has the layout).
#pragma once
#include "codegen/Descriptor.h"

namespace llmc {

/// x[0..k) to a Q8 row of q8RowBytes(k) bytes, padding written as 0. Per block of 32: m = max|x|, scale = m/127,
/// code = round to nearest even of x * (127/m), sums of the codes of the block and of its halves. A block whose 127/m
/// is not finite (m below about 3.7e-37, or 0) has codes and scale 0. x is finite.
void quantiseRowQ8(const float *x, int64_t k, void *out);

/// Parts of a Q8 row.
struct Q8Row {
  const int8_t *codes;
  const float *scales;
  const int32_t *sums, *halfSums;
  Q8Row(const void *row, int64_t k)
      : codes(static_cast<const int8_t *>(row)), scales(at<float>(row, q8ScaleOffset(k))),
        sums(at<int32_t>(row, q8SumOffset(k))), halfSums(at<int32_t>(row, q8HalfSumOffset(k))) {}

private:
  template <typename T> static const T *at(const void *row, int64_t offset) {
    return reinterpret_cast<const T *>(static_cast<const char *>(row) + offset);
  }
};

} // namespace llmc
