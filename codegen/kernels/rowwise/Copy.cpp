// The ops that move rows with little arithmetic: Quantize, Add, GatherRows.
#include "codegen/kernels/rowwise/Emitters.h"
#include "codegen/kernels/rowwise/Row.h"
#include "llmc_kernel.h"
#include <cstddef>

namespace llmc {

llvm::Expected<Code> emitQuantize(const RowwiseDesc &d, bool avx512, bool bf16) {
  return assemble([&](Assembler &a) {
    Row row(a, d, avx512, bf16);
    row.rows([&] {
      row.chunks([&](int n) {
        for (int i = 0; i < row.vectors(); ++i) row.load(i, a.rsi, i, n);
        row.write(n);
      });
      row.finish();
    });
  });
}

llvm::Expected<Code> emitAdd(const RowwiseDesc &d, bool avx512) {
  return assemble([&](Assembler &a) {
    Row row(a, d, avx512);
    const int w = 8;
    row.rows(
        [&] {
          row.chunks([&](int n) { // a chunk is read before it is written: y may be x or w
            for (int i = 0; i < row.vectors() && row.lanes(i, n); ++i) {
              row.load(i, a.rsi, i, n);
              row.load(w, a.r8, i, n);
              a.vaddps(row.v.reg(i), row.v.reg(i), row.v.reg(w));
            }
            row.write(n);
          });
        },
        d.xStride);
  });
}

llvm::Expected<Code> emitGatherRows(const RowwiseDesc &d, bool avx512) {
  return assemble([&](Assembler &a) {
    Row row(a, d, avx512);
    row.rows([&] {
      a.mov(a.rax, a.ptr[a.r11 + offsetof(llmc_batch, logit_rows)]);
      a.movsxd(a.rsi, a.dword[a.rax + a.r9 * 4]);
      a.imul(a.rsi, a.rsi, int(d.xStride));
      a.add(a.rsi, a.ptr[a.rdi + offsetof(llmc_rowwise_args, x)]);
      row.chunks([&](int n) {
        for (int i = 0; i < row.vectors(); ++i) row.load(i, a.rsi, i, n);
        row.write(n);
      });
    });
  });
}

} // namespace llmc
