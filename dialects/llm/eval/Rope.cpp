#include "dialects/llm/eval/Ops.h"
#include <cmath>

namespace llmc::llm::eval {

/// Dynamic NTK: the frequencies of a sequence of `length` > rope.dynamic_max positions.
static std::vector<float> dynamicFrequencies(RopeAttr rope, int64_t length) {
  double dim = rope.getDim(), factor = rope.getDynamicFactor();
  double stretch = factor * length / rope.getDynamicMax() - (factor - 1);
  double base = rope.getDynamicBase() * std::pow(stretch, dim / (dim - 2));
  std::vector<float> frequencies(rope.getDim() / 2);
  for (size_t i = 0; i < frequencies.size(); ++i) frequencies[i] = float(std::pow(base, -2.0 * i / dim));
  return frequencies;
}

Tensor ropeTable(Indices positions, llvm::ArrayRef<float> invFreq, RopeAttr rope, int64_t length) {
  std::vector<float> dynamic;
  float scale = rope.getScale();
  if (rope.getDynamicMax() > 0 && length > rope.getDynamicMax()) {
    bool isLong = !rope.getLongInvFreq().empty();
    if (isLong) scale = rope.getLongScale();
    dynamic = isLong ? std::vector<float>(rope.getLongInvFreq().begin(), rope.getLongInvFreq().end())
                     : dynamicFrequencies(rope, length);
    invFreq = dynamic;
  }
  int64_t half = rope.getDim() / 2;
  Tensor y(positions.size(), 2 * half);
  for (int64_t r = 0; r < y.rows; ++r)
    for (int64_t i = 0; i < half; ++i) {
      float angle = float(positions[r]) * invFreq[i]; // as the models do it: rounded to f32
      y.row(r)[i] = float(std::cos(double(angle)) * scale);
      y.row(r)[half + i] = float(std::sin(double(angle)) * scale);
    }
  return y;
}

Tensor rope(const Tensor &x, const Tensor &table, int64_t heads, RopeAttr rope) {
  Tensor y = x;
  int64_t headDim = x.columns / heads, half = rope.getDim() / 2;
  bool interleaved = rope.getStyle() == RopeStyle::Interleaved;
  for (int64_t r = 0; r < y.rows; ++r)
    for (int64_t h = 0; h < heads; ++h)
      for (int64_t i = 0; i < half; ++i) {
        int64_t first = h * headDim + (interleaved ? 2 * i : i), second = first + (interleaved ? 1 : half);
        double a = x.row(r)[first], b = x.row(r)[second], cosine = table.row(r)[i], sine = table.row(r)[half + i];
        y.row(r)[first] = float(a * cosine - b * sine);
        y.row(r)[second] = float(b * cosine + a * sine);
      }
  return y;
}

} // namespace llmc::llm::eval
