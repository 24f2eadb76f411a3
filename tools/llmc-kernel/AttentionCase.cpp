#include "codegen/kernels/attention/Half.h"
#include "codegen/kernels/attention/Reference.h"
#include "codegen/kernels/matmul/Pack.h"
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
      : d(d), rows(shape.rows), length(std::max(shape.k, shape.rows)),
        copies(copiesOf(pageCount() * d.pageBytes, forTiming)), qkv(rows * d.qkvStride),
        rope(rows * std::max<int64_t>(d.ropeStride, 64)), cache(copies * pageCount() * d.pageBytes), positions(rows),
        sequences(rows, 0), lengths{int32_t(length)}, pages(pageCount()), table(pages.data()) {
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
    std::normal_distribution<float> normal;
    for (int64_t i = 0; i < pageCount() * d.pageBytes / elementBytes(); ++i)
      if (d.kv == KvType::F32)
        cache.as<float>()[i] = normal(random);
      else
        cache.as<uint16_t>()[i] = f32ToF16(normal(random));
    for (int64_t i = 1; i < copies; ++i)
      std::copy_n(cache.as(), pageCount() * d.pageBytes, cache.as(i * pageCount() * d.pageBytes));
  }
  /// On the copy of the cache that the turn's number says.
  llmc_batch batch(const Buffer &pool, Turn turn = {}) const {
    llmc_batch b = {};
    b.rows = b.capacity = rows;
    b.positions = positions.data(), b.sequences = sequences.data(), b.lengths = lengths.data();
    b.page_tables = &table, b.pages = pool.as(turn.number % copies * pageCount() * d.pageBytes);
    return b;
  }
  int64_t pageCount() const { return (length + LLMC_PAGE_POSITIONS - 1) / LLMC_PAGE_POSITIONS; }
  int64_t elementBytes() const { return d.kv == KvType::F32 ? 4 : 2; }

  const AttentionDesc d;
  const int64_t rows, length, copies;
  Buffer qkv, rope, cache;

private:
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
    referenceAttention(d, {0, units(), &b, qkv.as<float>(), expected.as<float>(), 0});
    return {distance(y, expected, rows, d.yStride, d.heads * d.headDim), 1e-5}; // of values of size 1
  }
  void run(llmc_kernel_fn kernel, Turn turn) override {
    llmc_batch b = batch(cache, turn);
    llmc_attention_args args = {turn.begin(units()), turn.end(units()), &b, qkv.as<float>(), y.as<float>(), 0};
    kernel(&args);
  }
  double bytes() const override { return 2.0 * double(length * d.kvHeads * d.headDim * elementBytes()); }
  double operations() const override {
    double seen = double(rows) * (double(length) - double(rows - 1) / 2); // causal
    return 4.0 * seen * double(d.heads * d.headDim);
  }

private:
  int64_t units() const { return (rows + d.rowBlock - 1) / d.rowBlock * d.kvHeads; }
  Buffer y;
};

class KvAppendCase : public CachedCase {
public:
  KvAppendCase(const KvAppendDesc &d, const Shape &shape)
      : CachedCase(d, shape, /*forTiming=*/false), descriptor(d), queries(qkv.size), pool(cache.size) {}
  Deviation check(llmc_kernel_fn kernel) override {
    std::copy_n(qkv.as(), qkv.size, queries.as());
    std::copy_n(cache.as(), cache.size, pool.as());
    llmc_batch b = batch(pool), own = batch(cache);
    referenceKvAppend(descriptor, {0, rows, &b, queries.as<float>(), rope.as<float>(), 0});
    llmc_kv_append_args args = {0, rows, &own, qkv.as<float>(), rope.as<float>(), 0};
    kernel(&args);
    double worst = distance(qkv, queries, rows, d.qkvStride, (d.heads + 2 * d.kvHeads) * d.headDim);
    for (int64_t i = 0; i < cache.size / elementBytes(); ++i)
      worst = std::max(worst, std::fabs(cell(cache, i) - cell(pool, i)));
    return {worst, d.kv == KvType::F32 ? 1e-6 : 4e-3}; // a rounding of f16 at size 4
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
  double cell(const Buffer &buffer, int64_t i) const {
    return d.kv == KvType::F32 ? buffer.as<float>()[i] : f16ToF32(buffer.as<uint16_t>()[i]);
  }
  const KvAppendDesc descriptor;
  Buffer queries, pool;
};

/// Three query heads on each kv head where the heads allow it.
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
  d.minRows = d.maxRows = shape.rows;
  d.rowBlock = shape.rows >= kPrefillRowBlock ? kPrefillRowBlock : 1;
  return d;
}

} // namespace

template <> std::vector<AttentionDesc> descriptors<AttentionDesc>(const Shape &shape) {
  return {makeDesc(shape, KvType::F16), makeDesc(shape, KvType::F32)};
}
template <> std::vector<KvAppendDesc> descriptors<KvAppendDesc>(const Shape &shape) {
  std::vector<KvAppendDesc> all;
  for (KvType kv : {KvType::F16, KvType::F32})
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
std::unique_ptr<Case> makeCase(const KvAppendDesc &desc, const Shape &shape, bool) {
  return std::make_unique<KvAppendCase>(desc, shape);
}

std::string describe(const AttentionDesc &d) {
  return std::to_string(d.heads) + " heads, " + std::to_string(d.kvHeads) + " kv heads of " +
         std::to_string(d.headDim) + (d.kv == KvType::F16 ? ", f16" : ", f32");
}
std::string describe(const KvAppendDesc &d) {
  constexpr const char *styles[] = {", no rope", ", rope half", ", rope interleaved"};
  return describe(static_cast<const AttentionDesc &>(d)) + styles[unsigned(d.rope)];
}

} // namespace llmc::tool
