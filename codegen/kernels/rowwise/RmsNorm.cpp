#include "codegen/kernels/rowwise/Emitters.h"
#include "codegen/kernels/rowwise/Row.h"

namespace llmc {

/// y = w * (x * inverse), inverse = 1 / sqrt(mean(x^2) + epsilon). One pass for the sum (an accumulator per vector of a
/// chunk, added in a tree), one to write. The row is in L1 by the second.
llvm::Expected<Code> emitRmsNorm(const RowwiseDesc &d, bool avx512, bool bf16) {
  return assemble([&](Assembler &a) {
    Row row(a, d, avx512, bf16);
    Lanes &v = row.v;
    const int vectors = row.vectors(), inverse = 14, x = 8;
    row.rows([&] {
      for (int i = 0; i < vectors; ++i) v.zero(i);
      row.chunks([&](int n) {
        for (int i = 0; i < vectors && row.lanes(i, n); ++i) {
          row.load(x + i, a.rsi, i, n);
          a.vfmadd231ps(v.reg(i), v.reg(x + i), v.reg(x + i));
        }
      });
      for (int step = 1; step < vectors; step *= 2)
        for (int i = 0; i < vectors; i += 2 * step) a.vaddps(v.reg(i), v.reg(i), v.reg(i + step));
      v.sum(0, 1);
      Xbyak::Xmm sum = Lanes::xmm(0), one = Lanes::xmm(1);
      a.vdivss(sum, sum, v.scalar(float(d.columns)));
      a.vaddss(sum, sum, v.scalar(d.epsilon));
      a.vsqrtss(sum, sum, sum);
      a.vmovss(one, v.scalar(1.0f));
      a.vdivss(sum, one, sum);
      a.vbroadcastss(v.reg(inverse), sum);
      row.chunks([&](int n) {
        for (int i = 0; i < vectors; ++i) {
          row.load(i, a.rsi, i, n);
          row.load(x + i, a.r8, i, n);
          a.vmulps(v.reg(i), v.reg(i), v.reg(inverse));
          a.vmulps(v.reg(i), v.reg(i), v.reg(x + i));
        }
        row.write(n);
      });
      row.finish();
    });
  });
}

} // namespace llmc
