// The portable rowwise kernels against the scalar reference: every op, activation and rope kind; tails of the columns.
#include "codegen/kernels/matmul/Quantize.h"
#include "codegen/kernels/matmul/Rows16.h"
#include "codegen/kernels/rowwise/Reference.h"
#include "test/codegen/PortableFixtures.h"

namespace llmc::test {
namespace {

constexpr int64_t kRows = 5;

/// A batch of kRows rows of two sequences, the second past the rope's original context.
struct Batch {
  int32_t tokens[kRows] = {0, 63, 64, 99, 17}, positions[kRows] = {0, 1, 2, 4095, 4096},
          sequences[kRows] = {0, 0, 0, 1, 1};
  int32_t lengths[2] = {3, 4097}, logitRows[kRows] = {4, 0, 3, 3, 1};
  llmc_batch batch = {};
  Batch() {
    batch.rows = batch.capacity = batch.logit_count = kRows;
    batch.tokens = tokens, batch.positions = positions, batch.sequences = sequences, batch.lengths = lengths;
    batch.logit_rows = logitRows;
  }
};

/// A q8 row's codes may differ by one where rounding of the value was close to a tie; the rest follows from them.
void expectQ8RowClose(const char *actual, const char *expected, int64_t k, int64_t block, const std::string &what) {
  for (int64_t c = 0; c < q8PaddedK(k, block); ++c)
    ASSERT_LE(std::abs(actual[c] - expected[c]), 1) << what << " code " << c;
  Q8Row found(actual, k, block), wanted(expected, k, block);
  for (int64_t b = 0; b < q8PaddedK(k, block) / block; ++b) {
    ASSERT_TRUE(isClose(found.scales[b], wanted.scales[b], 1e-5f))
        << what << " scale " << b << " is " << found.scales[b] << ", expected " << wanted.scales[b];
    int32_t halves[2] = {0, 0};
    for (int64_t i = 0; i < block; ++i) halves[i * 2 / block] += actual[b * block + i];
    ASSERT_EQ(found.sums[b], halves[0] + halves[1]) << what;
    if (block > 32) continue;
    ASSERT_EQ(found.halfSums[2 * b], halves[0]) << what;
    ASSERT_EQ(found.halfSums[2 * b + 1], halves[1]) << what;
  }
}

/// Within one unit of the last place of the format (the f32 value may be an ulp off before it is rounded).
void expectRow16Close(RowFormat format, const char *actual, const char *expected, int64_t k, const std::string &what) {
  float bound = format.kind == RowFormat::Kind::BF16  ? 0x1p-7f
                : format.kind == RowFormat::Kind::F16 ? 0x1p-10f
                                                      : 0x1p-16f;
  for (int64_t c = 0; c < paddedK16(k); ++c) {
    float found = fromRow16(format, actual, k, c), wanted = fromRow16(format, expected, k, c);
    ASSERT_LE(std::fabs(found - wanted), c < k ? bound * std::fabs(wanted) + 2e-6f : 0) << what << " " << c;
  }
}

/// Runs all rows, and again one by one; compares with the reference.
void check(RowwiseDesc d, const void *x, const void *w, float bound, const std::string &what) {
  Batch rows;
  d.yStride = rowStride(d.out, d.columns);
  GuardedBuffer y(kRows * d.yStride), expected(y.size), split(y.size);
  for (const Target &target : runnableTargets()) {
    auto kernel = compilePortable(kPortableRowwise, d, target);
    ASSERT_TRUE(kernel);
    for (const GuardedBuffer *buffer : {&y, &expected, &split}) memset(buffer->as(), 0x5a, buffer->size);
    llmc_rowwise_args args = {0, kRows, &rows.batch, x, w, y.as()};
    kernel->function(&args);
    llmc_rowwise_args reference = args;
    reference.y = expected.as();
    referenceRowwise(d, reference);
    std::string where = what + " " + target.name + " columns " + std::to_string(d.columns);
    if (d.out.isQ8())
      for (int64_t r = 0; r < kRows; ++r)
        expectQ8RowClose(y.as<char>() + r * d.yStride, expected.as<char>() + r * d.yStride, d.columns, d.out.block,
                         where + " " + d.out.name());
    else if (d.out.is16Bit())
      for (int64_t r = 0; r < kRows; ++r)
        expectRow16Close(d.out, y.as<char>() + r * d.yStride, expected.as<char>() + r * d.yStride, d.columns, where);
    else // bytes past the columns are the 0x5a of before in both
      expectClose(y.as<float>(), expected.as<float>(), int64_t(y.size / 4), bound, where);
    args.y = split.as();
    for (args.begin = 0, args.end = 1; args.begin < kRows; ++args.begin, ++args.end) kernel->function(&args);
    EXPECT_EQ(memcmp(y.as(), split.as(), y.size), 0) << where << ": rows split";
  }
}

constexpr int64_t kColumns[] = {8, 64, 93, 288};

TEST(PortableRowwise, NormGluQuantizeAddGather) {
  for (int64_t columns : kColumns) {
    Random random(3);
    RowwiseDesc d;
    d.columns = columns, d.xStride = rowStride(RowFormat::F32, 2 * columns), d.epsilon = 1e-5f;
    GuardedBuffer x(kRows * d.xStride), w(roundUp64(columns * 4)), second(x.size);
    random.fill(x.as<float>(), int64_t(x.size / 4), 8), random.fill(w.as<float>(), columns);
    random.fill(second.as<float>(), int64_t(x.size / 4));
    std::fill_n(x.as<float>(), std::min<int64_t>(columns, 32), 0.0f); // a block of zeros in row 0
    x.makeReadOnly(), w.makeReadOnly(), second.makeReadOnly();
    using Kind = RowFormat::Kind;
    for (RowFormat out : {RowFormat::F32, RowFormat::Q8, RowFormat{Kind::BF16, 0, WeightKind::I4},
                          RowFormat{Kind::BF16Pair, 0, WeightKind::I8}, RowFormat{Kind::F16, 0, WeightKind::F16}}) {
      d.out = out;
      d.op = RowwiseOp::RmsNorm, check(d, x.as(), w.as(), 2e-6f, "rms_norm");
      d.op = RowwiseOp::Glu;
      for (Activation a :
           {Activation::None, Activation::Silu, Activation::GeluTanh, Activation::GeluErf, Activation::Relu})
        d.activation = a, check(d, x.as(), nullptr, 2e-6f, "glu " + std::to_string(int(a)));
    }
    for (int64_t block : {32, 64, 512}) {
      d.out = RowFormat::q8(block);
      d.op = RowwiseOp::Quantize, check(d, x.as(), nullptr, 0, "quantize");
      d.op = RowwiseOp::RmsNorm, check(d, x.as(), w.as(), 2e-6f, "rms_norm");
    }
    d.op = RowwiseOp::Quantize;
    for (Kind kind : {Kind::BF16, Kind::BF16Pair, Kind::F16})
      for (WeightKind order : {WeightKind::I4, WeightKind::I8, WeightKind::BF16})
        d.out = {kind, 0, order}, check(d, x.as(), nullptr, 0, "convert to " + d.out.name());
    d.out = RowFormat::F32;
    d.op = RowwiseOp::Add, check(d, x.as(), second.as(), 0, "add");
    d.op = RowwiseOp::GatherRows, check(d, x.as(), nullptr, 0, "gather_rows");
  }
}

TEST(PortableRowwise, QuantizeExtremes) {
  RowwiseDesc d;
  d.op = RowwiseOp::Quantize, d.out = RowFormat::Q8, d.columns = 128;
  d.xStride = rowStride(RowFormat::F32, 128), d.yStride = rowStride(RowFormat::Q8, 128);
  GuardedBuffer x(d.xStride), y(d.yStride);
  std::fill_n(x.as<float>(), 128, 1.0f);
  x.as<float>()[5] = -INFINITY, x.as<float>()[40] = NAN; // blocks 0 and 1
  std::fill_n(x.as<float>() + 64, 32, 1e-38f);           // block 2: 127/max overflows
  for (const Target &target : runnableTargets()) {
    auto kernel = compilePortable(kPortableRowwise, d, target);
    ASSERT_TRUE(kernel);
    llmc_rowwise_args args = {0, 1, nullptr, x.as(), nullptr, y.as()};
    kernel->function(&args);
    for (int64_t c = 0; c < 128; ++c) EXPECT_EQ(y.as<int8_t>()[c], c < 96 ? 0 : 127) << target.name << " " << c;
    auto *scales = reinterpret_cast<const float *>(y.as<char>() + q8ScaleOffset(128));
    EXPECT_EQ(scales[0], INFINITY) << target.name;
    EXPECT_TRUE(std::isnan(scales[1])) << target.name;
    EXPECT_EQ(scales[2], 0) << target.name;
    EXPECT_EQ(scales[3], 1 / 127.0f) << target.name;
  }
}

/// Denormals become zeros of their sign in bf16, NaN stays NaN, too large becomes infinity: on every target.
TEST(PortableRowwise, Extremes16) {
  const float values[] = {1e-40f, -1e-40f, NAN, INFINITY, -3.4e38f, 1.00390625f, 1.01171875f, 6e-8f};
  for (RowFormat::Kind kind : {RowFormat::Kind::BF16, RowFormat::Kind::F16}) {
    RowwiseDesc d;
    d.op = RowwiseOp::Quantize, d.out = {kind, 0, WeightKind::I4}, d.columns = 8;
    d.xStride = 64, d.yStride = rowStride(d.out, 8);
    GuardedBuffer x(d.xStride), y(d.yStride);
    memcpy(x.as(), values, sizeof(values));
    const float bf16[] = {0, -0.0f, NAN, INFINITY, -INFINITY, 1, 1.015625f, 0x1.02p-24f};
    const float f16[] = {0, -0.0f, NAN, INFINITY, -INFINITY, 1.00390625f, 1.01171875f, 0x1p-24f};
    for (const Target &target : runnableTargets()) {
      auto kernel = compilePortable(kPortableRowwise, d, target);
      ASSERT_TRUE(kernel);
      llmc_rowwise_args args = {0, 1, nullptr, x.as(), nullptr, y.as()};
      kernel->function(&args);
      for (int64_t c = 0; c < 8; ++c) {
        float found = fromRow16(d.out, y.as(), 8, c), expected = (kind == RowFormat::Kind::F16 ? f16 : bf16)[c];
        bool same = std::isnan(expected) ? std::isnan(found) : found == expected;
        EXPECT_TRUE(same && std::signbit(found) == std::signbit(expected))
            << d.out.name() << " " << target.name << " " << c << ": found " << found << ", expected " << expected;
      }
    }
  }
}

TEST(PortableRowwise, Embed) {
  constexpr int64_t kVocab = 100;
  const WeightFormat formats[] = {{WeightKind::F32},
                                  {WeightKind::F16},
                                  {WeightKind::BF16},
                                  {WeightKind::I4, 32},
                                  {WeightKind::I4, 32, ScaleType::F32, Offset::ZeroPoint},
                                  {WeightKind::I8, 16, ScaleType::BF16},
                                  {WeightKind::I8, 64, ScaleType::F16, Offset::MinF16}};
  for (const WeightFormat &format : formats)
    for (int64_t columns : {64, 93}) {
      Random random(5);
      GuardedBuffer table(format.bytes(kVocab, columns));
      for (size_t i = 0; i < table.size / 2; ++i) // 16-bit pieces that are finite in every type
        table.as<uint16_t>()[i] = uint16_t(random.below(0x3c00) | random.below(2) << 15);
      table.makeReadOnly();
      RowwiseDesc d;
      d.op = RowwiseOp::Embed, d.columns = columns, d.w = format, d.scale = 1.5f;
      check(d, nullptr, table.as(), 1e-6f, "embed " + format.name());
      d.byPosition = true;
      Batch rows;
      for (int32_t position : {2, 0, 65}) {
        GuardedBuffer y(rowStride(RowFormat::F32, columns)), expected(y.size);
        llmc_batch batch = {.rows = 1, .tokens = rows.tokens, .positions = &position};
        llmc_rowwise_args args = {0, 1, &batch, nullptr, table.as(), y.as()};
        d.yStride = int64_t(y.size);
        compilePortable(kPortableRowwise, d, runnableTargets().front())->function(&args);
        RowwiseDesc byToken = d;
        byToken.byPosition = false;
        batch.tokens = &position, args.y = expected.as();
        referenceRowwise(byToken, args);
        expectClose(y.as<float>(), expected.as<float>(), columns, 1e-6f, "embed by position " + format.name());
      }
    }
}

TEST(PortableRowwise, RopeTable) {
  for (int64_t columns : {2, 20, 64}) {
    RowwiseDesc d;
    d.op = RowwiseOp::RopeTable, d.columns = columns, d.scale = 1.25f;
    GuardedBuffer frequencies(roundUp64(columns * 2)), table(roundUp64(4097 * columns * 4));
    for (int64_t i = 0; i < columns / 2; ++i)
      frequencies.as<float>()[i] = std::pow(10000.0f, -2.0f * float(i) / float(columns));
    Random(9).fill(table.as<float>(), 4097 * columns);
    d.rope = RopeKind::Formula, check(d, nullptr, frequencies.as(), 1e-6f, "rope formula");
    d.rope = RopeKind::Dynamic, d.ropeBase = 10000, d.ropeFactor = 2, d.ropeMaxPositions = 2048;
    if (columns > 2) check(d, nullptr, frequencies.as(), 1e-3f, "rope dynamic"); // an angle of 4096 radians: 2^-11
    d.rope = RopeKind::Table, d.ropeMaxPositions = 4097, check(d, nullptr, table.as(), 0, "rope table");
  }
}

/// The second sequence is longer than the original context: its rows have the frequencies and the factor behind.
TEST(PortableRowwise, LongRopeTable) {
  constexpr int64_t kColumns = 4;
  Batch rows;
  RowwiseDesc d;
  d.op = RowwiseOp::RopeTable, d.columns = kColumns, d.scale = 1.25f, d.yStride = rowStride(d.out, kColumns);
  d.rope = RopeKind::Long, d.ropeFactor = 1.5f, d.ropeMaxPositions = 2048;
  GuardedBuffer frequencies(64), y(kRows * d.yStride);
  const float values[] = {1, 0.5f, 0.25f, 0.001f};
  std::copy(std::begin(values), std::end(values), frequencies.as<float>());
  auto expectRows = [&](const std::string &what) {
    for (int64_t r = 0; r < kRows; ++r)
      for (int64_t i = 0; i < 2; ++i) {
        bool isLong = r >= 3;
        double angle = float(rows.positions[r]) * values[isLong ? 2 + i : i], scale = isLong ? 1.5 : 1.25;
        const float *row = y.as<float>() + r * d.yStride / 4;
        EXPECT_NEAR(row[i], scale * std::cos(angle), 1e-5) << what << r;
        EXPECT_NEAR(row[2 + i], scale * std::sin(angle), 1e-5) << what << r;
      }
  };
  llmc_rowwise_args args = {0, kRows, &rows.batch, nullptr, frequencies.as(), y.as()};
  referenceRowwise(d, args);
  expectRows("reference ");
  for (const Target &target : runnableTargets()) {
    auto kernel = compilePortable(kPortableRowwise, d, target);
    ASSERT_TRUE(kernel);
    kernel->function(&args);
    expectRows(target.name + " ");
  }
}

TEST(PortableRowwise, Scale) {
  for (int64_t columns : {8, 93}) {
    Random random(3);
    RowwiseDesc d;
    d.op = RowwiseOp::Scale, d.columns = columns, d.xStride = rowStride(RowFormat::F32, columns), d.scale = -1.75f;
    GuardedBuffer x(kRows * d.xStride);
    random.fill(x.as<float>(), int64_t(x.size / 4), 100);
    x.makeReadOnly();
    check(d, x.as(), nullptr, 0, "scale");
    d.softcap = 30, check(d, x.as(), nullptr, 1e-5f, "softcap");
  }
}

/// Large values are bounded, small ones as they are; what is not a number stays one.
TEST(PortableRowwise, SoftcapExtremes) {
  RowwiseDesc d;
  d.op = RowwiseOp::Scale, d.columns = 8, d.softcap = 30;
  d.xStride = d.yStride = rowStride(RowFormat::F32, d.columns);
  GuardedBuffer x(d.xStride), y(d.yStride);
  const float values[] = {0, 0.001f, -0.001f, 1e30f, -1e30f, INFINITY, NAN, 15};
  std::copy(std::begin(values), std::end(values), x.as<float>());
  for (const Target &target : runnableTargets()) {
    auto kernel = compilePortable(kPortableRowwise, d, target);
    ASSERT_TRUE(kernel);
    llmc_rowwise_args args = {0, 1, nullptr, x.as(), nullptr, y.as()};
    kernel->function(&args);
    const float expected[] = {0, 0.001f, -0.001f, 30, -30, 30, NAN, 13.8635f};
    for (int i = 0; i < 8; ++i)
      if (i == 6)
        EXPECT_TRUE(std::isnan(y.as<float>()[i])) << target.name;
      else
        EXPECT_NEAR(y.as<float>()[i], expected[i], 1e-4) << target.name << " " << i;
  }
}

TEST(PortableRowwise, Refusals) {
  Target target = llvm::cantFail(findTarget("x86-64-v3"));
  RowwiseDesc d;
  d.op = RowwiseOp::RopeTable, d.columns = 7;
  EXPECT_EQ(refusal(kPortableRowwise, d, target), "found 7 columns of a rope table, expected an even number");
  d.op = RowwiseOp::Embed, d.out = RowFormat::Q8;
  EXPECT_EQ(refusal(kPortableRowwise, d, target), "found q8b32 output of an embedding or a rope table, expected f32");
  d.op = RowwiseOp::Scale, d.out = RowFormat::F32, d.softcap = -1;
  EXPECT_EQ(refusal(kPortableRowwise, d, target),
            "scale: found f32 output and a softcap of -1.000000, expected f32 and 0 or more");
}

} // namespace
} // namespace llmc::test
