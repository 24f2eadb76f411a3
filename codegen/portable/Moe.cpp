// The steps of a mixture of experts around its matmuls (formulas and layouts: codegen/kernels/rowwise/README.md).
#include "codegen/portable/Numeric.h"
#include "codegen/portable/Rowwise.h"
#include "codegen/portable/Scan.h"
#include "llmc_kernel.h"

namespace llmc::portable {
namespace {

Var i64(KernelBuilder &b, int64_t number) { return b.constant(b.i64(), double(number)); }
Var loadIndex(KernelBuilder &b, Var array, Var at) { return b.signExtend(b.load(b.i32(), array + at * 4), b.i64()); }
void storeIndex(KernelBuilder &b, Var index, Var array, Var at) { b.store(b.truncate(index, b.i32()), array + at * 4); }

/// What is not a number is found by no comparison: places that are still empty get the first experts that are not in
/// the list, so that every index is one of an expert.
void fillEmpty(const RowwiseDesc &d, KernelBuilder &b, const List &list) {
  b.ifThen(b.load(b.i32(), list.indices + (d.k - 1) * 4) == -1, [&] {
    b.loop(0, d.k, 1, [&](Var place) {
      b.ifThen(b.load(b.i32(), list.indices + place * 4) == -1, [&] {
        Var next = b.loop(0, d.columns, 1, {i64(b, -1)}, [&](Var expert, Vars found) {
          Var known = b.loop(0, d.k, 1, {i64(b, 0)}, [&](Var other, Vars seen) {
            return Vars{seen[0] | b.select(loadIndex(b, list.indices, other) == expert, i64(b, 1), i64(b, 0))};
          })[0];
          Var take = b.select(known == 0, expert, found[0]);
          return Vars{b.select(found[0] == -1, take, found[0])};
        })[0];
        storeIndex(b, next, list.indices, place);
      });
    });
  });
}

/// The list of k experts by ascending index.
void sortByIndex(const RowwiseDesc &d, KernelBuilder &b, Var indices) {
  if (d.k == 1) return;
  b.loop(1, d.k, 1, [&](Var unused) {
    b.loop(0, d.k - 1, 1, [&](Var at) {
      Var first = b.load(b.i32(), indices + at * 4), second = b.load(b.i32(), indices + at * 4 + 4);
      b.store(b.min(first, second), indices + at * 4);
      b.store(b.max(first, second), indices + at * 4 + 4);
    });
  });
}

/// exp(logit - largest logit) to scratch; their sum over all experts.
Var storePowers(const RowwiseDesc &d, KernelBuilder &b, Var logits, Var powers) {
  Var largest = b.loop(1, d.columns, 1, {b.load(b.f32(), logits)}, [&](Var expert, Vars so) {
    return Vars{b.max(b.load(b.f32(), logits + expert * 4), so[0])};
  })[0];
  Var sum = b.columns(d.columns, kLanes, {b.splat(0)}, [&](Var column, int64_t valid, Vars so) {
    Var power = exp(b, b.loadLanes(b.f32(), logits + column * 4, valid) - largest);
    b.storeLanes(power, powers + column * 4, valid);
    return Vars{so[0] + b.keepLanes(power, valid)};
  })[0];
  return b.sum(sum);
}

} // namespace

void moeChooseRow(const RowwiseDesc &d, KernelBuilder &b, const RowwiseRow &row) {
  Var experts = row.y, weights = row.y + d.k * 4, scores = row.scratch;
  Var total = storePowers(d, b, row.x, scores);
  List list{d.k, weights, experts};
  scan(b, list, row.x, i64(b, 0), i64(b, d.columns), [&](Var column) { return b.truncate(column, b.i32()); });
  fillEmpty(d, b, list);
  sortByIndex(d, b, experts);
  Var chosen = b.loop(0, d.k, 1, {b.constant(b.f32(), 0)}, [&](Var j, Vars sum) {
    Var score = b.load(b.f32(), scores + loadIndex(b, experts, j) * 4);
    b.store(score, weights + j * 4);
    return Vars{sum[0] + score};
  })[0];
  Var divisor = d.renormalise ? chosen : total;
  b.loop(0, d.k, 1, [&](Var j) {
    Var weight = b.load(b.f32(), weights + j * 4) / divisor;
    b.store(weight * double(d.scale), weights + j * 4);
  });
}

void moeSortStep(const RowwiseDesc &d, KernelBuilder &b, const RowwiseRow &row) {
  Var count = b.load(b.i64(), row.batch + int64_t(offsetof(llmc_batch, rows)));
  Var plan = row.y, rows = plan + moePlanRows(d.columns), places = rows + count * (d.k * 4), next = row.scratch;
  b.loop(0, d.columns, 1, [&](Var expert) { storeIndex(b, i64(b, 0), next, expert); });
  auto each = [&](llvm::function_ref<void(Var, Var, Var)> body) {
    b.loop(0, count, 1,
           [&](Var r) { b.loop(0, d.k, 1, [&](Var j) { body(r, j, loadIndex(b, row.firstX + r * d.xStride, j)); }); });
  };
  each([&](Var, Var, Var expert) { storeIndex(b, loadIndex(b, next, expert) + 1, next, expert); });
  Var total = b.loop(0, d.columns, 1, {i64(b, 0)}, [&](Var expert, Vars before) {
    Var own = loadIndex(b, next, expert);
    storeIndex(b, before[0], plan, expert);
    storeIndex(b, before[0], next, expert);
    return Vars{before[0] + own};
  })[0];
  storeIndex(b, total, plan, i64(b, d.columns));
  each([&](Var r, Var j, Var expert) {
    Var place = loadIndex(b, next, expert);
    storeIndex(b, place + 1, next, expert);
    storeIndex(b, r, rows, place);
    storeIndex(b, place, places, r * d.k + j);
  });
}

void moeGatherRow(const RowwiseDesc &d, KernelBuilder &b, const RowwiseRow &row) {
  Var from = row.firstX + loadIndex(b, row.w + moePlanRows(d.experts), row.index) * d.xStride;
  b.loop(0, roundUp(rowBytes(d.out, d.columns), kAlign), kAlign,
         [&](Var byte) { b.store(b.load(b.lanes(b.i32()), from + byte), row.y + byte); });
}

void moeScatterPart(const RowwiseDesc &d, KernelBuilder &b, const RowwiseRow &row) {
  constexpr int64_t kStep = 4 * kLanes;
  Var number = row.index / d.parts, part = row.index % d.parts;
  Var count = b.load(b.i64(), row.batch + int64_t(offsetof(llmc_batch, rows)));
  Var places = row.b + moePlanRows(d.experts) + (count + number) * (d.k * 4);
  Var weights = row.w + number * moeChoiceBytes(d.k) + d.k * 4;
  int64_t columns = roundUp(d.columns, kStep), width = moePartColumns(d.columns, d.parts);
  Var begin = part * width, end = b.min(begin + width, i64(b, columns));
  b.loop(begin, end, kStep, [&](Var column) {
    Vars sums = b.loop(0, d.k, 1, Vars(4, b.splat(0)), [&](Var j, Vars so) {
      Var x = row.firstX + loadIndex(b, places, j) * d.xStride + column * 4;
      Var weight = b.broadcast(b.load(b.f32(), weights + j * 4));
      for (int64_t i = 0; i < 4; ++i) so[i] = b.fma(weight, b.load(b.lanes(b.f32()), x + i * kLanes * 4), so[i]);
      return so;
    });
    for (int64_t i = 0; i < 4; ++i) {
      Var y = row.y + (column + i * kLanes) * 4;
      b.store(d.accumulate ? b.load(b.lanes(b.f32()), y) + sums[i] : sums[i], y);
    }
  });
}

int64_t moeScratch(const RowwiseDesc &d) {
  int64_t one = roundUp(d.columns, kLanes) * 4;
  return d.op == RowwiseOp::MoeChoose || d.op == RowwiseOp::MoeSort ? one : 0;
}

Refusal refuseMoe(const RowwiseDesc &d) {
  constexpr int64_t kMostExperts = 4096; // their scores are on the stack
  bool ofExperts = d.op == RowwiseOp::MoeChoose || d.op == RowwiseOp::MoeSort;
  int64_t experts = ofExperts ? d.columns : d.experts;
  if (experts < 1 || experts > kMostExperts || d.k < 1 || d.k > experts)
    return "found " + std::to_string(d.k) + " of " + std::to_string(experts) +
           " experts for a row, expected 1 or more of " + "at most " + std::to_string(kMostExperts);
  if (d.op != RowwiseOp::MoeGather && d.out != RowFormat::F32) return "found " + d.out.name() + " output, expected f32";
  if (d.op == RowwiseOp::MoeChoose && d.yStride != moeChoiceBytes(d.k))
    return "found choices " + std::to_string(d.yStride) + " bytes apart, expected " +
           std::to_string(moeChoiceBytes(d.k));
  if (d.parts < 1) return std::string("found no parts, expected 1 or more");
  return std::nullopt;
}

} // namespace llmc::portable
