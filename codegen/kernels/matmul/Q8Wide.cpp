#include "codegen/kernels/matmul/Q8Wide.h"
#include "codegen/kernels/matmul/Quantize.h"
#include "codegen/kernels/matmul/Requantise.h"
#include <array>

namespace llmc::matmul {
using namespace Xbyak;

static const Gpr g;
static constexpr int64_t kLine = 256; // bytes of 4 codes or one dword of all columns
static constexpr int64_t kChunk = 256;

Q8Chunks::Q8Chunks(const MatmulDesc &desc) {
  int64_t group = desc.w.group, k = desc.w.paddedK(desc.k);
  const bool requantised = requantises(desc);
  unit = requantised ? desc.x.block : unitOf(desc.w, desc.k, desc.x.block);
  oneGroup = group >= desc.k;
  chunkUnits = (requantised ? kRequantiseBlock : oneGroup || group > kChunk ? kChunk : kChunk / group * group) / unit;
  int64_t units = roundUp(k, unit) / unit;
  restK = k - (units - 1) * unit;
  if (unit < kActivationBlock && units % 2) ++units, restK = 0;
  chunks = roundUp(units, chunkUnits) / chunkUnits;
  lastUnits = units - (chunks - 1) * chunkUnits;
}

Wide::Wide(const MatmulDesc &desc, Q8Isa isa) {
  const WeightFormat &f = desc.w;
  const bool i4 = f.kind == WeightKind::I4, requantised = requantises(desc);
  hasMinima = f.hasMinimum() && !requantised;
  term = requantised ? RowTerm() : !i4 ? RowTerm::ofCentred(f) : isa.vnni ? RowTerm() : RowTerm::ofCodes(f);
  int64_t at = 0;
  auto take = [&](bool there, int64_t size) { return at += there ? size : 0, at - (there ? size : 0); };
  start = take(isa.vnni, kLine);
  zeros = take(term.kind == RowTerm::PerColumn, kLine);
  codes = take(true, Q8Chunks(desc).unit / 4 * kLine);
  scales = take(true, kLine);
  minima = take(hasMinima, kLine);
  bytes = at;
}

namespace {
/// A byte in each column's dword.
constexpr auto kSpread = [] {
  std::array<uint8_t, 64> order{};
  for (size_t i = 0; i < 64; ++i) order[i] = uint8_t(i / 4 * 4 % 16);
  return order;
}();

class Emitter {
public:
  Emitter(Assembler &a, const MatmulDesc &desc, Q8Isa isa, const Q8Chunks &chunks)
      : a(a), f(desc.w), isa(isa.isa), vnni(isa.vnni), i4(f.kind == WeightKind::I4), chunks(chunks), wide(desc, isa) {}
  void emit(int64_t units, int64_t restK);

private:
  void unit(int64_t k);
  void step(int64_t index, int part);
  void loadCentres(int part);
  void zeroPart(int64_t k, int part);
  void finishPart(int part);
  void store(const Xmm &value, int64_t offset, int part, int v) {
    vstore(a, a.ptr[g.xk + (offset + part * kPart * isa.bytes() + v * isa.bytes())], value);
  }
  PreferredEncoding encoding() const { return isa.avx512 ? EvexEncoding : VexEncoding; }

  // Vectors of a part, 4 of them: centres (bytes), start values; then temporaries and constants.
  static constexpr int kPart = 4;
  Xmm centre(int v) const { return isa.vec(v); }
  Xmm start(int v) const { return isa.vec(kPart + v); }
  Xmm temp(int i) const { return isa.vec(2 * kPart + i); } // 0..3
  Xmm nibbles() const { return isa.vec(12); }
  Xmm offset128() const { return isa.vec(13); } // 0x80 in each byte
  bool hasCentre() const { return vnni && i4 && !f.hasMinimum(); }
  int64_t stepK() const { return i4 ? 8 : 4; }

  Assembler &a;
  const WeightFormat &f;
  const Isa isa;
  const bool vnni, i4;
  const Q8Chunks &chunks;
  const Wide wide;
};

/// Codes of `stepK` k: index counts from g.w and g.xk.
void Emitter::step(int64_t index, int part) {
  int64_t here = part * kPart * isa.bytes(), stepBytes = f.codeBytes() / f.group * stepK();
  for (int v = 0; v < kPart; ++v) {
    Address from = a.ptr[g.w + (index * stepBytes + here + v * isa.bytes())];
    Xmm low = temp(v % 2 * 2), high = temp(v % 2 * 2 + 1);
    vload(a, low, from);
    if (i4) {
      a.vpsrlw(high, low, 4);
      vand(a, high, high, nibbles());
      vand(a, low, low, nibbles());
      if (hasCentre()) {
        a.vpsubb(low, low, centre(v));
        a.vpsubb(high, high, centre(v));
      }
    } else {
      vxor(a, low, low, offset128());
    }
    for (int half = 0; half < (i4 ? 2 : 1); ++half) {
      store(half ? high : low, wide.codes + (index * stepK() / 4 + half) * kLine, part, v);
      if (vnni) a.vpdpbusd(start(v), offset128(), half ? high : low, encoding());
    }
  }
}

/// The rest of a unit: zeros, which need no start value.
void Emitter::zeroPart(int64_t k, int part) {
  clear(a, temp(0));
  for (int64_t line = k / 4; line < chunks.unit / 4; ++line)
    for (int v = 0; v < kPart; ++v) store(temp(0), wide.codes + line * kLine, part, v);
}

void Emitter::loadCentres(int part) {
  if (!hasCentre()) return;
  for (int v = 0; v < kPart; ++v) {
    if (f.offset == Offset::None) {
      broadcast(a, centre(v), 0x08080808);
      continue;
    }
    loadZeroPoints(a, isa, f, centre(v), g.scales, 0, part * kPart + v);
    a.vpshufb(centre(v), centre(v), a.ptr[a.rip + a.constantBytes({kSpread.data(), size_t(isa.bytes())})]);
  }
}

/// What there is once in a unit.
void Emitter::finishPart(int part) {
  clear(a, temp(1));
  for (int v = 0; v < kPart; ++v) {
    int vector = part * kPart + v;
    if (vnni) {
      a.vpsubd(start(v), temp(1), start(v)); // -128 * sum of the weights, as x is 128 too large
      store(start(v), wide.start, part, v);
    }
    if (wide.term.kind == RowTerm::PerColumn) {
      loadZeroPoints(a, isa, f, temp(0), g.scales, 0, vector);
      wide.term.ofZeroPoints(a, temp(0), temp(2));
      store(temp(0), wide.zeros, part, v);
    }
    loadScales(a, isa, f.scale, temp(0), g.scales, 0, vector);
    store(temp(0), wide.scales, part, v);
    if (!f.hasMinimum()) continue;
    loadMinima(a, isa, f, temp(0), g.scales, 0, vector);
    store(temp(0), wide.minima, part, v);
  }
}

void Emitter::unit(int64_t k) {
  int64_t steps = k / stepK(), unroll = unrollOf(steps, 4);
  int64_t read = unroll * f.codeBytes() / f.group * stepK(), written = unroll * stepK() / 4 * kLine;
  for (int part = 0; part < isa.vectors() / kPart; ++part) {
    loadCentres(part);
    for (int v = 0; v < kPart; ++v) clear(a, start(v));
    repeat(a, g.block, steps / unroll, [&] {
      for (int64_t i = 0; i < unroll; ++i) step(i, part);
      a.add(g.w, uint32_t(read));
      a.add(g.xk, uint32_t(written));
    });
    a.sub(g.w, uint32_t(steps / unroll * read));
    a.sub(g.xk, uint32_t(steps / unroll * written));
    zeroPart(k, part);
    finishPart(part);
  }
}

void Emitter::emit(int64_t units, int64_t restK) {
  if (i4) broadcast(a, nibbles(), 0x0f0f0f0f);
  if (vnni || !i4) broadcast(a, offset128(), 0x80808080);
  int64_t whole = restK == chunks.unit ? units : units - 1, unitBytes = f.codeBytes() / f.group * chunks.unit;
  auto fullUnit = [&] {
    unit(chunks.unit);
    a.add(g.w, uint32_t(unitBytes));
    a.add(g.xk, uint32_t(wide.bytes));
  };
  if (chunks.oneGroup) {
    a.lea(g.scales, a.ptr[g.panel + uint32_t(f.codeBytes())]);
    repeat(a, g.inner, whole, fullUnit);
    if (restK && whole < units) unit(restK);
    return;
  }
  int64_t perGroup = f.group / chunks.unit;
  repeat(a, g.outer, whole / perGroup, [&] {
    a.lea(g.scales, a.ptr[g.w + uint32_t(f.codeBytes())]);
    repeat(a, g.inner, perGroup, fullUnit);
    a.add(g.w, uint32_t(f.scaleBytes() + f.offsetBytes()));
  });
  if (whole == units) return;
  clear(a, temp(0)); // an extra unit that adds 0
  for (int64_t offset = 0; offset < wide.bytes; offset += isa.bytes()) vstore(a, a.ptr[g.xk + offset], temp(0));
}
} // namespace

void emitWiden(Assembler &a, const MatmulDesc &desc, Q8Isa isa, const Q8Chunks &chunks, int64_t units, int64_t restK) {
  if (requantises(desc)) return emitWidenRequantised(a, desc, chunks, units, restK);
  Emitter(a, desc, isa, chunks).emit(units, restK);
}

} // namespace llmc::matmul
