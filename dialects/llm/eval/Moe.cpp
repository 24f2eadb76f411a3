// Mixtures of experts: the router's choice, and each row through its experts.
#include "dialects/llm/eval/Ops.h"
#include <cmath>
#include <numeric>

namespace llmc::llm::eval {
namespace {

struct Chosen {
  int64_t expert;
  double weight;
};

std::vector<Chosen> choose(const float *logits, int64_t experts, const Routing &routing) {
  auto key = [&](int64_t e) { return std::isnan(logits[e]) ? -INFINITY : logits[e]; };
  std::vector<int64_t> order(experts);
  std::iota(order.begin(), order.end(), int64_t(0));
  llvm::sort(order, [&](int64_t a, int64_t b) { return key(a) != key(b) ? key(a) > key(b) : a < b; });
  double largest = key(order[0]), all = 0, chosen = 0;
  for (int64_t e = 0; e < experts; ++e) all += std::exp(logits[e] - largest);
  order.resize(routing.k);
  llvm::sort(order);
  for (int64_t e : order) chosen += std::exp(logits[e] - largest);
  std::vector<Chosen> result;
  for (int64_t e : order)
    result.push_back({e, routing.scale * std::exp(logits[e] - largest) / (routing.renormalise ? chosen : all)});
  return result;
}

/// Row `begin` and those after it.
Tensor slice(const Tensor &t, int64_t begin, int64_t rows) {
  Tensor y(rows, t.columns);
  std::copy_n(t.row(begin), rows * t.columns, y.data.begin());
  return y;
}

/// `through(e, row)`: what expert e makes of a row.
Tensor mix(const Tensor &x, const Tensor &logits, const Routing &routing, const Tensor *residual,
           llvm::function_ref<Tensor(int64_t, const Tensor &)> through) {
  Tensor y(x.rows, x.columns);
  for (int64_t r = 0; r < x.rows; ++r) {
    std::vector<double> sum(x.columns);
    for (Chosen c : choose(logits.row(r), logits.columns, routing)) {
      Tensor part = through(c.expert, slice(x, r, 1));
      for (int64_t i = 0; i < y.columns; ++i) sum[i] += c.weight * part.data[i];
    }
    for (int64_t i = 0; i < y.columns; ++i) y.row(r)[i] = float(sum[i] + (residual ? residual->row(r)[i] : 0));
  }
  return y;
}

} // namespace

Tensor moe(const Tensor &x, const Tensor &logits, const Routing &routing, llvm::ArrayRef<const Tensor *> gate,
           llvm::ArrayRef<const Tensor *> up, llvm::ArrayRef<const Tensor *> down) {
  return mix(x, logits, routing, nullptr, [&](int64_t e, const Tensor &row) {
    Tensor g = linear(row, *gate[e], nullptr, nullptr), u = linear(row, *up[e], nullptr, nullptr);
    return linear(gatedMul(g, u, routing.activation), *down[e], nullptr, nullptr);
  });
}

Tensor experts(const Tensor &x, const Tensor &logits, const Routing &routing, const Tensor &gateUp, const Tensor &down,
               const Tensor *residual, wq::RowFormatAttr hidden) {
  int64_t inner = 2 * down.columns, outer = down.rows / logits.columns;
  std::vector<Tensor> gates, downs;
  for (int64_t e = 0; e < logits.columns; ++e)
    gates.push_back(slice(gateUp, e * inner, inner)), downs.push_back(slice(down, e * outer, outer));
  return mix(x, logits, routing, residual, [&](int64_t e, const Tensor &row) {
    Tensor h = gluInTurns(linear(row, gates[e], nullptr, nullptr), routing.activation);
    return linear(roundRows(h, hidden), downs[e], nullptr, nullptr);
  });
}

} // namespace llmc::llm::eval
