// The steps of a mixture of experts around its matmuls, scalar (formulas and layouts: README.md).
#include "codegen/kernels/rowwise/MoeReference.h"
#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <vector>

namespace llmc {
namespace {

template <typename T> T *at(void *base, int64_t bytes) {
  return reinterpret_cast<T *>(static_cast<char *>(base) + bytes);
}
template <typename T> const T *at(const void *base, int64_t bytes) {
  return reinterpret_cast<const T *>(static_cast<const char *>(base) + bytes);
}

} // namespace

void referenceMoeChoose(const RowwiseDesc &d, const llmc_rowwise_args &args, int64_t row) {
  const auto *logits = at<float>(args.x, row * d.xStride);
  auto *experts = at<int32_t>(args.y, row * d.yStride);
  auto *weights = reinterpret_cast<float *>(experts + d.k);
  std::vector<double> scores(d.columns), keys(d.columns);
  double largest = *std::max_element(logits, logits + d.columns), total = 0;
  for (int64_t e = 0; e < d.columns; ++e) {
    scores[e] = std::exp(logits[e] - largest);
    keys[e] = logits[e];
    if (std::isnan(keys[e])) keys[e] = -INFINITY; // found last, and an order needs numbers
    total += scores[e];
  }
  std::vector<int32_t> order(d.columns);
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [&](int32_t a, int32_t b) { return keys[a] != keys[b] ? keys[a] > keys[b] : a < b; });
  std::sort(order.begin(), order.begin() + d.k);
  double chosen = 0;
  for (int64_t j = 0; j < d.k; ++j) chosen += scores[order[j]];
  double divisor = d.renormalise ? chosen : total;
  for (int64_t j = 0; j < d.k; ++j) {
    experts[j] = order[j];
    weights[j] = float(scores[order[j]] / divisor * d.scale);
  }
}

void referenceMoeSort(const RowwiseDesc &d, const llmc_rowwise_args &args, int64_t) {
  int64_t rows = args.batch->rows, place = 0;
  auto *offsets = at<int32_t>(args.y, 0), *rowOf = at<int32_t>(args.y, moePlanRows(d.columns)),
       *places = rowOf + rows * d.k;
  for (int64_t e = 0; e < d.columns; ++e) {
    offsets[e] = int32_t(place);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t j = 0; j < d.k; ++j)
        if (at<int32_t>(args.x, r * d.xStride)[j] == e)
          rowOf[place] = int32_t(r), places[r * d.k + j] = int32_t(place++);
  }
  offsets[d.columns] = int32_t(place);
}

void referenceMoeGather(const RowwiseDesc &d, const llmc_rowwise_args &args, int64_t place) {
  int32_t row = at<int32_t>(args.w, moePlanRows(d.experts))[place];
  memcpy(at<char>(args.y, place * d.yStride), at<char>(args.x, row * d.xStride), rowBytes(d.out, d.columns));
}

void referenceMoeScatter(const RowwiseDesc &d, const llmc_rowwise_args &args, int64_t unit) {
  int64_t row = unit / d.parts, part = unit % d.parts, width = moePartColumns(d.columns, d.parts);
  const auto *places = at<int32_t>(args.b, moePlanRows(d.experts)) + (args.batch->rows + row) * d.k;
  const auto *weights = at<float>(args.w, row * moeChoiceBytes(d.k) + d.k * 4);
  auto *y = at<float>(args.y, row * d.yStride);
  for (int64_t c = part * width; c < std::min((part + 1) * width, d.columns); ++c) {
    float sum = 0;
    for (int64_t j = 0; j < d.k; ++j) sum = std::fma(weights[j], at<float>(args.x, places[j] * d.xStride)[c], sum);
    y[c] = d.accumulate ? y[c] + sum : sum;
  }
}

} // namespace llmc
