#include "codegen/kernels/matmul/Epilogue.h"
#include "codegen/kernels/matmul/Loops.h"
#include "codegen/kernels/rowwise/Activate.h"
#include "codegen/kernels/rowwise/QuantizeBlock.h"
#include "llmc_kernel.h"

namespace llmc::matmul {
using namespace Xbyak;

Refusal refuseEpilogue(const MatmulDesc &d) {
  bool blockFits = d.y.block == 32 || (d.y.block == 64 && !d.glu); // a panel makes whole blocks
  if (d.y != RowFormat::F32 && !(d.y.isQ8() && blockFits))
    return "found " + d.y.name() + " rows of y, expected f32 or q8b32" + (d.glu ? "" : " or q8b64");
  if (d.y.isQ8() && d.accumulate) return "found accumulate into " + d.y.name() + " rows, expected f32";
  if (d.glu && d.n % 2) return "found n = " + std::to_string(d.n) + " of a glu, expected an even number";
  return std::nullopt;
}

namespace {
const Gpr g;

class Epilogue {
public:
  Epilogue(Assembler &a, const MatmulDesc &d, bool avx512)
      : a(a), d(d), v(a, avx512), part(d.y.isQ8() ? int(d.y.block) : 32), columns(outputColumns(d)),
        lastPanel((columns - 1) / panelColumns(d)) {}

  void emit() {
    if (d.y.isQ8()) findBlocks();
    a.mov(tile, g.y);
    Label row;
    a.L(row);
    for (int first = 0; first < panelColumns(d); first += part) {
      for (int i = 0; i < part / v.count; ++i) finish(first, i);
      write(first);
    }
    if (d.y.isQ8()) pad();
    a.add(tile, uint32_t(kPanel * 4));
    for (const Reg64 &pointer : {y, scales, halfSums})
      if (pointer == y || d.y.isQ8()) a.add(pointer, uint32_t(d.yStride));
    a.dec(g.outer);
    a.jnz(row, a.T_NEAR);
    a.ret();
  }

private:
  enum { kUp = 12 };
  void findBlocks();
  void finish(int first, int i);
  void load(int to, int64_t column);
  void mask(int first);
  void write(int first);
  void pad();
  void ifLast(llvm::function_ref<void()> body);

  Assembler &a;
  const MatmulDesc &d;
  Lanes v;
  const int part; // columns that are finished together: a block
  const int64_t columns, lastPanel;
  // Of Q8 rows: the panel's codes in y, its first scale less q8ScaleOffset (its first sum less q8SumOffset), and its
  // first half sum likewise.
  const Reg64 tile = g.scales, y = g.xk, panel = g.block, scales = g.inner, halfSums = g.w;
};

/// Columns [column, + lanes) of W in a row of the tile, with their bias.
void Epilogue::load(int to, int64_t column) {
  a.vmovups(v.reg(to), a.ptr[tile + column * 4]);
  if (d.bias) a.vaddps(v.reg(to), v.reg(to), a.ptr[g.bias + column * 4]);
}

/// Vector i of the part whose first column in the panel's columns of y is `first`.
void Epilogue::finish(int first, int i) {
  int64_t column = first + i * v.count;
  load(i, column);
  activate(v, d.activation, i);
  if (d.glu) {
    load(kUp, column + kPanel / 2);
    a.vmulps(v.reg(i), v.reg(i), v.reg(kUp));
  }
  if (d.accumulate) a.vaddps(v.reg(i), v.reg(i), a.ptr[y + column * 4]);
}

void Epilogue::write(int first) {
  if (!d.y.isQ8()) {
    for (int i = 0; i < part / v.count; ++i) a.vmovups(a.ptr[y + (first + i * v.count) * 4], v.reg(i));
    return;
  }
  if (columns % panelColumns(d)) ifLast([&] { mask(first); });
  int64_t block = first / part * 4;
  quantizeBlock(v, part,
                {y + first, scales + (q8ScaleOffset(columns, part) + block),
                 scales + (q8SumOffset(columns, part) + block),
                 halfSums + (q8HalfSumOffset(columns, part) + 2 * block)});
}

/// What lies past the columns is 0 in a Q8 row, whatever the padding of weights and bias made of it.
void Epilogue::mask(int first) {
  for (int i = 0; i < part / v.count; ++i) {
    int64_t left = columns - lastPanel * panelColumns(d) - first - i * v.count;
    if (left >= v.count) continue;
    std::vector<uint8_t> bytes(v.count * 4);
    std::fill_n(bytes.begin(), std::max<int64_t>(left, 0) * 4, 0xff);
    a.vandps(v.reg(i), v.reg(i), a.ptr[a.rip + a.constantBytes(bytes)]);
  }
}

void Epilogue::findBlocks() {
  a.mov(panel, a.qword[g.args + offsetof(llmc_matmul_args, end)]);
  a.sub(panel, g.panels);
  auto base = [&](const Reg64 &to, int64_t bytes) { // y, less what a panel's codes have more than `bytes`
    a.imul(to, panel, int(bytes - panelColumns(d)));
    a.add(to, y);
  };
  base(scales, panelColumns(d) / part * 4);
  base(halfSums, panelColumns(d) / part * 8);
}

/// The last panel zeroes the end of the row.
void Epilogue::pad() {
  int64_t from = (lastPanel + 1) * panelColumns(d);
  if (from >= q8PaddedK(columns, part)) return;
  ifLast([&] { padQ8Row(v, columns, part, from, y - size_t(lastPanel * panelColumns(d))); });
}

void Epilogue::ifLast(llvm::function_ref<void()> body) {
  Label other;
  a.cmp(panel, uint32_t(lastPanel));
  a.jne(other, a.T_NEAR);
  body();
  a.L(other);
}
} // namespace

void emitEpilogue(Assembler &a, const MatmulDesc &desc, bool avx512) { Epilogue(a, desc, avx512).emit(); }

} // namespace llmc::matmul
