// Encodings against gguf-py's values (test/data/codecs) and against values worked out by hand.
#include "dialects/wq/codecs/Codecs.h"
#include "dialects/wq/codecs/Half.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/MLIRContext.h"
#include "llvm/Support/MemoryBuffer.h"
#include <cmath>
#include <gtest/gtest.h>

using namespace llmc::wq;

namespace {

struct Context : mlir::MLIRContext {
  Context() { loadDialect<WqDialect>(); }
};

EncodedType encoded(mlir::MLIRContext &context, Encoding encoding, int64_t bits = 0, int64_t block = 0,
                    ScaleType scale = ScaleType::F16, bool zeroPoints = false) {
  return EncodedType::get(&context, encoding, bits, block, scale, zeroPoints);
}

/// Recodes one row and gives back the values of the codes.
std::vector<float> throughScheme(EncodedType type, int64_t k, const RowParts &row) {
  RowBlock block;
  block.reset(exactScheme(type), k, 1);
  recodeRow(type, k, row, block.row(0));
  std::vector<float> values(k);
  dequantiseRow(block.scheme, k, std::as_const(block).row(0), values.data());
  return values;
}

std::vector<float> decoded(mlir::Type type, int64_t k, const RowParts &row) {
  std::vector<float> values(k);
  decodeRow(type, k, row, values.data());
  return values;
}

std::vector<uint32_t> bitsOf(llvm::ArrayRef<float> values) {
  std::vector<uint32_t> bits;
  for (float value : values) bits.push_back(std::bit_cast<uint32_t>(value));
  return bits;
}

class GoldenCodec : public testing::TestWithParam<Encoding> {};

TEST_P(GoldenCodec, ValuesAreGgufs) {
  Context context;
  auto type = encoded(context, GetParam());
  auto file = llvm::MemoryBuffer::getFile(LLMC_CODEC_DATA "/" + stringifyEncoding(GetParam()).str() + ".bin");
  ASSERT_TRUE(bool(file));
  constexpr int64_t kElements = 512;
  int64_t bytes = llvm::cantFail(rowBytes(type, kElements, 0));
  ASSERT_EQ(int64_t((*file)->getBufferSize()), bytes + 4 * kElements);
  auto *data = reinterpret_cast<const uint8_t *>((*file)->getBufferStart());
  std::vector<float> expected(kElements);
  memcpy(expected.data(), data + bytes, 4 * kElements);
  EXPECT_EQ(bitsOf(decoded(type, kElements, {data})), bitsOf(expected));
  EXPECT_EQ(bitsOf(throughScheme(type, kElements, {data})), bitsOf(expected));
}
INSTANTIATE_TEST_SUITE_P(All, GoldenCodec,
                         testing::Values(Encoding::Q4_0, Encoding::Q4_1, Encoding::Q5_0, Encoding::Q5_1, Encoding::Q8_0,
                                         Encoding::Q4_K, Encoding::Q5_K, Encoding::Q6_K),
                         [](auto &info) { return stringifyEncoding(info.param).str(); });

TEST(Codecs, Q4_0ByHand) {
  Context context;
  uint8_t block[18] = {0x00, 0x38}; // f16 0.5
  for (int i = 0; i < 16; ++i) block[2 + i] = uint8_t(i | (15 - i) << 4);
  std::vector<float> values = decoded(encoded(context, Encoding::Q4_0), 32, {block});
  for (int i = 0; i < 16; ++i) {
    EXPECT_EQ(values[i], (i - 8) * 0.5f);
    EXPECT_EQ(values[16 + i], (15 - i - 8) * 0.5f);
  }
}

TEST(Codecs, EncodingsThatAreCentredAt128) {
  Context context;
  uint8_t q8[34] = {0x00, 0x3c, 0x80, 0x7f, 0x00, 0xff}; // f16 1; -128, 127, 0, -1
  RowBlock block;
  auto type = encoded(context, Encoding::Q8_0);
  block.reset(exactScheme(type), 32, 1);
  recodeRow(type, 32, {q8}, block.row(0));
  EXPECT_EQ(std::vector<uint8_t>(block.codes.begin(), block.codes.begin() + 4),
            (std::vector<uint8_t>{0, 255, 128, 127}));
}

TEST(Codecs, NBitsSymmetric4) {
  Context context;
  auto type = encoded(context, Encoding::MatMulNBits, 4, 16);
  // k = 24: two blocks of 8 bytes, the second half used. Scales 1 and -2.
  uint8_t codes[16];
  for (int i = 0; i < 16; ++i) codes[i] = uint8_t(i | (15 - i) << 4);
  uint16_t scales[2] = {0x3c00, 0xc000};
  RowParts row = {codes, reinterpret_cast<uint8_t *>(scales)};
  std::vector<float> values = decoded(type, 24, row);
  for (int i = 0; i < 24; ++i) {
    int code = i % 2 ? 15 - i / 2 : i / 2;
    EXPECT_EQ(values[i], float(code - 8) * (i < 16 ? 1 : -2)) << i;
  }
  EXPECT_EQ(values, throughScheme(type, 24, row));
  EXPECT_EQ(llvm::cantFail(rowBytes(type, 24, 0)), 16);
  EXPECT_EQ(llvm::cantFail(rowBytes(type, 24, 1)), 4);
  EXPECT_EQ(partCount(type), 2u);
}

TEST(Codecs, NBitsZeroPoints) {
  Context context;
  // 4 bits, three blocks: zero points 3, 15, 0 in two bytes. bf16 scales 1, 0.5, 4.
  auto type = encoded(context, Encoding::MatMulNBits, 4, 16, ScaleType::BF16, true);
  std::vector<uint8_t> codes(24, 0x74);
  uint16_t scales[3] = {0x3f80, 0x3f00, 0x4080};
  uint8_t zeros[2] = {0xf3, 0x00};
  RowParts row = {codes.data(), reinterpret_cast<uint8_t *>(scales), zeros};
  std::vector<float> values = decoded(type, 48, row);
  EXPECT_EQ(values[0], 1);     // (4 - 3) * 1
  EXPECT_EQ(values[1], 4);     // (7 - 3) * 1
  EXPECT_EQ(values[16], -5.5); // (4 - 15) * 0.5
  EXPECT_EQ(values[47], 28);   // (7 - 0) * 4
  EXPECT_EQ(values, throughScheme(type, 48, row));
  EXPECT_EQ(llvm::cantFail(rowBytes(type, 48, 2)), 2);
  EXPECT_EQ(partCount(type), 3u);
}

TEST(Codecs, NBits2) {
  Context context;
  // Two blocks of 16: four codes a byte, lowest first. Scales 1 and 0.5; zero points 1 and 3 in one byte.
  uint8_t codes[8] = {0xe4, 0xe4, 0xe4, 0xe4, 0x1b, 0x1b, 0x1b, 0x1b};
  float scales[2] = {1, 0.5f};
  uint8_t zeros[1] = {0x0d};
  auto symmetric = encoded(context, Encoding::MatMulNBits, 2, 16, ScaleType::F32);
  auto zeroed = encoded(context, Encoding::MatMulNBits, 2, 16, ScaleType::F32, true);
  RowParts row = {codes, reinterpret_cast<uint8_t *>(scales), zeros};
  RowParts bare = {row[0], row[1]};
  std::vector<float> values = decoded(symmetric, 30, bare), others = decoded(zeroed, 30, row);
  for (int i = 0; i < 30; ++i) {
    int code = i < 16 ? i % 4 : 3 - i % 4;
    EXPECT_EQ(values[i], float(code - 2) * (i < 16 ? 1 : 0.5f)) << i;
    EXPECT_EQ(others[i], float(code - (i < 16 ? 1 : 3)) * (i < 16 ? 1 : 0.5f)) << i;
  }
  EXPECT_EQ(values, throughScheme(symmetric, 30, bare));
  EXPECT_EQ(others, throughScheme(zeroed, 30, row));
  EXPECT_EQ(llvm::cantFail(rowBytes(zeroed, 30, 0)), 8);
  EXPECT_EQ(llvm::cantFail(rowBytes(zeroed, 30, 2)), 1);
}

/// HQQ: zero points are no integers; a scheme has them as minima.
TEST(Codecs, NBitsFloatZeroPoints) {
  Context context;
  for (ScaleType scale : {ScaleType::F32, ScaleType::F16}) {
    auto type =
        EncodedType::get(&context, Encoding::MatMulNBits, 4, 16, scale, true, false, false, llmc::F32(), false, false,
                         /*float_zeros=*/true);
    std::vector<uint8_t> codes(16, 0x74);
    float scales[2] = {0.5f, 2}, zeros[2] = {6.25f, 8.5f};
    uint16_t halfScales[2] = {0x3800, 0x4000}, halfZeros[2] = {0x4640, 0x4840};
    bool wide = scale == ScaleType::F32;
    RowParts row = {codes.data(), reinterpret_cast<uint8_t *>(wide ? (void *)scales : halfScales),
                    reinterpret_cast<uint8_t *>(wide ? (void *)zeros : halfZeros)};
    std::vector<float> values = decoded(type, 32, row);
    EXPECT_EQ(values[0], -1.125f);                   // (4 - 6.25) * 0.5
    EXPECT_EQ(values[1], 0.375f);                    // (7 - 6.25) * 0.5
    EXPECT_EQ(values[16], -9);                       // (4 - 8.5) * 2
    EXPECT_EQ(values[31], -3);                       // (7 - 8.5) * 2
    EXPECT_EQ(values, throughScheme(type, 32, row)); // exact, as these products are
    EXPECT_EQ(llvm::cantFail(rowBytes(type, 32, 2)), wide ? 8 : 4);
  }
}

TEST(Codecs, NBits8) {
  Context context;
  for (bool zeroPoints : {false, true}) {
    auto type = encoded(context, Encoding::MatMulNBits, 8, 32, ScaleType::F32, zeroPoints);
    std::vector<uint8_t> codes(608); // longer than the decoder's pieces
    for (size_t i = 0; i < codes.size(); ++i) codes[i] = uint8_t(37 * i);
    std::vector<float> scales(19);
    std::vector<uint8_t> zeros(19);
    for (int b = 0; b < 19; ++b) scales[b] = 0.1f * b, zeros[b] = uint8_t(13 * b);
    RowParts row = {codes.data(), reinterpret_cast<uint8_t *>(scales.data()), zeroPoints ? zeros.data() : nullptr};
    std::vector<float> values = decoded(type, 608, row);
    for (int i = 0; i < 608; ++i)
      EXPECT_EQ(values[i], float(codes[i] - (zeroPoints ? zeros[i / 32] : 128)) * scales[i / 32]) << i;
    EXPECT_EQ(values, throughScheme(type, 608, row));
  }
}

TEST(Codecs, FloatRows) {
  Context context;
  mlir::Builder b(&context);
  uint16_t halves[] = {0x3c00, 0xc000, 0x0001, 0x7bff}, brains[] = {0x3f80, 0xc000, 0x0001, 0x7f7f};
  float floats[] = {1, -2, 0x1p-149f, 3.4e38f};
  auto row = [](void *p) { return RowParts{static_cast<uint8_t *>(p)}; };
  EXPECT_EQ(decoded(b.getF16Type(), 4, row(halves)), (std::vector<float>{1, -2, 0x1p-24f, 65504}));
  EXPECT_EQ(decoded(b.getBF16Type(), 4, row(brains)), (std::vector<float>{1, -2, 0x1p-133f, 0x1.fep127f}));
  EXPECT_EQ(decoded(b.getF32Type(), 4, row(floats)), std::vector<float>(floats, floats + 4));
}

TEST(Codecs, RefusesWhatIsNoWholeNumberOfBlocks) {
  Context context;
  auto message = [](llvm::Expected<int64_t> bytes) { return bytes ? "" : llvm::toString(bytes.takeError()); };
  EXPECT_EQ(message(rowBytes(encoded(context, Encoding::Q4_K), 96, 0)),
            "q4_k: found rows of 96 elements, expected a multiple of 256");
  EXPECT_NE(message(rowBytes(encoded(context, Encoding::MatMulNBits, 5, 32), 96, 0)).find("found 5 bits"),
            std::string::npos);
  EXPECT_NE(message(rowBytes(mlir::Builder(&context).getI32Type(), 96, 0)).find("element type i32"), std::string::npos);
}

TEST(Half, EveryF16SurvivesTheWayThroughF32) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    float value = f16ToFloat(uint16_t(bits));
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(f16ToFloat(floatToF16(value))));
    } else {
      ASSERT_EQ(floatToF16(value), bits);
      ASSERT_EQ(value, std::ldexp(float(bits & 0x7fff) == 0x7c00 ? INFINITY
                                  : (bits & 0x7c00)              ? float(1024 | (bits & 1023))
                                                                 : float(bits & 1023),
                                  (bits & 0x7c00 ? int(bits >> 10 & 31) - 1 : 0) - 24) *
                           (bits & 0x8000 ? -1 : 1));
    }
  }
}

TEST(Half, RoundsToNearestEven) {
  EXPECT_EQ(floatToF16(1 + 0x1p-11f), 0x3c00); // a tie, down to even
  EXPECT_EQ(floatToF16(1 + 0x3p-11f), 0x3c02); // a tie, up to even
  EXPECT_EQ(floatToF16(1 + 0x1.01p-11f), 0x3c01);
  EXPECT_EQ(floatToF16(65519.0f), 0x7bff);
  EXPECT_EQ(floatToF16(-65520.0f), 0xfc00);
  EXPECT_EQ(floatToF16(0x1p-25f), 0); // half of the smallest
  EXPECT_EQ(floatToF16(0x3p-25f), 2);
  EXPECT_EQ(floatToF16(0x1.ffffp-15f), 0x0400); // rounds up to the smallest normal
  EXPECT_EQ(floatToBf16(1 + 0x1p-8f), 0x3f80);
  EXPECT_EQ(floatToBf16(1 + 0x3p-8f), 0x3f82);
  EXPECT_EQ(floatToBf16(3.4e38f), 0x7f80);
  EXPECT_TRUE(std::isnan(bf16ToFloat(floatToBf16(NAN))));
}

} // namespace
