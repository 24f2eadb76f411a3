#include "codegen/kernels/matmul/Quantize.h"
#include "codegen/kernels/matmul/Rows16.h"
#include "codegen/kernels/rowwise/Reference.h"
#include "tools/llmc-kernel/Case.h"
#include <cmath>
#include <numeric>

namespace llmc::tool {
namespace {

constexpr const char *kOps[] = {"rms_norm",    "glu",        "quantize",   "add",     "embed",
                                "gather_rows", "rope_table", "layer_norm", "activate"};

constexpr RowFormat kOuts[] = {RowFormat::F32,
                               RowFormat::Q8,
                               RowFormat::q8(128),
                               {RowFormat::Kind::BF16, 0, WeightKind::I4},
                               {RowFormat::Kind::BF16Pair, 0, WeightKind::I8},
                               {RowFormat::Kind::F16, 0, WeightKind::F16}};

class RowwiseCase : public Case {
public:
  RowwiseCase(const RowwiseDesc &d, const Shape &shape)
      : d(d), rows(shape.rows), table(std::max<int64_t>(shape.k, 1)), x(rows * d.xStride), w(weightBytes()),
        y(rows * d.yStride), indices(rows), sequences(rows, 0), lengths{int32_t(rows)} {
    std::mt19937 random(1);
    fillRows(x, rows, d.xStride, inputColumns(), random);
    if (d.op == RowwiseOp::Embed)
      packRandom(d.w, table, d.columns, w.as(), random);
    else if (d.op == RowwiseOp::Add)
      fillRows(w, rows, d.xStride, d.columns, random);
    else
      fillRows(w, 1, 0, d.columns, random);
    int64_t limit = d.op == RowwiseOp::Embed ? table : rows; // token ids, rows to gather, positions
    for (int32_t &index : indices) index = int32_t(random() % uint64_t(limit));
    batch.rows = batch.capacity = batch.logit_count = batch.logit_capacity = rows;
    batch.tokens = batch.positions = batch.logit_rows = indices.data();
    batch.sequences = sequences.data(), batch.lengths = lengths.data();
  }

  Deviation check(llmc_kernel_fn kernel) override {
    Buffer expected(rows * d.yStride);
    llmc_rowwise_args args = arguments({});
    kernel(&args);
    args.y = expected.as();
    referenceRowwise(d, args);
    if (d.out.isQ8()) return checkQ8(expected);
    if (d.out.is16Bit()) return check16(expected);
    double scale = std::max(1.0, magnitude(expected, rows, d.yStride, d.columns));
    return {distance(y, expected, rows, d.yStride, d.columns) / scale, 1e-5};
  }

  void run(llmc_kernel_fn kernel, Turn turn) override {
    llmc_rowwise_args args = arguments(turn);
    kernel(&args);
  }
  double bytes() const override {
    int64_t read = d.op == RowwiseOp::Embed ? rows * d.w.panelBytes(d.columns) / kPanel : rows * inputColumns() * 4;
    return double(read + rows * rowBytes(d.out, d.columns));
  }
  double operations() const override { return 0; }
  bool readsMemory() const override { return false; }

private:
  int64_t inputColumns() const { return d.op == RowwiseOp::Glu ? 2 * d.columns : d.columns; }
  int64_t weightBytes() const {
    if (d.op == RowwiseOp::Embed) return d.w.bytes(table, d.columns);
    return d.op == RowwiseOp::Add ? rows * d.xStride : roundUp(d.columns, 64) * 4;
  }
  llmc_rowwise_args arguments(Turn turn) const {
    return {.begin = turn.begin(rows),
            .end = turn.end(rows),
            .batch = &batch,
            .x = x.as(),
            .w = w.as(),
            .y = y.as(),
            .b = w.as()};
  }

  /// A code may be one off where the f32 value before it differs in its last bit; scales as any f32 result.
  Deviation checkQ8(const Buffer &expected) const {
    double worst = 0;
    for (int64_t r = 0; r < rows; ++r) {
      int64_t size = d.out.block;
      Q8Row found(y.as(r * d.yStride), d.columns, size), wanted(expected.as(r * d.yStride), d.columns, size);
      for (int64_t c = 0; c < d.columns; ++c) {
        int64_t block = c / size;
        double scale = wanted.scales[block];
        if (std::abs(found.codes[c] - wanted.codes[c]) > 1) return {INFINITY, 1e-5};
        worst = std::max(worst, scale ? std::fabs(double(found.scales[block]) - scale) / scale : 0);
      }
      for (int64_t block = 0; block < q8PaddedK(d.columns, size) / size; ++block) {
        const int8_t *codes = found.codes + block * size;
        if (std::accumulate(codes, codes + size, 0) != found.sums[block]) return {INFINITY, 1e-5};
      }
    }
    return {worst, 1e-5};
  }

  /// An element may be one unit of the last place off, where the f32 value before it is; small ones by what cancelled.
  Deviation check16(const Buffer &expected) const {
    double worst = 0;
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < d.columns; ++c) {
        double found = fromRow16(d.out, y.as(r * d.yStride), d.columns, c);
        double wanted = fromRow16(d.out, expected.as(r * d.yStride), d.columns, c);
        worst = std::max(worst, std::fabs(found - wanted) / (std::fabs(wanted) + 0.1));
      }
    bool pair = d.out.kind == RowFormat::Kind::BF16Pair, half = d.out.kind == RowFormat::Kind::F16;
    return {worst, pair ? 0x1p-16 : half ? 0x1p-10 : 0x1p-7};
  }

  const RowwiseDesc d;
  const int64_t rows, table;
  Buffer x, w, y;
  std::vector<int32_t> indices, sequences, lengths;
  llmc_batch batch = {};
};

} // namespace

template <> std::vector<RowwiseDesc> descriptors<RowwiseDesc>(const Shape &shape) {
  std::vector<RowwiseDesc> all;
  for (unsigned op = 0; op < std::size(kOps); ++op)
    for (RowFormat out : kOuts) {
      RowwiseDesc d{
          .op = RowwiseOp(op), .columns = shape.n, .out = out, .epsilon = 1e-5f, .activation = Activation::Silu};
      bool converts = d.op == RowwiseOp::Quantize,
           mayConvert = converts || d.op == RowwiseOp::RmsNorm || d.op == RowwiseOp::Glu ||
                        d.op == RowwiseOp::LayerNorm || d.op == RowwiseOp::Activate;
      d.bias = d.op == RowwiseOp::LayerNorm;
      if (out == RowFormat::F32 ? converts : !mayConvert) continue;
      d.xStride = rowStride(RowFormat::F32, d.op == RowwiseOp::Glu ? 2 * shape.n : shape.n);
      d.yStride = rowStride(out, shape.n);
      if (d.op == RowwiseOp::Embed) d.w = {WeightKind::I4, shape.group, shape.scale, shape.offset};
      all.push_back(d);
    }
  return all;
}

std::unique_ptr<Case> makeCase(const RowwiseDesc &desc, const Shape &shape, bool) {
  return std::make_unique<RowwiseCase>(desc, shape);
}

std::string describe(const RowwiseDesc &d) {
  std::string text =
      std::string(kOps[unsigned(d.op)]) + (d.out == RowFormat::F32 ? ", " : " to " + d.out.name() + ", ");
  return text + (d.op == RowwiseOp::Embed ? d.w.name() + ", " : "") + std::to_string(d.columns) + " columns";
}

} // namespace llmc::tool
