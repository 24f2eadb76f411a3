#include "tools/llmc-kernel/Check.h"
#include "codegen/portable/Executable.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"

namespace llmc::tool {
namespace {

/// Tails of panels and groups, one to many rows; small enough to take a second for the whole catalogue.
constexpr Shape kCheckedShapes[] = {
    {.n = 64, .k = 64, .rows = 1},
    {.n = 192, .k = 320, .rows = 5, .group = 16, .offset = Offset::ZeroPoint},
    {.n = 100, .k = 256, .rows = 1, .group = 128, .offset = Offset::MinF16},
    {.n = 576, .k = 96, .rows = 19, .group = 32, .scale = ScaleType::F32, .offset = Offset::MinF32},
};

} // namespace

llvm::Expected<bool> checkRow(const Row &row, const Target &host) {
  llvm::outs() << llvm::format("%-30s ", row.name.c_str());
  if (!row.serves(host)) {
    llvm::outs() << "SKIP " << host.name << " lacks " << toString(row.needs - host.features) << "\n";
    return true;
  }
  int cases = 0;
  Deviation worst;
  std::string worstCase;
  for (const Shape &shape : kCheckedShapes)
    for (const Accepted &one : row.accepted(shape, host, nullptr)) {
      auto code = one.emit();
      if (!code) return code.takeError();
      auto kernel = Executable::create(*code, host);
      if (!kernel) return kernel.takeError();
      Deviation deviation = one.makeCase(false)->check((*kernel)->function);
      ++cases;
      if (cases > 1 && deviation.ok() && deviation.found * worst.allowed <= worst.found * deviation.allowed) continue;
      if (cases > 1 && !worst.ok()) continue;
      worst = deviation, worstCase = one.what;
    }
  bool ok = cases > 0 && worst.ok();
  llvm::outs() << (ok ? "OK   " : "FAIL ")
               << llvm::format("%3d cases, largest error %.1e of %.1e allowed", cases, worst.found, worst.allowed);
  llvm::outs() << (worstCase.empty() ? "" : " (" + worstCase + ")") << "\n";
  return ok;
}

} // namespace llmc::tool
