#include "codegen/kernels/rowwise/Emitters.h"
#include "codegen/kernels/rowwise/Row.h"
#include "llmc_kernel.h"
#include <cstddef>

namespace llmc {
using namespace Xbyak;

/// y = w * ((x - mean) * inverse) + b, inverse = 1 / sqrt(mean((x - mean)^2) + epsilon). Three passes over a row that
/// is in L1 after the first: the variance about the mean does not cancel as mean(x^2) - mean(x)^2 does.
namespace {
class LayerNorm {
public:
  LayerNorm(Assembler &a, const RowwiseDesc &d, bool avx512, bool bf16) : a(a), d(d), row(a, d, avx512, bf16) {}

  void emit() {
    row.rows([&] {
      if (d.bias) a.mov(a.r11, a.ptr[a.rdi + offsetof(llmc_rowwise_args, b)]); // the batch is not needed
      meanOf([&](int i, int n) { row.load(kX + i, a.rsi, i, n); }, [&](int i) { add(i); });
      a.vbroadcastss(v.reg(kMean), Lanes::xmm(0));
      meanOf([&](int i, int n) { loadCentred(kX + i, i, n); },
             [&](int i) { a.vfmadd231ps(v.reg(i), v.reg(kX + i), v.reg(kX + i)); });
      invert();
      row.chunks([&](int n) {
        for (int i = 0; i < row.vectors(); ++i) normalise(i, n);
        row.write(n);
      });
      row.pad();
    });
  }

private:
  enum { kX = 8, kMean = 13, kInverse = 14 }; // 15 is the tail mask

  void add(int i) { a.vaddps(v.reg(i), v.reg(i), v.reg(kX + i)); }

  /// x - mean, 0 past the columns.
  void loadCentred(int to, int i, int n) {
    row.load(to, a.rsi, i, n);
    a.vsubps(v.reg(to), v.reg(to), v.reg(kMean));
    v.keep(to, row.lanes(i, n));
  }

  /// Lane 0 of vector 0 := the mean of what `accumulate` adds to vector i for each loaded vector; one accumulator for
  /// each vector of a chunk, added in a tree.
  void meanOf(llvm::function_ref<void(int, int)> load, llvm::function_ref<void(int)> accumulate) {
    const int vectors = row.vectors();
    for (int i = 0; i < vectors; ++i) v.zero(i);
    row.chunks([&](int n) {
      for (int i = 0; i < vectors && row.lanes(i, n); ++i) load(i, n), accumulate(i);
    });
    for (int step = 1; step < vectors; step *= 2)
      for (int i = 0; i < vectors; i += 2 * step) a.vaddps(v.reg(i), v.reg(i), v.reg(i + step));
    v.sum(0, 1);
    a.vdivss(Lanes::xmm(0), Lanes::xmm(0), v.scalar(float(d.columns)));
  }

  void invert() {
    Xmm sum = Lanes::xmm(0), one = Lanes::xmm(1);
    a.vaddss(sum, sum, v.scalar(d.epsilon));
    a.vsqrtss(sum, sum, sum);
    a.vmovss(one, v.scalar(1.0f));
    a.vdivss(sum, one, sum);
    a.vbroadcastss(v.reg(kInverse), sum);
  }

  void normalise(int i, int n) {
    row.load(i, a.rsi, i, n);
    a.vsubps(v.reg(i), v.reg(i), v.reg(kMean));
    a.vmulps(v.reg(i), v.reg(i), v.reg(kInverse));
    row.load(kX, a.r8, i, n);
    if (!d.bias) return a.vmulps(v.reg(i), v.reg(i), v.reg(kX));
    row.load(kX + 1, a.r11, i, n);
    a.vfmadd213ps(v.reg(i), v.reg(kX), v.reg(kX + 1));
  }

  Assembler &a;
  const RowwiseDesc &d;
  Row row;
  Lanes &v = row.v;
};
} // namespace

llvm::Expected<Code> emitLayerNorm(const RowwiseDesc &d, bool avx512, bool bf16) {
  return assemble([&](Assembler &a) { LayerNorm(a, d, avx512, bf16).emit(); });
}

} // namespace llmc
