#include "test/support/isa/Decode.h"
#include <cstring>

namespace llmc::test::isa {
namespace {

/// Register numbers are stored inverted in the prefixes: bit 3 (bit 4) of one.
int inverted(uint8_t byte, int bit, int to) { return (byte >> bit & 1) ? 0 : 1 << to; }

/// The bits that extend reg, index and base/rm.
struct Extensions {
  int reg = 0, index = 0, base = 0;
};

const uint8_t *vexPrefix(const uint8_t *p, Instruction &i, Extensions &e) {
  e = {inverted(p[1], 7, 3), inverted(p[1], 6, 3), inverted(p[1], 5, 3)};
  i.map = p[1] & 31;
  i.wide = p[2] >> 7;
  i.vvvv = ~(p[2] >> 3) & 15;
  i.vectorLength = p[2] >> 2 & 1;
  i.prefix = p[2] & 3;
  return p + 3;
}

const uint8_t *evexPrefix(const uint8_t *p, Instruction &i, Extensions &e) {
  if (p[1] & 8 || !(p[2] & 4)) return nullptr; // bits that are fixed
  i.evex = true;
  e = {inverted(p[1], 7, 3) | inverted(p[1], 4, 4), inverted(p[1], 6, 3), inverted(p[1], 5, 3)};
  i.map = p[1] & 7;
  i.wide = p[2] >> 7;
  i.vvvv = (~(p[2] >> 3) & 15) | inverted(p[3], 3, 4);
  i.prefix = p[2] & 3;
  i.zeroing = p[3] >> 7;
  i.vectorLength = p[3] >> 5 & 3;
  i.broadcast = p[3] >> 4 & 1;
  i.mask = p[3] & 7;
  return p + 4;
}

int32_t load32(const uint8_t *p) {
  int32_t value;
  memcpy(&value, p, 4);
  return value;
}

/// What follows ModRM when it names memory.
const uint8_t *memoryOperand(const uint8_t *p, uint8_t modrm, const Extensions &e, Instruction &i) {
  int mode = modrm >> 6;
  i.base = (modrm & 7) | e.base;
  bool noBase = mode == 0 && (modrm & 7) == 5;
  if (noBase) i.ripRelative = true;
  if ((modrm & 7) == 4) {
    uint8_t sib = *p++;
    i.hasSib = true;
    i.scale = sib >> 6;
    i.index = (sib >> 3 & 7) | e.index;
    if (i.index == 4) i.index = -1;
    i.base = (sib & 7) | e.base;
    noBase = mode == 0 && (sib & 7) == 5;
  }
  if (noBase) i.base = -1;
  if (noBase || mode == 2) {
    i.displacement = load32(p);
    return p + 4;
  }
  if (mode == 1) {
    i.displacement = int8_t(*p++);
    i.shortDisplacement = true;
  }
  return p;
}

} // namespace

bool decode(const uint8_t *at, Instruction &out) {
  Instruction i = {.at = at};
  Extensions e;
  const uint8_t *p = *at == 0xc4 ? vexPrefix(at, i, e) : *at == 0x62 ? evexPrefix(at, i, e) : nullptr;
  if (!p) return false;
  i.opcode = *p++;
  uint8_t modrm = *p++;
  i.memory = modrm >> 6 != 3;
  i.reg = (modrm >> 3 & 7) | e.reg;
  i.rm = (modrm & 7) | e.base | (i.evex ? e.index << 1 : 0);
  if (i.memory) p = memoryOperand(p, modrm, e, i);
  i.length = int(p - at);
  out = i;
  return true;
}

uint8_t *Instruction::baseAddress(const Frame &frame, int unit) const {
  uint64_t address = uint64_t(displacement * (evex && shortDisplacement ? unit : 1));
  if (ripRelative) address += reinterpret_cast<uint64_t>(at) + uint64_t(length);
  if (base >= 0) address += frame.gpr(base);
  return reinterpret_cast<uint8_t *>(address);
}

uint8_t *Instruction::address(const Frame &frame, int unit) const {
  return baseAddress(frame, unit) + (index >= 0 ? frame.gpr(index) << scale : 0);
}

} // namespace llmc::test::isa
