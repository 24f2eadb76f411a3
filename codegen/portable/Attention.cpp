// Fused attention over the paged cache: online softmax (arXiv 1805.02867), a page at a time. The heads of a kv head
// follow each other inside the page loop, so that a page is read from memory once for all of them.
#include "codegen/portable/Cache.h"
#include "codegen/portable/Numeric.h"
#include "codegen/portable/Portable.h"
#include <limits>

namespace llmc {
using namespace portable;

namespace {
class AttentionEmitter {
public:
  AttentionEmitter(const AttentionDesc &desc, KernelBuilder &b) : d(desc), b(b), cache(desc, b) {}
  void emit();

private:
  /// Positions first..last of one page, as slots, and where its keys and values of the kv head are.
  struct PagePart {
    Var first, last, keys, values;
  };

  void attend(Var row, Var kvHead);
  void addPage(const PagePart &page, Var q, Var head);
  void scorePage(const PagePart &page, Var q);
  Var weighScores(Var newMaximum);
  void addValues(const PagePart &page, Var accumulator, Var correction);
  int64_t groupHeads() const { return d.heads / d.kvHeads; }
  int64_t accumulatorBytes() const { return roundUp(d.headDim * 4, kAlign); }

  const AttentionDesc &d;
  KernelBuilder &b;
  CacheAccess cache;
  Var q, y;
  Var scores;                       // stack: of one page
  Var maxima, totals, accumulators; // stack: per head of the group
};

void AttentionEmitter::emit() {
  Var args = b.args();
  auto field = [&](mlir::Type type, size_t offset) { return b.load(type, args + int64_t(offset)); };
  Var batch = field(b.ptr(), offsetof(llmc_attention_args, batch));
  cache.open(batch, field(b.i64(), offsetof(llmc_attention_args, layer_offset)));
  q = field(b.ptr(), offsetof(llmc_attention_args, q));
  y = field(b.ptr(), offsetof(llmc_attention_args, y));
  scores = b.stack(LLMC_PAGE_POSITIONS * 4);
  maxima = b.stack(roundUp(groupHeads() * 4, kAlign));
  totals = b.stack(roundUp(groupHeads() * 4, kAlign));
  accumulators = b.stack(groupHeads() * accumulatorBytes());
  Var rows = b.load(b.i64(), batch + int64_t(offsetof(llmc_batch, rows)));
  b.loop(field(b.i64(), offsetof(llmc_attention_args, begin)), field(b.i64(), offsetof(llmc_attention_args, end)), 1,
         [&](Var unit) {
           Var first = unit / d.kvHeads * d.rowBlock, kvHead = unit % d.kvHeads;
           b.loop(first, b.min(first + d.rowBlock, rows), 1, [&](Var row) { attend(row, kvHead); });
         });
}

void AttentionEmitter::attend(Var row, Var kvHead) {
  Var position = cache.position(row), sequence = cache.sequence(row);
  Var firstHead = kvHead * groupHeads();
  b.loop(0, groupHeads(), 1, [&](Var head) {
    b.store(b.constant(b.f32(), -std::numeric_limits<float>::infinity()), maxima + head * 4);
    b.store(b.constant(b.f32(), 0), totals + head * 4);
    b.columns(d.headDim,
              [&](Var column, int64_t) { b.store(b.splat(0), accumulators + head * accumulatorBytes() + column * 4); });
  });
  Var begin = b.constant(b.i64(), 0);
  if (d.window > 0) begin = b.max(position - (d.window - 1), begin);
  b.loop(begin / LLMC_PAGE_POSITIONS, position / LLMC_PAGE_POSITIONS + 1, 1, [&](Var index) {
    Var start = index * LLMC_PAGE_POSITIONS;
    PagePart page = {b.max(begin - start, b.constant(b.i64(), 0)),
                     b.min(position - start, b.constant(b.i64(), LLMC_PAGE_POSITIONS - 1)),
                     cache.keys(sequence, index, kvHead), cache.values(sequence, index, kvHead)};
    b.loop(0, groupHeads(), 1,
           [&](Var head) { addPage(page, q + row * d.qkvStride + (firstHead + head) * (d.headDim * 4), head); });
  });
  b.loop(0, groupHeads(), 1, [&](Var head) {
    Var inverse = b.constant(b.f32(), 1) / b.load(b.f32(), totals + head * 4);
    Var out = y + row * d.yStride + (firstHead + head) * (d.headDim * 4);
    b.columns(d.headDim, [&](Var column, int64_t valid) {
      Var sum = b.load(b.lanes(b.f32()), accumulators + head * accumulatorBytes() + column * 4);
      b.storeLanes(sum * inverse, out + column * 4, valid);
    });
  });
}

/// One step of the online softmax: all that was summed is scaled by e^(old maximum - new maximum).
void AttentionEmitter::addPage(const PagePart &page, Var q, Var head) {
  scorePage(page, q);
  Var highest = b.splat(-std::numeric_limits<float>::infinity());
  for (int64_t i = 0; i < LLMC_PAGE_POSITIONS; i += kLanes)
    highest = b.max(b.load(b.lanes(b.f32()), scores + i * 4), highest);
  Var oldMaximum = b.load(b.f32(), maxima + head * 4), total = totals + head * 4;
  Var newMaximum = b.max(b.maximum(highest), oldMaximum);
  Var correction = b.every(exp(b, b.broadcast(oldMaximum - newMaximum)), 0, kLanes); // one lane
  Var weights = weighScores(newMaximum);
  b.store(newMaximum, maxima + head * 4);
  b.store(b.load(b.f32(), total) * b.sum(correction) + weights, total);
  addValues(page, accumulators + head * accumulatorBytes(), b.broadcast(b.sum(correction)));
}

/// scores[j] = scale * q . k[j]; -infinity for the slots that are not attended.
void AttentionEmitter::scorePage(const PagePart &page, Var q) {
  for (int64_t i = 0; i < LLMC_PAGE_POSITIONS; i += kLanes)
    b.store(b.splat(-std::numeric_limits<float>::infinity()), scores + i * 4);
  b.loop(page.first, page.last + 1, 1, [&](Var slot) {
    Var key = page.keys + slot * cache.rowBytes();
    Var dot = b.columns(d.headDim, kLanes, {b.splat(0)}, [&](Var column, int64_t valid, Vars sum) {
      return Vars{b.fma(b.loadLanes(b.f32(), q + column * 4, valid), cache.load(key, column, valid), sum[0])};
    })[0];
    b.store(b.sum(dot) * double(d.scale), scores + slot * 4);
  });
}

/// scores[j] = e^(scores[j] - maximum); returns their sum.
Var AttentionEmitter::weighScores(Var newMaximum) {
  Var sum = b.splat(0);
  for (int64_t i = 0; i < LLMC_PAGE_POSITIONS; i += kLanes) {
    Var weights = exp(b, b.load(b.lanes(b.f32()), scores + i * 4) - newMaximum);
    b.store(weights, scores + i * 4);
    sum = sum + weights;
  }
  return b.sum(sum);
}

/// accumulator[c] = accumulator[c] * correction + sum_j scores[j] * v[j, c].
void AttentionEmitter::addValues(const PagePart &page, Var accumulator, Var correction) {
  b.columns(d.headDim, [&](Var column, int64_t valid) {
    Var old = b.load(b.lanes(b.f32()), accumulator + column * 4) * correction;
    Var sum = b.loop(page.first, page.last + 1, 1, {old}, [&](Var slot, Vars carried) {
      Var value = cache.load(page.values + slot * cache.rowBytes(), column, valid);
      return Vars{b.fma(b.load(b.f32(), scores + slot * 4), value, carried[0])};
    })[0];
    b.store(sum, accumulator + column * 4);
  });
}

Refusal refuse(const AttentionDesc &d, const Target &) {
  if (d.kvHeads < 1 || d.heads % d.kvHeads)
    return "found " + std::to_string(d.heads) + " heads and " + std::to_string(d.kvHeads) +
           " kv heads, expected a multiple";
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
