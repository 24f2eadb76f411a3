// A buffer between two inaccessible pages: a kernel that reads or writes outside it stops with SIGSEGV.
#pragma once
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <sys/mman.h>

namespace llmc::test {

/// `bytes` bytes that end at a guard page (`atEnd`, the default; start is then aligned only as the size allows, so use
/// sizes that are multiples of 64), or start right after one. Filled with 0xA5.
class GuardedBuffer {
public:
  explicit GuardedBuffer(size_t bytes, bool atEnd = true) : size(bytes) {
    size_t body = (bytes + 4095) / 4096 * 4096;
    mapped = body + 8192;
    base = static_cast<char *>(mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (base == MAP_FAILED) abort();
    mprotect(base, 4096, PROT_NONE);
    mprotect(base + 4096 + body, 4096, PROT_NONE);
    begin = base + 4096 + (atEnd ? body - bytes : 0);
    memset(begin, 0xA5, bytes);
  }
  GuardedBuffer(const GuardedBuffer &) = delete;
  ~GuardedBuffer() { munmap(base, mapped); }
  template <typename T = void> T *as() const { return reinterpret_cast<T *>(begin); }
  /// Further writes fault.
  void makeReadOnly() { mprotect(base + 4096, mapped - 8192, PROT_READ); }
  const size_t size;

private:
  char *base, *begin;
  size_t mapped;
};

} // namespace llmc::test
