// What this machine can do at the moment: bytes read per second (tools/llmc/Bandwidth.h) and int8 operations per second
// of vpdpbusd. usage: probe THREADS. Prints one line of JSON.
#include "tools/llmc/Bandwidth.h"
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <immintrin.h>
#include <thread>
#include <vector>

namespace {

constexpr int kSums = 12; // more than latency times throughput of the instruction on any CPU so far
constexpr int64_t kLoops = 4'000'000;

// `asm` so that the loop is the instructions it names; a multiplication and an addition are two operations.
#define PROBE(name, features, type, bytes, instruction, registers)                                                     \
  __attribute__((target(features))) int64_t name(int64_t loops) {                                                      \
    type sums[kSums] = {}, a = {}, b = {};                                                                             \
    for (int64_t i = 0; i < loops; ++i)                                                                                \
      _Pragma("GCC unroll 12") for (int s = 0; s < kSums; ++s) asm volatile(                                           \
          instruction " %2, %1, %0" : "+" registers(sums[s]) : registers(a), registers(b));                            \
    return loops * kSums * bytes * 2;                                                                                  \
  }
PROBE(dots512, "avx512f,avx512vnni", __m512i, 64, "vpdpbusd", "v")
PROBE(dots256, "avx512f,avx512vl,avx512vnni", __m256i, 32, "vpdpbusd", "v")
PROBE(dotsAvx, "avx2,avxvnni", __m256i, 32, "%{vex%} vpdpbusd", "x")

double threadSeconds() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return double(time.tv_sec) + double(time.tv_nsec) * 1e-9;
}

/// Operations per second of all threads together; of CPU time, so that a neighbour on the machine costs nothing.
double measure(int64_t (*probe)(int64_t), int threads) {
  std::vector<double> rates(threads);
  std::vector<std::thread> team;
  for (double &rate : rates)
    team.emplace_back([&rate, probe] {
      double start = threadSeconds();
      int64_t operations = probe(kLoops);
      rate = double(operations) / (threadSeconds() - start);
    });
  double sum = 0;
  for (std::thread &thread : team) thread.join();
  for (double rate : rates) sum += rate;
  return sum;
}

double dotProducts(int threads) {
  double best = 0;
  bool vnni = __builtin_cpu_supports("avx512vnni");
  for (int round = 0; round < 3; ++round) {
    if (vnni) best = std::max(best, measure(dots512, threads));
    if (vnni && __builtin_cpu_supports("avx512vl")) best = std::max(best, measure(dots256, threads));
    if (__builtin_cpu_supports("avxvnni")) best = std::max(best, measure(dotsAvx, threads));
  }
  return best;
}

} // namespace

int main(int argc, char **argv) {
  int threads = argc == 2 ? std::atoi(argv[1]) : 0;
  if (threads < 1) return std::fprintf(stderr, "usage: probe THREADS\n"), 2;
  llmc::cli::ReadProbe read;
  if (!read) return std::fprintf(stderr, "probe: found no memory for 512 MB\n"), 1;
  std::printf("{\"read_bytes_per_s\": %.0f, \"int8_ops_per_s\": %.0f}\n", read.measure(threads, 8),
              dotProducts(threads));
}
