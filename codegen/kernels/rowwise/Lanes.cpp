#include "codegen/kernels/rowwise/Lanes.h"
#include <cstring>

namespace llmc {
using namespace Xbyak;

Address Lanes::constantBits(uint32_t bits) {
  if (avx512) return a.ptr_b[a.rip + a.constant32(bits)];
  uint32_t copies[8];
  for (uint32_t &copy : copies) copy = bits;
  uint8_t bytes[sizeof(copies)];
  memcpy(bytes, copies, sizeof(copies));
  return a.ptr[a.rip + a.constantBytes(bytes)];
}

void Lanes::setTail(int n) {
  if (n == count || n == 0) return;
  if (avx512) {
    a.mov(a.eax, (1u << n) - 1);
    a.kmovw(a.k1, a.eax);
    return;
  }
  uint8_t mask[32];
  for (int i = 0; i < 32; ++i) mask[i] = i / 4 < n ? 0xff : 0;
  a.vmovups(ymm(15), a.ptr[a.rip + a.constantBytes(mask)]);
}

void Lanes::load(int v, const RegExp &from, int n) {
  if (n == count) return a.vmovups(reg(v), a.ptr[from]);
  if (n == 8) return a.vmovups(ymm(v), a.ptr[from]); // the upper half of a zmm becomes 0
  if (avx512) return a.vmovups(reg(v) | a.k1 | a.T_z, a.ptr[from]);
  a.vmaskmovps(reg(v), ymm(15), a.ptr[from]);
}

void Lanes::store(const RegExp &to, int v, int n) {
  if (n == count) return a.vmovups(a.ptr[to], reg(v));
  if (n == 8) return a.vmovups(a.ptr[to], ymm(v));
  if (avx512) return a.vmovups(a.ptr[to] | a.k1, reg(v));
  a.vmaskmovps(a.ptr[to], ymm(15), reg(v));
}

void Lanes::keep(int v, int n) {
  if (n == count) return;
  if (n == 0) return zero(v);
  if (avx512) return a.vmovaps(reg(v) | a.k1 | a.T_z, reg(v));
  a.vandps(reg(v), reg(v), ymm(15));
}

void Lanes::loadHalf(int v, const RegExp &from, int n) { a.vcvtph2ps(n == count ? reg(v) : ymm(v), a.ptr[from]); }

void Lanes::storeHalf(const RegExp &to, int v, int n) {
  constexpr uint8_t kNearestEven = 0;
  a.vcvtps2ph(a.ptr[to], n == count ? reg(v) : ymm(v), kNearestEven);
}

void Lanes::clear(const RegExp &to, int64_t bytes, int t) {
  if (bytes <= 0) return;
  zero(t);
  int64_t at = 0;
  for (; bytes - at >= 32; at += 32) a.vmovups(a.ptr[to + at], ymm(t));
  for (; bytes - at >= 8; at += 8) a.vmovq(a.ptr[to + at], xmm(t));
  if (at < bytes) a.vmovd(a.ptr[to + at], xmm(t));
}

template <typename Op> void Lanes::reduce(int v, int t, Op op) {
  if (avx512) {
    a.vextractf64x4(ymm(t), Zmm(v), 1);
    op(ymm(v), ymm(t));
    a.vextractf32x4(xmm(t), ymm(v), 1);
  } else {
    a.vextractf128(xmm(t), ymm(v), 1);
  }
  op(xmm(v), xmm(t));
  a.vshufps(xmm(t), xmm(v), xmm(v), 0x4e); // lanes 2, 3 to 0, 1
  op(xmm(v), xmm(t));
  a.vshufps(xmm(t), xmm(v), xmm(v), 0xb1); // lane 1 to 0
  op(xmm(v), xmm(t));
}

void Lanes::sum(int v, int t) {
  reduce(v, t, [&](const Xmm &x, const Xmm &y) { a.vaddps(x, x, y); });
}
void Lanes::max(int v, int t) {
  reduce(v, t, [&](const Xmm &x, const Xmm &y) { a.vmaxps(x, x, y); });
}
void Lanes::maxBits(int v, int t) {
  reduce(v, t, [&](const Xmm &x, const Xmm &y) { a.vpmaxsd(x, x, y); });
}

void Lanes::exp(int v, int t0, int t1, bool anySign) {
  Xmm x = reg(v), n = reg(t0), p = reg(t1);
  // min and max return their second source when one is NaN: the value, so that NaN survives.
  broadcast(t1, -104.0f);
  a.vmaxps(x, p, x);
  if (anySign) {
    broadcast(t1, 89.0f);
    a.vminps(x, p, x);
  }
  // exp(x) = 2^n * exp(r), r = x - n ln 2 in -ln(2)/2..ln(2)/2; ln 2 in two parts and the polynomial as in Cephes expf.
  a.vmulps(n, x, constant(1.44269504088896341f));
  constexpr uint8_t kNearest = 8; // to nearest even, no exception
  if (avx512)
    a.vrndscaleps(n, n, kNearest);
  else
    a.vroundps(n, n, kNearest);
  a.vfnmadd231ps(x, n, constant(0.693359375f));
  a.vfnmadd231ps(x, n, constant(-2.12194440e-4f));
  broadcast(t1, 1.9875691500e-4f);
  for (float c : {1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f, 1.0f, 1.0f})
    a.vfmadd213ps(p, x, constant(c));
  if (avx512) return a.vscalefps(x, p, n);
  // 2^n in two factors: the first changes the exponent of p and cannot leave the normal range, the second rounds.
  a.vcvtps2dq(n, n);
  a.vpsrad(x, n, 1);
  a.vpsubd(n, n, x);
  a.vpslld(x, x, 23);
  a.vpaddd(p, p, x);
  a.vpslld(n, n, 23);
  a.vpaddd(n, n, constantBits(127u << 23));
  a.vmulps(x, p, n);
}

void Lanes::erf(int v, int t0, int t1, int t2) {
  // Odd over even polynomial in x, on -4..4 (beyond, erf rounds to 1): Eigen's generic_fast_erf_float.
  Xmm x = reg(v), square = reg(t0), p = reg(t1), q = reg(t2);
  broadcast(t1, -4.0f);
  a.vmaxps(x, p, x);
  broadcast(t1, 4.0f);
  a.vminps(x, p, x);
  a.vmulps(square, x, x);
  broadcast(t1, -2.72614225801306e-10f);
  for (float c : {2.77068142495902e-08f, -2.10102402082508e-06f, -5.69250639462346e-05f, -7.34990630326855e-04f,
                  -2.95459980854025e-03f, -1.60960333262415e-02f})
    a.vfmadd213ps(p, square, constant(c));
  a.vmulps(p, p, x);
  broadcast(t2, -1.45660718464996e-05f);
  for (float c : {-2.13374055278905e-04f, -1.68282697438203e-03f, -7.37332916720468e-03f, -1.42647390514189e-02f})
    a.vfmadd213ps(q, square, constant(c));
  a.vdivps(x, p, q);
}

} // namespace llmc
