// com.microsoft MultiHeadAttention, and Attention with its projection.
#include "passes/graph/Attend.h"
#include "passes/graph/Building.h"
#include "passes/graph/Contract.h"
#include "passes/graph/Lowerings.h"

using namespace mlir;

namespace llmc::graph {
namespace {

/// Masks of the two operators: operands, -1 for none.
struct MaskForm {
  NodeLowering &n;
  Attention &a;
  int padding, bias;
  Scalar past; // tokens before the queries
  bool isCausal;

  Scalar operator()(Scalar batch, Scalar head, Scalar query, Scalar key) const {
    Builder &b = n.b;
    Scalar none = constant(b, a.type, 0), filtered = constant(b, a.type, n.floatAttr("mask_filter_value", -10000));
    Scalar sum = none;
    if (n.has(padding)) {
      Array mask = array(n, padding);
      Scalar kept = mask.rank() == 1   ? key < toIndex(mask(batch))
                    : mask.rank() == 2 ? !equal(mask({batch, key}), 0)
                                       : !equal(mask({batch, query, key}), 0);
      sum = select(kept, none, filtered);
    }
    if (n.has(bias)) {
      Array more = array(n, bias);
      sum = sum + convert(more(broadcastIndices(more.sizes(), {batch, head, query, key})), a.type);
    }
    return isCausal ? select(key <= past + query, sum, lowest(b, a.type, false)) : sum;
  }
};

llvm::Error checkPadding(NodeLowering &n, unsigned operand) {
  if (!n.has(operand)) return llvm::Error::success();
  RankedTensorType type = n.type(operand);
  bool isLengths = type.getRank() == 1 && !type.isDynamicDim(0) && type.getDimSize(0) == n.type(0).getDimSize(0);
  if (isLengths || type.getRank() == 2 || type.getRank() == 3) return llvm::Error::success();
  return refuse("a mask of rank " + Twine(type.getRank()) + ", expected lengths or a mask of rank 2 or 3");
}

/// The mask covers `keys`, the past ones too, and the bias broadcasts to all scores.
llvm::Error checkMasks(NodeLowering &n, const Attention &a, unsigned padding, unsigned bias) {
  if (n.has(padding)) {
    Scalars sizes = {a.batch};
    if (n.rank(padding) == 3) sizes.push_back(a.queries);
    if (n.rank(padding) > 1) sizes.push_back(a.keys);
    if (llvm::Error error = require(n, {{padding, "mask", sizes}})) return error;
  }
  if (!n.has(bias)) return llvm::Error::success();
  if (n.rank(bias) != 4) return refuse("attention_bias: found rank " + Twine(n.rank(bias)) + ", expected 4");
  checkBroadcast(n, array(n, bias), {a.batch, a.heads, a.queries, a.keys}, "attention_bias does not broadcast");
  return llvm::Error::success();
}

void finishSizes(NodeLowering &n, Attention &a) {
  Builder &b = n.b;
  double scale = n.floatAttr("scale", 0);
  a.scale = scale != 0 ? constant(b, a.type, scale) : constant(b, a.type, 1) / sqrt(convert(a.width, a.type));
  a.kvHeads = a.heads;
}

/// x of heads plus a bias of the packed hidden sizes, from `first` on.
HeadElement withBias(NodeLowering &n, int operand, const HeadElement &x, Scalar width, Scalar first, Type type) {
  if (!n.has(operand)) return x;
  Array bias = array(n, operand);
  return [=](Scalar batch, Scalar head, Scalar token, Scalar column) {
    return x(batch, head, token, column) + convert(bias(first + head * width + column), type);
  };
}

enum MultiHeadOperand { kQuery, kKey, kValue, kBias, kPadding, kScoreBias, kPastKey, kPastValue };

llvm::Expected<Values> lowerMultiHead(NodeLowering &n) {
  Builder &b = n.b;
  Array q = array(n, kQuery);
  if (q.rank() != 3 || !n.has(kKey) || !n.has(kValue))
    return refuse("packed operands: expected query, key and value apart");
  Array k = array(n, kKey), v = array(n, kValue);
  int64_t heads = n.intAttr("num_heads", 0);
  if (heads < 1) return refuse("num_heads: found " + Twine(heads) + ", expected 1 or more");
  if (k.rank() != v.rank() || (k.rank() != 3 && k.rank() != 4))
    return refuse("key of rank " + Twine(k.rank()) + ", expected 3 or 4");
  if (llvm::Error error = checkPadding(n, kPadding)) return error;
  Attention a;
  Scalar zero = index(b, 0);
  a.type = sumType(q.element()), a.batch = q.size(0), a.queries = q.size(1), a.heads = index(b, heads);
  a.width = q.size(2) / a.heads;
  a.valueWidth = v.rank() == 3 ? v.size(2) / a.heads : v.size(3);
  finishSizes(n, a);
  Scalar hidden = a.heads * a.width, keys = k.rank() == 3 ? k.size(1) : k.size(2), any;
  if (n.has(kPastKey) != n.has(kPastValue)) return refuse("past_key without past_value, or the other way round");
  Scalar before = n.has(kPastKey) ? array(n, kPastKey).size(2) : zero;
  auto tokens = [&](Scalar width) {
    return k.rank() == 3 ? Scalars{a.batch, keys, a.heads * width} : Scalars{a.batch, a.heads, keys, width};
  };
  if (llvm::Error error = require(n, {{kQuery, "query", {a.batch, a.queries, hidden}},
                                      {kKey, "key", tokens(a.width)},
                                      {kValue, "value", tokens(a.valueWidth)},
                                      {kBias, "bias", {hidden * 2 + a.heads * a.valueWidth}},
                                      {kPastKey, "past_key", {a.batch, a.heads, any, a.width}},
                                      {kPastValue, "past_value", {a.batch, a.heads, before, a.valueWidth}}}))
    return error;
  a.q = withBias(n, kBias, headsOf(q, a.width, a.type, zero), a.width, zero, a.type);
  HeadElement newKey = withBias(n, kBias, headsOf(k, a.width, a.type, zero), a.width, hidden, a.type);
  HeadElement newValue = withBias(n, kBias, headsOf(v, a.valueWidth, a.type, zero), a.valueWidth, hidden * 2, a.type);
  auto past = [&](unsigned operand) { return n.has(operand) ? std::optional(array(n, operand)) : std::nullopt; };
  Array allKeys = array(b, appended(b, past(kPastKey), {a.batch, a.heads, keys, a.width}, newKey, q.element()));
  Array allValues =
      array(b, appended(b, past(kPastValue), {a.batch, a.heads, keys, a.valueWidth}, newValue, q.element()));
  a.keys = allKeys.size(2), a.k = headsOf(allKeys, a.width, a.type, zero),
  a.v = headsOf(allValues, a.valueWidth, a.type, zero);
  if (llvm::Error error = checkMasks(n, a, kPadding, kScoreBias)) return error;
  a.bias = MaskForm{n, a, kPadding, kScoreBias, before, n.intAttr("unidirectional", 0) != 0};
  Scores scores = attentionScores(b, a);
  return Values{attendedTokens(b, a, scores.probabilities, q.element()), allKeys.tensor, allValues.tensor};
}

enum AttentionOperand { kInput, kWeights, kProjectionBias, kMask, kPast, kAttentionBias };

/// The projection gives query, key and value in one; past and present hold keys and values in one: [2, B, H, T, D].
llvm::Expected<Values> lowerAttention(NodeLowering &n) {
  Builder &b = n.b;
  Array x = array(n, kInput);
  int64_t heads = n.intAttr("num_heads", 0);
  if (heads < 1) return refuse("num_heads: found " + Twine(heads) + ", expected 1 or more");
  if (n.intsAttr("qkv_hidden_sizes") || n.intAttr("do_rotary", 0) || n.intAttr("past_present_share_buffer", 0))
    return refuse("qkv_hidden_sizes, do_rotary or past_present_share_buffer: expected none of them");
  if (llvm::Error error = checkPadding(n, kMask)) return error;
  if (x.rank() != 3 || n.rank(kWeights) != 2)
    return refuse("input of rank " + Twine(x.rank()) + " and weights of rank " + Twine(n.rank(kWeights)) +
                  ", expected 3 and 2");
  if (n.has(kPast) && n.rank(kPast) != 5) return refuse("past: found rank " + Twine(n.rank(kPast)) + ", expected 5");
  auto projected = matmul(n, x, array(n, kWeights));
  if (!projected) return projected.takeError();
  Array packed = array(b, *projected);
  Attention a;
  Scalar zero = index(b, 0);
  a.type = sumType(x.element()), a.batch = x.size(0), a.queries = x.size(1), a.heads = index(b, heads);
  Scalar hidden = packed.size(2) / 3;
  a.width = hidden / a.heads, a.valueWidth = a.width;
  finishSizes(n, a);
  auto part = [&](double which) {
    return withBias(n, kProjectionBias, headsOf(packed, a.width, a.type, hidden * which), a.width, hidden * which,
                    a.type);
  };
  a.q = part(0);
  HeadElement parts[] = {part(1), part(2)};
  Scalar before = n.has(kPast) ? array(n, kPast).size(3) : zero;
  if (llvm::Error error = requireMultiple(n, packed.size(2), a.heads * 3, "weights: the size of axis 1")) return error;
  if (llvm::Error error = require(n, {{kProjectionBias, "bias", {packed.size(2)}},
                                      {kPast, "past", {index(b, 2), a.batch, a.heads, before, a.width}}}))
    return error;
  Scalars sizes = {index(b, 2), a.batch, a.heads, before + a.queries, a.width};
  Array present =
      array(b, tabulate(b, sizes, x.element(), [&](ScalarRef i) {
              auto fresh = [&] {
                Scalar token = i[3] - before;
                Scalar key = parts[0](i[1], i[2], token, i[4]), value = parts[1](i[1], i[2], token, i[4]);
                return convert(select(equal(i[0], 0), key, value), x.element());
              };
              return n.has(kPast) ? when(i[3] < before, [&] { return array(n, kPast)(i); }, fresh) : fresh();
            }));
  auto cached = [&, present](int64_t which) -> HeadElement {
    return [&, present, which](Scalar batch, Scalar head, Scalar token, Scalar column) {
      return convert(present({index(b, which), batch, head, token, column}), a.type);
    };
  };
  a.keys = before + a.queries, a.k = cached(0), a.v = cached(1);
  if (llvm::Error error = checkMasks(n, a, kMask, kAttentionBias)) return error;
  a.bias = MaskForm{n, a, kMask, kAttentionBias, before, n.intAttr("unidirectional", 0) != 0};
  Scores scores = attentionScores(b, a);
  return Values{attendedTokens(b, a, scores.probabilities, x.element()), present.tensor};
}

constexpr Lowering kRows[] = {
    {"com.microsoft", "Attention", lowerAttention},
    {"com.microsoft", "MultiHeadAttention", lowerMultiHead},
};
} // namespace

llvm::ArrayRef<Lowering> multiHeadLowerings() { return kRows; }

} // namespace llmc::graph
