#include "codegen/kernels/matmul/Epilogue.h"
#include "codegen/kernels/matmul/Quantize.h"
#include "codegen/kernels/matmul/Reference.h"
#include "codegen/kernels/matmul/Rows16.h"
#include "tools/llmc-kernel/Case.h"
#include <algorithm>
#include <cmath>
#include <cstring>

namespace llmc::tool {
namespace {

class MatmulCase : public Case {
public:
  MatmulCase(const MatmulDesc &d, const Shape &shape, bool forTiming)
      : d(d), rows(shape.rows), copies(copiesOf(d.w.bytes(d.n, d.k), forTiming)),
        activations(forTiming ? std::clamp<int64_t>(kActivationBytes / (rows * d.xStride), 1, 8) : 1),
        weights(copies * d.w.bytes(d.n, d.k)), x(activations * rows * d.xStride), y(rows * d.yStride) {
    std::mt19937 random(1);
    packRandom(d.w, d.n, d.k, weights.as(), random);
    for (int64_t i = 1; i < copies; ++i) memcpy(weights.as(i * bytesOf()), weights.as(), size_t(bytesOf()));
    for (int64_t i = 0; i < activations; ++i) fillActivations(x.as(i * rows * d.xStride), random);
  }

  Deviation check(llmc_kernel_fn kernel) override {
    Buffer expected(rows * d.yStride);
    // The first and the last panels: what lies between them is 0 in both.
    double panelOperations = double(rows) * double(kPanel) * double(d.k);
    int64_t part = std::clamp<int64_t>(int64_t(kCheckedOperations / panelOperations), 1, panels());
    for (int64_t begin : {int64_t(0), panels() - part}) {
      llmc_matmul_args args = arguments({});
      args.begin = begin, args.end = begin + part;
      kernel(&args);
      args.y = expected.as<float>();
      referenceMatmul(d, &args);
    }
    if (d.y.isQ8()) return checkQ8(expected);
    // Two sums of k products, each rounded k times, against the largest result: those of all products are larger.
    double scale = magnitude(expected, rows, d.yStride, d.n);
    double allowed = 2 * double(d.k) * 0x1p-24 + halfError();
    return {distance(y, expected, rows, d.yStride, roundUp(d.n, kPanel)) / scale, allowed};
  }

  void run(llmc_kernel_fn kernel, Turn turn) override {
    llmc_matmul_args args = arguments(turn);
    kernel(&args);
  }
  double bytes() const override { return double(bytesOf()); }
  double operations() const override { return 2.0 * double(rows) * double(d.n) * double(d.k); }

private:
  /// Values that differ in their last bits may differ by a code.
  Deviation checkQ8(const Buffer &expected) const {
    int64_t columns = matmul::outputColumns(d);
    Buffer values(rows * columns * 4), wanted(rows * columns * 4);
    for (int64_t r = 0; r < rows; ++r)
      for (auto [from, to] : {std::pair(&y, &values), std::pair(&expected, &wanted)}) {
        Q8Row row(from->as(r * d.yStride), columns, d.y.block);
        for (int64_t c = 0; c < columns; ++c)
          to->as<float>()[r * columns + c] = float(row.codes[c]) * row.scales[c / d.y.block];
      }
    double scale = magnitude(wanted, rows, columns * 4, columns);
    return {distance(values, wanted, rows, columns * 4, columns) / scale, 1.01 / 127 + 2 * halfError()};
  }

  /// Rows of normal values in the format of x.
  void fillActivations(char *out, std::mt19937 &random) {
    int64_t stride = rowStride(RowFormat::F32, d.k);
    Buffer plain(rows * stride);
    fillRows(plain, rows, stride, d.k, random);
    for (int64_t r = 0; r < rows; ++r) convertRow(plain.as<float>(r * stride), out + r * d.xStride);
  }

  void convertRow(const float *row, char *out) const {
    if (d.x == RowFormat::F32) memcpy(out, row, size_t(d.k * 4));
    if (d.x.isQ8()) quantiseRowQ8(row, d.k, d.x.block, out);
    if (d.x.is16Bit()) toRow16(d.x, row, d.k, out);
  }
  /// Tiles of 16 bits round their weights; AVX512-FP16 adds up in f16.
  double halfError() const {
    return d.x.kind == RowFormat::Kind::F16 || (d.x.is16Bit() && d.w.isInteger()) ? 0x1p-8 : 0;
  }
  static constexpr int64_t kActivationBytes = int64_t(64) << 20;
  static constexpr double kCheckedOperations = 2e8; // multiply-adds of the scalar reference: a second at most
  int64_t bytesOf() const { return d.w.bytes(d.n, d.k); }
  int64_t panels() const { return roundUp(d.n, kPanel) / kPanel; }
  llmc_matmul_args arguments(Turn turn) const {
    return {.begin = turn.begin(panels()),
            .end = turn.end(panels()),
            .rows = rows,
            .x = x.as(turn.number % activations * rows * d.xStride),
            .w = weights.as(turn.number % copies * bytesOf()),
            .bias = nullptr,
            .y = y.as<float>()};
  }
  const MatmulDesc d;
  const int64_t rows, copies, activations;
  Buffer weights, x, y;
};

} // namespace

template <> std::vector<MatmulDesc> descriptors<MatmulDesc>(const Shape &shape) {
  std::vector<MatmulDesc> all;
  for (WeightKind kind : {WeightKind::I4, WeightKind::I8, WeightKind::F16, WeightKind::BF16, WeightKind::F32})
    for (RowFormat x : {RowFormat::Q8, RowFormat::F32, RowFormat{RowFormat::Kind::BF16, 0, kind},
                        RowFormat{RowFormat::Kind::BF16Pair, 0, kind}, RowFormat{RowFormat::Kind::F16, 0, kind}}) {
      bool integer = kind == WeightKind::I4 || kind == WeightKind::I8;
      if ((!integer && x == RowFormat::Q8) || (kind == WeightKind::F32 && x.is16Bit())) continue;
      MatmulDesc d{.n = shape.n, .k = shape.k, .x = x, .minRows = shape.rows, .maxRows = shape.rows};
      d.w = integer ? WeightFormat{kind, shape.group, shape.scale, shape.offset} : WeightFormat{.kind = kind};
      d.xStride = rowStride(x, shape.k), d.yStride = rowStride(RowFormat::F32, roundUp(shape.n, kPanel));
      all.push_back(d);
    }
  for (MatmulDesc d : std::vector(all)) { // tiles of int8 take wider blocks; requantised weights the widest
    if (d.x != RowFormat::Q8) continue;
    d.x = RowFormat::q8(128), d.xStride = rowStride(d.x, d.k);
    all.push_back(d);
    d.requantise = true;
    all.push_back(d);
    d.x = RowFormat::q8(512), d.xStride = rowStride(d.x, d.k);
    all.push_back(d);
  }
  for (MatmulDesc d : std::vector(all)) { // the richest epilogue
    d.activation = Activation::Silu, d.glu = true, d.y = RowFormat::Q8;
    d.yStride = rowStride(d.y, matmul::outputColumns(d));
    all.push_back(d);
  }
  return all;
}

std::unique_ptr<Case> makeCase(const MatmulDesc &desc, const Shape &shape, bool forTiming) {
  return std::make_unique<MatmulCase>(desc, shape, forTiming);
}

std::string describe(const MatmulDesc &d) {
  return d.w.name() + (d.requantise ? " requantised x " : " x ") + d.x.name() + ", " + std::to_string(d.n) + " x " +
         std::to_string(d.k) + (matmul::hasEpilogue(d) ? ", silu glu to " + d.y.name() : "");
}

} // namespace llmc::tool
