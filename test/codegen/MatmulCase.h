// Seeded operands for one matmul descriptor, packed by Pack.h, in guarded buffers; and how far a result may be off.
#pragma once
#include "codegen/Descriptor.h"
#include "codegen/Target.h"
#include "llmc_kernel.h"
#include "test/support/GuardedBuffer.h"
#include <memory>
#include <vector>

namespace llmc::test {

constexpr RowFormat row16(RowFormat::Kind kind, WeightKind order) { return {kind, 0, order}; }
/// One of each kind of row that a kernel could read, for weights of that kind.
std::vector<RowFormat> rowFormatsFor(WeightKind kind);

MatmulDesc makeDesc(const WeightFormat &w, RowFormat x, int64_t n, int64_t k, int64_t minRows, int64_t maxRows);

class MatmulData {
public:
  enum class Kind {
    Ordinary,
    LargestCodes,
    SmallestCodes,
    ZeroScales,
    LargeScales,
    ZeroX,
    HugeX,
    DenormalX,
    LargestX,
    LargestNegativeX
  };

  MatmulData(const MatmulDesc &desc, int64_t rows, Kind kind);

  int64_t panels() const { return roundUp(desc.n, kPanel) / kPanel; }
  int64_t columns() const { return panels() * kPanel; }
  const void *packed() const { return w->as<char>(); }
  /// The element as the unpacked source says; n < desc.n.
  float weight(int64_t n, int64_t k) const;

  /// y of all rows, [rows][columns()], by the reference.
  std::vector<float> reference() const;
  /// y of the first `rows` rows by a kernel, called once for each pair begin, end of `ranges`. Each operand ends at a
  /// guard page; what lies between the rows of y must not change.
  std::vector<float> run(llmc_kernel_fn kernel, int64_t rows, const std::vector<int64_t> &ranges) const;
  /// Arguments of a call on all panels and rows; `x` is rows() or a copy.
  llmc_matmul_args call(const char *x, float *y) const;
  const std::vector<char> &rows() const { return x; }
  /// Bias and the old y added to sums [rows][columns()], as the descriptor says.
  std::vector<float> withBiasAndY(std::vector<float> sums) const;
  /// How far element i of y may be from the reference: two sums of k products in f32, each rounded k times; but with
  /// 16-bit rows 1e-5 of the products at most. vdpbf16ps takes denormals as 0.
  float bound(int64_t i) const;
  /// Makes the bound larger by what kernels with such needs round besides.
  void allowFor(Features needs);

private:
  void makeIntegers(Kind kind);
  void makeFloats(Kind kind);
  void pack();
  void makeX(int64_t rows, Kind kind);
  void measure(const std::vector<double> &xs);
  uint32_t random() { return state = state * 1664525u + 1013904223u, state >> 8; }
  uint32_t scaleBits(ScaleType type, Kind kind);
  static float oldY(int64_t row, int64_t n) { return float((row * 31 + n * 17) % 101 - 50) / 32; }
  void fillY(char *y, int64_t rows) const;

  MatmulDesc desc;
  double weightError = 0;  // relative, of weights that a kernel rounds
  bool sumsInHalf = false; // 32 k are summed in 16 bits: 16 products to a lane, each rounded to 11 bits
  uint32_t state = 12345;
  std::vector<uint8_t> codes, rows_;     // [n][k] codes, or elements in the packed type
  std::vector<uint32_t> scales, offsets; // [n][groups]: raw bits
  std::vector<char> x;                   // [rows][xStride]
  int64_t rowCount;
  std::vector<double> magnitudes; // [rows][columns]: sum of |x * w|, |bias| and |y|
  std::vector<double> flushed;    // the same: what denormals that count as 0 may make, times 2^126
  std::vector<double> lastPlaces; // the same: last places of f16 denormals
  std::unique_ptr<GuardedBuffer> w, bias;
};

} // namespace llmc::test
