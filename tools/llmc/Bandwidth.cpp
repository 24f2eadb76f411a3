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

// A line in GCC's vector types: whatever width the CPU of this build has.
typedef uint64_t Line __attribute__((vector_size(64)));

/// Every byte in one stream: four accumulators hide the latency of the loads.
__attribute__((noinline)) uint64_t readAll(const char *data, uint64_t bytes) {
  Line sums[4] = {};
  for (uint64_t at = 0; at + 4 * kLine <= bytes; at += 4 * kLine)
    for (int i = 0; i < 4; ++i) sums[i] ^= *reinterpret_cast<const Line *>(data + at + i * kLine);
  Line all = sums[0] ^ sums[1] ^ sums[2] ^ sums[3];
  uint64_t sum = 0;
  for (int i = 0; i < 8; ++i) sum ^= all[i];
  return sum;
}

} // namespace

ReadProbe::ReadProbe(uint64_t bytes) : size(bytes / kHugePage * kHugePage) {
  void *memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  data = memory == MAP_FAILED ? nullptr : static_cast<char *>(memory);
  if (!data) return;
  madvise(data, size, MADV_HUGEPAGE);
  memset(data, 0x5a, size); // pages that were never written share one page of zeros
}

ReadProbe::~ReadProbe() {
  if (data) munmap(data, size);
}

double ReadProbe::measure(int64_t threads, int rounds) const {
  using Clock = std::chrono::steady_clock;
  uint64_t part = size / uint64_t(threads) / (4 * kLine) * (4 * kLine);
  double best = 0;
  std::atomic<uint64_t> sink{0};
  for (int round = 0; round < rounds; ++round) {
    std::atomic<int64_t> waiting{threads};
    std::vector<Clock::time_point> begins(threads), ends(threads);
    auto work = [&](int64_t index) {
      --waiting;
      while (waiting.load() > 0) std::this_thread::yield();
      begins[index] = Clock::now();
      sink ^= readAll(data + uint64_t(index) * part, part);
      ends[index] = Clock::now();
    };
    std::vector<std::thread> team;
    for (int64_t i = 1; i < threads; ++i) team.emplace_back(work, i);
    work(0);
    for (std::thread &thread : team) thread.join();
    std::chrono::duration<double> seconds = *std::max_element(ends.begin(), ends.end()) -
                                            *std::min_element(begins.begin(), begins.end());
    best = std::max(best, double(part) * double(threads) / seconds.count());
  }
  return best;
}

} // namespace llmc::cli
