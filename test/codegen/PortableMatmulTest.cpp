// The portable matmul against the scalar reference: every weight format, both kinds of rows, tails of K and N, row
// counts around its tiles, on every CPU setting that runs here.
#include "codegen/kernels/matmul/Pack.h"
#include "codegen/kernels/matmul/Quantize.h"
#include "codegen/kernels/matmul/Reference.h"
#include "test/codegen/PortableFixtures.h"

namespace llmc::test {
namespace {

struct Shape {
  int64_t n, k;
};

WeightFormat integers(WeightKind kind, int64_t group, ScaleType scale = ScaleType::F16, Offset offset = Offset::None) {
  return {kind, group, scale, offset};
}

const WeightFormat kFormats[] = {{WeightKind::F32},
                                 {WeightKind::F16},
                                 {WeightKind::BF16},
                                 integers(WeightKind::I4, 16),
                                 integers(WeightKind::I4, 32),
                                 integers(WeightKind::I4, 128, ScaleType::F32),
                                 integers(WeightKind::I4, 64, ScaleType::BF16, Offset::ZeroPoint),
                                 integers(WeightKind::I4, 32, ScaleType::F16, Offset::MinF16),
                                 integers(WeightKind::I4, 16, ScaleType::F32, Offset::MinF32),
                                 integers(WeightKind::I4, 96),
                                 integers(WeightKind::I8, 16),
                                 integers(WeightKind::I8, 32, ScaleType::F32),
                                 integers(WeightKind::I8, 64, ScaleType::F16, Offset::ZeroPoint),
                                 integers(WeightKind::I8, 32, ScaleType::BF16, Offset::MinF32),
                                 integers(WeightKind::I8, 96, ScaleType::F32)};

/// A packed weight of random codes, extremes of scale and code included.
std::unique_ptr<GuardedBuffer> randomWeight(const WeightFormat &f, Shape shape, Random &random) {
  int64_t groups = f.isInteger() ? f.paddedK(shape.k) / f.group : 0;
  auto packed = std::make_unique<GuardedBuffer>(f.bytes(shape.n, shape.k));
  for (int64_t n = 0; n < shape.n; n += kPanel) {
    std::vector<uint8_t> codes(kPanel * shape.k), zeros(kPanel * (groups + 1));
    std::vector<uint32_t> words(kPanel * (shape.k + 1));
    std::vector<uint16_t> halves(kPanel * (shape.k + 1));
    for (uint8_t &c : codes) c = uint8_t(random.below(f.kind == WeightKind::I4 ? 16 : 256));
    for (uint8_t &z : zeros) z = uint8_t(random.below(f.kind == WeightKind::I4 ? 16 : 256));
    for (uint32_t &w : words) w = std::bit_cast<uint32_t>(random.real() * 0.01f);
    // f16 from 2^-24 (denormal) to 2^-6; bf16 of the same magnitude as words.
    bool bf16 = f.isInteger() ? f.scale == ScaleType::BF16 : f.kind == WeightKind::BF16;
    for (uint16_t &h : halves)
      h = bf16 ? uint16_t(std::bit_cast<uint32_t>(random.real() * 0.01f) >> 16)
               : uint16_t(random.below(2) << 15 | random.below(0x2400));
    PanelSource source;
    bool wideScale = f.scale == ScaleType::F32, wideOffset = f.offset == Offset::MinF32;
    source.codes = codes.data(), source.codeStride = shape.k;
    source.scales = wideScale ? static_cast<void *>(words.data()) : halves.data();
    source.scaleStride = groups * (wideScale ? 4 : 2);
    source.offsets = f.offset == Offset::ZeroPoint ? static_cast<void *>(zeros.data())
                     : wideOffset                  ? static_cast<void *>(words.data())
                                                   : halves.data();
    source.offsetStride = groups * (f.offset == Offset::ZeroPoint ? 1 : wideOffset ? 4 : 2);
    bool wideRow = f.kind == WeightKind::F32;
    source.rows = wideRow ? static_cast<void *>(words.data()) : halves.data();
    source.rowStride = shape.k * (wideRow ? 4 : 2);
    packPanel(f, shape.k, std::min(kPanel, shape.n - n), source,
              packed->as<uint8_t>() + n / kPanel * f.panelBytes(shape.k));
  }
  packed->makeReadOnly();
  return packed;
}

/// Rows of x; f32 rows have NaN from k on, which nobody may read into a result.
std::unique_ptr<GuardedBuffer> randomRows(const MatmulDesc &d, int64_t rows, Random &random) {
  auto x = std::make_unique<GuardedBuffer>(rows * d.xStride);
  std::vector<float> row(d.k);
  for (int64_t r = 0; r < rows; ++r) {
    random.fill(row.data(), d.k);
    auto *out = x->as<char>() + r * d.xStride;
    std::fill_n(reinterpret_cast<float *>(out), d.xStride / 4, NAN);
    if (d.x.isQ8())
      quantiseRowQ8(row.data(), d.k, d.x.block, out);
    else
      memcpy(out, row.data(), d.k * 4);
  }
  x->makeReadOnly();
  return x;
}

/// What the family says of float weights with q8 rows: the rows decoded, then as for f32.
std::vector<float> decodedRows(const MatmulDesc &d, const char *x, int64_t rows) {
  std::vector<float> out(rows * d.k);
  for (int64_t r = 0; r < rows; ++r) {
    Q8Row row(x + r * d.xStride, d.k, d.x.block);
    for (int64_t k = 0; k < d.k; ++k) out[r * d.k + k] = float(row.codes[k]) * row.scales[k / d.x.block];
  }
  return out;
}

void fillOutput(const GuardedBuffer &y) {
  for (size_t i = 0; i < y.size / 4; ++i) y.as<float>()[i] = float(i % 13) - 6;
}

class PortableMatmul : public testing::TestWithParam<std::tuple<WeightFormat, RowFormat, bool>> {};

TEST_P(PortableMatmul, AgreesWithReference) {
  auto [format, rowFormat, extras] = GetParam();
  for (Shape shape : {Shape{70, 93}, Shape{128, 256}}) {
    MatmulDesc d;
    d.n = shape.n, d.k = shape.k, d.w = format, d.x = rowFormat, d.bias = extras, d.accumulate = extras;
    d.xStride = rowStride(rowFormat, d.k), d.yStride = rowStride(RowFormat::F32, roundUp(d.n, kPanel));
    constexpr int64_t kMaxRows = 7;
    Random random(7);
    int64_t panels = roundUp(d.n, kPanel) / kPanel;
    auto w = randomWeight(format, shape, random), x = randomRows(d, kMaxRows, random);
    GuardedBuffer bias(roundUp(d.n, kPanel) * 4), y(kMaxRows * d.yStride), expected(y.size), split(y.size);
    random.fill(bias.as<float>(), roundUp(d.n, kPanel));
    for (const Target &target : runnableTargets()) {
      auto kernel = compilePortable(kPortableMatmul, d, target);
      ASSERT_TRUE(kernel);
      for (int64_t rows : {1, 3, 7}) {
        llmc_matmul_args args = {0, panels, rows, x->as(), w->as(), extras ? bias.as<float>() : nullptr, y.as<float>()};
        fillOutput(y), fillOutput(expected), fillOutput(split);
        kernel->function(&args);
        llmc_matmul_args reference = args;
        MatmulDesc meaning = d;
        std::vector<float> decoded;
        if (!format.isInteger() && rowFormat.isQ8()) {
          decoded = decodedRows(d, x->as<char>(), rows);
          reference.x = decoded.data(), meaning.x = RowFormat::F32, meaning.xStride = d.k * 4;
        }
        reference.y = expected.as<float>();
        referenceMatmul(meaning, &reference);
        // With fma all is done in the order of the reference; the q8 minimum may associate otherwise.
        bool exact = target.features.has(Feature::Fma) && !(format.hasMinimum() && rowFormat.isQ8());
        expectClose(y.as<float>(), expected.as<float>(), int64_t(y.size / 4), exact ? 0 : 1e-5f,
                    format.name() + " " + target.name + " rows " + std::to_string(rows) + " k " +
                        std::to_string(shape.k));
        args.y = split.as<float>();
        for (args.begin = 0, args.end = 1; args.begin < panels; ++args.begin, ++args.end) kernel->function(&args);
        EXPECT_EQ(memcmp(y.as(), split.as(), y.size), 0) << "units split";
        if (rows == 1) continue;
        fillOutput(split);
        args.begin = 0, args.end = panels;
        for (int64_t r = 0; r < rows; ++r) { // row by row
          llmc_matmul_args one = args;
          one.rows = 1, one.x = x->as<char>() + r * d.xStride;
          one.y = reinterpret_cast<float *>(split.as<char>() + r * d.yStride);
          kernel->function(&one);
        }
        EXPECT_EQ(memcmp(y.as(), split.as(), y.size), 0) << "rows split";
      }
    }
  }
}

std::string nameOf(const testing::TestParamInfo<PortableMatmul::ParamType> &info) {
  auto [format, rowFormat, extras] = info.param;
  return format.name() + "_" + rowFormat.name() + (extras ? "_bias_accumulate" : "");
}

INSTANTIATE_TEST_SUITE_P(Formats, PortableMatmul,
                         testing::Combine(testing::ValuesIn(kFormats), testing::Values(RowFormat::F32, RowFormat::Q8),
                                          testing::Bool()),
                         nameOf);

/// Blocks above, below and across groups.
INSTANTIATE_TEST_SUITE_P(
    Blocks, PortableMatmul,
    testing::Combine(testing::Values(integers(WeightKind::I4, 16),
                                     integers(WeightKind::I4, 64, ScaleType::F16, Offset::ZeroPoint),
                                     integers(WeightKind::I8, 96, ScaleType::F16, Offset::MinF16),
                                     integers(WeightKind::I8, 256)),
                     testing::Values(RowFormat::q8(64), RowFormat::q8(512)), testing::Values(false)),
    nameOf);

TEST(PortableMatmulTable, RefusesGroups) {
  MatmulDesc d;
  d.n = 64, d.k = 64, d.w = integers(WeightKind::I4, 24);
  Refusal reason = refusal(kPortableMatmul, d, llvm::cantFail(findTarget("x86-64-v3")));
  ASSERT_TRUE(reason);
  EXPECT_EQ(*reason, "found group size 24, expected a multiple of 16");
}

TEST(PortableMatmulTable, SameTextTwice) {
  MatmulDesc d;
  d.n = 64, d.k = 64, d.w = integers(WeightKind::I4, 32), d.xStride = 256, d.yStride = 256;
  Target target = llvm::cantFail(findTarget("aarch64"));
  EXPECT_EQ(llvm::cantFail(kPortableMatmul.emit(d, target)).mlir, llvm::cantFail(kPortableMatmul.emit(d, target)).mlir);
}

} // namespace
} // namespace llmc::test
