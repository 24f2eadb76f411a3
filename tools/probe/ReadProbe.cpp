#include "tools/probe/ReadProbe.h"
#include <chrono>
#include <cstring>
#include <sys/mman.h>
#include <unistd.h>

namespace llmc::probe {
namespace {

constexpr uint64_t kHugePage = uint64_t(2) << 20; // the weights of an artifact lie on these where the system has them
constexpr uint64_t kLine = 64;
static_assert(kReadUnit == 4 * kLine);

typedef uint64_t Line __attribute__((vector_size(64))); // as many registers as the function's target needs for it

/// The xor of all words, in one stream: four accumulators hide the latency of the loads.
template <uint64_t prefetch>
__attribute__((always_inline)) inline uint64_t readStream(const char *data, uint64_t bytes) {
  Line sums[4] = {};
  for (uint64_t at = 0; at + 4 * kLine <= bytes; at += 4 * kLine)
    for (int i = 0; i < 4; ++i) {
      const char *line = data + at + i * kLine;
      if (prefetch) __builtin_prefetch(line + prefetch); // past the end it does nothing
      sums[i] ^= *reinterpret_cast<const Line *>(line);
    }
  Line all = sums[0] ^ sums[1] ^ sums[2] ^ sums[3];
  uint64_t sum = 0;
  for (int i = 0; i < 8; ++i) sum ^= all[i];
  return sum;
}

// Which way of reading is the fastest depends on the CPU (Zen 5, one core: 32.9 GB/s with 128-bit loads, 36.6 with
// 512-bit ones, 40.3 with these and prefetches; Zen 4: 256-bit loads are 3 to 8 % faster than 512-bit ones).
constexpr uint64_t kAhead = 4096;
uint64_t readPlain(const char *data, uint64_t bytes) { return readStream<0>(data, bytes); }
uint64_t readAhead(const char *data, uint64_t bytes) { return readStream<kAhead>(data, bytes); }
#ifdef __x86_64__
#define LLMC_TARGET(isa) __attribute__((target(isa)))
LLMC_TARGET("avx2") uint64_t readAvx2(const char *data, uint64_t bytes) { return readStream<0>(data, bytes); }
LLMC_TARGET("avx2") uint64_t readAvx2Ahead(const char *data, uint64_t bytes) { return readStream<kAhead>(data, bytes); }
LLMC_TARGET("avx512f") uint64_t readAvx512(const char *data, uint64_t bytes) { return readStream<0>(data, bytes); }
LLMC_TARGET("avx512f") uint64_t readAvx512Ahead(const char *data, uint64_t bytes) {
  return readStream<kAhead>(data, bytes);
}
#endif

struct Way {
  const char *name;
  uint64_t (*read)(const char *, uint64_t);
};

const std::vector<Way> &ways() {
  static const std::vector<Way> all = [] {
    std::vector<Way> list = {{"128-bit loads", readPlain}, {"128-bit loads, prefetch", readAhead}};
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx2"))
      list.insert(list.end(), {{"256-bit loads", readAvx2}, {"256-bit loads, prefetch", readAvx2Ahead}});
    if (__builtin_cpu_supports("avx512f"))
      list.insert(list.end(), {{"512-bit loads", readAvx512}, {"512-bit loads, prefetch", readAvx512Ahead}});
#endif
    return list;
  }();
  return all;
}

double seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

} // namespace

uint64_t readBy(size_t index, const char *data, uint64_t bytes) { return ways()[index].read(data, bytes); }
size_t readWays() { return ways().size(); }

CacheSizes cacheSizes() {
  auto bytes = [](int name) { return uint64_t(std::max(0l, sysconf(name))); };
  return {bytes(_SC_LEVEL2_CACHE_SIZE), bytes(_SC_LEVEL3_CACHE_SIZE)};
}

ReadProbe::ReadProbe(uint64_t bytes) : data(nullptr), size(bytes / kHugePage * kHugePage) {
  base = mmap(nullptr, size + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED) return;
  data = static_cast<char *>(base) + (-reinterpret_cast<uintptr_t>(base) & (kHugePage - 1));
  madvise(data, size, MADV_HUGEPAGE);
  memset(data, 0x5a, size); // pages that were never written share one page of zeros
}

ReadProbe::~ReadProbe() {
  if (data) munmap(base, size + kHugePage);
}

uint64_t ReadProbe::part(const Team &team) const { return size / uint64_t(team.threads()) / kReadUnit * kReadUnit; }

ReadProbe::Sample ReadProbe::readOnce(Team &team, size_t way) {
  uint64_t each = part(team), bytes = std::min(kSliceBytes, each);
  if (cursor + bytes > each) cursor = 0;
  std::atomic<uint64_t> sink{0}; // a result that is used cannot be left out
  Slice slice = team.time([&](int64_t thread) { sink ^= readBy(way, data + uint64_t(thread) * each + cursor, bytes); });
  cursor += bytes;
  return {double(bytes) * double(team.threads()) / slice.seconds, slice.steady};
}

ReadProbe::Sample ReadProbe::readSteadily(Team &team, size_t way, double patience) {
  Sample best = readOnce(team, way);
  for (double end = seconds() + patience; !best.steady && seconds() < end;)
    if (Sample next = readOnce(team, way); next.steady || next.rate > best.rate) best = next;
  return best;
}

void ReadProbe::choose(Team &team, int rounds) {
  constexpr double kSeconds = 1;
  std::vector<std::vector<double>> rates(readWays());
  double end = seconds() + kSeconds;
  for (int round = 0; round < rounds && (round == 0 || seconds() < end); ++round)
    for (size_t way = 0; way < readWays(); ++way)
      rates[way].push_back(readSteadily(team, way, kSeconds / double(readWays() * size_t(rounds))).rate);
  double best = 0;
  for (size_t way = 0; way < readWays(); ++way)
    if (double median = spreadOf(rates[way]).median; median > best) best = median, chosen = way;
}

const char *ReadProbe::way() const { return ways()[chosen].name; }

std::optional<double> ReadProbe::slice(Team &team) {
  Sample sample = readSteadily(team, chosen, kPatience);
  if (!sample.steady) return std::nullopt;
  return sample.rate;
}

Spread ReadProbe::measure(Team &team, int rounds) {
  std::vector<double> steady;
  double most = 0;
  for (int round = 0; round < rounds; ++round) {
    Sample sample = readSteadily(team, chosen, kPatience);
    if (sample.steady) steady.push_back(sample.rate);
    most = std::max(most, sample.rate);
  }
  return steady.empty() ? Spread{most, most, most, 1} : spreadOf(steady);
}

Spread ReadProbe::measureCache(Team &team, uint64_t footprint, int rounds) {
  uint64_t each = part(team), bytes = std::min(footprint, each) / kReadUnit * kReadUnit;
  uint64_t repeats = std::max<uint64_t>(1, kSliceBytes / std::max(bytes, kReadUnit));
  std::vector<double> rates;
  std::atomic<uint64_t> sink{0};
  for (int round = 0; round <= rounds; ++round) {
    Slice slice = team.time([&](int64_t thread) {
      for (uint64_t i = 0; i < repeats; ++i) sink ^= readBy(chosen, data + uint64_t(thread) * each, bytes) + i;
    });
    if (round > 0 && slice.cpuSeconds > 0) // the first one brings it into the cache
      rates.push_back(double(bytes * repeats) * double(team.threads()) / slice.cpuSeconds);
  }
  return spreadOf(rates);
}

} // namespace llmc::probe
