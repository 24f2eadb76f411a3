#include "dialects/llm/eval/Ops.h"
#include <cmath>

namespace llmc::llm::eval {

static double dot(const float *a, const float *b, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += double(a[i]) * b[i];
  return sum;
}

static double activate(Activation activation, double x) {
  switch (activation) {
  case Activation::None: return x;
  case Activation::Silu: return x / (1 + std::exp(-x));
  case Activation::GeluTanh: return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
  case Activation::GeluErf: return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
  case Activation::Relu: return x > 0 ? x : 0;
  }
  llvm_unreachable("activation");
}

Tensor embed(Indices tokens, const Tensor &table, float scale) {
  Tensor y(tokens.size(), table.columns);
  for (int64_t r = 0; r < y.rows; ++r)
    for (int64_t c = 0; c < y.columns; ++c) y.row(r)[c] = scale * table.row(tokens[r])[c];
  return y;
}

Tensor linear(const Tensor &x, const Tensor &w, const Tensor *bias, const Tensor *residual) {
  Tensor y(x.rows, w.rows);
  for (int64_t r = 0; r < y.rows; ++r)
    for (int64_t n = 0; n < y.columns; ++n) {
      double sum = dot(x.row(r), w.row(n), x.columns);
      if (bias) sum += bias->data[n];
      if (residual) sum += residual->row(r)[n];
      y.row(r)[n] = float(sum);
    }
  return y;
}

Tensor rmsNorm(const Tensor &x, const Tensor &weight, float epsilon) {
  Tensor y(x.rows, x.columns);
  for (int64_t r = 0; r < y.rows; ++r) {
    double factor = 1 / std::sqrt(dot(x.row(r), x.row(r), x.columns) / x.columns + epsilon);
    for (int64_t c = 0; c < y.columns; ++c) y.row(r)[c] = float(weight.data[c] * (x.row(r)[c] * factor));
  }
  return y;
}

static void normaliseHeads(Tensor &x, int64_t begin, int64_t end, const Tensor &weight, float epsilon) {
  int64_t width = weight.rows;
  for (int64_t r = 0; r < x.rows; ++r)
    for (int64_t h = begin; h < end; ++h) {
      float *head = x.row(r) + h * width;
      double factor = 1 / std::sqrt(dot(head, head, width) / width + epsilon);
      for (int64_t c = 0; c < width; ++c) head[c] = float(weight.data[c] * (head[c] * factor));
    }
}

Tensor headNorm(const Tensor &x, const Tensor &weight, float epsilon) {
  Tensor y = x;
  normaliseHeads(y, 0, x.columns / weight.rows, weight, epsilon);
  return y;
}

Tensor qkNorm(const Tensor &x, const Tensor &q, const Tensor &k, int64_t heads, int64_t kvHeads, float epsilon) {
  Tensor y = x;
  normaliseHeads(y, 0, heads, q, epsilon);
  normaliseHeads(y, heads, heads + kvHeads, k, epsilon);
  return y;
}

Tensor layerNorm(const Tensor &x, const Tensor &weight, const Tensor *bias, float epsilon) {
  Tensor y(x.rows, x.columns);
  for (int64_t r = 0; r < y.rows; ++r) {
    const float *row = x.row(r);
    double mean = 0, squares = 0;
    for (int64_t c = 0; c < y.columns; ++c) mean += row[c] / double(x.columns);
    for (int64_t c = 0; c < y.columns; ++c) squares += (row[c] - mean) * (row[c] - mean);
    double factor = 1 / std::sqrt(squares / double(x.columns) + epsilon);
    for (int64_t c = 0; c < y.columns; ++c)
      y.row(r)[c] = float(weight.data[c] * ((row[c] - mean) * factor) + (bias ? bias->data[c] : 0));
  }
  return y;
}

Tensor activateRows(const Tensor &x, Activation activation) {
  Tensor y(x.rows, x.columns);
  for (size_t i = 0; i < y.data.size(); ++i) y.data[i] = float(activate(activation, x.data[i]));
  return y;
}

Tensor concatColumns(llvm::ArrayRef<const Tensor *> parts) {
  int64_t columns = 0;
  for (const Tensor *part : parts) columns += part->columns;
  Tensor y(parts.front()->rows, columns);
  for (int64_t r = 0; r < y.rows; ++r) {
    float *out = y.row(r);
    for (const Tensor *part : parts) out = std::copy_n(part->row(r), part->columns, out);
  }
  return y;
}

Tensor gatedMul(const Tensor &gate, const Tensor &up, Activation activation) {
  Tensor y(gate.rows, gate.columns);
  for (size_t i = 0; i < y.data.size(); ++i) y.data[i] = float(activate(activation, gate.data[i]) * up.data[i]);
  return y;
}

Tensor glu(const Tensor &x, Activation activation) {
  Tensor y(x.rows, x.columns / 2);
  for (int64_t r = 0; r < y.rows; ++r)
    for (int64_t c = 0; c < y.columns; ++c)
      y.row(r)[c] = float(activate(activation, x.row(r)[c]) * x.row(r)[y.columns + c]);
  return y;
}

Tensor gluInTurns(const Tensor &x, Activation activation) {
  constexpr int64_t kTurn = 32;
  Tensor y(x.rows, x.columns / 2);
  for (int64_t r = 0; r < y.rows; ++r)
    for (int64_t c = 0; c < y.columns; ++c) {
      const float *gate = x.row(r) + c / kTurn * 2 * kTurn + c % kTurn;
      y.row(r)[c] = float(activate(activation, gate[0]) * gate[kTurn]);
    }
  return y;
}

Tensor add(const Tensor &a, const Tensor &b) {
  Tensor y(a.rows, a.columns);
  for (size_t i = 0; i < y.data.size(); ++i) y.data[i] = a.data[i] + b.data[i];
  return y;
}

Tensor scaleRows(const Tensor &x, float scale, float softcap) {
  Tensor y(x.rows, x.columns);
  for (size_t i = 0; i < y.data.size(); ++i) {
    double scaled = double(scale) * x.data[i];
    y.data[i] = float(softcap > 0 ? softcap * std::tanh(scaled / softcap) : scaled);
  }
  return y;
}

Tensor selectRows(const Tensor &x, Indices rows) {
  Tensor y(rows.size(), x.columns);
  for (int64_t r = 0; r < y.rows; ++r) std::copy_n(x.row(rows[r]), x.columns, y.row(r));
  return y;
}

} // namespace llmc::llm::eval
