// The meaning of each op on plain matrices: one function per op, named as the op (LlmOps.td and WqOps.td have the
// formulas). Sums are taken in f64 and rounded once, so that they stand for the exact value whatever order a kernel
// sums in.
#pragma once
#include "dialects/llm/Llm.h"
#include <map>

namespace llmc::llm::eval {

/// Row-major f32; a vector [N] has N rows of one column.
struct Tensor {
  int64_t rows = 0, columns = 0;
  std::vector<float> data;
  Tensor() = default;
  Tensor(int64_t rows, int64_t columns) : rows(rows), columns(columns), data(rows * columns) {}
  float *row(int64_t r) { return data.data() + r * columns; }
  const float *row(int64_t r) const { return data.data() + r * columns; }
};
using Indices = llvm::ArrayRef<int32_t>;

// Rows.cpp. Indices are within range; `bias` and `residual` may be null.
Tensor embed(Indices tokens, const Tensor &table, float scale);
Tensor linear(const Tensor &x, const Tensor &w, const Tensor *bias, const Tensor *residual);
Tensor rmsNorm(const Tensor &x, const Tensor &weight, float epsilon);
/// Each head of `weight`'s width by itself.
Tensor headNorm(const Tensor &x, const Tensor &weight, float epsilon);
/// The same of `heads` heads by `q` and the next kvHeads by `k`; the rest is copied.
Tensor qkNorm(const Tensor &x, const Tensor &q, const Tensor &k, int64_t heads, int64_t kvHeads, float epsilon);
Tensor layerNorm(const Tensor &x, const Tensor &weight, const Tensor *bias, float epsilon);
Tensor activateRows(const Tensor &x, Activation activation);
Tensor concatColumns(llvm::ArrayRef<const Tensor *> parts);
Tensor gatedMul(const Tensor &gate, const Tensor &up, Activation activation);
Tensor glu(const Tensor &x, Activation activation);
/// Of columns that take turns: 32 gates, 32 ups.
Tensor gluInTurns(const Tensor &x, Activation activation);
Tensor add(const Tensor &a, const Tensor &b);
/// scale * x, bounded by `softcap` if that is positive.
Tensor scaleRows(const Tensor &x, float scale, float softcap);
Tensor selectRows(const Tensor &x, Indices rows);

// Moe.cpp.
struct Routing {
  int64_t k;
  Activation activation;
  bool renormalise;
  float scale;
};
/// Weights of each expert.
Tensor moe(const Tensor &x, const Tensor &logits, const Routing &routing, llvm::ArrayRef<const Tensor *> gate,
           llvm::ArrayRef<const Tensor *> up, llvm::ArrayRef<const Tensor *> down);
/// The same of stacked weights; rows of `down`'s input are in the format `hidden` (null: f32). `residual` may be null.
Tensor experts(const Tensor &x, const Tensor &logits, const Routing &routing, const Tensor &gateUp, const Tensor &down,
               const Tensor *residual, wq::RowFormatAttr hidden);

// RowFormats.cpp.
/// The values that rows of x in `format` (null: f32) stand for. Q8 (codegen/Descriptor.h): per row and block, m =
/// max|x|, (m/127) * round(x * (127/m)), round to nearest even; 0 where 127/m is not finite. 16 bits: rounded to
/// nearest even.
Tensor roundRows(const Tensor &x, wq::RowFormatAttr format);

// Rope.cpp. `length`: positions in the sequence once the step is done (dynamic NTK).
/// `invFreq` may hold the long frequencies behind the others; those of `rope` count.
/// [M, dim]: cosines, then sines, of the angles position * frequency (an f32 product), times rope.scale.
Tensor ropeTable(Indices positions, llvm::ArrayRef<float> invFreq, RopeAttr rope, int64_t length);
/// Rotates the first rope.dim channels of each of `heads` heads.
Tensor rope(const Tensor &x, const Tensor &table, int64_t heads, RopeAttr rope);

// Attention.cpp.
/// arXiv 2108.12409: of n heads, n a power of two, head h has 2^(-8 (h+1)/n); else those of the power of two below,
/// then every other one of the power of two above.
double alibiSlope(int64_t heads, int64_t h);
/// K and V of one layer: a row per position.
struct LayerCache {
  std::vector<float> k, v;
};
struct AttentionShape {
  int64_t heads, kvHeads, headDim, window;
  float scale;
  bool alibi = false;
  float softcap = 0; // 0: none
  const Tensor *sinks = nullptr;
};
/// Writes k and v at `positions`, then attends.
Tensor attention(const Tensor &q, const Tensor &k, const Tensor &v, Indices positions, const AttentionShape &shape,
                 LayerCache &cache);
/// `table` and `rope` are null together.
Tensor attentionKv(const Tensor &qkv, Indices positions, const Tensor *table, RopeAttr rope,
                   const AttentionShape &shape, LayerCache &cache);

} // namespace llmc::llm::eval
