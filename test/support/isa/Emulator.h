// Executes instructions that this CPU lacks, in a SIGILL handler: for tests. README.md says which, and how exact.
#pragma once
#include "codegen/Target.h"

namespace llmc::test::isa {

/// What a tile, dot product or half precision instruction belongs to.
enum class Group : uint8_t { Tile, TileInt8, TileBf16, TileFp16, Vnni, VnniInt8, Fp16, Count };

/// What the emulator has done on this thread.
struct Counts {
  uint64_t signals = 0;
  uint64_t instructions[unsigned(Group::Count)] = {};
  uint64_t of(Group group) const { return instructions[unsigned(group)]; }
};
Counts counts();

/// Installs the handler, once a process. What the emulator does not know goes to the handler that was there before.
/// An instruction that the CPU executes never comes here, unless `ud2` stands before it: then both are replaced by the
/// emulated instruction (for tests of the emulator).
void install();

/// The features whose instructions the emulator has (of AVX512-FP16 a part) and this CPU has the registers for.
Features emulatedFeatures();

/// What is called when an emulated program does what a CPU refuses (#UD, #GP): by default a message and abort(). Must
/// not return.
extern void (*onFault)(const char *what, const void *rip);

} // namespace llmc::test::isa
