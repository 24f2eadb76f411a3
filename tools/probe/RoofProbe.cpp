#include "tools/probe/RoofProbe.h"
#include "compiler/NativeTarget.h"

namespace llmc::probe {
namespace {
constexpr int kRounds = 9; // to tell ways apart that differ by a few percent
}

llvm::Expected<std::unique_ptr<RoofProbe>> RoofProbe::create(int64_t threads, Features features) {
  std::unique_ptr<RoofProbe> probe(new RoofProbe(threads));
  if (!probe->memory)
    return llvm::createStringError("bandwidth probe: found no memory for " + std::to_string(ReadProbe::kBytes) +
                                   " bytes");
  probe->memory.choose(probe->team, kRounds);
  if (llvm::Error error = probe->choosePeaks(features)) return std::move(error);
  return probe;
}

llvm::Error RoofProbe::choosePeaks(Features features) {
  double rates[kKinds] = {};
  for (const Peak &peak : allPeaks()) {
    bool runs = hostArch() == Arch::X86_64 && usableFeatures().contains(peak.needs);
    if (!runs || !features.contains(peak.needs)) continue;
    llvm::Expected<PeakProbe> probe = PeakProbe::create(peak);
    if (!probe) return probe.takeError();
    std::vector<double> all;
    for (int round = 0; round < kRounds; ++round) all.push_back(probe->slice(team));
    double rate = spreadOf(all).median;
    size_t kind = size_t(peak.kind);
    if (rate <= rates[kind]) continue;
    rates[kind] = rate, names[kind] = peak.name;
    best[kind].emplace(std::move(*probe));
  }
  return llvm::Error::success();
}

Roof RoofProbe::sample() {
  Roof roof = peaks();
  roof.read = memory.slice(team).value_or(0);
  return roof;
}

Roof RoofProbe::peaks() {
  Roof roof;
  for (size_t kind = 0; kind < kKinds; ++kind)
    if (best[kind]) roof.peaks[kind] = best[kind]->slice(team);
  return roof;
}

double RoofProbe::cacheRate(uint64_t footprint, int rounds) {
  return footprint ? memory.measureCache(team, footprint, rounds).median : 0;
}

} // namespace llmc::probe
