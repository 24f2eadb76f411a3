// llmc_isa_dump: the machine code of every emitted kernel for every x86-64 target, for check.py to decode. Each line is
//   kernel TAB target[,target...] TAB features TAB descriptor TAB instruction bytes in hexadecimal
// where the targets share these bytes. A row that accepts nothing for a target it serves gets `-` instead of bytes.
#include "tools/llmc-kernel/Catalogue.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/raw_ostream.h"
#include <map>

using namespace llmc;
using namespace llmc::tool;

namespace {

/// Whole and partial panels, groups and row blocks; every kind of offset and scale.
constexpr Shape kShapes[] = {
    {.n = 64, .k = 64, .rows = 1},
    {.n = 192, .k = 320, .rows = 5, .group = 16, .offset = Offset::ZeroPoint},
    {.n = 100, .k = 256, .rows = 1, .group = 128, .offset = Offset::MinF16},
    {.n = 576, .k = 96, .rows = 19, .group = 32, .scale = ScaleType::F32, .offset = Offset::MinF32},
    {.n = 4096, .k = 4096, .rows = 64, .group = 64, .scale = ScaleType::BF16},
};

struct Emitted {
  std::string what;
  std::vector<std::string> targets;
  Features common; // of all these targets: the code may use no other
};

bool dump(const Row &row) {
  std::map<std::vector<uint8_t>, Emitted> codes; // equal bytes are decoded once
  for (const Target &target : allTargets()) {
    if (target.arch != Arch::X86_64 || !row.serves(target)) continue;
    bool any = false;
    for (const Shape &shape : kShapes)
      for (const Accepted &one : row.accepted(shape, target, nullptr)) {
        llvm::Expected<Code> code = one.emit();
        if (!code) {
          llvm::errs() << "error: " << row.name << ": " << one.what << ": " << toString(code.takeError()) << "\n";
          return false;
        }
        any = true;
        std::vector<uint8_t> instructions(code->bytes.begin(), code->bytes.begin() + long(code->codeBytes));
        auto [place, isNew] = codes.try_emplace(std::move(instructions), Emitted{one.what, {}, target.features});
        Emitted &emitted = place->second;
        emitted.common = emitted.common - (emitted.common - target.features);
        if (emitted.targets.empty() || emitted.targets.back() != target.name) emitted.targets.push_back(target.name);
      }
    if (!any) llvm::outs() << row.name << "\t" << target.name << "\t" << toString(target.features) << "\t\t-\n";
  }
  for (const auto &[bytes, emitted] : codes)
    llvm::outs() << row.name << "\t" << llvm::join(emitted.targets, ",") << "\t" << toString(emitted.common) << "\t"
                 << emitted.what << "\t" << llvm::toHex(bytes, /*LowerCase=*/true) << "\n";
  return true;
}

} // namespace

int main() {
  for (const Row &row : catalogue())
    if (!row.anyArch && !dump(row)) return 1;
  return 0;
}
