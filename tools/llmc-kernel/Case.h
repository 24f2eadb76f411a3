// One kernel's operands, so that any row of the catalogue can be checked and timed in the same way.
#pragma once
#include "codegen/Kernel.h"
#include "llmc_kernel.h"
#include <cstdlib>
#include <memory>
#include <random>

namespace llmc::tool {

/// What the shape options of the command line give; each family takes of it what it has.
struct Shape {
  int64_t n = 4096; // matmul: outputs; rowwise: columns; attention: heads * 64
  int64_t k = 4096; // matmul: inputs; embed: rows of the table; attention: positions in the cache
  int64_t rows = 1; // tokens of the step
  int64_t group = 32;
  ScaleType scale = ScaleType::F16;
  Offset offset = Offset::None;
};

/// How far a result is from the reference's, and how far it may be.
struct Deviation {
  double found = 0, allowed = 0;
  bool ok() const { return found <= allowed; } // false for NaN
};

/// Which part of the units one thread takes, and which of the copies of the operands: runs with one number after the
/// other find weights and cache in memory, not in a cache, and activations that they have not seen in the run before.
struct Turn {
  int64_t thread = 0, threads = 1, number = 0;

  int64_t begin(int64_t units) const { return units * thread / threads; }
  int64_t end(int64_t units) const { return units * (thread + 1) / threads; }
};

class Case {
public:
  virtual ~Case() = default;
  /// Runs the kernel and compares what it wrote. A large case for timing compares a part that takes about a second.
  virtual Deviation check(llmc_kernel_fn kernel) = 0;
  /// Runs the kernel on the turn's part of the units.
  virtual void run(llmc_kernel_fn kernel, Turn turn = {}) = 0;
  /// Of one run by all threads: bytes that are read from memory, and arithmetic operations (a multiply-add is two; 0:
  /// not counted).
  virtual double bytes() const = 0;
  virtual double operations() const = 0;
  /// Whether its operands come from memory in a step; the others' are in a cache.
  virtual bool readsMemory() const { return true; }
};

/// Operands that are read from memory are there as often as it takes to fill this.
inline constexpr int64_t kUncachedBytes = int64_t(5) << 28; // 1.25 GiB
constexpr int64_t copiesOf(int64_t bytes, bool forTiming) { return forTiming ? kUncachedBytes / bytes + 1 : 1; }

/// Descriptors of a family for a shape: all types and ops, of which a row of the catalogue accepts some.
template <typename Desc> std::vector<Desc> descriptors(const Shape &shape);
template <> std::vector<MatmulDesc> descriptors<MatmulDesc>(const Shape &shape);
template <> std::vector<RowwiseDesc> descriptors<RowwiseDesc>(const Shape &shape);
template <> std::vector<AttentionDesc> descriptors<AttentionDesc>(const Shape &shape);
template <> std::vector<KvAppendDesc> descriptors<KvAppendDesc>(const Shape &shape);

/// Seeded operands. `forTiming`: weights are there several times over, so that no cache holds them.
std::unique_ptr<Case> makeCase(const MatmulDesc &desc, const Shape &shape, bool forTiming);
std::unique_ptr<Case> makeCase(const RowwiseDesc &desc, const Shape &shape, bool forTiming);
std::unique_ptr<Case> makeCase(const AttentionDesc &desc, const Shape &shape, bool forTiming);
std::unique_ptr<Case> makeCase(const KvAppendDesc &desc, const Shape &shape, bool forTiming);

/// What a descriptor computes, in a few words: "w4g32 x q8, 4096 x 4096".
std::string describe(const MatmulDesc &desc);
std::string describe(const RowwiseDesc &desc);
std::string describe(const AttentionDesc &desc);
std::string describe(const KvAppendDesc &desc);

/// Zeroed memory, 64-byte aligned.
class Buffer {
public:
  explicit Buffer(int64_t bytes) : size(roundUp(bytes, kAlign)) {
    memory.reset(static_cast<char *>(aligned_alloc(size_t(kAlign), size_t(size))));
    std::fill_n(memory.get(), size, char(0));
  }
  template <typename T = char> T *as(int64_t offset = 0) const { return reinterpret_cast<T *>(memory.get() + offset); }
  const int64_t size;

private:
  struct Free {
    void operator()(char *p) const { free(p); }
  };
  std::unique_ptr<char, Free> memory;
};

/// Values of a normal distribution in `columns` columns of each row.
void fillRows(const Buffer &buffer, int64_t rows, int64_t stride, int64_t columns, std::mt19937 &random);
/// Largest |found - expected| of rows of floats, NaN if one of them is not a number where the other is.
double distance(const Buffer &found, const Buffer &expected, int64_t rows, int64_t stride, int64_t columns);
/// Largest |x| of rows of floats.
double magnitude(const Buffer &buffer, int64_t rows, int64_t stride, int64_t columns);
/// A packed weight of n columns of k inputs with random elements of size 1/64.
void packRandom(const WeightFormat &format, int64_t n, int64_t k, char *out, std::mt19937 &random);

} // namespace llmc::tool
