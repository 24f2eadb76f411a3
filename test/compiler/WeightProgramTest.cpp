// @pack on small weights. The packed bytes are read back by a second description of the layout: the tables below,
// written from codegen/kernels/matmul/README.md, not with the packer's own code.
#include "WeightModule.h"
#include "dialects/llm/eval/WeightView.h"
#include "dialects/wq/codecs/Half.h"
#include "llvm/Support/MemoryBuffer.h"
#include <cmath>
#include <gtest/gtest.h>
#include <random>

using namespace llmc;
using namespace llmc::test;

namespace {

struct Layout {
  int64_t bits, group, scaleBytes, offsetBytes;
  int64_t blockBytes() const { return 64 * group * bits / 8 + 64 * scaleBytes + 64 * offsetBytes; }
};

template <typename T> T at(const std::vector<uint8_t> &blob, int64_t offset) {
  return wq::load<T>(blob.data() + offset);
}
float scaleAt(const std::vector<uint8_t> &blob, int64_t offset, int64_t bytes) {
  return bytes == 4 ? at<float>(blob, offset) : wq::f16ToFloat(at<uint16_t>(blob, offset));
}

/// The element (n, k) of an integer weight at `base`: code, scale, offset (zero point or minimum).
struct Element {
  int code;
  float scale, offset;
};
Element element(const std::vector<uint8_t> &blob, int64_t base, const Layout &l, int64_t inputs, int64_t n, int64_t k) {
  int64_t blocks = (inputs + l.group - 1) / l.group, column = n % 64;
  int64_t block = base + (n / 64 * blocks + k / l.group) * l.blockBytes(), in = k % l.group;
  int64_t line = column / 16, dword = column % 16;
  Element e;
  if (l.bits == 4) {
    uint8_t byte = blob[block + (in / 8 * 4 + line) * 64 + dword * 4 + in % 4];
    e.code = in % 8 < 4 ? byte & 15 : byte >> 4;
  } else {
    e.code = blob[block + (in / 4 * 4 + line) * 64 + dword * 4 + in % 4];
  }
  int64_t scales = block + 64 * l.group * l.bits / 8, offsets = scales + 64 * l.scaleBytes;
  e.scale = scaleAt(blob, scales + column * l.scaleBytes, l.scaleBytes);
  e.offset = l.offsetBytes == 0   ? 0
             : l.offsetBytes == 1 ? blob[offsets + column]
                                  : scaleAt(blob, offsets + column * l.offsetBytes, l.offsetBytes);
  return e;
}

std::vector<float> randomFloats(size_t count, int seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 0.1f);
  std::vector<float> values(count);
  for (float &v : values) v = normal(random);
  return values;
}
std::vector<uint16_t> halves(const std::vector<float> &values) {
  std::vector<uint16_t> out;
  for (float v : values) out.push_back(wq::floatToF16(v));
  return out;
}

class WeightProgram : public testing::Test, protected WeightModule {
protected:
  /// The blob, equal for 1 and for 3 threads.
  std::vector<uint8_t> runTwice() {
    EXPECT_TRUE(parse());
    std::vector<uint8_t> one = run(1), three = run(3);
    EXPECT_EQ(message, "");
    EXPECT_TRUE(one == three);
    return one;
  }
};

TEST_F(WeightProgram, QuantisesAConcatenation) {
  // 70 + 60 rows of 80: two parts of unequal type of view, three panels, a last group of 16 k.
  constexpr int64_t kK = 80;
  std::vector<float> a = randomFloats(70 * kK, 1), b = randomFloats(60 * kK, 2);
  std::vector<float> bStored(b.size()); // [k][rows]
  for (int r = 0; r < 60; ++r)
    for (int k = 0; k < kK; ++k) bStored[k * 60 + r] = b[r * kK + k];
  symbol("llm.weight @a : tensor<70x80xf32> [" + add(a) + "]");
  symbol("llm.weight @b : tensor<60x80xf32> [" + add(bStored) + "] {transposed}");
  store("ab", R"(%a = llm.get_weight @a : tensor<70x80xf32>
                 %b = llm.get_weight @b : tensor<60x80xf32>
                 %c = wq.concat %a, %b : tensor<70x80xf32>, tensor<60x80xf32> -> tensor<130x80xf32>
                 %w = wq.quantize %c : tensor<130x80xf32> -> tensor<130x80x!wq.quant<<kind = i4, group = 32>>>)",
        "tensor<130x80x!wq.quant<<kind = i4, group = 32>>>", "tensor<130x80x!wq.packed<<kind = i4, group = 32>>>",
        3 * 3 * (64 * 16 + 128));
  std::vector<uint8_t> blob = runTwice();
  Layout layout = {4, 32, 2, 0};
  auto scheme = wq::SchemeAttr::get(&context, wq::Kind::I4, 32, wq::ScaleType::F16, wq::Offset::None);
  a.insert(a.end(), b.begin(), b.end());
  wq::RowBlock block;
  block.reset(scheme, kK, 1);
  for (int64_t n = 0; n < 130; ++n) {
    llvm::cantFail(wq::quantiseRow(scheme, kK, &a[n * kK], block.row(0)));
    for (int64_t k = 0; k < 96; ++k) {
      Element e = element(blob, 0, layout, kK, n, k);
      ASSERT_EQ(e.code, k < kK ? block.codes[k] : 8) << n << " " << k;
      ASSERT_EQ(e.scale, wq::f16ToFloat(wq::load<uint16_t>(block.scales.data(), k / 32)));
    }
  }
  EXPECT_EQ(element(blob, 0, layout, kK, 130, 0).scale, 0); // a column past N
}

/// Blocks of random bytes whose f16 fields are small numbers.
std::vector<uint8_t> randomBlocks(int64_t blocks, int64_t bytes, std::vector<int> halfOffsets, int seed) {
  std::mt19937 random(seed);
  std::vector<uint8_t> data(blocks * bytes);
  for (uint8_t &byte : data) byte = uint8_t(random());
  for (int64_t b = 0; b < blocks; ++b)
    for (int offset : halfOffsets)
      wq::store(wq::floatToF16(0.001f * float(random() % 2000) - 1), &data[b * bytes + offset]);
  return data;
}

struct RecodeCase {
  const char *encoding, *scheme;
  Layout layout;
  int64_t elements, bytes;
  std::vector<int> halves;
  bool isMinimum;
};
class Recode : public WeightProgram, public testing::WithParamInterface<RecodeCase> {};

TEST_P(Recode, KeepsEveryValue) {
  RecodeCase c = GetParam();
  constexpr int64_t kN = 100, kK = 512;
  std::string shape = "tensor<100x512x", type = shape + "!wq.encoded<" + c.encoding + ">>";
  std::string quant = shape + "!wq.quant<" + c.scheme + ">>", packed = shape + "!wq.packed<" + c.scheme + ">>";
  symbol("llm.weight @a : " + type + " [" + add(randomBlocks(kN * kK / c.elements, c.bytes, c.halves, 3)) +
         "] {interleaved_heads = 2 : i64}");
  store("w", "%a = llm.get_weight @a : " + type + "\n%w = wq.recode %a : " + type + " -> " + quant, quant, packed,
        2 * kK / c.layout.group * c.layout.blockBytes());
  std::vector<uint8_t> blob = runTwice();
  ASSERT_FALSE(blob.empty());
  auto buffer = llvm::cantFail(llvm::errorOrToExpected(llvm::MemoryBuffer::getFile(file.path)));
  llm::InputFile input = {"weights",
                          {reinterpret_cast<const uint8_t *>(buffer->getBufferStart()), buffer->getBufferSize()}};
  auto view = llvm::cantFail(llm::WeightView::create(module->lookupSymbol<llm::WeightOp>("a"), input));
  std::vector<float> expected(kN * kK);
  view.readRows(0, kN, expected.data());
  int centre = c.layout.offsetBytes ? 0 : c.layout.bits == 4 ? 8 : 128;
  for (int64_t n = 0; n < kN; ++n)
    for (int64_t k = 0; k < kK; ++k) {
      Element e = element(blob, 0, c.layout, kK, n, k);
      float product = float(e.code - centre) * e.scale;
      ASSERT_EQ(c.isMinimum ? product + e.offset : product, expected[n * kK + k]) << n << " " << k;
    }
}
INSTANTIATE_TEST_SUITE_P(
    Encodings, Recode,
    testing::Values(
        RecodeCase{"encoding = q4_0", "<kind = i4, group = 32>", {4, 32, 2, 0}, 32, 18, {0}, false},
        RecodeCase{"encoding = q4_1", "<kind = i4, group = 32, offset = min_f16>", {4, 32, 2, 2}, 32, 20, {0, 2}, true},
        RecodeCase{"encoding = q5_0", "<kind = i8, group = 32>", {8, 32, 2, 0}, 32, 22, {0}, false},
        RecodeCase{"encoding = q5_1", "<kind = i8, group = 32, offset = min_f16>", {8, 32, 2, 2}, 32, 24, {0, 2}, true},
        RecodeCase{"encoding = q8_0", "<kind = i8, group = 32>", {8, 32, 2, 0}, 32, 34, {0}, false},
        RecodeCase{"encoding = q4_k",
                   "<kind = i4, group = 32, scale = f32, offset = min_f32>",
                   {4, 32, 4, 4},
                   256,
                   144,
                   {0, 2},
                   true},
        RecodeCase{"encoding = q5_k",
                   "<kind = i8, group = 32, scale = f32, offset = min_f32>",
                   {8, 32, 4, 4},
                   256,
                   176,
                   {0, 2},
                   true},
        RecodeCase{"encoding = q6_k", "<kind = i8, group = 16, scale = f32>", {8, 16, 4, 0}, 256, 210, {208}, false}));

TEST_F(WeightProgram, MatMulNBitsKeepsItsZeroPoints) {
  // N = 3, K = 64, blocks of 32: codes, f32 scales, zero points packed in one byte a row.
  std::vector<uint8_t> codes = randomBlocks(3, 32, {}, 4);
  std::vector<float> scales = {1, 2, 3, 4, 5, 6};
  std::vector<uint8_t> zeros = {0x21, 0x43, 0xf5};
  std::string type =
      "tensor<3x64x!wq.encoded<encoding = matmul_nbits, bits = 4, block = 32, scale = f32, zero_points = true>>";
  std::string scheme = "<kind = i4, group = 32, scale = f32, offset = zero_point>";
  std::string quant = "tensor<3x64x!wq.quant<" + scheme + ">>", packed = "tensor<3x64x!wq.packed<" + scheme + ">>";
  std::string storage = add(codes);
  storage += ", " + add(scales);
  storage += ", " + add(zeros);
  symbol("llm.weight @a : " + type + " [" + storage + "]");
  store("w", "%a = llm.get_weight @a : " + type + "\n%w = wq.recode %a : " + type + " -> " + quant, quant, packed,
        2 * (64 * 16 + 256 + 64));
  std::vector<uint8_t> blob = runTwice();
  for (int n = 0; n < 3; ++n)
    for (int k = 0; k < 64; ++k) {
      Element e = element(blob, 0, {4, 32, 4, 1}, 64, n, k);
      EXPECT_EQ(e.code, codes[n * 32 + k / 2] >> 4 * (k % 2) & 15);
      EXPECT_EQ(e.scale, scales[2 * n + k / 32]);
      EXPECT_EQ(e.offset, zeros[n] >> 4 * (k / 32) & 15);
    }
}

TEST_F(WeightProgram, FloatsAndVectors) {
  std::vector<float> w = randomFloats(65 * 7, 5), norm = randomFloats(70, 6);
  symbol("llm.weight @w : tensor<65x7xf32> [" + add(w) + "]");
  symbol("llm.weight @h : tensor<65x7xf16> [" + add(halves(w)) + "]");
  symbol("llm.weight @n : tensor<70xf16> [" + add(halves(norm)) + "]");
  store("w32", "%w = llm.get_weight @w : tensor<65x7xf32>", "tensor<65x7xf32>", "tensor<65x7x!wq.packed<<kind = f32>>>",
        2 * 7 * 256);
  store("w16", "%w = llm.get_weight @h : tensor<65x7xf16>", "tensor<65x7xf16>", "tensor<65x7x!wq.packed<<kind = f16>>>",
        2 * 4 * 256);
  store("norm", "%n = llm.get_weight @n : tensor<70xf16>\n%w = wq.decode %n : tensor<70xf16> -> tensor<70xf32>",
        "tensor<70xf32>", "tensor<70x!wq.packed<<kind = f32>>>", 512);
  store("both", R"(%b1 = llm.get_weight @n : tensor<70xf16>
                   %b2 = wq.decode %b1 : tensor<70xf16> -> tensor<70xf32>
                   %b3 = wq.constant dense<[1.5, -2.5]> : tensor<2xf32> -> tensor<2xf32>
                   %w = wq.concat %b3, %b2 : tensor<2xf32>, tensor<70xf32> -> tensor<72xf32>)",
        "tensor<72xf32>", "tensor<72x!wq.packed<<kind = f32>>>", 512);
  std::vector<uint8_t> blob = runTwice();
  ASSERT_FALSE(blob.empty());
  for (int64_t n = 0; n < 128; ++n)
    for (int64_t k = 0; k < 8; ++k) {
      float expected = n < 65 && k < 7 ? w[n * 7 + k] : 0;
      int64_t panel = n / 64, column = n % 64, line = column / 16, dword = column % 16;
      if (k < 7) { ASSERT_EQ(at<float>(blob, (panel * 7 + k) * 256 + line * 64 + dword * 4), expected); }
      int64_t pair = 4096 + (panel * 4 + k / 2) * 256 + line * 64 + dword * 4;
      ASSERT_EQ(at<uint16_t>(blob, pair + k % 2 * 2), wq::floatToF16(expected)) << n << " " << k;
    }
  auto vector = [&](int64_t base, int64_t i) { return at<float>(blob, base + 4 * i); };
  for (int i = 0; i < 128; ++i) {
    float rounded = i < 70 ? wq::f16ToFloat(wq::floatToF16(norm[i])) : 0;
    ASSERT_EQ(vector(8192, i), rounded);
    if (i < 126) { ASSERT_EQ(vector(12288, i + 2), rounded); }
  }
  EXPECT_EQ(vector(12288, 0), 1.5f);
  EXPECT_EQ(vector(12288, 1), -2.5f);
}

/// Vectors that a number is added to, of f32 and decoded from f16; rows in runs, of a transposed matrix.
TEST_F(WeightProgram, PlusAndRuns) {
  std::vector<float> norm = randomFloats(70, 6), w = randomFloats(5 * 12, 7);
  symbol("llm.weight @n : tensor<70xf32> [" + add(norm) + "] {plus = 1.0 : f32}");
  symbol("llm.weight @h : tensor<70xf16> [" + add(halves(norm)) + "] {plus = 1.0 : f32}");
  symbol("llm.weight @w : tensor<6x5xf32> [" + add(w) +
         "] {transposed, row_begin = 1 : i64, stored_rows = 12 : i64, run = 2 : i64, run_step = 4 : i64}");
  store("n32", "%w = llm.get_weight @n : tensor<70xf32>", "tensor<70xf32>", "tensor<70x!wq.packed<<kind = f32>>>", 512);
  store("n16", "%n = llm.get_weight @h : tensor<70xf16>\n%w = wq.decode %n : tensor<70xf16> -> tensor<70xf32>",
        "tensor<70xf32>", "tensor<70x!wq.packed<<kind = f32>>>", 512);
  store("runs", "%w = llm.get_weight @w : tensor<6x5xf32>", "tensor<6x5xf32>", "tensor<6x5x!wq.packed<<kind = f32>>>",
        5 * 256);
  std::vector<uint8_t> blob = runTwice();
  ASSERT_FALSE(blob.empty());
  for (int i = 0; i < 70; ++i) {
    ASSERT_EQ(at<float>(blob, 4 * i), norm[i] + 1);
    ASSERT_EQ(at<float>(blob, 4096 + 4 * i), wq::f16ToFloat(wq::floatToF16(norm[i])) + 1);
  }
  for (int64_t n = 0; n < 6; ++n)
    for (int64_t k = 0; k < 5; ++k) {
      int64_t stored = 1 + n / 2 * 4 + n % 2;
      ASSERT_EQ(at<float>(blob, 8192 + k * 256 + n / 16 * 64 + n % 16 * 4), w[k * 12 + stored]) << n << " " << k;
    }
}

/// Row c*64 + p*32 + i is row 32c + i of part p; what a part lacks of its last turn decodes to 0.
TEST_F(WeightProgram, InterleavesPartsWithPadding) {
  constexpr int64_t kRows = 70, kK = 40, kPadded = 192;
  std::vector<float> parts[] = {randomFloats(kRows * kK, 7), randomFloats(kRows * kK, 8)};
  symbol("llm.weight @w0 : tensor<70x40xf32> [" + add(parts[0]) + "]");
  symbol("llm.weight @w1 : tensor<70x40xf32> [" + add(parts[1]) + "]");
  std::vector<float> bias[] = {randomFloats(kRows, 9), randomFloats(kRows, 10)};
  symbol("llm.weight @b0 : tensor<70xf32> [" + add(bias[0]) + "]");
  symbol("llm.weight @b1 : tensor<70xf32> [" + add(bias[1]) + "]");
  const std::string scheme = "<kind = i4, group = 32, offset = zero_point>", attribute = " {interleave = 32 : i64} : ";
  const std::string quant = "x40x!wq.quant<" + scheme + ">>", q70 = "tensor<70" + quant, q192 = "tensor<192" + quant;
  auto get = [](std::string n, std::string type) { return "%" + n + " = llm.get_weight @" + n + " : " + type + "\n"; };
  std::string both = get("w0", "tensor<70x40xf32>") + get("w1", "tensor<70x40xf32>"), text = both;
  for (std::string n : {"0", "1"}) text += "%q" + n + " = wq.quantize %w" + n + " : tensor<70x40xf32> -> " + q70 + "\n";
  store("int", text + "%w = wq.concat %q0, %q1" + attribute + q70 + ", " + q70 + " -> " + q192, q192,
        "tensor<192x40x!wq.packed<" + scheme + ">>", 3 * 2 * (64 * 16 + 128 + 64));
  text = get("b0", "tensor<70xf32>") + get("b1", "tensor<70xf32>");
  store("bias", text + "%w = wq.concat %b0, %b1" + attribute + "tensor<70xf32>, tensor<70xf32> -> tensor<192xf32>",
        "tensor<192xf32>", "tensor<192x!wq.packed<<kind = f32>>>", kPadded * 4);
  std::vector<uint8_t> blob = runTwice();
  ASSERT_FALSE(blob.empty()) << message;
  auto type = wq::SchemeAttr::get(&context, wq::Kind::I4, 32, wq::ScaleType::F16, wq::Offset::ZeroPoint);
  wq::RowBlock block;
  block.reset(type, kK, 1);
  for (int64_t n = 0; n < kPadded; ++n) {
    int64_t p = n / 32 % 2, row = n / 64 * 32 + n % 32;
    ASSERT_EQ(at<float>(blob, 8192 + n * 4), row < kRows ? bias[p][row] : 0) << n;
    if (row < kRows) llvm::cantFail(wq::quantiseRow(type, kK, &parts[p][row * kK], block.row(0)));
    for (int64_t k = 0; k < kK; ++k) {
      Element e = element(blob, 0, {4, 32, 2, 1}, kK, n, k);
      ASSERT_EQ(e.scale, row < kRows ? wq::f16ToFloat(wq::load<uint16_t>(block.scales.data(), k / 32)) : 0) << n;
      if (row < kRows) { ASSERT_EQ(e.code - e.offset, block.codes[k] - block.offsets[k / 32]) << n << " " << k; }
    }
  }
}

TEST_F(WeightProgram, ReportsProgress) {
  symbol("llm.weight @w : tensor<200x8xf32> [" + add(randomFloats(1600, 1)) + "]");
  store("p", "%w = llm.get_weight @w : tensor<200x8xf32>", "tensor<200x8xf32>",
        "tensor<200x8x!wq.packed<<kind = f32>>>", 4 * 8 * 256);
  ASSERT_TRUE(parse());
  std::vector<uint8_t> blob(blobSize);
  MemorySink sink(blob);
  std::vector<uint64_t> seen;
  auto progress = [&](uint64_t done, uint64_t total) {
    EXPECT_EQ(total, 4u * 8 * 256);
    seen.push_back(done);
  };
  llvm::cantFail(runWeightProgram(*module, {file.path}, sink, {.threads = 2, .progress = progress}));
  EXPECT_EQ(seen, (std::vector<uint64_t>{2048, 4096, 6144, 8192}));
}

TEST_F(WeightProgram, TruncatedFile) {
  symbol("llm.weight @w : tensor<200x8xf32> [" + add(randomFloats(1600, 1)) + "]");
  store("p", "%w = llm.get_weight @w : tensor<200x8xf32>", "tensor<200x8xf32>",
        "tensor<200x8x!wq.packed<<kind = f32>>>", 4 * 8 * 256);
  ASSERT_TRUE(parse());
  ASSERT_EQ(ftruncate(file.fd, 6399), 0);
  run();
  EXPECT_EQ(message, "p: " + file.path + ": w: found 6399 bytes, expected 6400 bytes at 0; the file is truncated");
  ASSERT_EQ(ftruncate(file.fd, 0), 0);
  run();
  EXPECT_NE(message.find("found 0 bytes"), std::string::npos) << message;
  unlink(file.path.c_str());
  run();
  EXPECT_NE(message.find("cannot open: No such file"), std::string::npos) << message;
}

TEST_F(WeightProgram, ValuesThatTheSchemeCannotHold) {
  std::vector<float> w = randomFloats(200 * 32, 1);
  w[70 * 32 + 5] = NAN;
  w[150 * 32] = INFINITY;
  symbol("llm.weight @w : tensor<200x32xf32> [" + add(w) + "]");
  std::string quant = "tensor<200x32x!wq.quant<<kind = i4, group = 32>>>";
  store("big", "%a = llm.get_weight @w : tensor<200x32xf32>\n%w = wq.quantize %a : tensor<200x32xf32> -> " + quant,
        quant, "tensor<200x32x!wq.packed<<kind = i4, group = 32>>>", 4 * (64 * 16 + 128));
  ASSERT_TRUE(parse());
  for (unsigned threads : {1, 3}) {
    run(threads);
    EXPECT_EQ(message, "big (w): row 70: found nan at k = 5, expected finite weights");
  }
}

TEST_F(WeightProgram, PlacesAreChecked) {
  std::string storage = add(randomFloats(512, 1)), packed = "tensor<64x8x!wq.packed<<kind = f32>>>";
  symbol("llm.weight @w : tensor<64x8xf32> [" + storage + "]");
  store("a", "%w = llm.get_weight @w : tensor<64x8xf32>", "tensor<64x8xf32>", packed, 2112);
  ASSERT_TRUE(parse());
  run();
  EXPECT_EQ(message, "a (w): found size 2112, expected 2048");
  symbols.clear(), chains.clear(), blobSize = 0;
  symbol("llm.weight @w : tensor<64x8xf32> [" + storage + "]");
  store("a", "%w = llm.get_weight @w : tensor<64x8xf32>", "tensor<64x8xf32>", packed, 2048);
  blobSize = 1024;
  store("b", "%w = llm.get_weight @w : tensor<64x8xf32>", "tensor<64x8xf32>", packed, 2048);
  ASSERT_TRUE(parse());
  run();
  EXPECT_EQ(message, "b (w): found offset 1024, expected at least 2048, the end of a (w)");
  symbol("wq.packed @c : " + packed + " at 8192 size 2048");
  ASSERT_TRUE(parse());
  run();
  EXPECT_EQ(message, "c: found no wq.store of this packed weight");
}

TEST_F(WeightProgram, WeightsThatDoNotFitTheirStorage) {
  symbol("llm.weight @w : tensor<64x8xf32> [" + add(randomFloats(512, 1)) + "] {stored_rows = 65 : i64}");
  store("a", "%w = llm.get_weight @w : tensor<64x8xf32>", "tensor<64x8xf32>", "tensor<64x8x!wq.packed<<kind = f32>>>",
        2048);
  ASSERT_TRUE(parse());
  run();
  EXPECT_EQ(message, "a: w: found 2048 bytes in storage part 0, expected 2080 (65 rows of 8 elements)");
}

} // namespace
