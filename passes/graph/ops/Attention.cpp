// ai.onnx Attention (opset 23 and 24) and RotaryEmbedding (ai.onnx and com.microsoft).
#include "passes/graph/Attend.h"
#include "passes/graph/Building.h"
#include "passes/graph/Lowerings.h"

using namespace mlir;

namespace llmc::graph {
namespace {

enum Operand { kQuery, kKey, kValue, kMask, kPastKey, kPastValue, kValidKeys };

/// The additive bias of the mask and of causality.
struct Mask {
  NodeLowering *n;
  Attention *a;
  bool causal;
  Scalar offset; // of causality without the count of valid keys: key <= query + offset

  Scalar blocked() const { return lowest(n->b, a->type, false); }
  /// The mask may end before the keys do: what it does not reach is not seen.
  Scalar ofOperand(Scalar batch, Scalar head, Scalar query, Scalar key) const {
    Array mask = array(*n, kMask);
    Scalars all = {batch, head, query, key}, at = broadcastIndices(mask.sizes(), all);
    // A last axis of 1 is one key, not a broadcast, unless there is one key: the padding says so.
    Scalar zero = constant(n->b, a->type, 0);
    at.back() = key;
    return when(
        key < mask.size(mask.rank() - 1),
        [&] {
          Scalar m = mask(at);
          return m.type().isInteger(1) ? select(m, zero, blocked()) : convert(m, a->type);
        },
        [&] { return blocked(); });
  }
  Scalar operator()(Scalar batch, Scalar head, Scalar query, Scalar key) const {
    Scalar sum = constant(n->b, a->type, 0), zero = sum;
    if (n->has(kMask)) sum = ofOperand(batch, head, query, key);
    Scalar last = offset;
    if (n->has(kValidKeys)) {
      Scalar valid = toIndex(array(*n, kValidKeys)({batch}));
      sum = sum + select(key < valid, zero, blocked());
      if (!n->has(kPastKey) && causal) last = valid - a->queries;
    }
    if (causal) sum = sum + select(key <= query + last, zero, blocked());
    return sum;
  }
};

/// Sizes from operands of rank 3 (with the attributes of heads) or 4.
llvm::Error readSizes(NodeLowering &n, Attention &a) {
  Array q = array(n, kQuery), k = array(n, kKey), v = array(n, kValue);
  if (q.rank() != k.rank() || q.rank() != v.rank() || (q.rank() != 3 && q.rank() != 4))
    return refuse("operands of rank " + Twine(q.rank()) + ", " + Twine(k.rank()) + " and " + Twine(v.rank()) +
                  ", expected 3 or 4 for all");
  a.batch = q.size(0);
  if (q.rank() == 4) {
    a.heads = q.size(1), a.kvHeads = k.size(1), a.queries = q.size(2), a.keys = k.size(2);
    a.width = q.size(3), a.valueWidth = v.size(3);
    return llvm::Error::success();
  }
  int64_t heads = n.intAttr("q_num_heads", 0), kvHeads = n.intAttr("kv_num_heads", 0);
  if (heads < 1 || kvHeads < 1) return refuse("operands of rank 3 without q_num_heads and kv_num_heads");
  a.heads = index(n.b, heads), a.kvHeads = index(n.b, kvHeads);
  a.queries = q.size(1), a.keys = k.size(1);
  a.width = q.size(2) / a.heads, a.valueWidth = v.size(2) / a.kvHeads;
  return llvm::Error::success();
}

/// Sizes of the operands that must be those of others.
void checkOperands(NodeLowering &n, const Attention &a) {
  Array k = array(n, kKey), v = array(n, kValue);
  if (k.rank() == 4) {
    checkSizes(n, k, {a.batch, a.kvHeads, a.keys, a.width}, "the sizes of query and key differ");
    checkSizes(n, v, {a.batch, a.kvHeads, a.keys, a.valueWidth}, "the sizes of key and value differ");
  } else {
    checkSizes(n, k, {a.batch, a.keys, a.kvHeads * a.width}, "the sizes of query and key differ");
    checkSizes(n, v, {a.batch, a.keys, a.kvHeads * a.valueWidth}, "the sizes of key and value differ");
  }
  Scalar groups = equal(a.heads % a.kvHeads, 0);
  if (!matchPattern(groups.value, m_One())) check(n, groups.value, "the heads are not a multiple of the kv heads");
  for (unsigned past : {kPastKey, kPastValue})
    if (n.has(past))
      checkSizes(n, array(n, past),
                 {a.batch, a.kvHeads, array(n, kPastKey).size(2), past == kPastKey ? a.width : a.valueWidth},
                 "the sizes of past and present differ");
  if (n.has(kValidKeys)) checkSizes(n, array(n, kValidKeys), a.batch, "there is not one length for each batch");
  if (!n.has(kMask)) return;
  Array mask = array(n, kMask);
  checkBroadcast(n, mask, {a.batch, a.heads, a.queries, mask.size(mask.rank() - 1)}, "the mask does not broadcast");
}

Value inType(Builder &b, Value x, Type element) {
  Array from = array(b, x);
  if (from.element() == element) return x;
  return tabulate(b, from.sizes(), element, [&](ScalarRef i) { return convert(from(i), element); });
}

/// Results: y, present key and value, and the scores of a stage.
llvm::Expected<Values> lowerAttention(NodeLowering &n) {
  Builder &b = n.b;
  Attention a;
  if (llvm::Error error = readSizes(n, a)) return error;
  Type element = n.element(), keyElement = array(n, kKey).element(), valueElement = array(n, kValue).element();
  a.type = sumType(element);
  checkOperands(n, a);
  Scalar zero = index(b, 0), width = convert(convert(a.width, b.getI64Type()), a.type);
  bool hasScale = n.node.getOnnxAttributes().contains("scale");
  a.scale = hasScale ? constant(b, a.type, n.floatAttr("scale", 1)) : constant(b, a.type, 1) / sqrt(width);
  a.softcap = n.floatAttr("softcap", 0);
  a.q = headsOf(array(n, kQuery), a.width, a.type, zero);
  HeadElement newKeys = headsOf(array(n, kKey), a.width, a.type, zero);
  HeadElement newValues = headsOf(array(n, kValue), a.valueWidth, a.type, zero);
  auto past = [&](unsigned operand) { return n.has(operand) ? std::optional(array(n, operand)) : std::nullopt; };
  Array keys = array(b, appended(b, past(kPastKey), {a.batch, a.kvHeads, a.keys, a.width}, newKeys, keyElement));
  Array values =
      array(b, appended(b, past(kPastValue), {a.batch, a.kvHeads, a.keys, a.valueWidth}, newValues, valueElement));
  a.keys = keys.size(2);
  a.k = headsOf(keys, a.width, a.type, zero);
  a.v = headsOf(values, a.valueWidth, a.type, zero);
  Mask mask = {&n, &a, n.intAttr("is_causal", 0) != 0, n.has(kPastKey) ? array(n, kPastKey).size(2) : zero};
  if (n.has(kMask) || n.has(kValidKeys) || mask.causal) a.bias = mask;
  Scores scores = attentionScores(b, a);
  Values results(n.node.getNumResults());
  results[0] = n.rank(kQuery) == 4 ? attendedHeads(b, a, scores.probabilities, element)
                                   : attendedTokens(b, a, scores.probabilities, element);
  if (results.size() > 1) results[1] = keys.tensor;
  if (results.size() > 2) results[2] = values.tensor;
  if (results.size() > 3) {
    Value stages[] = {scores.scaled, scores.capped, scores.biased, scores.probabilities};
    int64_t mode = n.intAttr("qk_matmul_output_mode", 0);
    if (mode < 0 || mode > 3) return refuse("qk_matmul_output_mode: found " + Twine(mode) + ", expected 0 to 3");
    results[3] = inType(b, stages[mode], element);
  }
  return results;
}

//===- RotaryEmbedding -------------------------------------------------------------===//
struct RotaryOperands {
  int cosine, sine, positions;
};

/// Tables of one shape that have all pairs of `rotated` columns, positions of all tokens, whole heads of `width`.
llvm::Error checkRotary(NodeLowering &n, const RotaryOperands &form, Scalar width, Scalar rotated) {
  Array x = array(n, 0), table = array(n, form.cosine);
  Scalar one = index(n.b, 1), any, tokens = x.size(x.rank() - 2);
  check(n, ((width >= 1) & (rotated >= 1) & (rotated <= width)).value, "the rotated part does not fit into a head");
  if (x.rank() == 3)
    if (llvm::Error error = requireMultiple(n, x.size(2), width, "X: the size of axis 2")) return error;
  if (llvm::Error error = requireMultiple(n, rotated, index(n.b, 2), "the number of rotated columns")) return error;
  if (table.rank() != 2 && table.rank() != 3)
    return refuse("cos_cache: found rank " + Twine(table.rank()) + ", expected 2 or 3");
  check(n, (table.size(table.rank() - 1) * 2 >= rotated).value, "cos_cache has not all pairs");
  if (table.rank() == 3)
    if (llvm::Error error = require(n, {{unsigned(form.cosine), "cos_cache", {x.size(0), tokens, any}}})) return error;
  if (llvm::Error error = require(n, {{unsigned(form.sine), "sin_cache", table.sizes()}})) return error;
  if (!n.has(form.positions) || n.rank(form.positions) == 0) return llvm::Error::success();
  Scalars each = {x.size(0), tokens};
  if (n.rank(form.positions) == 1) each = {one};
  return require(n, {{unsigned(form.positions), "position_ids", each}});
}

/// x [batch, heads, tokens, width] or [batch, tokens, hidden]; tables [positions, pairs], or without positions
/// [batch, tokens, pairs]. com.microsoft: positions [1] is the first one's.
template <const RotaryOperands &form> llvm::Expected<Values> lowerRotary(NodeLowering &n) {
  Builder &b = n.b;
  Array x = array(n, 0), cosine = array(n, form.cosine);
  int64_t heads = n.intAttr("num_heads", 0), rotary = n.intAttr("rotary_embedding_dim", 0);
  bool rank3 = x.rank() == 3;
  if (!rank3 && x.rank() != 4) return refuse("input of rank " + Twine(x.rank()) + ", expected 3 or 4");
  Scalar pairs = cosine.size(cosine.rank() - 1);
  Scalar width = rank3 ? (heads ? x.size(2) / double(heads) : pairs * 2) : x.size(3);
  Rotation r = {rotary            ? index(b, rotary)
                : rank3 && !heads ? pairs * 2
                                  : width,
                n.intAttr("interleaved", 0) != 0,
                {},
                {}};
  auto tableAt = [&n, &b](int table, Scalar batch, Scalar token, Scalar pair) {
    Array t = array(n, table);
    if (t.rank() == 3) return toF32(t({batch, token, pair}));
    Array positions = array(n, form.positions);
    if (positions.rank() == 1 || positions.rank() == 0) {
      Scalar first = toIndex(positions.rank() ? positions({index(b, 0)}) : positions({}));
      return toF32(t({checkedAt(n, first + token, t.size(0), "position"), pair}));
    }
    Value position = positions({batch, token}).value;
    return toF32(t({{&b, checkedIndex(n, b, position, dimOf(b, t.tensor, 0), "position")}, pair}));
  };
  if (llvm::Error error = checkRotary(n, form, width, r.width)) return error;
  if (cosine.rank() == 2 && !n.has(form.positions)) return refuse("tables of rank 2 without position_ids");
  r.cosine = [&](Scalar batch, Scalar token, Scalar pair) { return tableAt(form.cosine, batch, token, pair); };
  r.sine = [&](Scalar batch, Scalar token, Scalar pair) { return tableAt(form.sine, batch, token, pair); };
  HeadElement element = headsOf(x, width, b.getF32Type(), index(b, 0));
  Value y = tabulate(b, x.sizes(), x.element(), [&](ScalarRef i) {
    Scalar value = rank3 ? rotated(r, element, i[0], i[2] / width, i[1], i[2] % width)
                         : rotated(r, element, i[0], i[1], i[2], i[3]);
    return convert(value, x.element());
  });
  return Values{y};
}
constexpr RotaryOperands kStandard = {1, 2, 3}, kMicrosoft = {2, 3, 1};

constexpr Lowering kRows[] = {
    {"", "Attention", lowerAttention},
    {"", "RotaryEmbedding", lowerRotary<kStandard>},
    {"com.microsoft", "RotaryEmbedding", lowerRotary<kMicrosoft>},
};
} // namespace

llvm::ArrayRef<Lowering> attentionLowerings() { return kRows; }

} // namespace llmc::graph
