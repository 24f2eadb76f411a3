#include "dialects/llm/eval/Ops.h"
#include <cmath>

namespace llmc::llm::eval {

static void append(std::vector<float> &cache, const Tensor &rows, Indices positions) {
  for (int64_t r = 0; r < rows.rows; ++r) {
    size_t begin = size_t(positions[r]) * rows.columns;
    if (cache.size() < begin + rows.columns) cache.resize(begin + rows.columns);
    std::copy_n(rows.row(r), rows.columns, cache.data() + begin);
  }
}

double alibiSlope(int64_t heads, int64_t h) {
  int64_t power = int64_t(1) << int64_t(std::floor(std::log2(double(heads))));
  return h < power ? std::pow(2, -8.0 * double(h + 1) / double(power))
                   : std::pow(2, -8.0 * double(2 * (h - power) + 1) / double(2 * power));
}

/// y[0..headDim) of one query of `head` against positions [begin, end) of a head whose rows are `stride` apart.
static void attendHead(const float *q, const float *k, const float *v, int64_t stride, int64_t begin, int64_t end,
                       int64_t head, const AttentionShape &shape, float *y) {
  std::vector<double> weights(end - begin), sum(shape.headDim);
  double sink = shape.sinks ? double(shape.sinks->data[head]) : -INFINITY, largest = sink;
  for (int64_t j = begin; j < end; ++j) {
    double score = 0;
    for (int64_t d = 0; d < shape.headDim; ++d) score += double(q[d]) * k[j * stride + d];
    score *= shape.scale;
    if (shape.softcap > 0) score = shape.softcap * std::tanh(score / shape.softcap);
    if (shape.alibi) score += alibiSlope(shape.heads, head) * double(j - (end - 1));
    weights[j - begin] = score;
    largest = std::max(largest, weights[j - begin]);
  }
  double total = std::exp(sink - largest);
  for (double &w : weights) total += w = std::exp(w - largest);
  for (int64_t j = begin; j < end; ++j)
    for (int64_t d = 0; d < shape.headDim; ++d) sum[d] += weights[j - begin] * v[j * stride + d];
  for (int64_t d = 0; d < shape.headDim; ++d) y[d] = float(sum[d] / total);
}

Tensor attention(const Tensor &q, const Tensor &k, const Tensor &v, Indices positions, const AttentionShape &shape,
                 LayerCache &cache) {
  append(cache.k, k, positions);
  append(cache.v, v, positions);
  Tensor y(q.rows, q.columns);
  int64_t perGroup = shape.heads / shape.kvHeads, dim = shape.headDim;
  for (int64_t r = 0; r < y.rows; ++r) {
    int64_t end = int64_t(positions[r]) + 1, begin = shape.window > 0 ? std::max<int64_t>(0, end - shape.window) : 0;
    for (int64_t h = 0; h < shape.heads; ++h) {
      int64_t group = h / perGroup * dim;
      attendHead(q.row(r) + h * dim, cache.k.data() + group, cache.v.data() + group, k.columns, begin, end, h, shape,
                 y.row(r) + h * dim);
    }
  }
  return y;
}

static Tensor columns(const Tensor &x, int64_t begin, int64_t count) {
  Tensor y(x.rows, count);
  for (int64_t r = 0; r < y.rows; ++r) std::copy_n(x.row(r) + begin, count, y.row(r));
  return y;
}

Tensor attentionKv(const Tensor &qkv, Indices positions, const Tensor *table, RopeAttr ropeAttr,
                   const AttentionShape &shape, LayerCache &cache) {
  int64_t qColumns = shape.heads * shape.headDim, kvColumns = shape.kvHeads * shape.headDim;
  Tensor q = columns(qkv, 0, qColumns), k = columns(qkv, qColumns, kvColumns);
  Tensor v = columns(qkv, qColumns + kvColumns, kvColumns);
  if (table) {
    q = rope(q, *table, shape.heads, ropeAttr);
    k = rope(k, *table, shape.kvHeads, ropeAttr);
  }
  return attention(q, k, v, positions, shape, cache);
}

} // namespace llmc::llm::eval
