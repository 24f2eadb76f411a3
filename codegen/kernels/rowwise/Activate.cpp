#include "codegen/kernels/rowwise/Activate.h"

namespace llmc {
namespace {

enum { kT0 = 8, kT1 = 9, kT2 = 10, kX = 11 };

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

void activate(Lanes &v, Activation activation, int i) {
  // In the order of Activation.
  static constexpr void (*functions[])(Lanes &, int) = {none, silu, geluTanh, geluErf, relu};
  functions[unsigned(activation)](v, i);
}

} // namespace llmc
