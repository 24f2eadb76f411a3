// GPTQ, AWQ, compressed-tensors, NF4 and ONNX blocks: weights packed here by the definitions in WqOps.td, element by
// element.
#include "dialects/wq/codecs/Codecs.h"
#include "dialects/wq/codecs/Half.h"
#include "mlir/IR/MLIRContext.h"
#include <gtest/gtest.h>
#include <random>

using namespace llmc;
using namespace llmc::wq;

namespace {

struct Context : mlir::MLIRContext {
  Context() { loadDialect<WqDialect>(); }
};

/// 32-bit words that are written code by code.
struct Words {
  std::vector<uint32_t> words;
  explicit Words(int64_t count) : words(count) {}
  void set(int64_t word, int64_t position, int64_t bits, uint32_t code) { words[word] |= code << position * bits; }
  llvm::ArrayRef<uint8_t> bytes() const { return {reinterpret_cast<const uint8_t *>(words.data()), words.size() * 4}; }
};

template <typename T> llvm::ArrayRef<uint8_t> bytesOf(const std::vector<T> &values) {
  return {reinterpret_cast<const uint8_t *>(values.data()), values.size() * sizeof(T)};
}

/// A random integer weight in one of the layouts.
struct GroupedWeight {
  GroupedWeight(EncodedType type, int64_t n, int64_t k)
      : type(type), n(n), k(k), groups((k + type.getBlock() - 1) / type.getBlock()), codes(n * k), zeros(n * groups),
        index(k), scales(n * groups), packed(n * k * type.getBits() / 32),
        packedZeros((n * type.getBits() + 31) / 32 * groups) {
    std::mt19937 random(1);
    int64_t bits = type.getBits(), perWord = 32 / bits, most = (1 << bits) - 1;
    for (uint8_t &code : codes) code = random() & most;
    bool minusOne = type.getEncoding() == Encoding::Gptq;
    for (int &zero : zeros) zero = type.getZeroPoints() ? int(random() % most) + minusOne : 1 << (bits - 1);
    zeros[0] = type.getZeroPoints() ? most - (bits == 8) + minusOne : zeros[0]; // the largest: 16 in version 1
    for (int64_t i = 0; i < k; ++i) index[i] = type.getActOrder() ? int32_t(random() % groups) : i / type.getBlock();
    for (uint16_t &scale : scales) scale = 0x2000 + random() % 0x1000; // small positive f16
    for (int64_t row = 0; row < n; ++row)
      for (int64_t i = 0; i < k; ++i) place(row, i, perWord, bits);
    for (int64_t row = 0; row < n && type.getZeroPoints(); ++row)
      for (int64_t g = 0; g < groups; ++g) placeZero(row, g, perWord, bits, zeros[row * groups + g] - minusOne);
    storedScales = scales;
    if (!isCompressed())
      for (int64_t row = 0; row < n; ++row)
        for (int64_t g = 0; g < groups; ++g) storedScales[g * n + row] = scales[row * groups + g];
  }

  bool isCompressed() const { return type.getEncoding() == Encoding::CompressedTensors; }
  void place(int64_t row, int64_t i, int64_t perWord, int64_t bits) {
    uint8_t code = codes[row * k + i];
    constexpr int kPosition[] = {0, 4, 1, 5, 2, 6, 3, 7}; // the inverse of 0, 2, 4, 6, 1, 3, 5, 7
    if (type.getEncoding() == Encoding::Awq) return packed.set(i * (n / 8) + row / 8, kPosition[row % 8], 4, code);
    int64_t word = isCompressed() ? row * (k / perWord) + i / perWord : i / perWord * n + row;
    packed.set(word, i % perWord, bits, code);
  }
  void placeZero(int64_t row, int64_t g, int64_t perWord, int64_t bits, int zero) {
    constexpr int kPosition[] = {0, 4, 1, 5, 2, 6, 3, 7};
    int64_t words = (n * bits + 31) / 32;
    int64_t word = isCompressed() ? row / perWord * groups + g : g * words + row / perWord;
    packedZeros.set(word, type.getEncoding() == Encoding::Awq ? kPosition[row % 8] : row % perWord, bits, zero);
  }

  StoredWeight stored() const {
    StoredWeight weight{type, n, k, {packed.bytes(), bytesOf(storedScales)}};
    unsigned part = 2;
    if (type.getZeroPoints()) weight.parts[part++] = packedZeros.bytes();
    if (type.getActOrder()) weight.parts[part++] = bytesOf(index);
    return weight;
  }
  float value(int64_t row, int64_t i) const {
    int64_t at = row * groups + index[i];
    return float(codes[row * k + i] - zeros[at]) * f16ToFloat(scales[at]);
  }

  EncodedType type;
  int64_t n, k, groups;
  std::vector<uint8_t> codes;
  std::vector<int> zeros;
  std::vector<int32_t> index;
  std::vector<uint16_t> scales, storedScales;
  Words packed, packedZeros;
};

struct GroupedCase {
  Encoding encoding;
  int64_t bits, block, n, k;
  bool zeroPoints, actOrder;
};
std::ostream &operator<<(std::ostream &out, const GroupedCase &c) {
  return out << stringifyEncoding(c.encoding).str() << c.bits << "g" << c.block << (c.zeroPoints ? "z" : "")
             << (c.actOrder ? "a" : "");
}
class Grouped : public testing::TestWithParam<GroupedCase> {};

TEST_P(Grouped, ValuesAreThoseOfTheDefinition) {
  GroupedCase c = GetParam();
  Context context;
  auto type = EncodedType::get(&context, c.encoding, c.bits, c.block, ScaleType::F16, c.zeroPoints, c.actOrder,
                               /*nested=*/false, F32());
  GroupedWeight weight(type, c.n, c.k);
  StoredWeight stored = weight.stored();
  ASSERT_EQ(partCount(type), 2u + c.zeroPoints + c.actOrder);
  for (unsigned part = 0; part < partCount(type); ++part)
    EXPECT_EQ(llvm::cantFail(gatheredPartBytes(type, c.n, c.k, part)), int64_t(stored.parts[part].size())) << part;
  EXPECT_FALSE(bool(checkStored(stored)));

  const int64_t rows[] = {c.n - 1, 0, 3, 9, 10};
  int64_t bytes = gatheredRowBytes(type, c.k);
  std::vector<uint8_t> gathered(std::size(rows) * bytes);
  gatherRows(stored, rows, gathered.data());
  for (size_t r = 0; r < std::size(rows); ++r) {
    RowParts row = gatheredRow(stored, gathered.data() + r * bytes);
    std::vector<float> values(c.k), recoded(c.k);
    decodeRow(type, c.k, row, values.data());
    for (int64_t i = 0; i < c.k; ++i) ASSERT_EQ(values[i], weight.value(rows[r], i)) << rows[r] << ", " << i;
    SchemeAttr scheme = exactScheme(type);
    EXPECT_EQ(scheme.isInteger(), !c.actOrder);
    if (c.actOrder) continue;
    RowBlock block;
    block.reset(scheme, c.k, 1);
    recodeRow(type, c.k, row, block.row(0));
    dequantiseRow(scheme, c.k, std::as_const(block).row(0), recoded.data());
    EXPECT_EQ(recoded, values);
  }
}
INSTANTIATE_TEST_SUITE_P(All, Grouped,
                         testing::Values(GroupedCase{Encoding::Gptq, 4, 32, 16, 128, false, false},
                                         GroupedCase{Encoding::Gptq, 4, 64, 24, 160, true, false},
                                         GroupedCase{Encoding::Gptq, 8, 32, 12, 64, true, false},
                                         GroupedCase{Encoding::Gptq, 4, 32, 16, 96, true, true},
                                         GroupedCase{Encoding::GptqV2, 4, 96, 16, 96, true, false},
                                         GroupedCase{Encoding::GptqV2, 8, 16, 16, 96, false, true},
                                         GroupedCase{Encoding::Awq, 4, 32, 16, 200, false, false},
                                         GroupedCase{Encoding::Awq, 4, 64, 24, 128, true, false},
                                         GroupedCase{Encoding::CompressedTensors, 4, 32, 11, 96, false, false},
                                         GroupedCase{Encoding::CompressedTensors, 4, 32, 11, 96, true, false},
                                         GroupedCase{Encoding::CompressedTensors, 8, 32, 13, 72, true, false},
                                         GroupedCase{Encoding::CompressedTensors, 4, 32, 16, 96, false, true}),
                         testing::PrintToStringParamName());

TEST(Nf4, NestedOrNot) {
  Context context;
  constexpr int64_t kN = 10, kK = 128, kBlocks = kN * kK / 32; // 40 blocks
  std::mt19937 random(2);
  std::vector<uint8_t> pairs(kN * kK / 2), nested(kBlocks);
  for (uint8_t &pair : pairs) pair = uint8_t(random());
  for (uint8_t &code : nested) code = uint8_t(random());
  std::vector<float> absmax(kBlocks), levels(16), outer = {1.25f}, map(256);
  for (float &x : absmax) x = 0.01f * float(random() % 100);
  for (int i = 0; i < 16; ++i) levels[i] = float(i - 7) / 9;
  for (int i = 0; i < 256; ++i) map[i] = float(i) / 300;
  for (bool isNested : {false, true}) {
    auto type = EncodedType::get(&context, Encoding::Nf4, 4, 32, ScaleType::F32, false, false, isNested, F32(0.1f));
    StoredWeight weight{type, kN, kK, {pairs, isNested ? bytesOf(nested) : bytesOf(absmax), bytesOf(levels)}};
    if (isNested) weight.parts[3] = bytesOf(outer), weight.parts[4] = bytesOf(map);
    ASSERT_EQ(partCount(type), isNested ? 5u : 3u);
    for (unsigned part = 0; part < partCount(type); ++part)
      EXPECT_EQ(llvm::cantFail(gatheredPartBytes(type, kN, kK, part)), int64_t(weight.parts[part].size())) << part;
    std::vector<uint8_t> gathered(gatheredRowBytes(type, kK));
    gatherRows(weight, {7}, gathered.data());
    std::vector<float> values(kK);
    decodeRow(type, kK, gatheredRow(weight, gathered.data()), values.data());
    for (int64_t i = 0; i < kK; ++i) {
      int64_t at = 7 * kK + i, block = at / 32;
      volatile float product = map[nested[block]] * outer[0]; // rounded before the sum
      float scale = isNested ? product + 0.1f : absmax[block];
      ASSERT_EQ(values[i], levels[at % 2 ? pairs[at / 2] & 15 : pairs[at / 2] >> 4] * scale) << i;
    }
    EXPECT_EQ(exactScheme(type).getKind(), Kind::F32);
  }
  // One entry of nested_absmax per 256 blocks, the last ones too.
  auto type = EncodedType::get(&context, Encoding::Nf4, 4, 64, ScaleType::F32, false, false, true, F32());
  EXPECT_EQ(llvm::cantFail(gatheredPartBytes(type, 257, 64, 3)), 8);
}

struct OnnxCase {
  int64_t bits, block, n, k;
  bool zeroPoints, isSigned, transposed;
};
void PrintTo(const OnnxCase &c, std::ostream *out) {
  *out << c.bits << "g" << c.block << (c.zeroPoints ? "z" : "") << (c.isSigned ? "s" : "") << (c.transposed ? "t" : "");
}

/// A random matrix of the signed or unsigned values that `bits` hold, and its bytes.
struct OnnxMatrix {
  OnnxMatrix(EncodedType type, int64_t n, int64_t columns, unsigned seed)
      : n(n), columns(columns), transposed(type.getTransposed()), values(n * columns),
        bytes((n * columns * type.getBits() + 7) / 8) {
    std::mt19937 random(seed);
    int most = (1 << type.getBits()) - 1;
    for (size_t i = 0; i < values.size(); ++i) {
      values[i] = int(random() & most) - (type.getIsSigned() ? most / 2 + 1 : 0);
      bytes[i * type.getBits() / 8] |= (values[i] & most) << i * type.getBits() % 8;
    }
  }
  int at(int64_t row, int64_t column) const { return values[transposed ? column * n + row : row * columns + column]; }
  int64_t n, columns;
  bool transposed;
  std::vector<int> values;
  std::vector<uint8_t> bytes;
};

class OnnxBlocks : public testing::TestWithParam<OnnxCase> {};

TEST_P(OnnxBlocks, ValuesAreThoseOfTheDefinition) {
  OnnxCase c = GetParam();
  Context context;
  auto type = EncodedType::get(&context, Encoding::OnnxBlocks, c.bits, c.block, ScaleType::F32, c.zeroPoints, false,
                               false, F32(), c.isSigned, c.transposed);
  int64_t groups = (c.k + c.block - 1) / c.block;
  OnnxMatrix codes(type, c.n, c.k, 3), zeros(type, c.n, groups, 4);
  std::vector<float> scales(c.n * groups), values(c.k), recoded(c.k);
  for (size_t i = 0; i < scales.size(); ++i) scales[i] = 0.01f * float(i + 1);
  StoredWeight stored{type, c.n, c.k, {codes.bytes, bytesOf(scales)}};
  if (c.zeroPoints) stored.parts[2] = zeros.bytes;
  ASSERT_EQ(partCount(type), 2u + c.zeroPoints);
  for (unsigned part = 0; part < partCount(type); ++part)
    EXPECT_EQ(llvm::cantFail(gatheredPartBytes(type, c.n, c.k, part)), int64_t(stored.parts[part].size())) << part;

  int absent = c.isSigned ? 0 : 1 << (c.bits - 1);
  std::vector<uint8_t> gathered(gatheredRowBytes(type, c.k));
  for (int64_t n = 0; n < c.n; ++n) {
    gatherRows(stored, n, gathered.data());
    RowParts row = gatheredRow(stored, gathered.data());
    decodeRow(type, c.k, row, values.data());
    for (int64_t i = 0; i < c.k; ++i) {
      int64_t g = i / c.block;
      float scale = scales[c.transposed ? g * c.n + n : n * groups + g];
      ASSERT_EQ(values[i], float(codes.at(n, i) - (c.zeroPoints ? zeros.at(n, g) : absent)) * scale) << n << ", " << i;
    }
    RowBlock block;
    block.reset(exactScheme(type), c.k, 1);
    recodeRow(type, c.k, row, block.row(0));
    dequantiseRow(exactScheme(type), c.k, std::as_const(block).row(0), recoded.data());
    EXPECT_EQ(recoded, values);
  }
}
INSTANTIATE_TEST_SUITE_P(All, OnnxBlocks,
                         testing::Values(OnnxCase{4, 32, 10, 64, false, true, false}, // GatherBlockQuantized
                                         OnnxCase{4, 32, 7, 81, true, true, false},   // rows begin within a byte
                                         OnnxCase{4, 32, 16, 96, false, true, true},  // DequantizeLinear, symmetric
                                         OnnxCase{4, 32, 11, 77, true, false, true},  // odd sides, a tail block
                                         OnnxCase{4, 16, 3, 5, false, false, true},   // less than a block
                                         OnnxCase{8, 16, 5, 40, true, true, true},
                                         OnnxCase{8, 48, 6, 48, true, false, false},
                                         OnnxCase{8, 512, 3, 600, true, true, false}, // several groups of a scheme
                                         OnnxCase{4, 272, 3, 272, true, false, true}),
                         testing::PrintToStringParamName());

/// com.microsoft MatMulNBits with g_idx: each k has the scale and the zero point of the block that it names.
TEST(Gather, NBitsWithGroupIndices) {
  Context context;
  for (int64_t bits : {2, 4, 8})
    for (bool zeroPoints : {false, true}) {
      auto type =
          EncodedType::get(&context, Encoding::MatMulNBits, bits, 16, ScaleType::F32, zeroPoints, true, false, F32());
      constexpr int64_t n = 3, k = 40, groups = 3;
      int64_t rowBytes = groups * 16 * bits / 8, zeroBytes = (groups * bits + 7) / 8, most = (1 << bits) - 1;
      std::mt19937 random(bits);
      std::vector<uint8_t> codes(n * rowBytes), zeros(n * zeroBytes);
      std::vector<int32_t> index(k);
      std::vector<float> scales(n * groups), values(k);
      for (uint8_t &code : codes) code = uint8_t(random());
      for (uint8_t &zero : zeros) zero = uint8_t(random());
      for (int32_t &group : index) group = int32_t(random() % groups);
      for (size_t i = 0; i < scales.size(); ++i) scales[i] = 0.5f + float(i);
      StoredWeight stored{type, n, k, {codes, bytesOf(scales)}};
      if (zeroPoints) stored.parts[2] = zeros;
      stored.parts[2 + zeroPoints] = bytesOf(index);
      ASSERT_EQ(partCount(type), 3u + zeroPoints);
      for (unsigned part = 0; part < partCount(type); ++part)
        EXPECT_EQ(llvm::cantFail(gatheredPartBytes(type, n, k, part)), int64_t(stored.parts[part].size())) << part;
      EXPECT_FALSE(bool(checkStored(stored)));
      auto code = [&](const std::vector<uint8_t> &bytes, int64_t begin, int64_t i) {
        return int64_t(bytes[begin + i * bits / 8]) >> i * bits % 8 & most;
      };
      std::vector<uint8_t> gathered(gatheredRowBytes(type, k));
      for (int64_t row = 0; row < n; ++row) {
        gatherRows(stored, row, gathered.data());
        decodeRow(type, k, gatheredRow(stored, gathered.data()), values.data());
        for (int64_t i = 0; i < k; ++i) {
          int64_t zero = zeroPoints ? code(zeros, row * zeroBytes, index[i]) : int64_t(1) << (bits - 1);
          EXPECT_EQ(values[i], float(code(codes, row * rowBytes, i) - zero) * scales[row * groups + index[i]]) << i;
        }
      }
      index[7] = groups;
      EXPECT_EQ(llvm::toString(checkStored(stored)), "found group 3 at k = 7, expected 0 to 2");
    }
}

TEST(Gather, Refusals) {
  Context context;
  auto message = [&](Encoding encoding, int64_t bits, int64_t block, int64_t n, int64_t k, bool zeroPoints = false,
                     bool actOrder = false, bool nested = false, ScaleType scale = ScaleType::F16) {
    auto type = EncodedType::get(&context, encoding, bits, block, scale, zeroPoints, actOrder, nested, F32());
    auto bytes = gatheredPartBytes(type, n, k, 0);
    return bytes ? "accepted" : llvm::toString(bytes.takeError());
  };
  EXPECT_EQ(message(Encoding::Gptq, 3, 32, 8, 64), "gptq: found 3 bits, expected 4 or 8");
  EXPECT_EQ(message(Encoding::Awq, 8, 32, 8, 64), "awq: found 8 bits, expected 4");
  EXPECT_EQ(message(Encoding::GptqV2, 4, 24, 8, 64), "gptq_v2: found groups of 24, expected a multiple of 16");
  EXPECT_EQ(message(Encoding::Gptq, 4, 0, 8, 64), "gptq: found groups of 0, expected a multiple of 16");
  EXPECT_EQ(message(Encoding::Gptq, 4, 32, 8, 63), "gptq: found rows of 63 elements, expected a multiple of 8");
  EXPECT_EQ(message(Encoding::Nf4, 4, 64, 8, 96, false, false, false, ScaleType::F32),
            "nf4: found rows of 96 elements, expected a multiple of 64");
  EXPECT_EQ(message(Encoding::Nf4, 4, 64, 8, 64), "nf4: found a 16-bit scale, expected f32");
  EXPECT_EQ(message(Encoding::Nf4, 4, 64, 8, 64, true), "nf4: found a parameter of another encoding, expected none");
  EXPECT_EQ(message(Encoding::Awq, 4, 64, 8, 64, false, true),
            "awq: found a parameter of another encoding, expected none");
  EXPECT_EQ(message(Encoding::Gptq, 4, 64, 8, 64, false, false, true),
            "gptq: found a parameter of another encoding, expected none");
  EXPECT_EQ(message(Encoding::OnnxBlocks, 4, 64, 8, 64, false, true),
            "onnx_blocks: found a parameter of another encoding, expected none");
  EXPECT_NE(message(Encoding::Gptq, 4, 64, int64_t(1) << 40, int64_t(1) << 40).find("rows, expected at most"),
            std::string::npos);
}

TEST(Gather, GroupIndicesAreChecked) {
  Context context;
  auto type = EncodedType::get(&context, Encoding::Gptq, 4, 32, ScaleType::F16, false, true, false, F32());
  for (int32_t bad : {3, -1}) {
    GroupedWeight weight(type, 16, 96);
    weight.index[95] = bad;
    EXPECT_EQ(llvm::toString(checkStored(weight.stored())),
              "found group " + std::to_string(bad) + " at k = 95, expected 0 to 2");
  }
}

} // namespace
