// Softmax attention over computed operands: what all attention operators share.
#pragma once
#include "passes/graph/Scalar.h"

namespace llmc::graph {

/// An element of [batch, heads, tokens, width], as the type of sums.
using HeadElement = std::function<Scalar(Scalar batch, Scalar head, Scalar token, Scalar column)>;

struct Attention {
  Scalar batch, heads, kvHeads, queries, keys, width, valueWidth;
  HeadElement q, k, v; // k and v by kv head
  mlir::Type type;     // of the sums
  Scalar scale;        // of q.k
  double softcap = 0;  // 0: none
  /// What is added to a score, -inf where nothing is seen; may be empty.
  std::function<Scalar(Scalar batch, Scalar head, Scalar query, Scalar key)> bias;
  /// A logit more in each row that takes part in the softmax alone; may be empty.
  std::function<Scalar(Scalar head)> sink;
};

/// The stages, each [batch, heads, queries, keys] in `type`.
struct Scores {
  mlir::Value scaled, capped, biased, probabilities;
};
/// A row that sees nothing has probabilities of 0.
Scores attentionScores(Builder &b, const Attention &a);
/// sum_t probabilities * v at an element of the result.
Scalar attended(const Attention &a, mlir::Value probabilities, Scalar batch, Scalar head, Scalar query, Scalar column);
/// [batch, queries, heads * width] or [batch, heads, queries, width].
mlir::Value attendedTokens(Builder &b, const Attention &a, mlir::Value probabilities, mlir::Type element);
mlir::Value attendedHeads(Builder &b, const Attention &a, mlir::Value probabilities, mlir::Type element);

/// Reads [batch, tokens, heads * width] (rank 3, with `first` columns before the heads) or [batch, heads, tokens,
/// width] (rank 4).
HeadElement headsOf(Array x, Scalar width, mlir::Type type, Scalar first);
/// [batch, heads, past + tokens, width]: the past (may be absent) and then the new ones.
mlir::Value appended(Builder &b, std::optional<Array> past, ScalarRef newSizes, const HeadElement &fresh,
                     mlir::Type element);

/// Pairs of a head that are rotated: (x, y) -> (x cos - y sin, x sin + y cos); columns from `width` on stay.
struct Rotation {
  Scalar width; // even
  bool interleaved;
  std::function<Scalar(Scalar batch, Scalar token, Scalar pair)> cosine, sine;
};
Scalar rotated(const Rotation &r, const HeadElement &x, Scalar batch, Scalar head, Scalar token, Scalar column);

} // namespace llmc::graph
