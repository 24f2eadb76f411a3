// Lets a test run a kernel whose features this CPU lacks.
#pragma once
#include "test/support/isa/Emulator.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include <optional>
#include <vector>

namespace llmc::test::isa {

/// What this process executes without help. AMX: only once it has asked Linux for the permission, which tests do not,
/// so their tile instructions fault and are emulated even where the CPU has them.
Features nativeFeatures();

/// What of `needs` neither this CPU nor the emulator has; installs the emulator if that is needed. A test fails on
/// these.
Features missingHere(Features needs);

/// Holds that what was emulated is what had to be: between its making and `check`, the emulator has counted
/// instructions of each feature of `needs` that is not native. A kernel that took another way would fail here.
class EmulationCheck {
public:
  explicit EmulationCheck(Features needs);
  /// What was not emulated though this CPU lacks it; empty if all is well.
  Features neverSeen() const;

private:
  Features emulated;
  Counts before;
};

/// Whether a child process could run kernels of these needs on the CPU's own tiles.
bool hasNativeTiles(Features needs);
/// The bytes that `body` returns in a child process that has asked for the permission to use tiles (if `askForTiles`);
/// nothing if the child died or was refused.
std::optional<std::vector<char>> inChild(bool askForTiles, llvm::function_ref<std::vector<char>()> body);

} // namespace llmc::test::isa
