#include "codegen/kernels/attention/Reference.h"
#include "tools/llmc-kernel/Case.h"
#include <cmath>
#include <numeric>

namespace llmc::tool {
namespace {

constexpr int64_t kHeadDim = 64;

/// One sequence whose last `rows` tokens are the step, with its pages in order.
class CachedCase : public Case {
protected:
  CachedCase(const AttentionDesc &d, const Shape &shape, bool forTiming)
      : d(d), rows(shape.rows), length(std::max(shape.k, shape.rows)), qkv(rows * d.qkvStride),
        rope(rows * std::max<int64_t>(d.ropeStride, 64)), copies(forTiming ? kTimedBytes / cacheBytes() + 1 : 1),
        cache(copies * cacheBytes()), positions(rows), sequences(rows, 0), lengths{int32_t(length)}, pages(pageCount()),
        table(pages.data()) {
    std::iota(positions.begin(), positions.end(), int32_t(length - rows));
    std::iota(pages.begin(), pages.end(), 0);
    std::mt19937 random(1);
    fillRows(qkv, rows, d.qkvStride, (d.heads + 2 * d.kvHeads) * d.headDim, random);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t i = 0; i < d.ropeDim / 2; ++i) {
        float angle = float(random() % 10000) / 100;
        rope.as<float>(r * d.ropeStride)[i] = std::cos(angle);
        rope.as<float>(r * d.ropeStride)[d.ropeDim / 2 + i] = std::sin(angle);
      }
    fillCache(random);
  }
  /// On the copy of the cache that the turn's number says.
  llmc_batch batch(const Buffer &pool, Turn turn = {}) const {
    llmc_batch b = {};
    b.rows = b.capacity = rows, b.longest = length;
    b.positions = positions.data(), b.sequences = sequences.data(), b.lengths = lengths.data();
    b.page_tables = &table, b.pages = pool.as(turn.number % copies * cacheBytes());
    return b;
  }
  int64_t pageCount() const { return (length + LLMC_PAGE_POSITIONS - 1) / LLMC_PAGE_POSITIONS; }
  int64_t cacheBytes() const { return pageCount() * d.pageBytes; }

  const AttentionDesc d;
  const int64_t rows, length;
  Buffer qkv, rope;
  const int64_t copies;
  Buffer cache;

private:
  static constexpr int64_t kTimedBytes = 256 << 20; // no cache holds so much

  void fillCache(std::mt19937 &random) {
    std::normal_distribution<float> normal;
    std::vector<float> head(d.headDim);
    llmc_batch b = batch(cache);
    for (int64_t p = 0; p < length; ++p)
      for (int64_t h = 0; h < d.kvHeads; ++h)
        for (bool key : {true, false}) {
          for (float &x : head) x = normal(random);
          KvCell cell(d, b, 0, 0, p, h);
          key ? cell.setKey(head.data()) : cell.setValue(head.data());
        }
    for (int64_t i = 1; i < copies; ++i) std::copy_n(cache.as(), cacheBytes(), cache.as() + i * cacheBytes());
  }

  std::vector<int32_t> positions, sequences, lengths, pages;
  const int32_t *table;
};

class AttentionCase : public CachedCase {
public:
  AttentionCase(const AttentionDesc &d, const Shape &shape, bool forTiming)
      : CachedCase(d, shape, forTiming), y(rows * d.yStride) {}
  Deviation check(llmc_kernel_fn kernel) override {
    run(kernel, {});
    Buffer expected(rows * d.yStride);
    llmc_batch b = batch(cache);
    referenceAttention(d, arguments(b, expected));
    // Of values of size 1. Products of bf16: 8 bits; int8: 15 bits; else f32.
    double allowed = d.bf16 ? 4e-2 : d.kv == KvType::I8 ? 4e-4 : 1e-5;
    return {distance(y, expected, rows, d.yStride, d.heads * d.headDim), allowed};
  }
  void run(llmc_kernel_fn kernel, Turn turn) override {
    llmc_batch b = batch(cache, turn);
    llmc_attention_args args = arguments(b, y, turn);
    kernel(&args);
  }
  double bytes() const override { return double(length) / kPagePositions * double(d.kvLayerBytes()); }
  double operations() const override {
    double seen = double(rows) * (double(length) - double(rows - 1) / 2); // causal
    return 4.0 * seen * double(d.heads * d.headDim);
  }

private:
  llmc_attention_args arguments(const llmc_batch &b, const Buffer &out, Turn turn = {}) const {
    llmc_attention_args args = {};
    args.batch = &b, args.qkv = qkv.as<float>(), args.rope = rope.as<float>(), args.y = out.as();
    args.row_block = rows > LLMC_FEW_ROWS ? kAttentionRowBlock : 1;
    args.end = (rows + args.row_block - 1) / args.row_block * d.kvHeads, args.begin = turn.thread,
    args.step = turn.threads;
    return args;
  }
  Buffer y;
};

class KvAppendCase : public CachedCase {
public:
  KvAppendCase(const KvAppendDesc &d, const Shape &shape, bool forTiming)
      : CachedCase(d, shape, forTiming), descriptor(d), pool(cache.size) {}
  Deviation check(llmc_kernel_fn kernel) override {
    std::copy_n(cache.as(), cache.size, pool.as());
    llmc_batch b = batch(pool), own = batch(cache);
    referenceKvAppend(descriptor, {0, rows, &b, qkv.as<float>(), rope.as<float>(), 0});
    llmc_kv_append_args args = {0, rows, &own, qkv.as<float>(), rope.as<float>(), 0};
    kernel(&args);
    double worst = 0;
    for (int64_t p = length - rows; p < length; ++p)
      for (int64_t h = 0; h < d.kvHeads; ++h)
        for (int64_t c = 0; c < d.headDim; ++c) {
          KvCell found(d, own, 0, 0, p, h), expected(d, b, 0, 0, p, h);
          worst = std::max<double>(worst, std::fabs(found.key(c) - expected.key(c)));
          worst = std::max<double>(worst, std::fabs(found.value(c) - expected.value(c)));
        }
    constexpr double kRounding[] = {1e-6, 4e-3, 3e-2, 4e-2}; // one, at size 4
    return {worst, kRounding[unsigned(d.kv)]};
  }
  void run(llmc_kernel_fn kernel, Turn turn) override {
    llmc_batch b = batch(cache);
    llmc_kv_append_args args = {turn.begin(rows), turn.end(rows), &b, qkv.as<float>(), rope.as<float>(), 0};
    kernel(&args);
  }
  double bytes() const override { return double(rows * (d.heads + 2 * d.kvHeads) * d.headDim * 4); }
  double operations() const override { return 0; }
  bool readsMemory() const override { return false; }

private:
  const KvAppendDesc descriptor;
  Buffer pool;
};

constexpr KvType kKvTypes[] = {KvType::F16, KvType::F32, KvType::BF16, KvType::I8};

/// Three or four query heads on each kv head where the heads allow it.
AttentionDesc makeDesc(const Shape &shape, KvType kv) {
  AttentionDesc d;
  d.heads = std::max<int64_t>(1, shape.n / kHeadDim);
  d.kvHeads = d.heads % 4 == 0 ? d.heads / 4 : d.heads % 3 == 0 ? d.heads / 3 : d.heads;
  d.headDim = d.ropeDim = kHeadDim, d.kv = kv;
  d.scale = 1 / std::sqrt(float(kHeadDim));
  d.pageBytes = d.kvLayerBytes();
  d.qkvStride = rowStride(RowFormat::F32, (d.heads + 2 * d.kvHeads) * kHeadDim);
  d.ropeStride = rowStride(RowFormat::F32, kHeadDim);
  d.yStride = rowStride(RowFormat::F32, d.heads * kHeadDim);
  return d;
}

} // namespace

template <> std::vector<AttentionDesc> descriptors<AttentionDesc>(const Shape &shape) {
  std::vector<AttentionDesc> all;
  for (KvType kv : kKvTypes)
    for (bool bf16 : {false, true}) {
      all.push_back(makeDesc(shape, kv));
      all.back().bf16 = bf16;
    }
  return all;
}
template <> std::vector<KvAppendDesc> descriptors<KvAppendDesc>(const Shape &shape) {
  std::vector<KvAppendDesc> all;
  for (KvType kv : kKvTypes)
    for (RopeStyle style : {RopeStyle::Half, RopeStyle::Interleaved, RopeStyle::None}) {
      KvAppendDesc d{makeDesc(shape, kv)};
      d.rope = style;
      all.push_back(d);
    }
  return all;
}

std::unique_ptr<Case> makeCase(const AttentionDesc &desc, const Shape &shape, bool forTiming) {
  return std::make_unique<AttentionCase>(desc, shape, forTiming);
}
std::unique_ptr<Case> makeCase(const KvAppendDesc &desc, const Shape &shape, bool forTiming) {
  return std::make_unique<KvAppendCase>(desc, shape, forTiming);
}

std::string describe(const AttentionDesc &d) {
  constexpr const char *names[] = {", f32", ", f16", ", bf16", ", int8"};
  return std::to_string(d.heads) + " heads, " + std::to_string(d.kvHeads) + " kv heads of " +
         std::to_string(d.headDim) + names[unsigned(d.kv)] + (d.bf16 ? " as bf16" : "");
}
std::string describe(const KvAppendDesc &d) {
  constexpr const char *styles[] = {", no rope", ", rope half", ", rope interleaved"};
  return describe(static_cast<const AttentionDesc &>(d)) + styles[unsigned(d.rope)];
}

} // namespace llmc::tool
