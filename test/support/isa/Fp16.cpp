// AVX512-FP16: packed arithmetic, fused multiply-adds, conversions to and from f32 and from 16-bit integers, VMOVW.
// Rounding is to nearest even; embedded rounding and SAE are not there. MXCSR's flush to zero and DAZ do not matter to
// these instructions: denormals of 16 bits count. The payload of a NaN is not kept.
#include "test/support/isa/Instructions.h"
#include <cmath>
#include <cstring>

namespace llmc::test::isa {
namespace {

double fromHalf(const uint8_t *at) {
  uint16_t bits;
  memcpy(&bits, at, 2);
  int exponent = bits >> 10 & 31, fraction = bits & 0x3ff;
  double magnitude = exponent == 31  ? (fraction ? NAN : INFINITY)
                     : exponent == 0 ? std::ldexp(fraction, -24)
                                     : std::ldexp(1024 + fraction, exponent - 25);
  return bits >> 15 ? -magnitude : magnitude;
}

/// To nearest even; 65520 and more is infinity.
void toHalf(uint8_t *at, double value) {
  double magnitude = std::fabs(value);
  uint32_t bits;
  if (std::isnan(value)) {
    bits = 0x7e00;
  } else if (magnitude >= 65520) {
    bits = 0x7c00;
  } else { // in units of the last place: 2^-24 for denormals. A carry into the next exponent is right as it is.
    int exponent = magnitude < 0x1p-14 ? -14 : std::ilogb(magnitude);
    bits = uint32_t(exponent + 14) * 1024 + uint32_t(std::nearbyint(std::ldexp(magnitude, 10 - exponent)));
  }
  uint16_t half = uint16_t(bits | (std::signbit(value) ? 0x8000 : 0));
  memcpy(at, &half, 2);
}

/// p + q rounded to odd: what then rounds to f16 is rounded once.
double addToOdd(double p, double q) {
  double sum = p + q;
  if (!std::isfinite(sum)) return sum;
  double part = sum - p, error = (p - (sum - part)) + (q - part);
  if (error == 0) return sum;
  int64_t bits;
  memcpy(&bits, &sum, 8);
  if (!(bits & 1)) bits += (error > 0) == (sum > 0) ? 1 : -1;
  memcpy(&sum, &bits, 8);
  return sum;
}

/// One EVEX instruction's operands: the second source from memory or a register, and the masked result.
class Operands {
public:
  Operands(Frame &frame, const Instruction &i)
      : frame(frame), i(i), bytes(16 << i.vectorLength), mask(frame.mask(i.mask)), old(frame.vector(i.reg)),
        first(frame.vector(i.vvvv)) {}

  /// Elements of `size` bytes, `total` bytes of them. Those that are masked off are not read.
  void loadSecond(int size, int total) {
    if (!i.memory) {
      second = frame.vector(i.rm);
      return;
    }
    const uint8_t *memory = i.address(frame, i.broadcast ? size : total);
    for (int j = 0; j < total / size; ++j)
      if (mask >> j & 1) memcpy(second.bytes + size * j, memory + (i.broadcast ? 0 : size * j), size_t(size));
  }

  /// Merges or zeroes what is masked off, clears what is past `total` bytes.
  void store(int size, int total) {
    Vector out;
    for (int j = 0; j < total / size; ++j)
      if (mask >> j & 1 || !i.zeroing)
        memcpy(out.bytes + size * j, (mask >> j & 1 ? result : old).bytes + size * j, size_t(size));
    frame.setVector(i.reg, out);
  }

  Frame &frame;
  const Instruction &i;
  const int bytes; // of a full vector
  const uint64_t mask;
  const Vector old, first;
  Vector second, result;
};

using Binary = double (*)(double, double);

/// VADDPH and its like, by opcode. Of two zeros or with a NaN, minimum and maximum give the second source.
Binary binaryOf(int opcode) {
  switch (opcode) {
  case 0x58: return [](double x, double y) { return x + y; };
  case 0x59: return [](double x, double y) { return x * y; };
  case 0x5c: return [](double x, double y) { return x - y; };
  case 0x5d: return [](double x, double y) { return x < y ? x : y; };
  case 0x5e: return [](double x, double y) { return x / y; };
  case 0x5f: return [](double x, double y) { return x > y ? x : y; };
  default: return nullptr;
  }
}

void arithmetic(Operands &o, Binary operation) {
  o.loadSecond(2, o.bytes);
  for (int j = 0; j < o.bytes; j += 2)
    toHalf(o.result.bytes + j, operation(fromHalf(o.first.bytes + j), fromHalf(o.second.bytes + j)));
  o.store(2, o.bytes);
}

/// VF[N]M{ADD,SUB}{132,213,231}PH: opcode 9x, Ax, Bx; 8 add, A subtract, C and E with the product negated.
bool isFused(int opcode) { return opcode >= 0x98 && opcode <= 0xbe && (opcode & 9) == 8; }

void fused(Operands &o) {
  o.loadSecond(2, o.bytes);
  const int form = o.i.opcode >> 4, kind = o.i.opcode & 0x0f;
  for (int j = 0; j < o.bytes; j += 2) {
    double d = fromHalf(o.old.bytes + j), x = fromHalf(o.first.bytes + j), y = fromHalf(o.second.bytes + j);
    double product = form == 9 ? d * y : form == 10 ? x * d : x * y; // exact: 22 bits
    double addend = form == 9 ? x : form == 10 ? y : d;
    toHalf(o.result.bytes + j, addToOdd(kind & 4 ? -product : product, kind & 2 ? -addend : addend));
  }
  o.store(2, o.bytes);
}

/// VCVTPH2PSX.
void widen(Operands &o) {
  o.loadSecond(2, o.bytes / 2);
  for (int j = 0; j < o.bytes / 4; ++j) {
    float value = float(fromHalf(o.second.bytes + 2 * j));
    memcpy(o.result.bytes + 4 * j, &value, 4);
  }
  o.store(4, o.bytes);
}

/// VCVTPS2PHX.
void narrow(Operands &o) {
  o.loadSecond(4, o.bytes);
  for (int j = 0; j < o.bytes / 4; ++j) {
    float value;
    memcpy(&value, o.second.bytes + 4 * j, 4);
    toHalf(o.result.bytes + 2 * j, value);
  }
  o.store(2, o.bytes / 2);
}

/// VCVTW2PH, VCVTUW2PH.
void fromWords(Operands &o, bool isSigned) {
  o.loadSecond(2, o.bytes);
  for (int j = 0; j < o.bytes; j += 2) {
    uint16_t word;
    memcpy(&word, o.second.bytes + j, 2);
    toHalf(o.result.bytes + j, isSigned ? int16_t(word) : word);
  }
  o.store(2, o.bytes);
}

/// VMOVW, 6E to a vector, 7E from one.
void moveWord(Frame &frame, const Instruction &i) {
  if (i.opcode == 0x6e) {
    Vector to;
    uint64_t gpr = i.memory ? 0 : frame.gpr(i.rm);
    memcpy(to.bytes, i.memory ? i.address(frame, 2) : reinterpret_cast<uint8_t *>(&gpr), 2);
    frame.setVector(i.reg, to);
    return;
  }
  Vector from = frame.vector(i.reg);
  uint16_t word;
  memcpy(&word, from.bytes, 2);
  if (i.memory)
    memcpy(i.address(frame, 2), &word, 2);
  else
    frame.setGpr(i.rm, word);
}

bool execute(Frame &frame, const Instruction &i) {
  Operands o(frame, i);
  if (i.map == 6) {
    if (i.prefix != 1) return false;
    if (isFused(i.opcode)) return fused(o), true;
    if (i.opcode == 0x13) return widen(o), true;
    return false;
  }
  if (Binary operation = binaryOf(i.opcode); operation && i.prefix == 0) return arithmetic(o, operation), true;
  if (i.opcode == 0x1d && i.prefix == 1) return narrow(o), true;
  if (i.opcode == 0x7d && i.prefix >= 2) return fromWords(o, i.prefix == 2), true;
  return false;
}

} // namespace

std::optional<Group> executeFp16(Frame &frame, const Instruction &i) {
  if (!i.evex || (i.map != 5 && i.map != 6) || !frame.hasVectors()) return std::nullopt;
  if (i.map == 5 && i.prefix == 1 && (i.opcode == 0x6e || i.opcode == 0x7e)) {
    moveWord(frame, i);
    return Group::Fp16;
  }
  const bool roundsItself = !i.memory && i.broadcast; // embedded rounding or SAE
  if (i.wide || i.vectorLength == 3 || roundsItself || !execute(frame, i)) return std::nullopt;
  return Group::Fp16;
}

} // namespace llmc::test::isa
