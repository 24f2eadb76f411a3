// com.microsoft GroupQueryAttention: a cache of its own, causal, packed or separate operands, rotary inside or not.
#include "passes/graph/Attend.h"
#include "passes/graph/Axes.h"
#include "passes/graph/Building.h"
#include "passes/graph/Lowerings.h"

using namespace mlir;

namespace llmc::graph {
namespace {

enum Operand {
  kQuery,
  kKey,
  kValue,
  kPastKey,
  kPastValue,
  kLast,
  kTotal,
  kCosines,
  kSines,
  kPositions,
  kBias,
  kSinks,
  kKeyScale
};

llvm::Error refuseForms(NodeLowering &n) {
  for (StringRef name : {"kv_cache_bit_width", "qk_output"})
    if (n.intAttr(name, 0)) return refuse(name + ": found " + Twine(n.intAttr(name, 0)) + ", expected 0");
  for (StringRef name : {"k_quant_type", "v_quant_type"})
    if (n.stringAttr(name, "NONE") != "NONE")
      return refuse(name + ": found " + n.stringAttr(name, "") + ", expected NONE");
  if (n.has(kKeyScale)) return refuse("the cache is quantised");
  if (n.rank(kQuery) != 3) return refuse("query of rank " + Twine(n.rank(kQuery)) + ", expected 3");
  if (n.has(kKey) != n.has(kValue)) return refuse("key without value");
  if (n.intAttr("sliding_window_cache", 0) && (!n.has(kPastKey) || n.intAttr("local_window_size", -1) < 1))
    return refuse("sliding_window_cache without a past or a window");
  if (n.intAttr("num_heads", 0) < 1 || n.intAttr("kv_num_heads", 0) < 1) return refuse("no num_heads or kv_num_heads");
  return llvm::Error::success();
}

/// Tokens of a batch entry: `past` in the cache, then the new ones.
struct Lengths {
  NodeLowering &n;
  Scalar queries, total;

  Scalar last(Scalar batch) const {
    Array lasts = array(n, kLast);
    return toIndex(lasts.rank() == 1 ? lasts(batch) : lasts({batch, index(n.b, 0)}));
  }
  /// A prompt from the start may be padded on the right: its tokens begin at 0 however many there are.
  Scalar past(Scalar batch) const { return select(equal(total, queries), index(n.b, 0), last(batch) + 1 - queries); }
  /// A sliding cache has room for `capacity` tokens, and the last of the past ones in its first rows.
  bool sliding() const { return n.intAttr("sliding_window_cache", 0); }
  Scalar capacity() const { return array(n, kPastKey).size(2); }
  Scalar kept(Scalar batch) const { return sliding() ? minimum(past(batch), capacity()) : past(batch); }
  /// The position of a row of what is attended to.
  Scalar position(Scalar batch, Scalar row) const { return sliding() ? past(batch) - kept(batch) + row : row; }
};

/// What is attended to, and what stays for the next step; both [batch, heads, rows, width].
struct Cache {
  Value all, present;
};

Cache cacheOf(NodeLowering &n, const Lengths &lengths, unsigned past, const HeadElement &fresh, Scalar heads,
              Scalar width, Type element) {
  Builder &b = n.b;
  std::optional<Array> old;
  if (n.has(past)) old = array(n, past);
  Scalar batch = array(n, kQuery).size(0), none = constant(b, element, 0);
  Scalar rows = lengths.sliding() ? lengths.capacity() + lengths.queries
                : old             ? maximum(old->size(2), lengths.total)
                                  : lengths.total;
  Value all = tabulate(b, {batch, heads, rows, width}, element, [&](ScalarRef i) {
    Scalar before = lengths.kept(i[0]);
    auto fromPast = [&] { return old ? old->at(i[2] < old->size(2), i, none) : none; };
    Scalar isNew = (i[2] >= before) & (i[2] < before + lengths.queries);
    return when(isNew, [&] { return convert(fresh(i[0], i[1], i[2] - before, i[3]), element); }, fromPast);
  });
  if (!lengths.sliding()) return {all, all};
  // The most recent rows, from row 0 on.
  Array from = array(b, all);
  Value present = tabulate(b, {batch, heads, lengths.capacity(), width}, element, [&](ScalarRef i) {
    Scalar beyond = maximum(lengths.kept(i[0]) + lengths.queries - lengths.capacity(), index(b, 0));
    return from({i[0], i[1], i[2] + beyond, i[3]});
  });
  return {all, present};
}

/// What else must agree: lengths, tables of the rotation, bias, sinks.
llvm::Error checkOperands(NodeLowering &n, const Attention &a, const Lengths &lengths, bool isPacked) {
  Builder &b = n.b;
  Scalar any, one = index(b, 1);
  if (llvm::Error error = requireMultiple(n, a.heads, a.kvHeads, "num_heads")) return error;
  check(n, (lengths.total >= 0).value, "total_sequence_length is negative");
  Scalars each = {a.batch};
  if (n.rank(kLast) == 2) each.push_back(one);
  Scalar columns = (isPacked ? a.heads + a.kvHeads * 2 : a.heads) * a.width;
  if (llvm::Error error = require(n, {{kQuery, "query", {a.batch, a.queries, columns}},
                                      {kLast, "seqlens_k", each},
                                      {kCosines, "cos_cache", {any, any}},
                                      {kPositions, "position_ids", {a.batch, a.queries}},
                                      {kSinks, "head_sink", {a.heads}}}))
    return error;
  if (n.has(kCosines)) {
    Array table = array(n, kCosines);
    if (llvm::Error error = require(n, {{kSines, "sin_cache", {table.size(0), table.size(1)}}})) return error;
    check(n, (table.size(1) * 2 <= a.width).value, "cos_cache is wider than half a head");
  }
  if (!n.has(kBias)) return llvm::Error::success();
  if (n.rank(kBias) != 4) return refuse("attention_bias: found rank " + Twine(n.rank(kBias)) + ", expected 4");
  checkBroadcast(n, array(n, kBias), {a.batch, a.heads, a.queries, lengths.total}, "attention_bias does not broadcast");
  return llvm::Error::success();
}

llvm::Expected<Values> lowerGroupQuery(NodeLowering &n) {
  Builder &b = n.b;
  if (llvm::Error error = refuseForms(n)) return error;
  Array q = array(n, kQuery);
  bool isPacked = !n.has(kKey);
  double heads = n.intAttr("num_heads", 0), kvHeads = n.intAttr("kv_num_heads", 0);
  Type element = q.element();
  Attention a;
  a.type = sumType(element), a.batch = q.size(0), a.queries = q.size(1);
  a.heads = index(b, heads), a.kvHeads = index(b, kvHeads);
  a.width = isPacked ? q.size(2) / (heads + 2 * kvHeads) : q.size(2) / heads;
  a.valueWidth = a.width;
  Lengths lengths = {n, a.queries, axisOperand(n, kTotal, 0)};
  if (!isPacked)
    for (unsigned operand : {kKey, kValue})
      checkSizes(n, array(n, operand), {a.batch, a.queries, a.kvHeads * a.width}, "the sizes of query and key differ");
  for (unsigned operand : {kPastKey, kPastValue})
    if (n.has(operand))
      checkSizes(n, array(n, operand), {a.batch, a.kvHeads, array(n, kPastKey).size(2), a.width},
                 "the sizes of the past differ");
  if (llvm::Error error = checkOperands(n, a, lengths, isPacked)) return error;
  Scalar zero = index(b, 0), keyStart = isPacked ? a.heads * a.width : zero;
  Scalar valueStart = isPacked ? keyStart + a.kvHeads * a.width : zero;
  HeadElement plainQuery = headsOf(q, a.width, a.type, zero);
  HeadElement plainKey = headsOf(isPacked ? q : array(n, kKey), a.width, a.type, keyStart);
  HeadElement newValue = headsOf(isPacked ? q : array(n, kValue), a.width, a.type, valueStart);
  a.q = plainQuery;
  HeadElement newKey = plainKey;
  Rotation rotation;
  if (n.intAttr("do_rotary", 0)) {
    if (!n.has(kCosines) || !n.has(kSines)) return refuse("do_rotary without cos_cache and sin_cache");
    auto tableAt = [&n, &b, &lengths, &a](unsigned table, Scalar batch, Scalar token, Scalar pair) {
      Array t = array(n, table);
      Scalar position = n.has(kPositions) ? toIndex(array(n, kPositions)({batch, token})) : lengths.past(batch) + token;
      Scalar row = {&b, checkedIndex(n, b, position.value, getAsOpFoldResult(t.size(0).value), "position")};
      return convert(t({row, pair}), a.type);
    };
    rotation = {array(n, kCosines).size(1) * 2, n.intAttr("rotary_interleaved", 0) != 0,
                [&, tableAt](Scalar batch, Scalar token, Scalar pair) { return tableAt(kCosines, batch, token, pair); },
                [&, tableAt](Scalar batch, Scalar token, Scalar pair) { return tableAt(kSines, batch, token, pair); }};
    Array turned = array(b, tabulate(b, {a.batch, a.heads, a.queries, a.width}, a.type, [&](ScalarRef i) {
                           return rotated(rotation, plainQuery, i[0], i[1], i[2], i[3]);
                         }));
    a.q = headsOf(turned, a.width, a.type, zero);
    newKey = [&](Scalar batch, Scalar head, Scalar token, Scalar column) {
      return rotated(rotation, plainKey, batch, head, token, column);
    };
  }
  Cache keyCache = cacheOf(n, lengths, kPastKey, newKey, a.kvHeads, a.width, element);
  Cache valueCache = cacheOf(n, lengths, kPastValue, newValue, a.kvHeads, a.width, element);
  Array keys = array(b, keyCache.all), values = array(b, valueCache.all);
  a.keys = lengths.sliding() ? keys.size(2) : lengths.total, a.k = headsOf(keys, a.width, a.type, zero),
  a.v = headsOf(values, a.width, a.type, zero);
  double scale = n.floatAttr("scale", 0);
  a.scale = scale != 0 ? constant(b, a.type, scale) : constant(b, a.type, 1) / sqrt(convert(a.width, a.type));
  a.softcap = n.floatAttr("softcap", 0);
  int64_t window = n.intAttr("local_window_size", -1);
  a.bias = [&](Scalar batch, Scalar head, Scalar query, Scalar key) {
    Scalar position = lengths.past(batch) + query, at = lengths.position(batch, key), seen = at <= position;
    if (window > 0) seen = seen & (at > position - double(window));
    Scalar blocked = lowest(b, a.type, false), none = constant(b, a.type, 0);
    if (!n.has(kBias)) return select(seen, none, blocked);
    // In a sliding cache, the position of a row that is not seen may be outside.
    Array bias = array(n, kBias);
    Scalars place = broadcastIndices(bias.sizes(), {batch, head, query, at});
    Scalar inside = (place[3] >= 0) & (place[3] < bias.size(3));
    return select(seen, convert(bias.at(inside, place, constant(b, bias.element(), 0)), a.type), blocked);
  };
  if (n.has(kSinks))
    a.sink = [&](Scalar head) { return convert(array(n, kSinks)(head), a.type); };
  else if (n.intAttr("smooth_softmax", 0) == 1)
    a.sink = [&](Scalar) { return constant(b, a.type, 0); };
  Scores scores = attentionScores(b, a);
  return Values{attendedTokens(b, a, scores.probabilities, element), keyCache.present, valueCache.present};
}

constexpr Lowering kRows[] = {{"com.microsoft", "GroupQueryAttention", lowerGroupQuery}};
} // namespace

llvm::ArrayRef<Lowering> groupQueryLowerings() { return kRows; }

} // namespace llmc::graph
