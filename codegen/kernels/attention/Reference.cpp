#include "codegen/kernels/attention/Reference.h"
#include "codegen/kernels/attention/Half.h"
#include "codegen/kernels/matmul/Pack.h"
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

namespace llmc {
namespace {

constexpr int64_t kPage = LLMC_PAGE_POSITIONS;

/// The cache cells of one kv head at one position.
struct Cells {
  Cells(const AttentionDesc &d, const llmc_batch &batch, int64_t layerOffset, int64_t sequence, int64_t position,
        int64_t kvHead)
      : desc(d) {
    int64_t bytes = d.headDim * (d.kv == KvType::F32 ? 4 : 2);
    char *layer = batch.pages + batch.page_tables[sequence][position / kPage] * d.pageBytes + layerOffset;
    key = layer + (kvHead * kPage + position % kPage) * bytes;
    value = key + d.kvHeads * kPage * bytes;
  }
  float get(const char *cell, int64_t i) const {
    if (desc.kv == KvType::F32) return reinterpret_cast<const float *>(cell)[i];
    return f16ToF32(reinterpret_cast<const uint16_t *>(cell)[i]);
  }
  void set(char *cell, int64_t i, float x) const {
    if (desc.kv == KvType::F32)
      reinterpret_cast<float *>(cell)[i] = x;
    else
      reinterpret_cast<uint16_t *>(cell)[i] = f32ToF16(x);
  }
  const AttentionDesc &desc;
  char *key, *value;
};

/// One head's x[0..headDim) rotated by the row's cosines and sines.
std::vector<float> rotated(const AttentionDesc &d, const float *x, const float *rope) {
  std::vector<float> y(x, x + d.headDim);
  if (d.rope == RopeStyle::None) return y;
  int64_t half = d.ropeDim / 2;
  for (int64_t i = 0; i < half; ++i) {
    bool interleaved = d.rope == RopeStyle::Interleaved;
    int64_t first = interleaved ? 2 * i : i, second = interleaved ? 2 * i + 1 : i + half;
    float cosine = rope[i], sine = rope[half + i];
    y[first] = x[first] * cosine - x[second] * sine;
    y[second] = x[second] * cosine + x[first] * sine;
  }
  return y;
}

template <typename T> T *rowAt(T *base, int64_t row, int64_t stride) {
  using Byte = std::conditional_t<std::is_const_v<T>, const char, char>;
  return reinterpret_cast<T *>(reinterpret_cast<Byte *>(base) + row * stride);
}

/// One query head of one row over positions first..last of its sequence.
void attend(const AttentionDesc &d, const llmc_attention_args &args, int64_t row, int64_t head) {
  const llmc_batch &batch = *args.batch;
  int64_t last = batch.positions[row], first = d.window ? std::max<int64_t>(0, last - d.window + 1) : 0;
  int64_t kvHead = head / (d.heads / d.kvHeads);
  const float *q = rowAt(args.q, row, d.qkvStride) + head * d.headDim;
  std::vector<double> scores, sums(d.headDim);
  for (int64_t p = first; p <= last; ++p) {
    Cells cells(d, batch, args.layer_offset, batch.sequences[row], p, kvHead);
    double dot = 0;
    for (int64_t i = 0; i < d.headDim; ++i) dot += double(q[i]) * cells.get(cells.key, i);
    scores.push_back(dot * d.scale);
  }
  double max = *std::max_element(scores.begin(), scores.end()), total = 0;
  for (int64_t p = first; p <= last; ++p) {
    Cells cells(d, batch, args.layer_offset, batch.sequences[row], p, kvHead);
    double weight = std::exp(scores[p - first] - max);
    total += weight;
    for (int64_t i = 0; i < d.headDim; ++i) sums[i] += weight * cells.get(cells.value, i);
  }
  float *y = rowAt(args.y, row, d.yStride) + head * d.headDim;
  for (int64_t i = 0; i < d.headDim; ++i) y[i] = float(sums[i] / total);
}

} // namespace

void referenceKvAppend(const KvAppendDesc &d, const llmc_kv_append_args &args) {
  for (int64_t row = args.begin; row < args.end; ++row) {
    float *q = rowAt(args.qkv, row, d.qkvStride), *k = q + d.heads * d.headDim, *v = k + d.kvHeads * d.headDim;
    const float *rope = args.rope ? rowAt(args.rope, row, d.ropeStride) : nullptr;
    for (int64_t head = 0; head < d.heads; ++head) {
      std::vector<float> y = rotated(d, q + head * d.headDim, rope);
      std::copy(y.begin(), y.end(), q + head * d.headDim);
    }
    for (int64_t head = 0; head < d.kvHeads; ++head) {
      Cells cells(d, *args.batch, args.layer_offset, args.batch->sequences[row], args.batch->positions[row], head);
      std::vector<float> key = rotated(d, k + head * d.headDim, rope);
      for (int64_t i = 0; i < d.headDim; ++i) {
        cells.set(cells.key, i, key[i]);
        cells.set(cells.value, i, v[head * d.headDim + i]);
      }
    }
  }
}

void referenceAttention(const AttentionDesc &d, const llmc_attention_args &args) {
  int64_t perGroup = d.heads / d.kvHeads;
  for (int64_t unit = args.begin; unit < args.end; ++unit) {
    int64_t first = unit / d.kvHeads * d.rowBlock, end = std::min(first + d.rowBlock, args.batch->rows);
    for (int64_t row = first; row < end; ++row)
      for (int64_t i = 0; i < perGroup; ++i) attend(d, args, row, unit % d.kvHeads * perGroup + i);
  }
}

} // namespace llmc
