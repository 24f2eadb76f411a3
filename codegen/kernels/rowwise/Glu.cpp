// Activation functions of rows, gated and plain.
#include "codegen/kernels/rowwise/Activate.h"
#include "codegen/kernels/rowwise/Emitters.h"
#include "codegen/kernels/rowwise/Row.h"

namespace llmc {

llvm::Expected<Code> emitGlu(const RowwiseDesc &d, bool avx512, bool bf16) {
  constexpr int kUp = 12; // 15 is the tail mask
  return assemble([&](Assembler &a) {
    Row row(a, d, avx512, bf16);
    row.rows([&] {
      row.chunks([&](int n) {
        for (int i = 0; i < row.vectors(); ++i) {
          row.load(i, a.rsi, i, n);
          if (!row.lanes(i, n)) continue;
          activate(row.v, d.activation, i);
          row.load(kUp, a.rsi, i, n, d.columns);
          a.vmulps(row.v.reg(i), row.v.reg(i), row.v.reg(kUp));
        }
        row.write(n);
      });
      row.finish();
    });
  });
}

llvm::Expected<Code> emitActivate(const RowwiseDesc &d, bool avx512, bool bf16) {
  return assemble([&](Assembler &a) {
    Row row(a, d, avx512, bf16);
    row.rows([&] {
      row.chunks([&](int n) { // a chunk is read before it is written: y may be x
        for (int i = 0; i < row.vectors(); ++i) {
          row.load(i, a.rsi, i, n);
          if (row.lanes(i, n)) activate(row.v, d.activation, i);
        }
        row.write(n);
      });
      row.pad();
    });
  });
}

} // namespace llmc
