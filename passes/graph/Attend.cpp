#include "passes/graph/Attend.h"

using namespace mlir;

namespace llmc::graph {

Scores attentionScores(Builder &b, const Attention &a) {
  Scalars sizes = {a.batch, a.heads, a.queries, a.keys}, rows = {a.batch, a.heads, a.queries};
  Scalar zero = index(b, 0), none = constant(b, a.type, 0), sharing = a.heads / a.kvHeads;
  Scores scores;
  scores.scaled = tabulate(b, sizes, a.type, [&](ScalarRef i) {
    Scalar dot = fold(zero, a.width, none, [&](Scalar d, Scalar sum) {
      return sum + a.q(i[0], i[1], i[2], d) * a.k(i[0], i[1] / sharing, i[3], d);
    });
    return dot * a.scale;
  });
  auto changed = [&](Value from, llvm::function_ref<Scalar(Scalar, ScalarRef)> change) {
    return tabulate(b, sizes, a.type, [&](ScalarRef i) { return change(array(b, from)(i), i); });
  };
  scores.capped = a.softcap == 0
                      ? scores.scaled
                      : changed(scores.scaled, [&](Scalar x, ScalarRef) { return tanh(x / a.softcap) * a.softcap; });
  scores.biased =
      !a.bias ? scores.capped
              : changed(scores.capped, [&](Scalar x, ScalarRef i) { return x + a.bias(i[0], i[1], i[2], i[3]); });
  Array logits = array(b, scores.biased);
  auto at = [&](ScalarRef row, Scalar key) { return logits({row[0], row[1], row[2], key}); };
  Array greatest =
      array(b, tabulate(b, rows, a.type, [&](ScalarRef row) {
              Scalar start = a.sink ? a.sink(row[1]) : lowest(b, a.type, false);
              return fold(zero, a.keys, start, [&](Scalar t, Scalar most) { return maximum(most, at(row, t)); });
            }));
  // Nothing is seen: any finite number in place of -inf makes all the exponentials 0.
  auto shift = [&](ScalarRef row) {
    Scalar most = greatest(row);
    return select(equal(most, lowest(b, a.type, false)), none, most);
  };
  Array sums =
      array(b, tabulate(b, rows, a.type, [&](ScalarRef row) {
              Scalar most = shift(row), start = a.sink ? exp(a.sink(row[1]) - most) : none;
              return fold(zero, a.keys, start, [&](Scalar t, Scalar sum) { return sum + exp(at(row, t) - most); });
            }));
  scores.probabilities = changed(scores.biased, [&](Scalar x, ScalarRef i) {
    ScalarRef row = i.drop_back();
    Scalar sum = sums(row), e = exp(x - shift(row));
    return select(equal(sum, 0), none, e / sum);
  });
  return scores;
}

Scalar attended(const Attention &a, Value probabilities, Scalar batch, Scalar head, Scalar query, Scalar column) {
  Builder &b = *batch.b;
  Scalar kvHead = head / (a.heads / a.kvHeads);
  return fold(index(b, 0), a.keys, constant(b, a.type, 0), [&](Scalar t, Scalar sum) {
    Scalar p = array(b, probabilities)({batch, head, query, t});
    // What is not seen may hold anything, also NaN.
    return sum + select(equal(p, 0), constant(b, a.type, 0), p * a.v(batch, kvHead, t, column));
  });
}

Value attendedTokens(Builder &b, const Attention &a, Value probabilities, Type element) {
  return tabulate(b, {a.batch, a.queries, a.heads * a.valueWidth}, element, [&](ScalarRef i) {
    return convert(attended(a, probabilities, i[0], i[2] / a.valueWidth, i[1], i[2] % a.valueWidth), element);
  });
}
Value attendedHeads(Builder &b, const Attention &a, Value probabilities, Type element) {
  return tabulate(b, {a.batch, a.heads, a.queries, a.valueWidth}, element,
                  [&](ScalarRef i) { return convert(attended(a, probabilities, i[0], i[1], i[2], i[3]), element); });
}

HeadElement headsOf(Array x, Scalar width, Type type, Scalar first) {
  if (x.rank() == 4)
    return [=](Scalar batch, Scalar head, Scalar token, Scalar column) {
      return convert(x({batch, head, token, column}), type);
    };
  return [=](Scalar batch, Scalar head, Scalar token, Scalar column) {
    return convert(x({batch, token, first + head * width + column}), type);
  };
}

Value appended(Builder &b, std::optional<Array> past, ScalarRef newSizes, const HeadElement &fresh, Type element) {
  Scalars sizes(newSizes);
  Scalar before = past ? past->size(2) : index(b, 0);
  sizes[2] = before + sizes[2];
  return tabulate(b, sizes, element, [&](ScalarRef i) {
    auto isNew = [&] { return convert(fresh(i[0], i[1], i[2] - before, i[3]), element); };
    if (!past) return isNew();
    return when(i[2] < before, [&] { return (*past)(i); }, isNew);
  });
}

Scalar rotated(const Rotation &r, const HeadElement &x, Scalar batch, Scalar head, Scalar token, Scalar column) {
  Scalar half = r.width / 2;
  return when(
      column < r.width,
      [&] {
        Scalar pair = r.interleaved ? column / 2 : column % half;
        Scalar isFirst = r.interleaved ? equal(column % 2, 0) : column < half;
        Scalar firstColumn = r.interleaved ? pair * 2 : pair;
        Scalar secondColumn = r.interleaved ? firstColumn + 1 : pair + half;
        Scalar first = x(batch, head, token, firstColumn), second = x(batch, head, token, secondColumn);
        Scalar c = r.cosine(batch, token, pair), s = r.sine(batch, token, pair);
        return select(isFirst, first * c - second * s, first * s + second * c);
      },
      [&] { return x(batch, head, token, column); });
}

} // namespace llmc::graph
