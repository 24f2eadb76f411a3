#include "codegen/kernels/attention/Reference.h"
#include "codegen/kernels/attention/Half.h"
#include "codegen/kernels/matmul/Pack.h"
#include "codegen/kernels/matmul/Quantize.h"
#include <algorithm>
#include <cmath>
#include <cstring>

namespace llmc {

KvCell::KvCell(const AttentionDesc &d, const llmc_batch &batch, int64_t layerOffset, int64_t sequence, int64_t position,
               int64_t kvHead)
    : layout(d.layout()), slot(position % kPagePositions),
      part(batch.pages + batch.page_tables[sequence][position / kPagePositions] * d.pageBytes + layerOffset +
           kvHead * layout.bytes()) {}

float KvCell::get(int64_t offset, int64_t scaleOffset) const {
  const char *at = part + offset;
  switch (layout.type) {
  case KvType::F32: return *reinterpret_cast<const float *>(at);
  case KvType::F16: return f16ToF32(*reinterpret_cast<const uint16_t *>(at));
  case KvType::BF16: return bf16ToF32(*reinterpret_cast<const uint16_t *>(at));
  case KvType::I8: return float(*reinterpret_cast<const int8_t *>(at)) * *reinterpret_cast<float *>(part + scaleOffset);
  }
  return 0;
}

void KvCell::set(int64_t offset, float x) const {
  char *at = part + offset;
  switch (layout.type) {
  case KvType::F32: memcpy(at, &x, 4); break;
  case KvType::F16: *reinterpret_cast<uint16_t *>(at) = f32ToF16(x); break;
  case KvType::BF16: *reinterpret_cast<uint16_t *>(at) = f32ToBf16(x); break;
  case KvType::I8: *reinterpret_cast<int8_t *>(at) = int8_t(std::nearbyint(x)); break;
  }
}

float KvCell::setScale(const float *x, int64_t offset) const {
  if (layout.type != KvType::I8) return 1;
  float largest = 0;
  for (int64_t i = 0; i < layout.headDim; ++i)
    if (float size = std::fabs(x[i]); !std::isnan(largest) && !(size <= largest)) largest = size; // a NaN stays
  float inverse = 127 / largest;
  float scale = std::isinf(inverse) ? 0 : largest / 127;
  memcpy(part + offset, &scale, 4);
  return std::isfinite(inverse) && inverse > 0 ? inverse : 0;
}

void KvCell::setKey(const float *x) const {
  float factor = setScale(x, layout.keyScaleOffset(slot));
  for (int64_t i = 0; i < layout.headDim; ++i) set(layout.keyOffset(i, slot), factor ? x[i] * factor : 0);
}

void KvCell::setValue(const float *x) const {
  float factor = setScale(x, layout.valueScaleOffset(slot));
  for (int64_t i = 0; i < layout.headDim; ++i) set(layout.valueOffset(i, slot), factor ? x[i] * factor : 0);
}

namespace {

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
  return base ? reinterpret_cast<T *>(reinterpret_cast<Byte *>(base) + row * stride) : nullptr;
}

/// What joins the softmax of a head without a value, or nothing.
struct Logits {
  std::vector<double> scores;
  double sink = -INFINITY;
};

/// Scores of one query head of one row at positions first..last.
Logits logits(const AttentionDesc &d, const llmc_attention_args &args, int64_t row, int64_t head, int64_t first,
              int64_t last) {
  const float *q = rowAt(args.qkv, row, d.qkvStride) + head * d.headDim, *rope = rowAt(args.rope, row, d.ropeStride);
  std::vector<float> query = rotated(d, q, rope);
  Logits l;
  for (int64_t p = first; p <= last; ++p) {
    KvCell cell(d, *args.batch, args.layer_offset, args.batch->sequences[row], p, head / (d.heads / d.kvHeads));
    double score = 0;
    for (int64_t i = 0; i < d.headDim; ++i) score += double(query[i]) * cell.key(i);
    score *= d.scale;
    if (d.softcap > 0) score = d.softcap * std::tanh(score / d.softcap);
    if (d.alibi) score += alibiSlope(d.heads, head) * double(p - last);
    l.scores.push_back(score);
  }
  if (d.sinks) l.sink = args.sinks[head];
  return l;
}

/// One query head of one row over the positions that it sees, to y[0..headDim).
void attend(const AttentionDesc &d, const llmc_attention_args &args, int64_t row, int64_t head, float *y) {
  int64_t last = args.batch->positions[row], first = d.window ? std::max<int64_t>(0, last - d.window + 1) : 0;
  Logits l = logits(d, args, row, head, first, last);
  double max = std::max(l.sink, *std::max_element(l.scores.begin(), l.scores.end())), total = std::exp(l.sink - max);
  std::vector<double> sums(d.headDim);
  for (int64_t p = first; p <= last; ++p) {
    KvCell cell(d, *args.batch, args.layer_offset, args.batch->sequences[row], p, head / (d.heads / d.kvHeads));
    double weight = std::exp(l.scores[p - first] - max);
    total += weight;
    for (int64_t i = 0; i < d.headDim; ++i) sums[i] += weight * cell.value(i);
  }
  for (int64_t i = 0; i < d.headDim; ++i) y[i] = float(sums[i] / total);
}

} // namespace

void referenceKvAppend(const KvAppendDesc &d, const llmc_kv_append_args &args) {
  for (int64_t row = args.begin; row < args.end; ++row) {
    const float *k = rowAt(args.qkv, row, d.qkvStride) + d.heads * d.headDim, *v = k + d.kvHeads * d.headDim;
    for (int64_t head = 0; head < d.kvHeads; ++head) {
      KvCell cell(d, *args.batch, args.layer_offset, args.batch->sequences[row], args.batch->positions[row], head);
      cell.setKey(rotated(d, k + head * d.headDim, rowAt(args.rope, row, d.ropeStride)).data());
      cell.setValue(v + head * d.headDim);
    }
  }
}

void referenceAttention(const AttentionDesc &d, const llmc_attention_args &args) {
  if (args.append)
    referenceKvAppend(KvAppendDesc{d}, {0, args.batch->rows, args.batch, args.qkv, args.rope, args.layer_offset});
  std::vector<float> y(d.heads * d.headDim);
  for (int64_t row = 0; row < args.batch->rows; ++row) {
    for (int64_t head = 0; head < d.heads; ++head) attend(d, args, row, head, y.data() + head * d.headDim);
    char *out = rowAt(static_cast<char *>(args.y), row, d.yStride);
    if (d.out == RowFormat::Q8)
      quantiseRowQ8(y.data(), int64_t(y.size()), kActivationBlock, out);
    else
      memcpy(out, y.data(), y.size() * sizeof(float));
  }
}

} // namespace llmc
