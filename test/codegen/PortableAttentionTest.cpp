// The portable KV append and attention against plain softmax in double: paged caches, GQA, windows, f16 caches, head
// dimensions with tails, blocks of rows of several sequences.
#include "test/codegen/PortableFixtures.h"
#include "llvm/ADT/APFloat.h"

namespace llmc::test {
namespace {

uint16_t toHalf(float x) {
  llvm::APFloat value(x);
  bool lost;
  value.convert(llvm::APFloat::IEEEhalf(), llvm::APFloat::rmNearestTiesToEven, &lost);
  return uint16_t(value.bitcastToAPInt().getZExtValue());
}
float fromHalf(uint16_t bits) {
  llvm::APFloat value(llvm::APFloat::IEEEhalf(), llvm::APInt(16, bits));
  bool lost;
  value.convert(llvm::APFloat::IEEEsingle(), llvm::APFloat::rmNearestTiesToEven, &lost);
  return value.convertToFloat();
}

struct Case {
  int64_t heads, kvHeads, headDim;
  KvType kv;
  RopeStyle rope;
  int64_t ropeDim, window, rowBlock;
};

constexpr Case kCases[] = {{4, 4, 64, KvType::F32, RopeStyle::Half, 64, 0, 1},
                           {8, 2, 128, KvType::F16, RopeStyle::Half, 128, 0, 4},
                           {6, 2, 80, KvType::F16, RopeStyle::Interleaved, 32, 70, 3},
                           {3, 1, 8, KvType::F32, RopeStyle::None, 0, 1, 2},
                           {2, 1, 40, KvType::F32, RopeStyle::Half, 20, 65, 16},
                           {2, 2, 24, KvType::F16, RopeStyle::Interleaved, 24, 0, 2}};

/// Two sequences that end at positions 130 and 3, six rows of a step, and a cache filled up to the step.
class Scene {
public:
  explicit Scene(const Case &c) : random(11) {
    d.heads = c.heads, d.kvHeads = c.kvHeads, d.headDim = c.headDim, d.kv = c.kv, d.rope = c.rope;
    d.ropeDim = c.ropeDim, d.window = c.window, d.rowBlock = c.rowBlock, d.scale = 1 / std::sqrt(float(c.headDim));
    d.pageBytes = kLayerOffset + d.kvLayerBytes();
    d.qkvStride = rowStride(RowFormat::F32, (c.heads + 2 * c.kvHeads) * c.headDim);
    d.yStride = rowStride(RowFormat::F32, c.heads * c.headDim);
    d.ropeStride = rowStride(RowFormat::F32, std::max<int64_t>(c.ropeDim, 1));
    pages = std::make_unique<GuardedBuffer>(kPages * d.pageBytes);
    memset(pages->as(), 0xff, pages->size); // NaN wherever nobody has written
    qkv = std::make_unique<GuardedBuffer>(kRows * d.qkvStride);
    rope = std::make_unique<GuardedBuffer>(kRows * d.ropeStride);
    random.fill(qkv->as<float>(), int64_t(qkv->size / 4), 2), random.fill(rope->as<float>(), int64_t(rope->size / 4));
    for (int64_t s = 0; s < 2; ++s)
      for (int64_t p = 0; p < lengths[s]; ++p)
        for (int64_t h = 0; h < d.kvHeads; ++h)
          for (int64_t c = 0; c < d.headDim; ++c)
            put(false, s, p, h, c, random.real()), put(true, s, p, h, c, random.real());
    batch.rows = batch.capacity = kRows, batch.positions = positions, batch.sequences = sequences;
    batch.lengths = lengths, batch.page_tables = tables, batch.pages = pages->as<char>();
  }

  char *cell(bool value, int64_t s, int64_t p, int64_t h, int64_t c) const {
    int64_t element = d.kv == KvType::F32 ? 4 : 2;
    return pages->as<char>() + tables[s][p / 64] * d.pageBytes + kLayerOffset +
           ((((value ? d.kvHeads : 0) + h) * 64 + p % 64) * d.headDim + c) * element;
  }
  void put(bool value, int64_t s, int64_t p, int64_t h, int64_t c, float x) {
    uint16_t half = toHalf(x);
    d.kv == KvType::F32 ? memcpy(cell(value, s, p, h, c), &x, 4) : memcpy(cell(value, s, p, h, c), &half, 2);
  }
  float get(bool value, int64_t s, int64_t p, int64_t h, int64_t c) const {
    float x;
    uint16_t half;
    if (d.kv == KvType::F32) return memcpy(&x, cell(value, s, p, h, c), 4), x;
    return memcpy(&half, cell(value, s, p, h, c), 2), fromHalf(half);
  }

  static constexpr int64_t kRows = 6, kPages = 5, kLayerOffset = 128;
  int32_t positions[kRows] = {127, 128, 129, 0, 1, 2}, sequences[kRows] = {0, 0, 0, 1, 1, 1}, lengths[2] = {130, 3};
  int32_t table0[3] = {4, 0, 2}, table1[1] = {3};
  const int32_t *tables[2] = {table0, table1};
  AttentionDesc d;
  Random random;
  std::unique_ptr<GuardedBuffer> pages, qkv, rope;
  llmc_batch batch = {};
};

/// softmax(scale q.k) v of one row and head, in double.
void expectedAttention(const Scene &s, int64_t row, int64_t head, float *y) {
  const AttentionDesc &d = s.d;
  int64_t sequence = s.sequences[row], last = s.positions[row], kvHead = head / (d.heads / d.kvHeads);
  int64_t first = d.window ? std::max<int64_t>(0, last - d.window + 1) : 0;
  const float *q = s.qkv->as<float>() + row * d.qkvStride / 4 + head * d.headDim;
  std::vector<double> weights, sum(d.headDim);
  for (int64_t p = first; p <= last; ++p) {
    double dot = 0;
    for (int64_t c = 0; c < d.headDim; ++c) dot += double(q[c]) * s.get(false, sequence, p, kvHead, c);
    weights.push_back(dot * d.scale);
  }
  double highest = *std::max_element(weights.begin(), weights.end()), total = 0;
  for (double &w : weights) total += w = std::exp(w - highest);
  for (int64_t p = first; p <= last; ++p)
    for (int64_t c = 0; c < d.headDim; ++c) sum[c] += weights[p - first] * s.get(true, sequence, p, kvHead, c);
  for (int64_t c = 0; c < d.headDim; ++c) y[c] = float(sum[c] / total);
}

/// One head rotated, README's formulas.
std::vector<float> rotated(const AttentionDesc &d, const float *x, const float *rope) {
  std::vector<float> y(x, x + d.headDim);
  int64_t half = d.ropeDim / 2;
  for (int64_t i = 0; d.rope != RopeStyle::None && i < half; ++i) {
    int64_t a = d.rope == RopeStyle::Half ? i : 2 * i, b = d.rope == RopeStyle::Half ? i + half : 2 * i + 1;
    y[a] = float(double(x[a]) * rope[i] - double(x[b]) * rope[half + i]);
    y[b] = float(double(x[b]) * rope[i] + double(x[a]) * rope[half + i]);
  }
  return y;
}

class PortableAttention : public testing::TestWithParam<Case> {};

TEST_P(PortableAttention, AgreesWithSoftmax) {
  Scene s(GetParam());
  int64_t columns = s.d.heads * s.d.headDim;
  GuardedBuffer y(Scene::kRows * s.d.yStride), split(y.size), expected(roundUp64(columns * 4));
  s.pages->makeReadOnly(), s.qkv->makeReadOnly();
  for (const Target &target : runnableTargets()) {
    auto kernel = compilePortable(kPortableAttention, s.d, target);
    ASSERT_TRUE(kernel);
    int64_t units = (Scene::kRows + s.d.rowBlock - 1) / s.d.rowBlock * s.d.kvHeads;
    llmc_attention_args args = {0, units, &s.batch, s.qkv->as<float>(), y.as<float>(), Scene::kLayerOffset};
    kernel->function(&args);
    for (int64_t row = 0; row < Scene::kRows; ++row) {
      for (int64_t h = 0; h < s.d.heads; ++h) expectedAttention(s, row, h, expected.as<float>() + h * s.d.headDim);
      expectClose(y.as<float>() + row * s.d.yStride / 4, expected.as<float>(), columns, 3e-6f,
                  target.name + " row " + std::to_string(row));
    }
    args.y = split.as<float>();
    for (args.begin = 0, args.end = 1; args.begin < units; ++args.begin, ++args.end) kernel->function(&args);
    EXPECT_EQ(memcmp(y.as(), split.as(), y.size), 0) << "units split";
  }
}

TEST_P(PortableAttention, AppendsRotated) {
  for (const Target &target : runnableTargets()) {
    Scene s(GetParam()), before(GetParam());
    KvAppendDesc d{s.d};
    auto kernel = compilePortable(kPortableKvAppend, d, target);
    ASSERT_TRUE(kernel);
    llmc_kv_append_args args = {
        0, 4, &s.batch, s.qkv->as<float>(), d.ropeDim ? s.rope->as<float>() : nullptr, Scene::kLayerOffset};
    kernel->function(&args);
    args.begin = 4, args.end = Scene::kRows;
    kernel->function(&args);
    for (int64_t row = 0; row < Scene::kRows; ++row) {
      const float *q = before.qkv->as<float>() + row * d.qkvStride / 4,
                  *rope = s.rope->as<float>() + row * d.ropeStride / 4;
      std::string where = target.name + " row " + std::to_string(row);
      for (int64_t h = 0; h < d.heads; ++h)
        expectClose(s.qkv->as<float>() + row * d.qkvStride / 4 + h * d.headDim,
                    rotated(d, q + h * d.headDim, rope).data(), d.headDim, 1e-6f, where + " q");
      for (int64_t h = 0; h < d.kvHeads; ++h) {
        std::vector<float> k = rotated(d, q + (d.heads + h) * d.headDim, rope);
        const float *v = q + (d.heads + d.kvHeads + h) * d.headDim;
        for (int64_t c = 0; c < d.headDim; ++c) { // keys: rounding before f16 may fall on the other side
          float key = s.get(false, s.sequences[row], s.positions[row], h, c);
          EXPECT_TRUE(isClose(key, k[c], d.kv == KvType::F32 ? 1e-6f : 1e-3f)) << where << " k " << c;
          float value = s.get(true, s.sequences[row], s.positions[row], h, c);
          EXPECT_EQ(value, d.kv == KvType::F32 ? v[c] : fromHalf(toHalf(v[c]))) << where << " v " << c;
        }
      }
    }
    // Older positions are untouched.
    EXPECT_EQ(s.get(true, 0, 126, 0, 0), before.get(true, 0, 126, 0, 0));
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, PortableAttention, testing::ValuesIn(kCases));

/// Every f16 through the value path of a cache, and f32 values around every rounding case, on every CPU setting.
TEST(PortableHalf, RoundTripsAndRounds) {
  Scene s({1, 1, 64, KvType::F16, RopeStyle::None, 0, 0, 1});
  KvAppendDesc d{s.d};
  std::vector<float> values;
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    float x = fromHalf(uint16_t(bits));
    values.push_back(x);
    if (std::isfinite(x)) { // ties, and both sides of them
      float next = fromHalf(uint16_t(bits + 1)), middle = std::isfinite(next) ? (x + next) / 2 : x * (1 + 0x1p-12f);
      for (float y : {middle, std::nextafter(middle, x), std::nextafter(middle, next)}) values.push_back(y);
    }
  }
  for (float x : {65519.9f, 65520.0f, 65536.0f, 1e30f, 1e-30f, 1e-42f, -INFINITY, INFINITY}) values.push_back(x);
  values.resize(roundUp(int64_t(values.size()), 64));
  for (const Target &target : runnableTargets()) {
    auto kernel = compilePortable(kPortableKvAppend, d, target);
    ASSERT_TRUE(kernel);
    llmc_kv_append_args args = {0, 1, &s.batch, s.qkv->as<float>(), nullptr, Scene::kLayerOffset};
    for (size_t first = 0; first < values.size(); first += 64) {
      memcpy(s.qkv->as<float>() + 128, &values[first], 256);
      kernel->function(&args);
      for (int64_t c = 0; c < 64; ++c) {
        float stored = s.get(true, 0, 127, 0, c), expected = fromHalf(toHalf(values[first + c]));
        ASSERT_TRUE(isClose(stored, expected, 0)) << target.name << " " << values[first + c];
        ASSERT_EQ(std::signbit(stored), std::signbit(expected)) << target.name << " " << values[first + c];
      }
    }
  }
}

} // namespace
} // namespace llmc::test
