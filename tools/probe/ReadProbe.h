// How fast this machine reads memory and caches: the limits that decoding is measured against.
#pragma once
#include "tools/probe/Statistics.h"
#include "tools/probe/Team.h"
#include <optional>
#include <string>

namespace llmc::probe {

/// Memory that is read part by part in turn, larger than any cache: what a slice reads, nobody has touched since the
/// whole of it was read once. Written once, freed at the end.
class ReadProbe {
public:
  explicit ReadProbe(uint64_t bytes = kBytes);
  ~ReadProbe();
  ReadProbe(const ReadProbe &) = delete;
  explicit operator bool() const { return data; } // false: there is no memory for it
  uint64_t bytes() const { return size; }

  /// Finds which way of reading is the fastest with this team, from `rounds` slices of each; on a busy machine from
  /// those that a second has time for.
  void choose(Team &team, int rounds);
  /// Of the way chosen: "512-bit loads, prefetch".
  const char *way() const;
  /// Bytes per second of one slice of kSliceBytes per thread. A slice that other processes disturb is repeated for
  /// kPatience; then nothing.
  std::optional<double> slice(Team &team);
  /// The same over `rounds` slices. On a machine so busy that there is no undisturbed one, the most of the others.
  Spread measure(Team &team, int rounds);
  /// Bytes per second of reading the same `footprint` bytes again and again, each thread its own.
  Spread measureCache(Team &team, uint64_t footprint, int rounds);

  static constexpr uint64_t kBytes = uint64_t(5) << 28;      // 1.25 GiB
  static constexpr uint64_t kSliceBytes = uint64_t(8) << 20; // well under a scheduler's slice: 0.1 to 1 ms
  static constexpr double kPatience = 0.25;                  // seconds of attempts at an undisturbed slice

private:
  struct Sample {
    double rate;
    bool steady;
  };
  Sample readOnce(Team &team, size_t way);
  Sample readSteadily(Team &team, size_t way, double patience);
  uint64_t part(const Team &team) const; // bytes of each thread
  void *base;                            // of the mapping
  char *data;                            // in it, at a huge page; null without memory
  uint64_t size, cursor = 0;             // in each thread's part
  size_t chosen = 0;
};

/// The xor of the 64-bit words of `bytes` bytes (a multiple of kReadUnit) by way `index`, for tests; 0..readWays()-1.
uint64_t readBy(size_t index, const char *data, uint64_t bytes);
size_t readWays();
inline constexpr uint64_t kReadUnit = 256;

/// Sizes as the system tells them, bytes; 0 if it does not.
struct CacheSizes {
  uint64_t l2 = 0, l3 = 0;
};
CacheSizes cacheSizes();

} // namespace llmc::probe
