// Fused attention over the paged cache: online softmax (arXiv 1805.02867), a page at a time, in chunks that are merged
// (codegen/kernels/attention/README.md). The heads of a kv head follow each other inside the page loop, so that a page
// is read from memory once for all of them.
#include "codegen/portable/KvAppend.h"
#include "codegen/portable/Numeric.h"
#include "codegen/portable/Portable.h"
#include "codegen/portable/Rotation.h"
#include "codegen/portable/RowQ8.h"
#include <limits>

namespace llmc {
using namespace portable;

namespace {
class AttentionEmitter {
public:
  AttentionEmitter(const AttentionDesc &desc, KernelBuilder &b) : d(desc), b(b), cache(desc, b) {}
  void emit();

private:
  /// Positions first..last of one page, as slots, and the kv head's part of it.
  struct PagePart {
    Var start, first, last, part;
  };
  struct Unit {
    Var firstRow, endRow, kvHead, onlyChunk;
  };

  Var field(mlir::Type type, size_t offset) { return b.load(type, b.args() + int64_t(offset)); }
  Var at(Var array, Var head, int64_t bytes) { return array + head * bytes; }
  void openStack();
  Unit decode(Var unit, Var rows);
  void attend(const AppendRow &row, const Unit &unit, Var y);
  void addChunk(const AppendRow &row, Var kvHead, Var chunk);
  void addPage(const PagePart &page, const AppendRow &row, Var kvHead, Var head);
  void scorePage(const PagePart &page, Var distance, Var slope, Var query);
  Var weighScores(Var newMaximum);
  void addValues(const PagePart &page, Var accumulator, Var correction);
  void endChunk(Var firstHead, Var partials);
  void mergeChunk(Var head, Var maximum, Var total, Var sums);
  void finish(Var firstHead, Var y);
  Var expOf(Var scalar) { return b.sum(b.every(exp(b, b.broadcast(scalar)), 0, kLanes)); }
  Var lanesAt(Var pointer) { return b.load(b.lanes(b.f32()), pointer); }
  int64_t groupHeads() const { return d.heads / d.kvHeads; }
  int64_t headBytes() const { return roundUp(d.headDim * 4, kAlign); }

  const AttentionDesc &d;
  KernelBuilder &b;
  CacheAccess cache;
  Var isChunks, isMerge, appends, chunks, slopes, sinks, rowPartials;
  Var scratch, scores;                       // stack: a head; scores of one page
  Var queries, maxima, totals, accumulators; // stack: per head of the group, of the chunk
  Var mergedMaxima, mergedTotals, merged;    // stack: of all chunks so far
};

void AttentionEmitter::openStack() {
  const int64_t scalars = roundUp(groupHeads() * 4, kAlign);
  scratch = b.stack(headBytes());
  scores = b.stack(LLMC_PAGE_POSITIONS * 4);
  for (Var *array : {&maxima, &totals, &mergedMaxima, &mergedTotals}) *array = b.stack(scalars);
  for (Var *array : {&queries, &accumulators, &merged}) *array = b.stack(groupHeads() * headBytes());
  if (!d.alibi) return;
  slopes = b.stack(roundUp(d.heads * 4, kAlign));
  for (int64_t h = 0; h < d.heads; ++h) b.store(b.constant(b.f32(), alibiSlope(d.heads, h)), slopes + h * 4);
}

void AttentionEmitter::emit() {
  Var batch = field(b.ptr(), offsetof(llmc_attention_args, batch));
  cache.open(batch, field(b.i64(), offsetof(llmc_attention_args, layer_offset)));
  Var phase = field(b.i64(), offsetof(llmc_attention_args, phase));
  isChunks = phase == LLMC_ATTENTION_CHUNKS, isMerge = phase == LLMC_ATTENTION_MERGE;
  appends = (Var(0) < field(b.i64(), offsetof(llmc_attention_args, append))) & (phase < LLMC_ATTENTION_MERGE);
  chunks = field(b.i64(), offsetof(llmc_attention_args, chunks));
  sinks = field(b.ptr(), offsetof(llmc_attention_args, sinks));
  Var qkv = field(b.ptr(), offsetof(llmc_attention_args, qkv)),
      rope = field(b.ptr(), offsetof(llmc_attention_args, rope));
  Var y = field(b.ptr(), offsetof(llmc_attention_args, y));
  Var partials = b.load(b.ptr(), batch + int64_t(offsetof(llmc_batch, partials)));
  Var rows = b.load(b.i64(), batch + int64_t(offsetof(llmc_batch, rows)));
  openStack();
  Var begin = field(b.i64(), offsetof(llmc_attention_args, begin)),
      end = field(b.i64(), offsetof(llmc_attention_args, end));
  Var step = field(b.i64(), offsetof(llmc_attention_args, step));
  b.loop(0, (end - begin + step - 1) / step, 1, [&](Var turn) {
    Unit unit = decode(begin + turn * step, rows);
    b.loop(unit.firstRow, unit.endRow, 1, [&](Var row) {
      AppendRow one = {qkv + row * d.qkvStride, rope + row * d.ropeStride, cache.sequence(row), cache.position(row)};
      rowPartials = partials + row * d.heads * chunks * d.partialHeadBytes();
      attend(one, unit, y + row * d.yStride);
    });
  });
}

/// llmc_kernel.h has the numbering.
AttentionEmitter::Unit AttentionEmitter::decode(Var unit, Var rows) {
  Var one = b.constant(b.i64(), 1), isRows = (isChunks | isMerge) == 0;
  Var rowBlock = b.max(field(b.i64(), offsetof(llmc_attention_args, row_block)), one);
  Var blocks = (rows + rowBlock - 1) / rowBlock;
  Var blockHead = unit / blocks, block = unit % blocks;
  block = b.select(blockHead % 2 == 0, block, blocks - 1 - block);
  Var perHead = b.select(isChunks, b.max(chunks, one), one), index = unit / perHead;
  Unit u;
  u.kvHead = b.select(isRows, blockHead, index % d.kvHeads);
  u.firstRow = b.select(isRows, block * rowBlock, index / d.kvHeads);
  u.endRow = b.select(isRows, b.min((block + 1) * rowBlock, rows), u.firstRow + 1);
  u.onlyChunk = unit % perHead;
  return u;
}

void AttentionEmitter::attend(const AppendRow &row, const Unit &unit, Var y) {
  Var last = row.position / kAttentionChunk, first = b.constant(b.i64(), 0), firstHead = unit.kvHead * groupHeads();
  if (d.window > 0) first = b.max(row.position - (d.window - 1), first) / kAttentionChunk;
  Var from = b.select(isChunks, b.max(unit.onlyChunk, first), first);
  Var to = b.select(isChunks, b.min(unit.onlyChunk, last), last) + 1;
  b.ifThen(appends & (to == last + 1) & (from < to), [&] { appendHead(b, d, cache, row, unit.kvHead, scratch); });
  b.loop(0, groupHeads(), 1, [&](Var head) {
    double scale = d.softcap > 0 ? d.scale / d.softcap : d.scale;
    rotateHead(b, d, row.qkv + (firstHead + head) * (d.headDim * 4), row.rope, at(queries, head, headBytes()), scale);
    b.store(b.constant(b.f32(), -std::numeric_limits<float>::infinity()), mergedMaxima + head * 4);
    b.store(b.constant(b.f32(), 0), mergedTotals + head * 4);
    b.columns(d.headDim, [&](Var column, int64_t) { b.store(b.splat(0), at(merged, head, headBytes()) + column * 4); });
  });
  Var headPartials = rowPartials + firstHead * chunks * d.partialHeadBytes();
  b.loop(from, to, 1, [&](Var chunk) {
    Var partial = headPartials + chunk * d.partialHeadBytes();
    b.ifThen(isMerge == 0, [&] {
      addChunk(row, unit.kvHead, chunk);
      endChunk(firstHead, partial);
    });
    b.ifThen(isMerge, [&] {
      b.loop(0, groupHeads(), 1, [&](Var head) {
        Var sums = partial + head * chunks * d.partialHeadBytes();
        mergeChunk(head, b.load(b.f32(), sums + d.headDim * 4), b.load(b.f32(), sums + (d.headDim * 4 + 4)), sums);
      });
    });
  });
  b.ifThen(isChunks == 0, [&] { finish(firstHead, y); });
}

/// The chunk's positions that the row sees, to maxima, totals and accumulators.
void AttentionEmitter::addChunk(const AppendRow &row, Var kvHead, Var chunk) {
  b.loop(0, groupHeads(), 1, [&](Var head) {
    b.store(b.constant(b.f32(), -std::numeric_limits<float>::infinity()), maxima + head * 4);
    b.store(b.constant(b.f32(), 0), totals + head * 4);
    b.columns(d.headDim,
              [&](Var column, int64_t) { b.store(b.splat(0), at(accumulators, head, headBytes()) + column * 4); });
  });
  Var zero = b.constant(b.i64(), 0), begin = chunk * kAttentionChunk;
  if (d.window > 0) begin = b.max(row.position - (d.window - 1), begin);
  Var last = b.min(row.position, chunk * kAttentionChunk + (kAttentionChunk - 1));
  b.loop(begin / LLMC_PAGE_POSITIONS, last / LLMC_PAGE_POSITIONS + 1, 1, [&](Var index) {
    Var start = index * LLMC_PAGE_POSITIONS;
    PagePart page = {start, b.max(begin - start, zero),
                     b.min(last - start, b.constant(b.i64(), LLMC_PAGE_POSITIONS - 1)),
                     cache.part(row.sequence, index, kvHead)};
    b.loop(0, groupHeads(), 1, [&](Var head) { addPage(page, row, kvHead, head); });
  });
}

/// One step of the online softmax: all that was summed is scaled by e^(old maximum - new maximum).
void AttentionEmitter::addPage(const PagePart &page, const AppendRow &row, Var kvHead, Var head) {
  Var slope;
  if (d.alibi) slope = b.load(b.f32(), slopes + (kvHead * groupHeads() + head) * 4);
  scorePage(page, page.start - row.position, slope, at(queries, head, headBytes()));
  Var highest = b.splat(-std::numeric_limits<float>::infinity());
  for (int64_t i = 0; i < LLMC_PAGE_POSITIONS; i += kLanes) highest = b.max(lanesAt(scores + i * 4), highest);
  Var oldMaximum = b.load(b.f32(), maxima + head * 4), total = totals + head * 4;
  Var newMaximum = b.max(b.maximum(highest), oldMaximum);
  Var correction = expOf(oldMaximum - newMaximum);
  Var weights = weighScores(newMaximum);
  b.store(newMaximum, maxima + head * 4);
  b.store(b.load(b.f32(), total) * correction + weights, total);
  addValues(page, at(accumulators, head, headBytes()), b.broadcast(correction));
}

/// scores[j] of the page, -infinity for the slots that are not attended. Positions lie in lanes: whatever the page
/// holds in the others does not reach these.
void AttentionEmitter::scorePage(const PagePart &page, Var distance, Var slope, Var query) {
  llvm::SmallVector<int32_t> lanes;
  for (int32_t i = 0; i < kLanes; ++i) lanes.push_back(i);
  Var index = b.constants(lanes);
  for (int64_t i = 0; i < LLMC_PAGE_POSITIONS; i += kLanes) {
    Var dot = b.loop(0, d.headDim, 1, {b.splat(0)}, [&](Var channel, Vars sum) {
      return Vars{b.fma(b.load(b.f32(), query + channel * 4), cache.keys(page.part, channel, i), sum[0])};
    })[0];
    if (d.kv == KvType::I8) dot = dot * cache.keyScales(page.part, i);
    if (d.softcap > 0) dot = (Var(1.0) - Var(2.0) / (exp(b, dot * 2.0) + 1.0)) * double(d.softcap); // tanh
    Var slots = index + i, first = b.truncate(page.first, b.i32()), last = b.truncate(page.last, b.i32());
    if (d.alibi) dot = b.fma(b.toFloat(slots + b.truncate(distance, b.i32())), slope, dot);
    Var seen = (first < slots + 1) & (slots < last + 1);
    b.store(b.select(seen, dot, -std::numeric_limits<float>::infinity()), scores + i * 4);
  }
}

/// scores[j] = e^(scores[j] - maximum); returns their sum.
Var AttentionEmitter::weighScores(Var newMaximum) {
  Var sum = b.splat(0);
  for (int64_t i = 0; i < LLMC_PAGE_POSITIONS; i += kLanes) {
    Var weights = exp(b, lanesAt(scores + i * 4) - newMaximum);
    b.store(weights, scores + i * 4);
    sum = sum + weights;
  }
  return b.sum(sum);
}

/// accumulator[c] = accumulator[c] * correction + sum_j scores[j] * v[j, c].
void AttentionEmitter::addValues(const PagePart &page, Var accumulator, Var correction) {
  b.columns(d.headDim, [&](Var column, int64_t valid) {
    Var old = lanesAt(accumulator + column * 4) * correction;
    Var sum = b.loop(page.first, page.last + 1, 1, {old}, [&](Var slot, Vars carried) {
      Var value = cache.values(page.part, column, valid, slot), weight = b.load(b.f32(), scores + slot * 4);
      if (d.kv == KvType::I8) weight = weight * cache.valueScale(page.part, slot);
      return Vars{b.fma(weight, value, carried[0])};
    })[0];
    b.store(sum, accumulator + column * 4);
  });
}

/// The chunk to what is merged, or to memory.
void AttentionEmitter::endChunk(Var firstHead, Var partial) {
  b.loop(0, groupHeads(), 1, [&](Var head) {
    Var sums = at(accumulators, head, headBytes()), maximum = b.load(b.f32(), maxima + head * 4);
    Var total = b.load(b.f32(), totals + head * 4), out = partial + head * chunks * d.partialHeadBytes();
    b.ifThen(isChunks, [&] {
      b.columns(d.headDim,
                [&](Var column, int64_t valid) { b.storeLanes(lanesAt(sums + column * 4), out + column * 4, valid); });
      b.store(maximum, out + d.headDim * 4);
      b.store(total, out + (d.headDim * 4 + 4));
    });
    b.ifThen(isChunks == 0, [&] { mergeChunk(head, maximum, total, sums); });
  });
}

/// Adds a chunk to what is merged. The first is added to nothing: times exp(-infinity) = 0, plus itself times 1.
void AttentionEmitter::mergeChunk(Var head, Var maximum, Var total, Var sums) {
  Var maximumAt = mergedMaxima + head * 4, totalAt = mergedTotals + head * 4, mergedAt = at(merged, head, headBytes());
  Var old = b.load(b.f32(), maximumAt), larger = b.max(old, maximum);
  Var oldFactor = expOf(old - larger), factor = expOf(maximum - larger);
  b.store(larger, maximumAt);
  b.store(b.load(b.f32(), totalAt) * oldFactor + total * factor, totalAt);
  b.columns(d.headDim, [&](Var column, int64_t valid) {
    Var sum = b.loadLanes(b.f32(), sums + column * 4, valid);
    b.store(b.fma(sum, b.broadcast(factor), lanesAt(mergedAt + column * 4) * oldFactor), mergedAt + column * 4);
  });
}

/// y: merged sums over the sum of weights, with sinks one more weight.
void AttentionEmitter::finish(Var firstHead, Var y) {
  b.loop(0, groupHeads(), 1, [&](Var head) {
    Var total = b.load(b.f32(), mergedTotals + head * 4), sums = at(merged, head, headBytes());
    if (d.sinks) {
      Var sink = b.load(b.f32(), sinks + (firstHead + head) * 4);
      total = total + expOf(sink - b.load(b.f32(), mergedMaxima + head * 4));
    }
    Var first = (firstHead + head) * d.headDim;
    storeColumns(b, d.out, d.heads * d.headDim, y, first, d.headDim, firstHead + head == d.heads - 1,
                 [&](Var column, int64_t) { return lanesAt(sums + column * 4) / total; });
  });
}

Refusal refuse(const AttentionDesc &d, const Target &) {
  if (d.kvHeads < 1 || d.heads % d.kvHeads)
    return "found " + std::to_string(d.heads) + " heads and " + std::to_string(d.kvHeads) +
           " kv heads, expected a multiple";
  if (d.rope != RopeStyle::None && (d.ropeDim % 2 || d.ropeDim > d.headDim))
    return "found " + std::to_string(d.ropeDim) + " rotated channels, expected an even number up to " +
           std::to_string(d.headDim);
  if (d.out == RowFormat::Q8 && d.headDim % kActivationBlock)
    return "found a head of " + std::to_string(d.headDim) + " channels, expected a multiple of 32 for q8 rows";
  return std::nullopt;
}

/// One row over a page: keys and values are read once, and multiplied for each head.
double cost(const AttentionDesc &d, const Target &target) {
  double cells = 2.0 * int(LLMC_PAGE_POSITIONS) * double(d.headDim);
  return double(d.kvHeads) * cells * 4 / target.bytesPerSecond + 3 * double(d.heads) * cells / target.fmaPerSecond;
}

llvm::Expected<Code> emit(const AttentionDesc &desc, const Target &target) {
  KernelBuilder b(target);
  AttentionEmitter(desc, b).emit();
  return b.finish();
}
} // namespace

const Kernel<AttentionDesc> kPortableAttention = {
    .name = "attention_any_portable", .anyArch = true, .needs = {}, .refuse = refuse, .cost = cost, .emit = emit};

} // namespace llmc
