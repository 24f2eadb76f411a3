// VEX (three bytes) and EVEX instructions taken apart (Intel SDM volume 2, sections 2.3 and 2.7).
#pragma once
#include "test/support/isa/Frame.h"

namespace llmc::test::isa {

struct Instruction {
  const uint8_t *at;
  int length = 0; // bytes
  bool evex = false;
  int map = 0;    // 2: 0F38, 5 and 6: half precision
  int prefix = 0; // 0 none, 1: 66, 2: F3, 3: F2
  int opcode = 0;
  bool wide = false;      // W
  int vectorLength = 0;   // L: 0 128 bits, 1 256, 2 512
  bool zeroing = false;   // EVEX.z
  bool broadcast = false; // EVEX.b
  int mask = 0;           // EVEX.aaa
  int reg = 0, vvvv = 0, rm = 0;
  bool memory = false, hasSib = false, ripRelative = false, shortDisplacement = false;
  int base = -1, index = -1, scale = 0; // -1: none
  int64_t displacement = 0;

  /// The memory operand. `unit` scales the 8-bit displacement of EVEX.
  uint8_t *address(const Frame &frame, int unit = 1) const;
  /// The same without the index: AMX takes that as a stride.
  uint8_t *baseAddress(const Frame &frame, int unit = 1) const;
};

/// False if it is neither (legacy and two-byte VEX prefixes are none of the emulator's).
bool decode(const uint8_t *at, Instruction &out);

} // namespace llmc::test::isa
