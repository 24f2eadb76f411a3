#include "codegen/kernels/matmul/Requantise.h"
#include <algorithm>
#include <cmath>

namespace llmc {
namespace {

int halfRange(const WeightFormat &f) { return f.kind == WeightKind::I4 ? 8 : 128; }

/// What code H stands for.
float offsetOf(const WeightFormat &f, const PackedElement &e) {
  int h = halfRange(f);
  if (f.hasMinimum()) return std::fma(float(h), e.scale, e.minimum);
  return float(h - e.zero) * e.scale;
}

} // namespace

float requantise(const WeightFormat &f, llvm::ArrayRef<PackedElement> block, int8_t *codes) {
  const int h = halfRange(f);
  float largest = 0;
  for (const PackedElement &e : block)
    largest = std::max(largest, std::fma(float(h), std::fabs(e.scale), std::fabs(offsetOf(f, e))));
  float inverse = 127.0f / largest;
  if (!std::isfinite(inverse)) {
    std::fill_n(codes, block.size(), int8_t(0));
    return 0;
  }
  for (size_t k = 0; k < block.size(); ++k) {
    const PackedElement &e = block[k];
    int ratio = int(std::nearbyintf(256.0f * float(h) * (e.scale * inverse)));
    int added = int(std::nearbyintf(256.0f * (offsetOf(f, e) * inverse))) + 128;
    int product = ((e.code - h) * (32768 / h) * ratio + (1 << 14)) >> 15;
    codes[k] = int8_t(std::clamp(product + added, -32768, 32767) >> 8);
  }
  return largest / 127.0f;
}

} // namespace llmc
