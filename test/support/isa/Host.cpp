#include "test/support/isa/Host.h"
#include "compiler/NativeTarget.h"
#include <cstdlib>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace llmc::test::isa {
namespace {

constexpr Features kTiles = {Feature::AmxTile, Feature::AmxInt8, Feature::AmxBf16, Feature::AmxFp16};

enum { kGetPermission = 0x1022, kRequestPermission = 0x1023, kTileData = 18 }; // arch_prctl, Linux 5.16

bool mayUseTiles() {
  uint64_t permitted = 0;
  return !syscall(SYS_arch_prctl, kGetPermission, &permitted) && permitted >> kTileData & 1;
}

Group groupOf(Feature feature) {
  switch (feature) {
  case Feature::AmxTile: return Group::Tile;
  case Feature::AmxInt8: return Group::TileInt8;
  case Feature::AmxBf16: return Group::TileBf16;
  case Feature::AmxFp16: return Group::TileFp16;
  case Feature::AvxVnni: return Group::Vnni;
  case Feature::Avx512fp16: return Group::Fp16;
  default: return Group::Count;
  }
}

bool writeAll(int fd, const char *from, size_t count) {
  while (count) {
    ssize_t written = write(fd, from, count);
    if (written <= 0) return false;
    from += written, count -= size_t(written);
  }
  return true;
}

} // namespace

Features nativeFeatures() { return mayUseTiles() ? hostFeatures() : hostFeatures() - kTiles; }

Features missingHere(Features needs) {
  Features lacking = needs - nativeFeatures();
  if (!lacking.empty()) install();
  return lacking - emulatedFeatures();
}

EmulationCheck::EmulationCheck(Features needs) : emulated(needs - nativeFeatures()), before(counts()) {}

Features EmulationCheck::neverSeen() const {
  Features never;
  Counts now = counts();
  for (unsigned i = 0; i < unsigned(Feature::Count); ++i) {
    Group group = groupOf(Feature(i));
    if (emulated.has(Feature(i)) && (group == Group::Count || now.of(group) == before.of(group)))
      never = never | Features{Feature(i)};
  }
  return never;
}

bool hasNativeTiles(Features needs) { return !(needs - (needs - kTiles)).empty() && hostFeatures().contains(needs); }

std::optional<std::vector<char>> inChild(bool askForTiles, llvm::function_ref<std::vector<char>()> body) {
  int fds[2];
  if (pipe(fds)) return std::nullopt;
  pid_t child = fork();
  if (child == 0) {
    close(fds[0]);
    if (askForTiles && syscall(SYS_arch_prctl, kRequestPermission, kTileData)) _exit(1);
    std::vector<char> bytes = body();
    _exit(writeAll(fds[1], bytes.data(), bytes.size()) ? 0 : 1);
  }
  close(fds[1]);
  std::vector<char> bytes;
  char part[4096];
  for (ssize_t n; (n = read(fds[0], part, sizeof part)) > 0;) bytes.insert(bytes.end(), part, part + n);
  close(fds[0]);
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child || status) return std::nullopt;
  return bytes;
}

} // namespace llmc::test::isa
