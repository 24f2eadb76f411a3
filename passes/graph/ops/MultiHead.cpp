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
  Scalar hidden = a.heads * a.width, keys = k.rank() == 3 ? k.size(1) : k.size(2);
  a.q = withBias(n, kBias, headsOf(q, a.width, a.type, zero), a.width, zero, a.type);
  HeadElement newKey = withBias(n, kBias, headsOf(k, a.width, a.type, zero), a.width, hidden, a.type);
  HeadElement newValue = withBias(n, kBias, headsOf(v, a.valueWidth, a.type, zero), a.valueWidth, hidden * 2, a.type);
  auto past = [&](unsigned operand) { return n.has(operand) ? std::optional(array(n, operand)) : std::nullopt; };
  Array allKeys = array(b, appended(b, past(kPastKey), {a.batch, a.heads, keys, a.width}, newKey, q.element()));
  Array allValues =
      array(b, appended(b, past(kPastValue), {a.batch, a.heads, keys, a.valueWidth}, newValue, q.element()));
  a.keys = allKeys.size(2), a.k = headsOf(allKeys, a.width, a.type, zero),
  a.v = headsOf(allValues, a.valueWidth, a.type, zero);
  Scalar before = n.has(kPastKey) ? array(n, kPastKey).size(2) : zero;
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
  Array packed = array(b, matmul(x, array(n, kWeights)));
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
