// The portable KV append and attention against the scalar reference: every type of the cache, GQA, windows, biases and
// caps, head dimensions that no vector divides, rows whole and in chunks.
#include "test/codegen/AttentionStep.h"
#include "test/codegen/PortableFixtures.h"
#include "llvm/ADT/APFloat.h"

namespace llmc::test {
namespace {

struct Case {
  int64_t heads, kvHeads, headDim;
  KvType kv;
  RopeStyle rope;
  int64_t ropeDim, window;
  bool alibi = false;
  float softcap = 0;
  bool sinks = false, q8 = false;
};

constexpr Case kCases[] = {{4, 4, 64, KvType::F32, RopeStyle::Half, 64, 0},
                           {8, 2, 128, KvType::F16, RopeStyle::Half, 128, 0},
                           {6, 2, 80, KvType::BF16, RopeStyle::Interleaved, 32, 70, true},
                           {3, 1, 8, KvType::F32, RopeStyle::None, 0, 1},
                           {2, 1, 100, KvType::I8, RopeStyle::Half, 20, 65, false, 2},
                           {5, 1, 32, KvType::I8, RopeStyle::Half, 32, 0, false, 0, true, true},
                           {2, 1, 42, KvType::BF16, RopeStyle::Half, 20, 65, false, 1, true},
                           {2, 1, 96, KvType::F16, RopeStyle::Half, 96, 300, true, 3, true, true},
                           {2, 2, 24, KvType::F16, RopeStyle::Interleaved, 24, 0}};

AttentionDesc descOf(const Case &c) {
  AttentionDesc d = makeDesc(c.heads, c.kvHeads, c.headDim, c.kv, c.window);
  d.rope = c.rope, d.ropeDim = c.ropeDim, d.alibi = c.alibi, d.softcap = c.softcap, d.sinks = c.sinks;
  if (c.q8) d.out = RowFormat::Q8, d.yStride = rowStride(RowFormat::Q8, c.heads * c.headDim);
  return d;
}

class PortableAttention : public testing::TestWithParam<Case> {};

/// f32 rows within `bound`; q8 rows: codes that differ by one at most, scales within it.
void expectRows(const std::vector<uint8_t> &actual, const std::vector<uint8_t> &expected, const AttentionDesc &d,
                const std::string &where) {
  const float bound = 3e-6f;
  ASSERT_EQ(actual.size(), expected.size());
  if (d.out == RowFormat::F32)
    return expectClose(floats(actual), floats(expected), int64_t(actual.size() / 4), bound, where);
  int64_t columns = d.heads * d.headDim, scales = q8SumOffset(columns) - q8ScaleOffset(columns);
  for (size_t row = 0; row < actual.size(); row += rowBytes(d)) {
    for (int64_t c = 0; c < q8PaddedK(columns); ++c)
      ASSERT_LE(std::abs(int8_t(actual[row + c]) - int8_t(expected[row + c])), 1) << where << " column " << c;
    expectClose(reinterpret_cast<const float *>(&actual[row + q8ScaleOffset(columns)]),
                reinterpret_cast<const float *>(&expected[row + q8ScaleOffset(columns)]), scales / 4, bound, where);
  }
}

TEST_P(PortableAttention, AgreesWithReference) {
  AttentionDesc d = descOf(GetParam());
  Step step(d, {{300, 3}, {63, 2}, {0, 3}});
  step.pool->makeReadOnly(), step.qkv->makeReadOnly();
  std::vector<uint8_t> expected = referenceResult(step, d);
  for (const Target &target : runnableTargets()) {
    auto kernel = compilePortable(kPortableAttention, d, target);
    ASSERT_TRUE(kernel);
    std::vector<uint8_t> y = attend(step, d, kernel->function, {.rowBlock = 1});
    expectRows(y, expected, d, target.name);
    if (HasFailure()) return;
    for (Split split : {Split{.rowBlock = 3}, {.rowBlock = 8, .threads = 2}, {.threads = 3, .chunks = true}})
      EXPECT_TRUE(attend(step, d, kernel->function, split) == y) << target.name << " split otherwise";
  }
}

TEST_P(PortableAttention, AppendsItself) {
  AttentionDesc d = descOf(GetParam());
  for (const Target &target : runnableTargets()) {
    auto kernel = compilePortable(kPortableAttention, d, target);
    auto append = compilePortable(kPortableKvAppend, KvAppendDesc{d}, target);
    ASSERT_TRUE(kernel && append);
    Step before(d, kLone);
    llmc_batch batch = before.batch();
    llmc_kv_append_args args = {0, batch.rows, &batch, before.qkv->as<float>(), before.ropeRows(), kLayerOffset};
    append->function(&args);
    std::vector<uint8_t> expected = attend(before, d, kernel->function, {});
    for (bool chunks : {false, true}) {
      Step step(d, kLone);
      EXPECT_TRUE(attend(step, d, kernel->function, {.threads = 2, .chunks = chunks, .append = true}) == expected);
      EXPECT_EQ(memcmp(step.pool->as(), before.pool->as(), step.pool->size), 0) << target.name;
    }
  }
}

/// Keys may differ by a rounding where the target has no separate multiplication, and nothing else does.
TEST_P(PortableAttention, AppendsAsReference) {
  AttentionDesc d = descOf(GetParam());
  for (const Target &target : runnableTargets()) {
    Step found(d, {{63, 3}, {0, 2}, {64, 1}}), expected(d, {{63, 3}, {0, 2}, {64, 1}});
    auto kernel = compilePortable(kPortableKvAppend, KvAppendDesc{d}, target);
    ASSERT_TRUE(kernel);
    llmc_batch batch = found.batch(), own = expected.batch();
    found.qkv->makeReadOnly();
    llmc_kv_append_args args = {0, 4, &batch, found.qkv->as<float>(), found.ropeRows(), kLayerOffset};
    kernel->function(&args);
    args.begin = 4, args.end = batch.rows;
    kernel->function(&args);
    referenceKvAppend(KvAppendDesc{d},
                      {0, batch.rows, &own, expected.qkv->as<float>(), expected.ropeRows(), kLayerOffset});
    EXPECT_EQ(memcmp(found.pool->as(), expected.pool->as(), found.pool->size), 0) << target.name << " " << describe(d);
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, PortableAttention, testing::ValuesIn(kCases));

uint16_t rounded(float x, const llvm::fltSemantics &type) {
  llvm::APFloat value(x);
  bool lost;
  value.convert(type, llvm::APFloat::rmNearestTiesToEven, &lost);
  return uint16_t(value.bitcastToAPInt().getZExtValue());
}
float widened(uint16_t bits, const llvm::fltSemantics &type) {
  llvm::APFloat value(type, llvm::APInt(16, bits));
  bool lost;
  value.convert(llvm::APFloat::IEEEsingle(), llvm::APFloat::rmNearestTiesToEven, &lost);
  return value.convertToFloat();
}

/// Every 16-bit float through the value path of a cache, and f32 values around every rounding case, on every CPU.
TEST(PortableHalf, RoundTripsAndRounds) {
  for (KvType kv : {KvType::F16, KvType::BF16}) {
    const llvm::fltSemantics &type = kv == KvType::F16 ? llvm::APFloat::IEEEhalf() : llvm::APFloat::BFloat();
    KvAppendDesc d{makeDesc(1, 1, 64, kv)};
    d.rope = RopeStyle::None;
    Step s(d, {{5, 1}});
    std::vector<float> values;
    for (uint32_t bits = 0; bits < 0x10000; ++bits) {
      float x = widened(uint16_t(bits), type);
      values.push_back(x);
      if (std::isfinite(x)) { // ties, and both sides of them
        float next = widened(uint16_t(bits + 1), type),
              middle = std::isfinite(next) ? x + (next - x) / 2 : x * (1 + 0x1p-12f);
        for (float y : {middle, std::nextafter(middle, x), std::nextafter(middle, next)}) values.push_back(y);
      }
    }
    for (float x : {65519.9f, 65520.0f, 65536.0f, 3.4e38f, 1e-30f, 1e-42f, -INFINITY, INFINITY}) values.push_back(x);
    values.resize(roundUp(int64_t(values.size()), 64));
    llmc_batch batch = s.batch();
    KvCell cell(d, batch, kLayerOffset, 0, 5, 0);
    for (const Target &target : runnableTargets()) {
      auto kernel = compilePortable(kPortableKvAppend, d, target);
      ASSERT_TRUE(kernel);
      llmc_kv_append_args args = {0, 1, &batch, s.qkv->as<float>(), nullptr, kLayerOffset};
      for (size_t first = 0; first < values.size(); first += 64) {
        memcpy(s.qkv->as<float>() + 128, &values[first], 256);
        kernel->function(&args);
        for (int64_t c = 0; c < 64; ++c) {
          float stored = cell.value(c), expected = widened(rounded(values[first + c], type), type);
          ASSERT_TRUE(isClose(stored, expected, 0)) << target.name << " " << values[first + c];
          ASSERT_EQ(std::signbit(stored), std::signbit(expected)) << target.name << " " << values[first + c];
        }
      }
    }
  }
}

} // namespace
} // namespace llmc::test
