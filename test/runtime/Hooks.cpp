#include "Hooks.h"
#include "FakeModel.h"
#include <cerrno>
#include <cstdarg>
#include <pthread.h>
#include <sys/syscall.h>

namespace llmc::test {
std::atomic<int64_t> mappedBytes, liveAllocations, threadsStarted, callsInsideStep, failThreads{-1}, interleavedBytes;
std::atomic<uint64_t> interleavedNodes;
} // namespace llmc::test
using namespace llmc::test;

static constexpr long kInterleave = 3; // MPOL_INTERLEAVE of the system

extern "C" {
void *__real_malloc(size_t);
void *__real_calloc(size_t, size_t);
void __real_free(void *);
void *__real_mmap(void *, size_t, int, int, int, long);
int __real_munmap(void *, size_t);
int __real_pthread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
long __real_syscall(long, ...);

void *__wrap_malloc(size_t size) {
  callsInsideStep += fakeInsideStep, ++liveAllocations;
  return __real_malloc(size);
}
void *__wrap_calloc(size_t count, size_t size) {
  callsInsideStep += fakeInsideStep, ++liveAllocations;
  return __real_calloc(count, size);
}
void __wrap_free(void *memory) {
  callsInsideStep += fakeInsideStep, liveAllocations -= memory != nullptr;
  __real_free(memory);
}
void *__wrap_mmap(void *at, size_t size, int protection, int flags, int fd, long offset) {
  callsInsideStep += fakeInsideStep;
  void *memory = __real_mmap(at, size, protection, flags, fd, offset);
  if (memory != reinterpret_cast<void *>(-1)) mappedBytes += int64_t(size);
  return memory;
}
int __wrap_munmap(void *memory, size_t size) {
  callsInsideStep += fakeInsideStep;
  mappedBytes -= int64_t(size);
  return __real_munmap(memory, size);
}
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument) {
  callsInsideStep += fakeInsideStep;
  if (failThreads >= 0 && threadsStarted >= failThreads) return EAGAIN;
  ++threadsStarted;
  return __real_pthread_create(thread, attributes, run, argument);
}
long __wrap_syscall(long number, ...) {
  va_list list;
  va_start(list, number);
  long a[6];
  for (long &x : a) x = va_arg(list, long);
  va_end(list);
  callsInsideStep += fakeInsideStep;
  if (number == SYS_mbind || number == SYS_set_mempolicy) {
    bool bind = number == SYS_mbind; // (address, bytes, mode, mask, bits, flags); (mode, mask, bits)
    interleavedNodes = a[bind ? 2 : 0] == kInterleave ? *reinterpret_cast<uint64_t *>(a[bind ? 3 : 1]) : 0;
    if (bind) interleavedBytes += a[1];
    return 0;
  }
  return __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
}
