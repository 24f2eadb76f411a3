// The instructions that the emulator knows, by group. Each function executes `i` if it is one of its own.
#pragma once
#include "test/support/isa/Decode.h"
#include "test/support/isa/Emulator.h"
#include <optional>

namespace llmc::test::isa {

/// The group of the instruction that was executed; nothing if it is another one.
std::optional<Group> executeAmx(Frame &frame, const Instruction &i);
std::optional<Group> executeVnni(Frame &frame, const Instruction &i);
std::optional<Group> executeFp16(Frame &frame, const Instruction &i);

/// #UD or #GP of an emulated instruction.
inline void faultIf(bool condition, const Instruction &i, const char *what) {
  if (condition) onFault(what, i.at);
}

} // namespace llmc::test::isa
