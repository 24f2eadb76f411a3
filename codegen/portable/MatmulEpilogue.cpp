#include "codegen/portable/MatmulEpilogue.h"
#include "codegen/kernels/matmul/Epilogue.h"
#include "codegen/portable/Numeric.h"
#include "codegen/portable/RowQ8.h"

namespace llmc::portable {

static Var lineOf(KernelBuilder &b, const MatmulDesc &desc, Var sums, Var bias, int64_t column) {
  Var sum = b.load(b.lanes(b.f32()), sums + column * 4);
  return desc.bias ? sum + b.load(b.lanes(b.f32()), bias + column * 4) : sum;
}

/// 0 in the lanes from column `count` on, of which lane 0 is column `first`.
static Var keepBelow(KernelBuilder &b, Var value, Var first, int64_t count) {
  llvm::SmallVector<int32_t> lanes;
  for (int32_t i = 0; i < kLanes; ++i) lanes.push_back(i);
  Var column = b.constants(lanes) + b.broadcast(b.truncate(first, b.i32()));
  return b.select(column < count, value, b.splat(0));
}

void finishPanel(KernelBuilder &b, const MatmulDesc &desc, Var sums, Var bias, Var y, Var panel) {
  int64_t made = matmul::panelColumns(desc), columns = matmul::outputColumns(desc);
  Var first = panel * made, biasOfPanel = desc.bias ? bias + panel * (kPanel * 4) : bias;
  Vars block;
  for (int64_t column = 0; column < made; column += kLanes) {
    Var value = activate(b, desc.activation, lineOf(b, desc, sums, biasOfPanel, column));
    if (desc.glu) value = value * lineOf(b, desc, sums, biasOfPanel, made + column);
    Var out = y + (first + column) * 4;
    if (desc.accumulate) value = value + b.load(b.lanes(b.f32()), out);
    if (!desc.y.isQ8()) {
      b.store(value, out);
      continue;
    }
    block.push_back(columns % made ? keepBelow(b, value, first + column, columns) : value);
    if (int64_t(block.size()) * kLanes < desc.y.block) continue;
    storeQ8Block(b, columns, y, first + (column + kLanes - desc.y.block), block);
    block.clear();
  }
  if (int64_t end = roundUp(columns, made); desc.y.isQ8() && end < q8PaddedK(columns, desc.y.block))
    b.ifThen(first == end - made, [&] { padQ8Row(b, columns, desc.y.block, end, y); });
}

} // namespace llmc::portable
