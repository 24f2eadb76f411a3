// Shapes and elements of the results of one node, by operator: for Element*.cpp only.
#pragma once
#include "passes/raise/Elements.h"

namespace llmc::raise {

/// A product of sizes: a number times unknown sizes.
struct Extent {
  int64_t number = 1;
  Scalars unknown;
  bool multiply(Scalar size) {
    if (!size) return false;
    if (size->integer()) return number *= *size->integer(), true;
    unknown.push_back(size);
    return true;
  }
  void sort() {
    llvm::sort(unknown, [](Scalar a, Scalar b) { return a->id < b->id; });
  }
  bool operator==(const Extent &) const = default;
};

/// One node's shapes and elements, of which the operators are rows of a table.
class NodeElements {
public:
  NodeElements(Elements &of, llm::OnnxNodeOp node, unsigned result)
      : of(of), s(of.scalars), node(node), result(result) {}

  std::optional<Scalars> shape();
  Scalar element(llvm::ArrayRef<Scalar> indices);
  /// Of MatMul: the factors at place `inner` of the sum that an element is. Nothing of other operators.
  std::optional<std::pair<Scalar, Scalar>> factors(llvm::ArrayRef<Scalar> at, Scalar inner);

private:
  using Shape = std::optional<Scalars> (NodeElements::*)();
  using Element = Scalar (NodeElements::*)(llvm::ArrayRef<Scalar>);
  struct Row {
    const char *name;
    Shape shape;     // null: only what the type says
    Element element; // null: the element stands for itself
    const char *domain = "";
  };
  static const Row kRows[];
  const Row *row();

  //===- Operands ---------------------------------------------------------===//
  mlir::Value in(unsigned i) const { return operand(node, i); }
  // Of operands that are there and have a known rank: shape() and element() see to that.
  const Scalars &sizes(unsigned i) { return *of.shape(in(i)); }
  int64_t rank(unsigned i) { return int64_t(sizes(i).size()); }
  bool ranked(unsigned i) { return in(i) && of.shape(in(i)).has_value(); }
  mlir::Type elementType(unsigned i) { return mlir::cast<mlir::ShapedType>(in(i).getType()).getElementType(); }
  static int64_t front(int64_t axis, int64_t rank) { return axis < 0 ? axis + rank : axis; }

  /// The elements of a vector or number of integers; nothing if its length is not known.
  std::optional<Scalars> list(unsigned i);
  /// The same of constants.
  std::optional<llvm::SmallVector<int64_t>> numbers(unsigned i);
  /// Axes by attribute (older opsets) or operand, from the front.
  std::optional<llvm::SmallVector<int64_t>> axes(unsigned operandIndex, int64_t rank);
  /// The axis that a reduction is over, if it is one.
  std::optional<int64_t> reducedAxis();
  /// `at` with the reduced axis.
  Scalars withAxis(llvm::ArrayRef<Scalar> at, int64_t axis, Scalar index);

  //===- Shapes -------------------------------------------------------------===//
  std::optional<Scalars> sameShape() { return sizes(0); }
  std::optional<Scalars> broadcastShape();
  std::optional<Scalars> unsqueezeShape();
  std::optional<Scalars> squeezeShape();
  std::optional<Scalars> transposeShape();
  std::optional<Scalars> concatShape();
  std::optional<Scalars> sliceShape();
  std::optional<Scalars> splitShape();
  std::optional<Scalars> reshapeShape();
  std::optional<Scalars> flattenShape();
  std::optional<Scalars> expandShape();
  std::optional<Scalars> tileShape();
  std::optional<Scalars> gatherShape();
  std::optional<Scalars> gatherNdShape();
  std::optional<Scalars> rangeShape();
  std::optional<Scalars> filledShape();
  std::optional<Scalars> shapeShape();
  std::optional<Scalars> reduceShape();
  std::optional<Scalars> matMulShape();
  std::optional<Scalars> gemmShape();
  std::optional<Scalars> matMulNBitsShape();
  std::optional<Scalars> attentionShape();

  //===- Elements -------------------------------------------------------------===//
  Scalar identity(llvm::ArrayRef<Scalar> at) { return of.at(in(0), at); }
  Scalar unsqueeze(llvm::ArrayRef<Scalar> at);
  Scalar squeeze(llvm::ArrayRef<Scalar> at);
  Scalar transpose(llvm::ArrayRef<Scalar> at);
  Scalar concat(llvm::ArrayRef<Scalar> at);
  Scalar slice(llvm::ArrayRef<Scalar> at);
  Scalar split(llvm::ArrayRef<Scalar> at);
  Scalar reshape(llvm::ArrayRef<Scalar> at);
  Scalar expand(llvm::ArrayRef<Scalar> at) { return of.at(in(0), aligned(0, at)); }
  Scalar tile(llvm::ArrayRef<Scalar> at);
  Scalar gather(llvm::ArrayRef<Scalar> at);
  Scalar gatherNd(llvm::ArrayRef<Scalar> at);
  Scalar scatterNd(llvm::ArrayRef<Scalar> at);
  Scalar range(llvm::ArrayRef<Scalar> at);
  Scalar filled(llvm::ArrayRef<Scalar> at);
  Scalar shapeElement(llvm::ArrayRef<Scalar> at);
  Scalar cast_(llvm::ArrayRef<Scalar> at);
  Scalar arithmetic(llvm::ArrayRef<Scalar> at);
  Scalar compare(llvm::ArrayRef<Scalar> at);
  Scalar logic(llvm::ArrayRef<Scalar> at);
  Scalar where(llvm::ArrayRef<Scalar> at);
  Scalar trilu(llvm::ArrayRef<Scalar> at);
  Scalar unary(llvm::ArrayRef<Scalar> at);
  Scalar power(llvm::ArrayRef<Scalar> at);
  Scalar isNan(llvm::ArrayRef<Scalar> at);
  Scalar cumSum(llvm::ArrayRef<Scalar> at);
  Scalar reduceMean(llvm::ArrayRef<Scalar> at);
  Scalar reduceSum(llvm::ArrayRef<Scalar> at);
  Scalar matMul(llvm::ArrayRef<Scalar> at);
  Scalar extreme(llvm::ArrayRef<Scalar> at);
  Scalar rmsNorm(llvm::ArrayRef<Scalar> at);
  Scalar rotary(llvm::ArrayRef<Scalar> at);

  /// Indices of operand `i` where the result, of which it is broadcast, has `at`.
  Scalars aligned(unsigned i, llvm::ArrayRef<Scalar> at);
  Scalar broadcast(unsigned i, llvm::ArrayRef<Scalar> at) { return of.at(in(i), aligned(i, at)); }
  struct Cut {
    Scalar start;
    int64_t step;
  };
  /// For each axis of operand 0 where Slice starts; a step of 0: not cut. Nothing if it is not understood.
  std::optional<llvm::SmallVector<Cut>> cuts(Scalars *lengths);
  std::optional<llvm::SmallVector<int64_t>> splitSizes();

  // Of rotary: cosine or sine (operand `i`) for channel pair `pair` where the operand rotated has `at`.
  Scalar rotaryTable(unsigned i, llvm::ArrayRef<Scalar> at, Scalar pair);
  Scalar equalNumbers(Scalar a, Scalar b, unsigned depth);
  Scalar extremeOf(Scalar a, Scalar b, bool most, unsigned depth);
  /// The axes that Squeeze takes away, if they are certain.
  std::optional<llvm::SmallVector<int64_t>> squeezed();
  Scalar signless(Scalar index, Scalar size);
  std::optional<Scalar> bounded(Scalar at, Scalar size);

  Elements &of;
  ScalarPool &s;
  llm::OnnxNodeOp node;
  unsigned result;
};

} // namespace llmc::raise
