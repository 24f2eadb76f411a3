// I4 and I8 weights by rows of 16-bit floats. BF16 rows, or pairs of them, with vdpbf16ps (AVX512-BF16): codes become
// bf16 exactly, sums are f32. F16 rows with vfmadd231ph (AVX512-FP16): codes become fractions of 8 (I8: 128), and the
// two k of a pair are summed in lanes of 16 bits over 32 k, then widened.
// Row blocks of up to 6 by 4 lines, or (I8 by BF16, where unpacking is dear) of up to 12 by 2 lines: 24 accumulators.
// Loops: panel > row block > group > chunk of k > (12 rows: 2 lines) > step > k pair > (I8: 2 lines) > row > line.
// I4: word i of a line shifted by 4j holds in its low bits the codes of one k of pair j: vpermw looks up 16 numbers
// (32 entries: bit 4, of the next code, does not matter). I8: see unpackI8.
#include "codegen/kernels/attention/Half.h"
#include "codegen/kernels/matmul/Loops.h"
#include <algorithm>
#include <array>
#include <bit>

namespace llmc::matmul {
using namespace Xbyak;

namespace {
const Gpr g;
constexpr Isa kIsa{true};
constexpr int kLines = 4, kRowBlock = 6, kTallRowBlock = 12;
/// k whose products are summed before they are scaled: in f32; in 16 bits, where 16 products of a lane lose 2^-8 of
/// their magnitudes at most.
constexpr int64_t kLargestChunk = 256, kHalfChunk = 32;
constexpr float kBase = 0x1p23f; // of which an integer below is the fraction

class Emitter {
public:
  Emitter(Assembler &a, const MatmulDesc &desc, const Target &target)
      : a(a), desc(desc), f(desc.w), i4(f.kind == WeightKind::I4), half(desc.x.kind == RowFormat::Kind::F16),
        parts(desc.x.kind == RowFormat::Kind::BF16Pair ? 2 : 1), kPerStep(i4 ? 8 : 4), distance(target.prefetchBytes),
        mostRows(i4 || half || parts == 2 ? kRowBlock : kTallRowBlock) {}

  void emit() {
    int stack = (mostRows + 1) * kPanel * 4 + 64; // sums, zeros, sums of x
    emitPanels(a, desc, mostRows, stack, [&](int count) { rowBlock(count); }, kIsa);
  }

private:
  void rowBlock(int count);
  void groups();
  void group(int64_t k);
  void chunk(int64_t k);
  void part(int64_t steps);
  void zeroPoints();
  void sumsOfX(int64_t k);
  void step(int64_t index);
  void unpackI4(int64_t index, int pair);
  void unpackI8(int64_t index, int line, const Zmm &even, const Zmm &odd);
  void unpackI8Half(int64_t index, int line, const Zmm &even, const Zmm &odd);
  void widen(const Zmm &sums);
  std::array<uint8_t, 64> tableOfCodes() const;
  void multiply(int firstLine, int lines, int firstWeight, int64_t x);
  void scale();

  Zmm accumulator(int row, int line) const { return Zmm(row * width + line - first); }
  Zmm sum(int row, int line) const { return Zmm((3 + row) * kLines + line); }
  Zmm weight(int i) const { return Zmm(24 + i); }
  RegExp lineOf(int64_t step, int line) const { return g.w + (step * kLines + line) * 64; }
  RegExp xOf(int row, int part, int64_t offset) const {
    return g.xk + (row * desc.xStride + part * paddedK16(desc.k) * 2 + offset);
  }
  Address sumAt(int row, int line) const { return a.ptr[a.rsp + (row * kLines + line) * 64]; }
  Address zeroAt(int line) const { return a.ptr[a.rsp + (mostRows * kLines + line) * 64]; }
  RegExp sumOfXAt(int row) const { return a.rsp + ((mostRows + 1) * kLines * 64 + row * 4); }
  Address constant(uint32_t bits) { return a.ptr_b[a.rip + a.constant32(bits)]; }
  Address constant(float value) { return constant(std::bit_cast<uint32_t>(value)); }
  bool needsSumsOfX() const { return f.offset != Offset::None; }
  /// What the codes are made smaller by before they are multiplied: the middle of their range, but for minima.
  int centre() const { return f.hasMinimum() ? 0 : i4 ? 8 : 128; }
  /// Codes are multiplied as fractions of it; F16: so that 16 products are not too large.
  float unit() const { return !half ? 1 : i4 ? 8 : 128; }
  uint16_t bits16(float value) const {
    return half ? f32ToF16(value) : uint16_t(std::bit_cast<uint32_t>(value) >> 16); // exact
  }

  Assembler &a;
  const MatmulDesc &desc;
  const WeightFormat &f;
  const bool i4, half; // half: F16 rows
  const int parts;     // bf16 rows in a row of x
  const int64_t kPerStep, distance;
  const int mostRows; // of a row block
  // Registers: accumulators, float sums where they fit (else on the stack), 4 weights, 2 broadcasts, 2 others.
  int rows = 0, width = kLines, first = 0; // lines of a part, and its first one
  bool sumsInRegisters = false;
  const Zmm broadcasts[2] = {Zmm(28), Zmm(29)}, lowByte = broadcasts[0], base = broadcasts[1], table{30}, temp{30},
            baseAndCentre{31};
  int turn = 0; // which broadcast register comes next
};

/// The numbers that codes stand for, centred.
std::array<uint8_t, 64> Emitter::tableOfCodes() const {
  std::array<uint8_t, 64> bytes;
  for (int i = 0; i < 32; ++i) {
    uint16_t bits = bits16(float(i % 16 - centre()) / unit());
    bytes[2 * i] = uint8_t(bits), bytes[2 * i + 1] = uint8_t(bits >> 8);
  }
  return bytes;
}

void Emitter::rowBlock(int count) {
  rows = count;
  sumsInRegisters = rows <= 3;
  width = rows <= kRowBlock ? kLines : kLines / 2;
  if (!i4 && !half) broadcast(a, baseAndCentre, std::bit_cast<uint32_t>(kBase + float(centre())));
  if (i4) a.vmovups(table, a.ptr[a.rip + a.constantBytes(tableOfCodes())]);
  for (int r = 0; r < rows; ++r)
    for (int l = 0; l < kLines; ++l) {
      if (sumsInRegisters || (r == 0 && l == 0)) clear(a, sumsInRegisters ? sum(r, l) : Zmm(0));
      if (!sumsInRegisters) a.vmovaps(sumAt(r, l), Zmm(0));
    }
  groups();
  for (int r = 0; r < rows; ++r)
    for (int l = 0; l < kLines; ++l) {
      Zmm value = sumsInRegisters ? sum(r, l) : weight(0);
      if (!sumsInRegisters) a.vmovaps(value, sumAt(r, l));
      storeSum(a, desc, kIsa, value, r, l);
    }
}

void Emitter::groups() {
  a.mov(g.w, g.panel);
  a.mov(g.xk, g.x);
  repeat(a, g.outer, desc.k / f.group, [&] {
    group(f.group);
    a.add(g.w, uint32_t(f.scaleBytes() + f.offsetBytes()));
  });
  if (desc.k % f.group) group(desc.k % f.group);
}

/// `k` inputs of a group; moves g.w and g.xk past them if they are whole chunks.
void Emitter::group(int64_t k) {
  int64_t whole = std::min(f.group, half ? kHalfChunk : kLargestChunk);
  a.lea(g.scales, a.ptr[g.w + f.codeBytes()]);
  for (int64_t line = 0; line < f.scaleBytes() + f.offsetBytes(); line += 64) prefetch(a, distance, g.scales + line);
  repeat(a, g.block, k / whole, [&] {
    chunk(whole);
    a.add(g.w, uint32_t(whole / kPerStep * kLines * 64));
    a.add(g.xk, uint32_t(whole * 2));
  });
  if (k % whole) chunk(k % whole);
}

/// `k` inputs at g.w and g.xk; what rounds them up to a step are zeros in x.
void Emitter::chunk(int64_t k) {
  if (f.offset == Offset::ZeroPoint) zeroPoints();
  if (needsSumsOfX()) sumsOfX(k);
  for (first = 0; first < kLines; first += width) part((k + kPerStep - 1) / kPerStep);
}

/// The products of a chunk with `width` lines.
void Emitter::part(int64_t steps) {
  for (int r = 0; r < rows; ++r)
    for (int l = first; l < first + width; ++l) clear(a, accumulator(r, l));
  int unroll = unrollOf(steps, rows > 3 ? 1 : (rows == 1 ? 4 : 2) * (i4 ? 1 : 2) / parts);
  repeat(a, g.inner, steps / unroll, [&] {
    for (int i = 0; i < unroll; ++i) step(i);
    if (unroll == steps) return;
    a.add(g.w, uint32_t(unroll * kLines * 64));
    a.add(g.xk, uint32_t(unroll * kPerStep * 2));
  });
  if (unroll < steps) {
    a.sub(g.w, uint32_t(steps * kLines * 64));
    a.sub(g.xk, uint32_t(steps * kPerStep * 2));
  }
  scale();
}

/// Zero points to the stack: what the centred codes still have to be made smaller by, f32.
void Emitter::zeroPoints() {
  for (int l = 0; l < kLines; ++l) {
    loadZeroPoints(a, kIsa, f, weight(l), g.scales, 0, l);
    a.vcvtdq2ps(weight(l), weight(l));
    a.vsubps(weight(l), weight(l), constant(float(centre())));
    if (unit() != 1) a.vmulps(weight(l), weight(l), constant(1 / unit()));
    a.vmovaps(zeroAt(l), weight(l));
  }
}

/// The sums of the chunk's x to the stack: in 16 (8) lanes (bf16: of products with 1), which are added in one order for
/// every row count. The accumulators are not in use yet. A row is zeros up to a multiple of 128 k.
void Emitter::sumsOfX(int64_t k) {
  int64_t lanes = half || f.group == 16 ? 16 : 32; // k at a time
  bool ymm = lanes == 16 && !half;
  auto ones = [&] { return constant(0x3f803f80u); };
  constexpr int kAtOnce = 6; // of sumLanes
  for (int r = 0; r < rows; ++r) {
    int to = r % kAtOnce;
    Xmm sum = ymm ? static_cast<Xmm>(Ymm(to)) : static_cast<Xmm>(Zmm(to));
    Xmm x = ymm ? static_cast<Xmm>(Ymm(6)) : static_cast<Xmm>(Zmm(6));
    clear(a, Ymm(to));
    for (int64_t at = 0; at < k; at += lanes)
      for (int part = 0; part < parts; ++part) {
        Address from = a.ptr[xOf(r, part, at * 2)];
        half ? a.vcvtph2ps(x, from) : a.vmovups(x, from);
        half ? a.vaddps(sum, sum, x) : a.vdpbf16ps(sum, x, ones());
      }
    if (!ymm) {
      a.vextractf64x4(Ymm(6), Zmm(to), 1);
      a.vaddps(Ymm(to), Ymm(to), Ymm(6));
    }
    if (to == kAtOnce - 1 || r == rows - 1) sumLanes(a, to + 1, sumOfXAt(r - to));
  }
}

void Emitter::step(int64_t index) {
  for (int l = first; l < first + width; ++l) prefetch(a, distance, lineOf(index, l));
  if (i4) {
    for (int pair = 0; pair < 4; ++pair) {
      unpackI4(index, pair);
      multiply(first, width, 0, index * 16 + pair * 4);
    }
    return;
  }
  for (int side = first / 2; side < (first + width) / 2; ++side) {
    broadcast(a, lowByte, half ? 0x00ff00ff : 0xff); // the broadcast registers are free here
    if (!half) broadcast(a, base, std::bit_cast<uint32_t>(kBase));
    for (int l = 0; l < 2; ++l)
      half ? unpackI8Half(index, 2 * side + l, weight(l), weight(2 + l))
           : unpackI8(index, 2 * side + l, weight(l), weight(2 + l));
    for (int pair = 0; pair < 2; ++pair) multiply(2 * side, 2, 2 * pair, index * 8 + pair * 4);
  }
}

/// Weights := the numbers of the codes of a pair of k, the lines of the part.
void Emitter::unpackI4(int64_t index, int pair) {
  for (int l = 0; l < width; ++l) {
    Address line = a.ptr[lineOf(index, first + l)];
    if (pair == 0)
      a.vmovups(weight(l), line);
    else
      a.vpsrlw(weight(l), line, uint8_t(4 * pair));
    a.vpermw(weight(l), weight(l), table);
  }
}

/// even, odd := bf16 of the codes of k = 0, 2 and k = 1, 3 of a line. A code below 2^23 (`base`) is its fraction; that,
/// and the centre, are taken off in f32. What is left has 8 bits at most, so that the upper half of the dword is all of
/// it.
void Emitter::unpackI8(int64_t index, int line, const Zmm &even, const Zmm &odd) {
  constexpr uint8_t kAndOr = 0xea; // (first & second) | third operand
  Address from = a.ptr[lineOf(index, line)];
  auto toFloat = [&](const Zmm &v) {
    a.vpternlogd(v, lowByte, base, kAndOr);
    a.vsubps(v, v, baseAndCentre);
  };
  auto toUpperHalf = [&](const Zmm &low, const Zmm &high) { // low := upper halves of both
    a.vpsrld(low, low, 16);
    a.vpord(low, low, high);
  };
  a.vmovups(even, from);
  a.vpsrld(odd, even, 8);
  a.vpsrld(temp, even, 16);
  for (const Zmm &v : {even, temp}) toFloat(v);
  toUpperHalf(even, temp);
  a.vpsrld(temp, from, 24);
  for (const Zmm &v : {odd, temp}) toFloat(v);
  toUpperHalf(odd, temp);
}

/// The same in f16. A byte is the fraction of 8: 8 + code/128, of which 8 and the centre are taken off.
void Emitter::unpackI8Half(int64_t index, int line, const Zmm &even, const Zmm &odd) {
  constexpr uint32_t kEight = 0x48004800;
  uint32_t minus = bits16(8 + float(centre()) / unit()) * 0x10001u;
  Address from = a.ptr[lineOf(index, line)];
  a.vpandd(even, lowByte, from);
  a.vpsrlw(odd, from, 8);
  for (const Zmm &v : {even, odd}) {
    a.vpord(v, v, constant(kEight));
    a.vsubph(v, v, constant(minus));
  }
}

/// accumulators += weight registers times a pair of x, for all rows.
void Emitter::multiply(int firstLine, int lines, int firstWeight, int64_t x) {
  for (int r = 0; r < rows; ++r)
    for (int part = 0; part < parts; ++part) {
      const Zmm &pair = broadcasts[turn ^= 1];
      a.vpbroadcastd(pair, a.ptr[xOf(r, part, x)]);
      for (int l = 0; l < lines; ++l) {
        Zmm sums = accumulator(r, firstLine + l), w = weight(firstWeight + l);
        half ? a.vfmadd231ph(sums, w, pair) : a.vdpbf16ps(sums, w, pair);
      }
    }
}

/// sums := the f32 sums of the two f16 in each dword.
void Emitter::widen(const Zmm &sums) {
  Zmm even = weight(2);
  a.vpmovdw(Ymm(even.getIdx()), sums);
  a.vpsrld(sums, sums, 16);
  a.vpmovdw(Ymm(sums.getIdx()), sums);
  a.vcvtph2ps(even, Ymm(even.getIdx()));
  a.vcvtph2ps(sums, Ymm(sums.getIdx()));
  a.vaddps(sums, even, sums);
}

/// sum = fma(accumulator - zero * sum of x, scale, sum), then sum = fma(minimum, sum of x, sum).
void Emitter::scale() {
  Zmm factor = weight(0), minimum = weight(1), zero = weight(1);
  for (int l = first; l < first + width; ++l) {
    loadScales(a, kIsa, f.scale, factor, g.scales, 0, l);
    if (unit() != 1) a.vmulps(factor, factor, constant(unit()));
    if (f.hasMinimum()) loadMinima(a, kIsa, f, minimum, g.scales, 0, l);
    if (f.offset == Offset::ZeroPoint) a.vmovaps(zero, zeroAt(l));
    for (int r = 0; r < rows; ++r) {
      Zmm value = accumulator(r, l);
      if (half) widen(value);
      if (f.offset == Offset::ZeroPoint) a.vfnmadd231ps(value, zero, a.ptr_b[sumOfXAt(r)]);
      if (sumsInRegisters)
        a.vfmadd231ps(sum(r, l), value, factor);
      else
        a.vfmadd213ps(value, factor, sumAt(r, l));
      const Zmm &total = sumsInRegisters ? sum(r, l) : value;
      if (f.hasMinimum()) a.vfmadd231ps(total, minimum, a.ptr_b[sumOfXAt(r)]);
      if (!sumsInRegisters) a.vmovaps(sumAt(r, l), total);
    }
  }
}
} // namespace

llvm::Expected<Code> emitIntRows16(const MatmulDesc &desc, const Target &target) {
  return assemble([&](Assembler &a) { Emitter(a, desc, target).emit(); });
}

} // namespace llmc::matmul
