// llmc_emulated_check: `llmc-kernel check` of the rows that this CPU lacks features for and the emulator has them.
#include "compiler/NativeTarget.h"
#include "test/support/isa/Host.h"
#include "tools/llmc-kernel/Check.h"
#include "llvm/Support/raw_ostream.h"

using namespace llmc;
using namespace llmc::test;

int main() {
  Target host = llvm::cantFail(resolveTarget("native"));
  const Features native = isa::nativeFeatures();
  host.features = native | isa::emulatedFeatures();
  int failures = 0;
  for (const tool::Row &row : tool::catalogue()) {
    if (row.anyArch || !row.serves(host) || native.contains(row.needs)) continue;
    isa::missingHere(row.needs); // installs the emulator
    isa::EmulationCheck emulation(row.needs);
    llvm::Expected<bool> ok = tool::checkRow(row, host);
    if (!ok) {
      llvm::errs() << "error: " << row.name << ": " << llvm::toString(ok.takeError()) << "\n";
      return 1;
    }
    if (Features never = emulation.neverSeen(); *ok && !never.empty()) {
      llvm::errs() << "error: " << row.name << ": no instruction of " << toString(never) << " was emulated\n";
      return 1;
    }
    failures += !*ok;
  }
  return failures != 0;
}
