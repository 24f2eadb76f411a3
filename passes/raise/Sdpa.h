// Attention that a graph writes out, found at its softmax and proved element by element.
#pragma once
#include "passes/raise/HeadRows.h"

namespace llmc::raise {

/// A graph input for past keys or values, and the graph output of which it is the beginning.
struct SdpaCache {
  mlir::Value past;
  unsigned output = 0; // operand of the return
};

/// What llm.attention needs.
struct Sdpa {
  mlir::Value y; // [batch, tokens, heads * D], heads side by side
  HeadRows q, k, v;
  double scale = 1, softcap = 0;
  bool alibi = false;
  int64_t window = 0;
  llvm::SmallVector<SdpaCache, 2> cache;
};

/// Variables of all attentions of one graph: expressions that they share are made once.
class SdpaVariables {
public:
  explicit SdpaVariables(ScalarPool &pool) : pool(pool) {}
  /// The index `name` below `extent`; 0 if there is only 0.
  Scalar index(char name, Scalar extent) {
    if (extent->integer() == 1) return pool.integer(0);
    Scalar &slot = known[{name, extent}];
    return slot ? slot : slot = pool.index(extent);
  }

private:
  ScalarPool &pool;
  std::map<std::pair<char, Scalar>, Scalar> known; // lookup only
};

/// The attention of a Softmax or Attention node; or nothing, and why if it may be one.
std::optional<Sdpa> matchSdpa(llm::OnnxNodeOp node, Elements &elements, SdpaVariables &variables, std::string &reason);

/// The first value that only views, transposes and casts make of `value` and whose elements `isWanted`.
mlir::Value findView(mlir::Value value, llvm::function_ref<bool(mlir::Value)> isWanted);

/// The pattern of a mask: what a score is where query `i` may not look at position `j`, and where it may.
struct SdpaMask {
  int64_t window = 0;
  Scalar seen = nullptr; // the score, of `dot`, of a position that is seen
};
/// Proves that a score is causal: -infinity, or 1e4 less, exactly where j > p + i or j <= p + i - window.
std::optional<SdpaMask> matchMask(Elements &elements, Scalar score, Scalar i, Scalar j, std::string &reason);

/// score = scale * dot, or softcap * tanh(scale * dot / softcap).
bool matchScale(ScalarPool &pool, Scalar score, Scalar dot, double &scale, double &softcap);

} // namespace llmc::raise
