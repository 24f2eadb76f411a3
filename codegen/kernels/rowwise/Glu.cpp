#include "codegen/kernels/rowwise/Emitters.h"
#include "codegen/kernels/rowwise/Row.h"

namespace llmc {
namespace {

enum { kT0 = 8, kT1 = 9, kT2 = 10, kX = 11, kUp = 12 }; // 15 is the tail mask

/// v := v / (1 + exp(-u)), u given negated in kT2.
void divideBySigmoid(Lanes &v, int i) {
  Assembler &a = v.a;
  v.exp(kT2, kT0, kT1, /*anySign=*/true);
  a.vaddps(v.reg(kT2), v.reg(kT2), v.constant(1.0f));
  a.vdivps(v.reg(i), v.reg(i), v.reg(kT2));
}

void silu(Lanes &v, int i) {
  v.a.vxorps(v.reg(kT2), v.reg(i), v.constantBits(0x80000000));
  divideBySigmoid(v, i);
}

/// 0.5 x (1 + tanh(u)) = x / (1 + exp(-2u)), u = sqrt(2/pi) (x + 0.044715 x^3): the right side does not cancel for x <
/// 0.
void geluTanh(Lanes &v, int i) {
  Assembler &a = v.a;
  constexpr float kMinusTwice = -2 * 0.7978845608028654f;
  a.vmulps(v.reg(kT2), v.reg(i), v.reg(i));
  v.broadcast(kT0, kMinusTwice * 0.044715f);
  a.vfmadd213ps(v.reg(kT2), v.reg(kT0), v.constant(kMinusTwice));
  a.vmulps(v.reg(kT2), v.reg(kT2), v.reg(i));
  divideBySigmoid(v, i);
}

void geluErf(Lanes &v, int i) {
  Assembler &a = v.a;
  a.vmulps(v.reg(kX), v.reg(i), v.constant(0.5f));
  a.vmulps(v.reg(i), v.reg(i), v.constant(0.7071067811865476f));
  v.erf(i, kT0, kT1, kT2);
  a.vfmadd213ps(v.reg(i), v.reg(kX), v.reg(kX));
}

void relu(Lanes &v, int i) {
  v.zero(kT0);
  v.a.vmaxps(v.reg(i), v.reg(kT0), v.reg(i)); // the second source wins when it is NaN
}

void none(Lanes &, int) {}

} // namespace

llvm::Expected<Code> emitGlu(const RowwiseDesc &d, bool avx512) {
  // In the order of Activation.
  static constexpr void (*activations[])(Lanes &, int) = {none, silu, geluTanh, geluErf, relu};
  return assemble([&](Assembler &a) {
    Row row(a, d, avx512);
    row.rows([&] {
      row.chunks([&](int n) {
        for (int i = 0; i < row.vectors(); ++i) {
          row.load(i, a.rsi, i, n);
          if (!row.lanes(i, n)) continue;
          activations[unsigned(d.activation)](row.v, i);
          row.load(kUp, a.rsi, i, n, d.columns);
          a.vmulps(row.v.reg(i), row.v.reg(i), row.v.reg(kUp));
        }
        row.write(n);
      });
      row.finishQ8();
    });
  });
}

} // namespace llmc
