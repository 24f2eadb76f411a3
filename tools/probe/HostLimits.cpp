#include "tools/probe/HostLimits.h"
#include "tools/probe/BarrierProbe.h"
#include <fstream>
#include <nlohmann/json.hpp>

namespace llmc::probe {

using Json = nlohmann::ordered_json;

double Limits::peakOf(Kind kind) const {
  double best = 0;
  for (const PeakResult &result : peaks)
    if (result.peak.kind == kind && result.missing.empty()) best = std::max(best, result.operations.median);
  return best;
}

std::string cpuName() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.rfind("model name", 0) == 0) return line.substr(line.find(':') + 2);
  return "unknown";
}

llvm::Expected<Limits> measureLimits(ReadProbe &memory, int64_t threads, int rounds) {
  Limits limits{.threads = threads};
  {
    Team team(threads);
    memory.choose(team, std::max(3, rounds / 4));
    limits.readWay = memory.way();
    limits.read = memory.measure(team, rounds);
    CacheSizes caches = cacheSizes();
    limits.l2Bytes = caches.l2 / 2;
    limits.l3Bytes = std::min(4 * caches.l2, caches.l3 / uint64_t(threads) / 2);
    if (limits.l2Bytes) limits.l2 = memory.measureCache(team, limits.l2Bytes, rounds);
    if (limits.l3Bytes) limits.l3 = memory.measureCache(team, limits.l3Bytes, rounds);
    for (const Peak &peak : allPeaks()) {
      PeakResult result{peak, peak.needs - usableFeatures(), {}};
      if (result.missing.empty()) {
        llvm::Expected<Spread> rate = measurePeak(peak, team, rounds);
        if (!rate) return rate.takeError();
        result.operations = *rate;
      }
      limits.peaks.push_back(result);
    }
  }
  if (threads == 1) return limits;
  llvm::Expected<Spread> barrier = measureBarrier(threads, rounds);
  if (!barrier) return barrier.takeError();
  limits.barrier = *barrier;
  return limits;
}

Json toJson(const Spread &s) { return {{"median", s.median}, {"p10", s.low}, {"p90", s.high}, {"rounds", s.count}}; }

Json toJson(const Limits &limits) {
  Json peaks = Json::array();
  for (const PeakResult &result : limits.peaks)
    peaks.push_back({{"name", result.peak.name},
                     {"kind", kindName(result.peak.kind)},
                     {"missing", toString(result.missing)},
                     {"operations_per_s", result.missing.empty() ? toJson(result.operations) : Json()}});
  return {{"threads", limits.threads},
          {"read_bytes_per_s", toJson(limits.read)},
          {"read_way", limits.readWay},
          {"l2", {{"bytes_per_thread", limits.l2Bytes}, {"read_bytes_per_s", toJson(limits.l2)}}},
          {"l3", {{"bytes_per_thread", limits.l3Bytes}, {"read_bytes_per_s", toJson(limits.l3)}}},
          {"peaks", peaks},
          {"barrier_s", toJson(limits.barrier)}};
}

} // namespace llmc::probe
