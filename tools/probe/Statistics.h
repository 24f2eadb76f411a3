// Repeated measurements as three numbers.
#pragma once
#include <algorithm>
#include <vector>

namespace llmc::probe {

struct Spread {
  double median = 0, low = 0, high = 0; // low and high: the 10th and 90th percentile
  int64_t count = 0;
};

/// Linear between neighbours; 0 without values.
inline double quantile(const std::vector<double> &sorted, double q) {
  if (sorted.empty()) return 0;
  double at = q * double(sorted.size() - 1);
  size_t below = size_t(at), above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (at - double(below)) * (sorted[above] - sorted[below]);
}

inline Spread spreadOf(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return {quantile(values, 0.5), quantile(values, 0.1), quantile(values, 0.9), int64_t(values.size())};
}

} // namespace llmc::probe
