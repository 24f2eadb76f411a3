// LinearAttention and CausalConvWithState (opset 27): recurrences over tokens whose state is a result.
#include "passes/graph/Attend.h"
#include "passes/graph/Building.h"
#include "passes/graph/Lowerings.h"
#include "passes/graph/Window.h"

using namespace mlir;

namespace llmc::graph {
namespace {

//===- LinearAttention -----------------------------------------------------------------===//
enum Operand { kQuery, kKey, kValue, kPast, kDecay, kBeta };

struct Heads {
  NodeLowering &n;
  double queryHeads, heads;
  bool decays, corrects;
  Scalar batch, tokens, width, valueWidth;

  Scalar element(unsigned operand, Scalar b, Scalar t, Scalar column) const {
    return toF32(array(n, operand)({b, t, column}));
  }
  /// exp of the decay of a row of the state: one for each head, or for each row.
  Scalar decay(Scalar b, Scalar t, Scalar head, Scalar row) const {
    Scalar perHead = equal(array(n, kDecay).size(2), heads);
    return exp(element(kDecay, b, t, select(perHead, head, head * width + row)));
  }
  Scalar beta(Scalar b, Scalar t, Scalar head) const {
    return element(kBeta, b, t, select(equal(array(n, kBeta).size(2), 1), index(n.b, 0), head));
  }
};

llvm::Error checkOperands(const Heads &h) {
  NodeLowering &n = h.n;
  Scalar heads = index(n.b, h.heads), any;
  if (llvm::Error error = require(n, {{kQuery, "query", {h.batch, h.tokens, h.width * h.queryHeads}},
                                      {kKey, "key", {h.batch, h.tokens, h.width * heads}},
                                      {kValue, "value", {h.batch, h.tokens, h.valueWidth * heads}},
                                      {kPast, "past_state", {h.batch, heads, h.width, h.valueWidth}},
                                      {kDecay, "decay", {h.batch, h.tokens, any}},
                                      {kBeta, "beta", {h.batch, h.tokens, any}}}))
    return error;
  auto checkColumns = [&](unsigned operand, Scalar other, StringRef what) {
    if (!n.has(operand)) return;
    Scalar columns = array(n, operand).size(2);
    check(n, (equal(columns, heads) | equal(columns, other)).value, what);
  };
  checkColumns(kDecay, heads * h.width, "decay: the last size is neither the heads nor the rows of their states");
  checkColumns(kBeta, index(n.b, 1), "beta: the last size is neither the heads nor 1");
  return llvm::Error::success();
}

llvm::Expected<Heads> headsFrom(NodeLowering &n) {
  StringRef rule = n.stringAttr("update_rule", "gated_delta");
  if (!llvm::is_contained({"linear", "gated", "delta", "gated_delta"}, rule))
    return refuse("update_rule: found '" + rule + "'");
  Heads h = {n,
             double(n.intAttr("q_num_heads", 0)),
             double(n.intAttr("kv_num_heads", 0)),
             rule.starts_with("gated"),
             rule.ends_with("delta"),
             {},
             {},
             {},
             {}};
  if (h.heads < 1 || h.queryHeads < 1 || int64_t(h.queryHeads) % int64_t(h.heads))
    return refuse("q_num_heads is not a multiple of kv_num_heads");
  if (n.rank(kQuery) != 3 || n.rank(kKey) != 3 || n.rank(kValue) != 3) return refuse("an operand whose rank is not 3");
  if (h.decays != n.has(kDecay) || h.corrects != n.has(kBeta))
    return refuse("decay or beta against update_rule " + rule);
  h.batch = array(n, kQuery).size(0), h.tokens = array(n, kQuery).size(1);
  h.width = array(n, kQuery).size(2) / h.queryHeads, h.valueWidth = array(n, kValue).size(2) / h.heads;
  if (llvm::Error error = checkOperands(h)) return error;
  return h;
}

/// The state after token t, in f32: s = exp(decay) s + k (v or beta (v - s^T k)).
Value nextState(const Heads &h, Array state, Scalar t) {
  Builder &b = h.n.b;
  Type f32 = b.getF32Type();
  auto decayed = [&](ScalarRef i, Scalar row) {
    Scalar value = state({i[0], i[1], row, i.back()});
    return h.decays ? value * h.decay(i[0], t, i[1], row) : value;
  };
  auto key = [&](ScalarRef i, Scalar row) { return h.element(kKey, i[0], t, i[1] * h.width + row); };
  Array written = array(b, tabulate(b, {h.batch, index(b, h.heads), h.valueWidth}, f32, [&](ScalarRef i) {
                          Scalar value = h.element(kValue, i[0], t, i[1] * h.valueWidth + i[2]);
                          if (!h.corrects) return value;
                          Scalar known = fold(index(b, 0), h.width, constant(b, f32, 0), [&](Scalar row, Scalar sum) {
                            return sum + decayed(i, row) * key(i, row);
                          });
                          return h.beta(i[0], t, i[1]) * (value - known);
                        }));
  return tabulate(b, state.sizes(), f32,
                  [&](ScalarRef i) { return decayed(i, i[2]) + key(i, i[2]) * written({i[0], i[1], i[3]}); });
}

llvm::Expected<Values> lowerLinearAttention(NodeLowering &n) {
  Builder &b = n.b;
  auto h = headsFrom(n);
  if (!h) return h.takeError();
  Type f32 = b.getF32Type(), element = n.element();
  double scale = n.floatAttr("scale", 0);
  Scalar factor = scale != 0 ? constant(b, f32, scale) : constant(b, f32, 1) / sqrt(convert(h->width, f32));
  Scalars stateSizes = {h->batch, index(b, h->heads), h->width, h->valueWidth};
  Value start = tabulate(b, stateSizes, f32,
                         [&](ScalarRef i) { return n.has(kPast) ? toF32(array(n, kPast)(i)) : constant(b, f32, 0); });
  Value y = empty(b, {h->batch, h->tokens, h->valueWidth * h->queryHeads}, element);
  Values done = loop(index(b, 0), h->tokens, {y, start}, [&](Scalar t, ValueRange carried) {
    Array state = array(b, nextState(*h, array(b, carried[1]), t));
    Scalars nest = {h->batch, index(b, h->queryHeads), h->valueWidth};
    Value rows = forEach(nest, carried[0], [&](ScalarRef i, Value y) {
      Scalar own = i[1] / (h->queryHeads / h->heads);
      Scalar sum = fold(index(b, 0), h->width, constant(b, f32, 0), [&](Scalar row, Scalar sum) {
        return sum + h->element(kQuery, i[0], t, i[1] * h->width + row) * state({i[0], own, row, i[2]});
      });
      return store(y, {i[0], t, i[1] * h->valueWidth + i[2]}, convert(sum * factor, element));
    });
    return Values{rows, state.tensor};
  });
  Array last = array(b, done[1]);
  Value present = tabulate(b, stateSizes, n.element(1), [&](ScalarRef i) { return convert(last(i), n.element(1)); });
  return Values{done[0], present};
}

//===- CausalConvWithState -----------------------------------------------------------------===//
/// x [N, C, L], weights [C, 1, k], bias, past [N, C, k - 1]: each channel's own convolution; the last k - 1 inputs
/// stay.
llvm::Expected<Values> lowerCausalConv(NodeLowering &n) {
  Builder &b = n.b;
  StringRef activation = n.stringAttr("activation", "none");
  if (!llvm::is_contained({"none", "silu", "swish"}, activation))
    return refuse("activation: found '" + activation + "'");
  Array x = array(n, 0), w = array(n, 1);
  if (x.rank() != 3 || w.rank() != 3)
    return refuse("operands of rank " + Twine(x.rank()) + " and " + Twine(w.rank()) + ", expected 3");
  Type type = sumType(x.element());
  check(n, (w.size(2) >= 1).value, "the kernel has no elements");
  Scalar channels = x.size(1);
  if (llvm::Error error = require(n, {{1, "weight", {channels, index(b, 1), Scalar()}},
                                      {2, "bias", {channels}},
                                      {3, "past_state", {x.size(0), channels, w.size(2) - 1}}}))
    return error;
  Scalar before = w.size(2) - 1, none = constant(b, x.element(), 0);
  // Element `place` of the past and the input in one.
  auto joined = [&](Scalar row, Scalar channel, Scalar place) {
    return when(
        place < before, [&] { return n.has(3) ? array(n, 3)({row, channel, place}) : none; },
        [&] { return x({row, channel, place - before}); });
  };
  Value y = tabulate(b, x.sizes(), x.element(), [&](ScalarRef i) {
    Scalar start = n.has(2) ? convert(array(n, 2)(i[1]), type) : constant(b, type, 0);
    Scalar sum = fold(index(b, 0), w.size(2), start, [&](Scalar k, Scalar sum) {
      return sum + convert(joined(i[0], i[1], i[2] + k), type) * convert(w({i[1], index(b, 0), k}), type);
    });
    return convert(activation == "none" ? sum : sum * sigmoid(sum), x.element());
  });
  Value present = tabulate(b, {x.size(0), x.size(1), before}, x.element(),
                           [&](ScalarRef i) { return joined(i[0], i[1], i[2] + x.size(2)); });
  return Values{y, present};
}

constexpr Lowering kRows[] = {
    {"", "CausalConvWithState", lowerCausalConv},
    {"", "LinearAttention", lowerLinearAttention},
};
} // namespace

llvm::ArrayRef<Lowering> linearAttentionLowerings() { return kRows; }

} // namespace llmc::graph
