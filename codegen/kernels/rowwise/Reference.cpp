#include "codegen/kernels/rowwise/Reference.h"
#include "codegen/kernels/matmul/Pack.h"
#include "codegen/kernels/matmul/Quantize.h"
#include "codegen/kernels/matmul/Rows16.h"
#include "codegen/kernels/rowwise/MoeReference.h"
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

namespace llmc {
namespace {

const float *inputRow(const RowwiseDesc &d, const void *x, int64_t row) {
  return reinterpret_cast<const float *>(static_cast<const char *>(x) + row * d.xStride);
}

char *outputRow(const RowwiseDesc &d, const llmc_rowwise_args &args, int64_t row) {
  return static_cast<char *>(args.y) + row * d.yStride;
}

void writeRow(const RowwiseDesc &d, const llmc_rowwise_args &args, int64_t row, const std::vector<float> &values) {
  char *y = outputRow(d, args, row);
  if (d.out.isQ8()) return quantiseRowQ8(values.data(), d.columns, d.out.block, y);
  if (d.out.is16Bit()) return toRow16(d.out, values.data(), d.columns, y);
  memcpy(y, values.data(), d.columns * sizeof(float));
}

void rmsNorm(const RowwiseDesc &d, const llmc_rowwise_args &args, int64_t row, std::vector<float> &values) {
  const float *x = inputRow(d, args.x, row), *w = static_cast<const float *>(args.w);
  double sum = 0; // in double: the order of an emitter's sum is its own
  for (int64_t c = 0; c < d.columns; ++c) sum += double(x[c] * x[c]);
  float inverse = 1.0f / std::sqrt(float(sum / double(d.columns)) + d.epsilon);
  for (int64_t c = 0; c < d.columns; ++c) values[c] = w[c] * (x[c] * inverse);
  writeRow(d, args, row, values);
}

void qkNorm(const RowwiseDesc &d, const llmc_rowwise_args &args, int64_t row, std::vector<float> &) {
  const float *x = inputRow(d, args.x, row);
  auto *y = reinterpret_cast<float *>(outputRow(d, args, row));
  for (int64_t h = 0; h < d.heads + d.kvHeads; ++h, x += d.columns, y += d.columns) {
    const auto *w = static_cast<const float *>(h < d.heads ? args.w : args.b);
    double sum = 0;
    for (int64_t c = 0; c < d.columns; ++c) sum += double(x[c] * x[c]);
    float inverse = 1.0f / std::sqrt(float(sum / double(d.columns)) + d.epsilon);
    for (int64_t c = 0; c < d.columns; ++c) y[c] = w[c] * (x[c] * inverse);
  }
}

void layerNorm(const RowwiseDesc &d, const llmc_rowwise_args &args, int64_t row, std::vector<float> &values) {
  const float *x = inputRow(d, args.x, row), *w = static_cast<const float *>(args.w);
  const auto *b = static_cast<const float *>(args.b);
  double sum = 0, squares = 0; // in double: the order of an emitter's sums is its own
  for (int64_t c = 0; c < d.columns; ++c) sum += x[c];
  double mean = sum / double(d.columns);
  for (int64_t c = 0; c < d.columns; ++c) squares += (x[c] - mean) * (x[c] - mean);
  double inverse = 1 / std::sqrt(squares / double(d.columns) + d.epsilon);
  for (int64_t c = 0; c < d.columns; ++c) values[c] = float(w[c] * ((x[c] - mean) * inverse) + (d.bias ? b[c] : 0));
  writeRow(d, args, row, values);
}

void activateRow(const RowwiseDesc &d, const llmc_rowwise_args &args, int64_t row, std::vector<float> &values) {
  const float *x = inputRow(d, args.x, row);
  for (int64_t c = 0; c < d.columns; ++c) values[c] = referenceActivation(d.activation, x[c]);
  writeRow(d, args, row, values);
}

void glu(const RowwiseDesc &d, const llmc_rowwise_args &args, int64_t row, std::vector<float> &values) {
  const float *x = inputRow(d, args.x, row);
  for (int64_t c = 0; c < d.columns; ++c) values[c] = referenceActivation(d.activation, x[c]) * x[d.columns + c];
  writeRow(d, args, row, values);
}

void quantize(const RowwiseDesc &d, const llmc_rowwise_args &args, int64_t row, std::vector<float> &values) {
  memcpy(values.data(), inputRow(d, args.x, row), d.columns * sizeof(float));
  writeRow(d, args, row, values);
}

void add(const RowwiseDesc &d, const llmc_rowwise_args &args, int64_t row, std::vector<float> &values) {
  const float *x = inputRow(d, args.x, row), *w = inputRow(d, args.w, row);
  for (int64_t c = 0; c < d.columns; ++c) values[c] = x[c] + w[c];
  writeRow(d, args, row, values);
}

void scaleRow(const RowwiseDesc &d, const llmc_rowwise_args &args, int64_t row, std::vector<float> &values) {
  const float *x = inputRow(d, args.x, row);
  for (int64_t c = 0; c < d.columns; ++c) {
    double scaled = double(d.scale) * x[c];
    values[c] = float(d.softcap > 0 ? d.softcap * std::tanh(scaled / d.softcap) : scaled);
  }
  writeRow(d, args, row, values);
}

void gatherRows(const RowwiseDesc &d, const llmc_rowwise_args &args, int64_t row, std::vector<float> &) {
  memcpy(outputRow(d, args, row), inputRow(d, args.x, args.batch->logit_rows[row]), d.columns * sizeof(float));
}

void embed(const RowwiseDesc &d, const llmc_rowwise_args &args, int64_t row, std::vector<float> &values) {
  unpackColumn(d.w, d.columns, args.w, (d.byPosition ? args.batch->positions : args.batch->tokens)[row], values.data());
  for (float &value : values) value *= d.scale;
  writeRow(d, args, row, values);
}

/// Whether the row's sequence is longer than the model's original context.
bool isLong(const RowwiseDesc &d, const llmc_rowwise_args &args, int64_t row) {
  bool depends = d.rope == RopeKind::Dynamic || d.rope == RopeKind::Long;
  return depends && args.batch->lengths && args.batch->lengths[args.batch->sequences[row]] > d.ropeMaxPositions;
}

/// Inverse frequency i of C/2. Dynamic: the NTK base for long sequences. Long: others, behind those.
float inverseFrequency(const RowwiseDesc &d, const llmc_rowwise_args &args, int64_t row, int64_t i) {
  const auto *frequencies = static_cast<const float *>(args.w);
  if (!isLong(d, args, row)) return frequencies[i];
  if (d.rope == RopeKind::Long) return frequencies[d.columns / 2 + i];
  int32_t length = args.batch->lengths[args.batch->sequences[row]];
  float columns = float(d.columns);
  float stretch = d.ropeFactor * float(length) / float(d.ropeMaxPositions) - (d.ropeFactor - 1);
  float base = d.ropeBase * std::pow(stretch, columns / (columns - 2));
  return std::pow(base, -2.0f * float(i) / columns);
}

void ropeTable(const RowwiseDesc &d, const llmc_rowwise_args &args, int64_t row, std::vector<float> &values) {
  int32_t position = args.batch->positions[row];
  int64_t half = d.columns / 2;
  float scale = d.rope == RopeKind::Long && isLong(d, args, row) ? d.ropeFactor : d.scale;
  for (int64_t i = 0; i < half; ++i) {
    if (d.rope == RopeKind::Table) {
      const float *stored = static_cast<const float *>(args.w) + position * d.columns;
      values[i] = d.scale * stored[i];
      values[half + i] = d.scale * stored[half + i];
      continue;
    }
    float angle = float(position) * inverseFrequency(d, args, row, i);
    values[i] = scale * std::cos(angle);
    values[half + i] = scale * std::sin(angle);
  }
  writeRow(d, args, row, values);
}

template <void (*unit)(const RowwiseDesc &, const llmc_rowwise_args &, int64_t)>
void oneUnit(const RowwiseDesc &d, const llmc_rowwise_args &args, int64_t index, std::vector<float> &) {
  unit(d, args, index);
}

} // namespace

float referenceActivation(Activation activation, float x) {
  double v = x;
  switch (activation) {
  case Activation::None: return x;
  case Activation::Silu: return float(v / (1 + std::exp(-v)));
  case Activation::GeluTanh: return float(v / (1 + std::exp(-2 * 0.7978845608028654 * (v + 0.044715 * v * v * v))));
  case Activation::GeluErf: return float(0.5 * v * std::erfc(-v * 0.7071067811865476));
  case Activation::Relu: return x > 0 ? x : 0;
  }
  return x;
}

void referenceRowwise(const RowwiseDesc &desc, const llmc_rowwise_args &args) {
  using RowFunction = void (*)(const RowwiseDesc &, const llmc_rowwise_args &, int64_t, std::vector<float> &);
  // In the order of RowwiseOp.
  static constexpr RowFunction functions[] = {rmsNorm,
                                              glu,
                                              quantize,
                                              add,
                                              embed,
                                              gatherRows,
                                              ropeTable,
                                              layerNorm,
                                              activateRow,
                                              qkNorm,
                                              scaleRow,
                                              oneUnit<referenceMoeChoose>,
                                              oneUnit<referenceMoeSort>,
                                              oneUnit<referenceMoeGather>,
                                              oneUnit<referenceMoeScatter>};
  std::vector<float> values(desc.columns);
  for (int64_t row = args.begin; row < args.end; ++row) functions[unsigned(desc.op)](desc, args, row, values);
}

} // namespace llmc
