#include "dialects/llm/Rope.h"
#include <algorithm>
#include <cmath>

namespace llmc::llm {
namespace {

std::vector<float> plainFrequencies(const RopeConfig &c) {
  std::vector<float> f(c.dim / 2);
  // As torch does it in f32: 1 / theta^(2i/dim).
  for (size_t i = 0; i < f.size(); ++i) f[i] = 1.0f / std::pow(float(c.theta), float(2 * i) / float(c.dim));
  return f;
}

/// arXiv 2407.21783 (Llama 3.1): long wavelengths are divided by factor, short ones kept, between them interpolated.
void scaleLlama3(const RopeConfig &c, std::vector<float> &f) {
  double lowWavelength = c.originalMaxPositions / c.lowFreqFactor;
  double highWavelength = c.originalMaxPositions / c.highFreqFactor;
  for (float &x : f) {
    double wavelength = 2 * M_PI / x;
    if (wavelength < highWavelength) continue;
    if (wavelength > lowWavelength) {
      x = float(x / c.factor);
      continue;
    }
    double smooth = (c.originalMaxPositions / wavelength - c.lowFreqFactor) / (c.highFreqFactor - c.lowFreqFactor);
    x = float((1 - smooth) * (x / c.factor) + smooth * x);
  }
}

/// arXiv 2309.00071: between the channels of betaFast and betaSlow rotations, a ramp from kept to divided by factor.
float scaleYarn(const RopeConfig &c, std::vector<float> &f) {
  auto channel = [&](double rotations) {
    return c.dim * std::log(c.originalMaxPositions / (rotations * 2 * M_PI)) / (2 * std::log(c.theta));
  };
  double low = channel(c.betaFast), high = channel(c.betaSlow);
  if (c.truncate) low = std::floor(low), high = std::ceil(high);
  low = std::max(low, 0.0), high = std::min(high, double(c.dim - 1));
  if (low == high) high += 0.001;
  for (size_t i = 0; i < f.size(); ++i) {
    double ramp = std::clamp((double(i) - low) / (high - low), 0.0, 1.0);
    f[i] = float(f[i] / c.factor * ramp + f[i] * (1 - ramp));
  }
  if (c.attentionFactor) return float(c.attentionFactor);
  auto mscale = [&](double m) { return c.factor <= 1 ? 1.0 : 0.1 * m * std::log(c.factor) + 1.0; };
  if (c.mscale && c.mscaleAllDim) return float(mscale(c.mscale) / mscale(c.mscaleAllDim));
  return float(mscale(1));
}
} // namespace

llvm::Expected<RopeTable> computeRope(const RopeConfig &c) {
  if (c.dim <= 0 || c.dim % 2)
    return llvm::createStringError("rope: found " + std::to_string(c.dim) +
                                   " rotated channels, expected an even number");
  if (!(c.theta > 0) || !(c.factor > 0) || c.originalMaxPositions < 0)
    return llvm::createStringError("rope: expected positive theta and factor");
  RopeTable table{plainFrequencies(c)};
  if (c.type == "default") return table;
  if (c.type == "linear") {
    for (float &x : table.invFreq) x = float(x / c.factor);
    return table;
  }
  if (c.type == "dynamic") return table; // the frequencies change with the length, at run time
  if ((c.type == "llama3" || c.type == "yarn") && c.originalMaxPositions == 0)
    return llvm::createStringError("rope: " + c.type + " needs original_max_position_embeddings");
  if (c.type == "llama3") {
    scaleLlama3(c, table.invFreq);
    return table;
  }
  if (c.type == "yarn") {
    table.scale = scaleYarn(c, table.invFreq);
    return table;
  }
  return llvm::createStringError("rope: found type '" + c.type +
                                 "', expected default, linear, dynamic, llama3 or yarn");
}

} // namespace llmc::llm
