#include "tools/llmc/Bandwidth.h"
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <sys/mman.h>
#include <thread>
#include <vector>

namespace llmc::cli {
namespace {

constexpr uint64_t kHugePage = uint64_t(2) << 20; // the weights of an artifact lie on these where the system has them
constexpr uint64_t kLine = 64;

typedef uint64_t Line __attribute__((vector_size(64))); // as many registers as the function's target needs for it

/// The xor of all bytes, in one stream: four accumulators hide the latency of the loads.
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
// 512-bit ones, 40.3 with these and prefetches): the probe takes the best of all that this one runs.
using Reader = uint64_t (*)(const char *, uint64_t);
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

std::vector<Reader> readers() {
  std::vector<Reader> all = {readPlain, readAhead};
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx2")) all.insert(all.end(), {readAvx2, readAvx2Ahead});
  if (__builtin_cpu_supports("avx512f")) all.insert(all.end(), {readAvx512, readAvx512Ahead});
#endif
  return all;
}

/// Bytes per second of one pass, from the first thread's start to the last one's end.
double measureOnce(Reader reader, const char *data, uint64_t part, int64_t threads) {
  using Clock = std::chrono::steady_clock;
  std::atomic<uint64_t> sink{0}; // a result that is used cannot be left out
  std::atomic<int64_t> waiting{threads};
  std::vector<Clock::time_point> begins(threads), ends(threads);
  auto work = [&](int64_t index) {
    --waiting;
    while (waiting.load() > 0) std::this_thread::yield();
    begins[index] = Clock::now();
    sink ^= reader(data + uint64_t(index) * part, part);
    ends[index] = Clock::now();
  };
  std::vector<std::thread> team;
  for (int64_t i = 1; i < threads; ++i) team.emplace_back(work, i);
  work(0);
  for (std::thread &thread : team) thread.join();
  std::chrono::duration<double> seconds =
      *std::max_element(ends.begin(), ends.end()) - *std::min_element(begins.begin(), begins.end());
  return double(part) * double(threads) / seconds.count();
}

} // namespace

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

double ReadProbe::measure(int64_t threads, int rounds) const {
  uint64_t part = size / uint64_t(threads) / (4 * kLine) * (4 * kLine);
  double best = 0;
  for (int round = 0; round < rounds; ++round)
    for (Reader reader : readers()) best = std::max(best, measureOnce(reader, data, part, threads));
  return best;
}

} // namespace llmc::cli
