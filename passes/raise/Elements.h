// The elements of the values of an imported graph as expressions: what a node that moves, compares or computes element
// by element does to them; every other node's elements stand for themselves. The graph is taken as the runtime uses it:
// one sequence (batch 1), n new tokens after p cached ones (0 if the graph has no cache), no padding: attention_mask is
// 1, position_ids are p, p+1, ...
#pragma once
#include "passes/raise/Match.h"
#include "passes/raise/Scalar.h"

namespace llmc::raise {

/// Of one graph, as long as it does not change.
class Elements {
public:
  /// With `anyBatch` there are any number of sequences.
  explicit Elements(bool hasCache, bool anyBatch = false);

  /// The sizes of a value, nothing if its rank is not known; one that is not known is null.
  const std::optional<Scalars> &shape(mlir::Value value);
  /// One element; null if the value has no rank. Never wrong: what is not understood is an Element of the value.
  Scalar at(mlir::Value value, llvm::ArrayRef<Scalar> indices);
  /// Of an element of a MatMul: what is multiplied at place `inner` of its sum. Nothing of other nodes' elements.
  std::optional<std::pair<Scalar, Scalar>> factors(Scalar element, Scalar inner);
  /// The number that an expression of constants has where every index is a number.
  std::optional<double> number(Scalar scalar);

  ScalarPool &pool() { return scalars; }
  Scalar newTokens() const { return tokens; }
  Scalar pastTokens() const { return past; }

private:
  std::optional<Scalars> shapeOf(mlir::Value value);
  Scalars inputShape(mlir::Value value, mlir::RankedTensorType type);
  Scalar elementOf(mlir::Value value, llvm::ArrayRef<Scalar> indices);
  Scalar elementOfInput(mlir::Value value, llvm::ArrayRef<Scalar> indices);
  Scalar elementOfTensor(llm::OnnxTensorOp tensor, llvm::ArrayRef<Scalar> indices);
  Scalar constantAt(mlir::DenseElementsAttr dense, llvm::ArrayRef<Scalar> indices);

  ScalarPool scalars;
  Scalar tokens, past, batch;
  std::map<void *, std::optional<Scalars>> shapes;       // lookup only; references stay valid
  std::map<std::pair<void *, Scalars>, Scalar> elements; // lookup only
  llvm::DenseMap<mlir::Attribute, mlir::Value> tables;   // one tensor that stands for all of a rotary embedding
  unsigned depth = 0, looks = 0;

  friend class NodeElements;
};

/// Whether an imported graph takes a cache: some argument of 4 axes of floats.
bool hasCache(mlir::func::FuncOp step);

} // namespace llmc::raise
