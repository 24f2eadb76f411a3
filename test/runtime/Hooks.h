// Counts what the runtime asks of the system. The linker sends its calls here (--wrap, CMakeLists.txt).
#pragma once
#include <atomic>
#include <cstdint>

namespace llmc::test {
extern std::atomic<int64_t> mappedBytes;     // by mmap, minus munmap
extern std::atomic<int64_t> liveAllocations; // malloc and calloc, minus free
extern std::atomic<int64_t> threadsStarted;
extern std::atomic<int64_t> callsInsideStep;   // any of these, and futex, by a thread that is inside a step
extern std::atomic<int64_t> failThreads;       // fail pthread_create once that many threads were started; -1: never
extern std::atomic<uint64_t> interleavedNodes; // of the last mbind or set_mempolicy, which never reaches the system
extern std::atomic<int64_t> interleavedBytes;  // by mbind
} // namespace llmc::test
