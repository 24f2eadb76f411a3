// How fast this machine reads memory: the limit that decoding is measured against.
#pragma once
#include <cstdint>

namespace llmc::cli {

/// Memory that is read over and over, larger than any cache: filled once, freed at the end.
class ReadProbe {
public:
  explicit ReadProbe(uint64_t bytes = uint64_t(512) << 20);
  ~ReadProbe();
  ReadProbe(const ReadProbe &) = delete;
  explicit operator bool() const { return data; } // false: there is no memory for it
  /// Bytes per second that `threads` threads together read in one pass, each its own part; the best of `rounds` passes
  /// of every way of reading that this CPU has.
  double measure(int64_t threads, int rounds) const;

private:
  void *base; // of the mapping
  char *data; // in it, at a huge page; null without memory
  uint64_t size;
};

} // namespace llmc::cli
