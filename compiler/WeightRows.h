// Chains of the weight program as a tree of row sources: the ops between llm.get_weight and wq.pack.
#pragma once
#include "dialects/llm/eval/WeightView.h"
#include "mlir/IR/BuiltinOps.h"
#include <deque>
#include <memory>

namespace llmc {

/// Some rows on their way, in one of three forms, by element type: encodings stay where the file has them (or are
/// gathered), floats are copied, schemes are codes.
struct WeightRows {
  std::vector<wq::RowParts> encoded; // !wq.encoded
  std::vector<uint8_t> gathered;     // what `encoded` refers to, if its rows had to be brought together
  std::vector<uint8_t> floats;       // f16, bf16, f32: [count][k]
  wq::RowBlock codes;                // !wq.quant
  int64_t count = 0;
};

/// A thread's memory: one WeightRows per level of a chain, reused from panel to panel.
struct WeightScratch {
  std::deque<WeightRows> levels;
  std::vector<float> row;
  std::vector<llvm::ArrayRef<uint8_t>> consumed; // input bytes that the pulled rows came from
  WeightRows &level(unsigned depth) {
    while (levels.size() <= depth) levels.emplace_back();
    return levels[depth];
  }
};

/// A weight of `rows` rows of `k` elements (vectors: k = 1) that can be computed any rows at a time. Immutable: any
/// number of threads, each with its scratch.
class WeightSource {
public:
  virtual ~WeightSource() = default;
  /// Adds rows [begin, begin+count) to `out`, which prepare() made ready for them.
  virtual llvm::Error pull(int64_t begin, int64_t count, WeightScratch &scratch, unsigned depth,
                           WeightRows &out) const = 0;
  /// Input weights below this source.
  virtual void inputs(std::vector<const llm::WeightView *> &out) const = 0;
  /// Empties `out` and makes room for `capacity` rows of this source.
  void prepare(WeightRows &out, int64_t capacity) const;

  int64_t rows = 0, k = 0;
  mlir::Type element;
};

/// The source of a value of @pack, or why there is none (an op that has no place in a weight program, a weight that
/// does not fit its file).
llvm::Expected<std::unique_ptr<WeightSource>> makeWeightSource(mlir::Value value, mlir::ModuleOp module,
                                                               llvm::ArrayRef<llm::InputFile> files);

} // namespace llmc
