#include "tools/probe/Peaks.h"
#include "codegen/x64/Assembler.h"
#include "compiler/NativeTarget.h"
#include <sys/syscall.h>
#include <unistd.h>

namespace llmc::probe {
namespace {

using Xbyak::Reg64, Xbyak::Tmm, Xbyak::Ymm, Xbyak::Zmm;

/// for (turns = *rdi; turns; --turns) body(0); ... body(kPeakUnroll - 1);
llvm::Expected<Code> loopOf(llvm::function_ref<void(Assembler &)> before,
                            llvm::function_ref<void(Assembler &, int)> body,
                            llvm::function_ref<void(Assembler &)> after) {
  return assemble([&](Assembler &a) {
    a.enter({});
    a.mov(a.rdx, a.ptr[a.rdi]);
    before(a);
    a.loop(a.rax, a.rdx, 1, [&] {
      for (int i = 0; i < kPeakUnroll; ++i) body(a, i);
    });
    after(a);
    a.leave();
  });
}

/// Accumulators are registers 0..11, operands 13 and 14; all start at zero.
llvm::Expected<Code> vectorLoop(void (*body)(Assembler &, int)) {
  auto clear = [](Assembler &a) {
    for (int i = 0; i < 16; ++i) a.vpxor(Ymm(i), Ymm(i), Ymm(i)); // the upper halves of 512 bits, too
  };
  return loopOf(clear, body, [](Assembler &) {});
}

/// Four accumulators, 0..3, two of each operand: the 2 x 2 blocking of a kernel. 16 rows of 64 bytes in each tile.
llvm::Expected<Code> tileLoop(void (*body)(Assembler &, int)) {
  auto configure = [](Assembler &a) {
    uint8_t config[64] = {1}; // palette 1; bytes a row from 16 on, 16 bits each; rows from 48 on
    for (int tile = 0; tile < 8; ++tile) config[16 + 2 * tile] = 64, config[48 + tile] = 16;
    a.ldtilecfg(a.ptr[a.rip + a.constantBytes(config)]);
    for (int tile = 0; tile < 8; ++tile) a.tilezero(Tmm(tile));
  };
  return loopOf(configure, body, [](Assembler &a) { a.tilerelease(); });
}

#define VECTOR(code) +[] { return vectorLoop([](Assembler &a, int i) { code; }); }
#define TILES(name)                                                                                                    \
  +[] { return tileLoop([](Assembler &a, int i) { a.name(Tmm(i % 4), Tmm(4 + i % 4 / 2), Tmm(6 + i % 2)); }); }

constexpr Features kVnni256 = kAvx2 | Features{Feature::AvxVnni}, kBf16 = kAvx512 | Features{Feature::Avx512bf16},
                   kFp16 = kAvx512 | Features{Feature::Avx512fp16};

const Peak kPeaks[] = {
    {"tdpbusd", "tdpbusd", Kind::Int8, {Feature::AmxTile, Feature::AmxInt8}, 32768, TILES(tdpbusd), true},
    {"vpdpbusd, 512 bits", "vpdpbusd", Kind::Int8, kAvx512Vnni, 128, VECTOR(a.vpdpbusd(Zmm(i), Zmm(13), Zmm(14)))},
    {"vpdpbusd, 256 bits (VEX)", "vpdpbusd", Kind::Int8, kVnni256, 64,
     VECTOR(a.vpdpbusd(Ymm(i), Ymm(13), Ymm(14), Xbyak::VexEncoding))},
    {"vpdpbusd, 256 bits (EVEX)", "vpdpbusd", Kind::Int8, kAvx512Vnni, 64,
     VECTOR(a.vpdpbusd(Ymm(i), Ymm(13), Ymm(14), Xbyak::EvexEncoding))},
    // Each pair of products is widened and added, as a kernel must: six sums, six intermediate registers.
    {"vpmaddubsw + vpmaddwd, 256 bits", "vpmaddubsw", Kind::Int8, kAvx2, 64,
     VECTOR(Ymm t(6 + i % 6); a.vpmaddubsw(t, Ymm(13), Ymm(14)); a.vpmaddwd(t, t, Ymm(15));
            a.vpaddd(Ymm(i % 6), Ymm(i % 6), t))},
    {"tdpbf16ps", "tdpbf16ps", Kind::Half, {Feature::AmxTile, Feature::AmxBf16}, 16384, TILES(tdpbf16ps), true},
    {"tdpfp16ps", "tdpfp16ps", Kind::Half, {Feature::AmxTile, Feature::AmxFp16}, 16384, TILES(tdpfp16ps), true},
    {"vdpbf16ps, 512 bits", "vdpbf16ps", Kind::Half, kBf16, 64, VECTOR(a.vdpbf16ps(Zmm(i), Zmm(13), Zmm(14)))},
    {"vfmadd231ph, 512 bits", "vfmadd231ph", Kind::Half, kFp16, 64, VECTOR(a.vfmadd231ph(Zmm(i), Zmm(13), Zmm(14)))},
    {"vfmadd231ps, 512 bits", "vfmadd231ps", Kind::F32, kAvx512, 32, VECTOR(a.vfmadd231ps(Zmm(i), Zmm(13), Zmm(14)))},
    {"vfmadd231ps, 256 bits", "vfmadd231ps", Kind::F32, kAvx2, 16, VECTOR(a.vfmadd231ps(Ymm(i), Ymm(13), Ymm(14)))},
};

#undef VECTOR
#undef TILES

/// Whether Linux lets this process use tile data (Documentation/arch/x86/xstate.rst); it asks once.
bool tilesGranted() {
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  static const bool granted = syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  return granted;
}

} // namespace

const char *kindName(Kind kind) {
  constexpr const char *names[] = {"int8", "16-bit", "f32"};
  return names[unsigned(kind)];
}

llvm::ArrayRef<Peak> allPeaks() { return kPeaks; }

Features usableFeatures() {
  Features host = hostFeatures();
  constexpr Features tiles = {Feature::AmxTile, Feature::AmxInt8, Feature::AmxBf16, Feature::AmxFp16};
  return host.has(Feature::AmxTile) && !tilesGranted() ? host - tiles : host;
}

llvm::Expected<PeakProbe> PeakProbe::create(const Peak &peak) {
  if (Features missing = peak.needs - usableFeatures(); hostArch() != Arch::X86_64 || !missing.empty())
    return llvm::createStringError(std::string(peak.name) + ": this CPU or system lacks " + toString(missing));
  llvm::Expected<Code> code = peak.emit();
  if (!code) return code.takeError();
  auto executable = Executable::create(*code, Target());
  if (!executable) return executable.takeError();
  return PeakProbe(peak, std::move(*executable));
}

double PeakProbe::run(Team &team, int64_t count) {
  Slice slice = team.time([&](int64_t) { code->function(&count); });
  double operations = peak.operations * kPeakUnroll * double(count) * double(team.threads());
  return operations / std::max(slice.cpuSeconds, 1e-9);
}

double PeakProbe::slice(Team &team) {
  constexpr int64_t kFirst = 2000; // turns; also wakes the units up
  if (!turns) {
    double rate = run(team, kFirst);
    double seconds = peak.operations * kPeakUnroll * double(team.threads()) / rate; // of a turn
    turns = std::max(kFirst, int64_t(kSliceSeconds / seconds));
  }
  return run(team, turns);
}

llvm::Expected<Spread> measurePeak(const Peak &peak, Team &team, int rounds) {
  llvm::Expected<PeakProbe> probe = PeakProbe::create(peak);
  if (!probe) return probe.takeError();
  std::vector<double> rates;
  for (int round = 0; round < rounds; ++round) rates.push_back(probe->slice(team));
  return spreadOf(rates);
}

} // namespace llmc::probe
