#include "test/codegen/AttentionStep.h"
#include "codegen/kernels/attention/Half.h"
#include <algorithm>
#include <gtest/gtest.h>

namespace llmc::test {

AttentionDesc makeDesc(int64_t heads, int64_t kvHeads, int64_t headDim, KvType kv, int64_t window) {
  AttentionDesc d;
  d.heads = heads, d.kvHeads = kvHeads, d.headDim = headDim, d.kv = kv, d.window = window;
  d.scale = 1 / std::sqrt(float(headDim));
  d.ropeDim = headDim;
  d.bf16 = true;
  d.pageBytes = kLayerOffset + d.kvLayerBytes() + 64;
  d.qkvStride = rowStride(RowFormat::F32, (heads + 2 * kvHeads) * headDim);
  d.ropeStride = rowStride(RowFormat::F32, headDim);
  d.yStride = rowStride(RowFormat::F32, heads * headDim);
  return d;
}

std::string describe(const AttentionDesc &d) {
  constexpr const char *names[] = {"f32", "f16", "bf16", "int8"};
  std::string text = std::to_string(d.heads) + "/" + std::to_string(d.kvHeads) + " heads, D " +
                     std::to_string(d.headDim) + ", " + names[unsigned(d.kv)] + ", window " + std::to_string(d.window);
  if (d.alibi) text += ", alibi";
  if (d.softcap > 0) text += ", softcap";
  if (d.sinks) text += ", sinks";
  if (d.out == RowFormat::Q8) text += ", q8";
  return text;
}

int64_t rowBytes(const AttentionDesc &d) {
  return d.out == RowFormat::Q8 ? q8RowBytes(d.heads * d.headDim) : d.heads * d.headDim * 4;
}

Step::Step(const AttentionDesc &d, const std::vector<Span> &spans, float spread) : d(d) {
  for (size_t s = 0; s < spans.size(); ++s)
    for (int64_t i = 0; i < spans[s].count; ++i) {
      positions.push_back(int32_t(spans[s].first + i));
      sequences.push_back(int32_t(s));
    }
  shufflePages(spans);
  fillCache();
  auto fill = [&](std::unique_ptr<GuardedBuffer> &buffer, int64_t stride, int64_t columns, float scale) {
    buffer = std::make_unique<GuardedBuffer>((rowCount() - 1) * stride + columns * 4);
    std::normal_distribution<float> normal(0, scale);
    for (size_t r = 0; r < rowCount(); ++r)
      for (int64_t c = 0; c < columns; ++c)
        *reinterpret_cast<float *>(buffer->as<char>() + r * stride + 4 * c) = normal(random);
  };
  fill(qkv, d.qkvStride, (d.heads + 2 * d.kvHeads) * d.headDim, spread);
  fill(rope, d.ropeStride, std::max<int64_t>(d.ropeDim, 2), 1);
  // As rotations: (cosine, sine) of length 1, so that scores have the size of the queries.
  for (size_t r = 0; r < rowCount(); ++r)
    for (int64_t i = 0; i < d.ropeDim / 2; ++i) {
      float *row = reinterpret_cast<float *>(rope->as<char>() + r * d.ropeStride), angle = 100 * row[i];
      row[i] = std::cos(angle), row[d.ropeDim / 2 + i] = std::sin(angle);
    }
  std::normal_distribution<float> normal;
  for (int64_t h = 0; h < d.heads; ++h) sinks.push_back(2 * normal(random));
}

void Step::shufflePages(const std::vector<Span> &spans) {
  std::vector<int32_t> free;
  for (const Span &span : spans) {
    lengths.push_back(int32_t(span.first + span.count));
    pages.emplace_back((lengths.back() + 63) / 64);
    for (size_t i = 0; i < pages.back().size(); ++i) free.push_back(int32_t(free.size()));
  }
  pool = std::make_unique<GuardedBuffer>(free.size() * d.pageBytes);
  memset(pool->as(), 0xff, pool->size);
  std::shuffle(free.begin(), free.end(), random);
  for (std::vector<int32_t> &table : pages) {
    for (int32_t &page : table) page = free.back(), free.pop_back();
    tables.push_back(table.data());
  }
}

/// Keys and values of all positions before the end of each sequence; those of the step are written by kv_append.
void Step::fillCache() {
  std::normal_distribution<float> normal;
  llmc_batch b = batch();
  std::vector<float> head(d.headDim);
  auto next = [&] {
    for (float &x : head) x = normal(random);
    return head.data();
  };
  for (size_t s = 0; s < pages.size(); ++s)
    for (int64_t p = 0; p < lengths[s]; ++p)
      for (int64_t h = 0; h < d.kvHeads; ++h) {
        KvCell cell(d, b, kLayerOffset, int64_t(s), p, h);
        cell.setKey(next());
        cell.setValue(next());
      }
}

void Step::roundToBf16(bool positive) {
  auto rounded = [](float x) { return std::bit_cast<float>(uint32_t(f32ToBf16(x)) << 16); };
  for (size_t r = 0; r < rowCount(); ++r)
    for (int64_t c = 0; c < d.heads * d.headDim; ++c) {
      float &q = *reinterpret_cast<float *>(qkv->as<char>() + r * d.qkvStride + 4 * c);
      q = rounded(q);
    }
  llmc_batch b = batch();
  std::vector<float> head(d.headDim);
  for (size_t s = 0; s < pages.size(); ++s)
    for (int64_t p = 0; p < lengths[s]; ++p)
      for (int64_t h = 0; h < d.kvHeads; ++h) {
        KvCell cell(d, b, kLayerOffset, int64_t(s), p, h);
        for (int64_t c = 0; c < d.headDim; ++c) head[c] = rounded(cell.key(c));
        cell.setKey(head.data());
        for (int64_t c = 0; c < d.headDim; ++c) head[c] = rounded(positive ? std::fabs(cell.value(c)) : cell.value(c));
        cell.setValue(head.data());
      }
}

llmc_batch Step::batch() const {
  llmc_batch b = {};
  b.rows = b.capacity = int64_t(rowCount());
  b.positions = positions.data(), b.sequences = sequences.data(), b.lengths = lengths.data();
  b.page_tables = tables.data(), b.pages = pool->as<char>();
  b.longest = longest();
  return b;
}

int64_t Step::longest() const { return *std::max_element(lengths.begin(), lengths.end()); }

static void runUnits(llmc_attention_args args, llmc_kernel_fn kernel, int64_t phase, int64_t units, int64_t threads) {
  args.phase = phase, args.end = units, args.step = threads;
  for (args.begin = threads; args.begin-- > 0;) kernel(&args);
}

std::vector<uint8_t> attend(const Step &step, const AttentionDesc &d, llmc_kernel_fn kernel, const Split &split) {
  llmc_batch batch = step.batch();
  if (split.rows >= 0) batch.rows = split.rows;
  batch.positions += split.firstRow, batch.sequences += split.firstRow;
  GuardedBuffer y((batch.rows - 1) * d.yStride + rowBytes(d));
  llmc_attention_args args = {};
  args.batch = &batch, args.y = y.as<float>(), args.layer_offset = kLayerOffset;
  args.qkv = reinterpret_cast<float *>(step.qkv->as<char>() + split.firstRow * d.qkvStride);
  if (step.ropeRows()) args.rope = reinterpret_cast<float *>(step.rope->as<char>() + split.firstRow * d.ropeStride);
  args.sinks = d.sinks ? step.sinks.data() : nullptr;
  args.chunks = (batch.longest + kAttentionChunk - 1) / kAttentionChunk;
  args.row_block = split.rowBlock, args.append = split.append;
  GuardedBuffer partials(split.chunks ? batch.rows * args.chunks * d.partialBytes() : 64);
  memset(partials.as(), 0xff, partials.size);
  batch.partials = partials.as<char>();
  int64_t heads = batch.rows * d.kvHeads;
  if (split.chunks) {
    runUnits(args, kernel, LLMC_ATTENTION_CHUNKS, heads * args.chunks, split.threads);
    runUnits(args, kernel, LLMC_ATTENTION_MERGE, heads, split.threads);
  } else {
    int64_t blocks = (batch.rows + split.rowBlock - 1) / split.rowBlock;
    runUnits(args, kernel, LLMC_ATTENTION_ROWS, blocks * d.kvHeads, split.threads);
  }
  std::vector<uint8_t> result;
  for (int64_t r = 0; r < batch.rows; ++r) {
    const uint8_t *row = y.as<uint8_t>() + r * d.yStride;
    result.insert(result.end(), row, row + rowBytes(d));
    for (int64_t i = rowBytes(d); i < d.yStride && r + 1 < batch.rows; ++i)
      EXPECT_EQ(row[i], 0xA5) << "padding of row " << r;
  }
  return result;
}

std::vector<uint8_t> referenceResult(const Step &step, const AttentionDesc &d) {
  std::vector<uint8_t> y(step.rowCount() * d.yStride), result;
  llmc_batch batch = step.batch();
  llmc_attention_args args = {};
  args.batch = &batch, args.qkv = step.qkv->as<float>(), args.rope = step.ropeRows();
  args.sinks = step.sinks.data(), args.y = y.data(), args.layer_offset = kLayerOffset;
  referenceAttention(d, args);
  for (size_t r = 0; r < step.rowCount(); ++r)
    result.insert(result.end(), y.data() + r * d.yStride, y.data() + r * d.yStride + rowBytes(d));
  return result;
}

} // namespace llmc::test
