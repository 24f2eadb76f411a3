// A step of attention with its cache, for the tests of the emitted kernels.
#pragma once
#include "codegen/kernels/attention/Reference.h"
#include "test/support/GuardedBuffer.h"
#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace llmc::test {

/// Rows of one sequence in the step: positions first..first+count-1.
struct Span {
  int64_t first, count;
};
/// Borders of chunks, pages and blocks of 8 and 16 positions, a decode deep in a cache, prefills that start anywhere.
inline const std::vector<Span> kRagged = {{1000, 1}, {63, 3},   {0, 21}, {130, 1},  {64, 1},
                                          {0, 1},    {120, 19}, {1, 1},  {250, 12}, {7, 9}};
/// Each row alone in its sequence; few enough to share chunks among threads.
inline const std::vector<Span> kLone = {{700, 1}, {0, 1}, {255, 1}, {256, 1}, {64, 1}, {1023, 1}};

/// Where the layer under test is in a page; 192 bytes of another layer are before it.
inline constexpr int64_t kLayerOffset = 192;

AttentionDesc makeDesc(int64_t heads, int64_t kvHeads, int64_t headDim, KvType kv, int64_t window = 0);
std::string describe(const AttentionDesc &d);

/// A step with its cache. Operands end at guard pages; what no row may see is NaN.
class Step {
public:
  Step(const AttentionDesc &d, const std::vector<Span> &spans, float spread = 1);
  Step(Step &&) = default;
  llmc_batch batch() const;
  size_t rowCount() const { return positions.size(); }
  int64_t longest() const;
  /// Rounds queries and the cache to bf16, and values to their absolutes if `positive`.
  void roundToBf16(bool positive);
  const float *ropeRows() const { return d.rope == RopeStyle::None ? nullptr : rope->as<float>(); }

  const AttentionDesc d;
  std::mt19937 random{11};
  std::vector<int32_t> positions, sequences, lengths;
  std::vector<std::vector<int32_t>> pages;
  std::vector<const int32_t *> tables;
  std::vector<float> sinks;
  std::unique_ptr<GuardedBuffer> pool, qkv, rope;

private:
  void shufflePages(const std::vector<Span> &spans);
  void fillCache();
};

/// How the units of a step are run.
struct Split {
  int64_t rowBlock = 8;
  int64_t threads = 1;             // each takes every threads-th unit, the last thread first
  bool chunks = false;             // by chunks, then merge
  bool append = false;             // the kernel stores k and v
  int64_t firstRow = 0, rows = -1; // a part of the step
};
/// The rows of y, without padding. Bytes beyond what a kernel may write are checked.
std::vector<uint8_t> attend(const Step &step, const AttentionDesc &d, llmc_kernel_fn kernel, const Split &split);
std::vector<uint8_t> referenceResult(const Step &step, const AttentionDesc &d);
inline const float *floats(const std::vector<uint8_t> &y) { return reinterpret_cast<const float *>(y.data()); }
/// Bytes of a row of y that count.
int64_t rowBytes(const AttentionDesc &d);

} // namespace llmc::test
