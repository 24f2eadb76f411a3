// What a matmul does with the sums of a panel but for bias and accumulate alone: activation, GLU, the format of y's
// rows. The emitters know nothing of it: Loops.cpp collects their sums in a tile and calls this code once a row block.
#pragma once
#include "codegen/Kernel.h"

namespace llmc {
class Assembler;
}

namespace llmc::matmul {

/// Whether there is more to do than y = sum (+ bias) (+ y) in f32.
inline bool hasEpilogue(const MatmulDesc &desc) {
  return desc.activation != Activation::None || desc.glu || desc.y != RowFormat::F32;
}

/// Columns of y, and those that one panel makes.
inline int64_t outputColumns(const MatmulDesc &desc) { return desc.glu ? desc.n / 2 : desc.n; }
inline int64_t panelColumns(const MatmulDesc &desc) { return desc.glu ? kPanel / 2 : kPanel; }
/// Bytes from a panel's columns to those of the next, in a row of y.
inline int64_t panelStride(const MatmulDesc &desc) { return panelColumns(desc) * (desc.y.isQ8() ? 1 : 4); }

/// What no kernel serves.
Refusal refuseEpilogue(const MatmulDesc &desc);

/// Emits the code behind a row block up to a `ret`; it is reached by a call. In: g.y the tile, rows of 64 f32 sums;
/// g.outer its rows; g.xk the panel's columns in their first row of y; g.bias; g.args and g.panels. Keeps all above
/// g.w, clobbers the rest and the vector registers 0 to 15.
void emitEpilogue(Assembler &a, const MatmulDesc &desc, bool avx512);

} // namespace llmc::matmul
