// What activation rows stand for once they are stored in a format of fewer bits.
#include "dialects/llm/eval/Ops.h"
#include "dialects/wq/codecs/Half.h"
#include <cmath>

namespace llmc::llm::eval {

static void quantizeBlock(const float *in, int64_t count, float *out) {
  float largest = 0;
  for (int64_t c = 0; c < count; ++c) largest = std::max(largest, std::fabs(in[c]));
  float inverse = 127.0f / largest, scale = largest / 127.0f;
  if (!std::isfinite(inverse)) return;
  for (int64_t c = 0; c < count; ++c) out[c] = scale * std::nearbyintf(in[c] * inverse);
}

static float roundTo(wq::RowKind kind, float x) {
  float high = kind == wq::RowKind::F16 ? wq::f16ToFloat(wq::floatToF16(x)) : wq::bf16ToFloat(wq::floatToBf16(x));
  return kind == wq::RowKind::BF16Pair ? high + wq::bf16ToFloat(wq::floatToBf16(x - high)) : high;
}

Tensor roundRows(const Tensor &x, wq::RowFormatAttr format) {
  if (!format || format.getKind() == wq::RowKind::F32) return x;
  Tensor y(x.rows, x.columns);
  bool blocks = format.getKind() == wq::RowKind::Q8;
  for (int64_t i = 0; !blocks && i < int64_t(x.data.size()); ++i) y.data[i] = roundTo(format.getKind(), x.data[i]);
  for (int64_t r = 0; blocks && r < y.rows; ++r)
    for (int64_t first = 0; first < x.columns; first += format.getBlock())
      quantizeBlock(x.row(r) + first, std::min(format.getBlock(), x.columns - first), y.row(r) + first);
  return y;
}

} // namespace llmc::llm::eval
