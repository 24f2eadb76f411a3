// @pack on weights whose rows are gathered: the packed values are those that WeightView reads.
#include "WeightModule.h"
#include "codegen/kernels/matmul/Pack.h"
#include "dialects/llm/eval/WeightView.h"
#include "llvm/Support/MemoryBuffer.h"
#include <gtest/gtest.h>
#include <random>

using namespace llmc;
using namespace llmc::test;

namespace {

class GatheredWeight : public testing::Test, protected WeightModule {
protected:
  std::vector<uint8_t> randomBytes(int64_t count) {
    std::vector<uint8_t> bytes(count);
    for (uint8_t &byte : bytes) byte = uint8_t(random());
    return bytes;
  }
  std::vector<uint16_t> scales(int64_t count) {
    std::vector<uint16_t> values(count);
    for (uint16_t &v : values) v = uint16_t(0x2000 + random() % 0x1000); // f16, small
    return values;
  }
  std::vector<float> floats(int64_t count) {
    std::vector<float> values(count);
    for (float &v : values) v = 0.001f * float(random() % 2000) - 1;
    return values;
  }
  void appendRows(std::vector<float> &out, llvm::StringRef symbol) {
    auto buffer = llvm::cantFail(llvm::errorOrToExpected(llvm::MemoryBuffer::getFile(file.path)));
    llm::InputFile input = {"weights",
                            {reinterpret_cast<const uint8_t *>(buffer->getBufferStart()), buffer->getBufferSize()}};
    auto view = llvm::cantFail(llm::WeightView::create(module->lookupSymbol<llm::WeightOp>(symbol), input));
    size_t before = out.size();
    out.resize(before + view.rows() * view.k());
    view.readRows(0, view.rows(), out.data() + before);
  }
  void expectPacked(const WeightFormat &format, int64_t k, const std::vector<float> &expected) {
    std::vector<uint8_t> blob = run(1), threads = run(3);
    ASSERT_EQ(message, "");
    EXPECT_TRUE(blob == threads);
    std::vector<float> row(k);
    for (int64_t n = 0; n < int64_t(expected.size()) / k; ++n) {
      unpackColumn(format, k, blob.data(), n, row.data());
      ASSERT_TRUE(std::equal(row.begin(), row.end(), expected.begin() + n * k)) << n;
    }
  }
  std::mt19937 random{7};
};

TEST_F(GatheredWeight, ConcatenationIsRecoded) {
  // Two GPTQ weights side by side before wq.recode: a panel has rows of both.
  constexpr int64_t kK = 96;
  std::string element = "!wq.encoded<encoding = gptq, bits = 4, block = 32, zero_points = true>";
  std::string scheme = "<kind = i4, group = 32, offset = zero_point>";
  for (auto [name, n] : {std::pair<std::string, int64_t>("a", 72), {"b", 40}}) {
    std::string storage = add(randomBytes(n * kK / 2));
    storage += ", " + add(scales(3 * n));
    storage += ", " + add(randomBytes(3 * n / 2));
    symbol("llm.weight @" + name + " : tensor<" + std::to_string(n) + "x96x" + element + "> [" + storage + "]");
  }
  std::string a = "tensor<72x96x" + element + ">", b = "tensor<40x96x" + element + ">";
  std::string both = "tensor<112x96x" + element + ">", quant = "tensor<112x96x!wq.quant<" + scheme + ">>";
  store("w",
        "%a = llm.get_weight @a : " + a + "\n%b = llm.get_weight @b : " + b + "\n%c = wq.concat %a, %b : " + a + ", " +
            b + " -> " + both + "\n%w = wq.recode %c : " + both + " -> " + quant,
        quant, "tensor<112x96x!wq.packed<" + scheme + ">>", 2 * 3 * (64 * 16 + 128 + 64));
  ASSERT_TRUE(parse());
  std::vector<float> expected;
  appendRows(expected, "a");
  appendRows(expected, "b");
  expectPacked({WeightKind::I4, 32, ScaleType::F16, Offset::ZeroPoint}, kK, expected);
}

TEST_F(GatheredWeight, WhatOnlyF32HoldsIsDecoded) {
  std::vector<int32_t> index(64);
  for (int i = 0; i < 64; ++i) index[i] = i % 2;
  struct Case {
    std::string element;
    std::vector<std::string> parts;
  };
  const Case cases[] = {
      {"encoding = gptq_v2, bits = 4, block = 32, act_order = true",
       {add(randomBytes(72 * 32)), add(scales(2 * 72)), add(index)}},
      {"encoding = nf4, bits = 4, block = 64, scale = f32, nested = true, nested_offset = 2.500000e-01",
       {add(randomBytes(72 * 32)), add(randomBytes(72)), add(floats(16)), add(floats(1)), add(floats(256))}}};
  for (const Case &c : cases) {
    symbols.clear(), chains.clear(), blobSize = 0;
    std::string from = "tensor<72x64x!wq.encoded<" + c.element + ">>", storage;
    for (const std::string &part : c.parts) storage += (storage.empty() ? "" : ", ") + part;
    symbol("llm.weight @a : " + from + " [" + storage + "]");
    store("w", "%a = llm.get_weight @a : " + from + "\n%w = wq.decode %a : " + from + " -> tensor<72x64xf32>",
          "tensor<72x64xf32>", "tensor<72x64x!wq.packed<<kind = f32>>>", 2 * 64 * 256);
    ASSERT_TRUE(parse()) << c.element;
    std::vector<float> expected;
    appendRows(expected, "a");
    expectPacked({WeightKind::F32, 0, ScaleType::F16, Offset::None}, 64, expected);
  }
}

TEST_F(GatheredWeight, GroupIndicesOutOfRange) {
  std::string from = "tensor<8x64x!wq.encoded<encoding = gptq, bits = 4, block = 32, act_order = true>>";
  std::string storage = add(randomBytes(8 * 32));
  storage += ", " + add(scales(16));
  storage += ", " + add(std::vector<int32_t>(64, 2));
  symbol("llm.weight @a : " + from + " [" + storage + "]");
  store("w", "%a = llm.get_weight @a : " + from + "\n%w = wq.decode %a : " + from + " -> tensor<8x64xf32>",
        "tensor<8x64xf32>", "tensor<8x64x!wq.packed<<kind = f32>>>", 64 * 256);
  ASSERT_TRUE(parse());
  run();
  EXPECT_EQ(message, "w: a: found group 2 at k = 0, expected 0 to 1");
}

} // namespace
