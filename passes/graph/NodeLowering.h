// One ONNX node on its way to linalg: what a lowering function sees, and the table of those functions.
//
// Lowered values are ranked tensors of signless elements: ui8 becomes i8, and what a bit pattern means (signed or not)
// is asked of the node's own types, `inType` and `outType`. Types that have no arithmetic are i8 as well, an element in
// each: 4-bit integers by value (extended by their sign), floats of 8 and 4 bits by their bit pattern. A dimension that
// only the run knows is dynamic. Nothing here guesses: a size, an axis list or a shape that must be known while
// compiling and is not is a refusal.
#pragma once
#include "dialects/llm/Llm.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "llvm/Support/Error.h"
#include <optional>

namespace llmc::graph {

using Values = llvm::SmallVector<mlir::Value, 4>;
using Builder = mlir::ImplicitLocOpBuilder;
/// The type that elements of a file's type have when lowered.
mlir::Type loweredElement(mlir::Type element);

struct NodeLowering {
  mutable llm::OnnxNodeOp node; // its accessors are not const
  Builder &b;
  llvm::ArrayRef<mlir::Value> operands; // lowered; null for an absent one
  /// Lowers a region of the node (If, Loop, Scan) at `b`'s place with the given lowered arguments: what it yields.
  llvm::function_ref<llvm::Expected<Values>(mlir::Region &, mlir::ValueRange)> lowerRegion;

  //===- Operands and results ------------------------------------------------===//
  bool has(unsigned i) const { return i < operands.size() && operands[i]; }
  mlir::Value in(unsigned i) const { return operands[i]; }
  mlir::RankedTensorType type(unsigned i) const { return llvm::cast<mlir::RankedTensorType>(operands[i].getType()); }
  int64_t rank(unsigned i) const { return type(i).getRank(); }
  /// The element type in the file, with its sign.
  mlir::Type inType(unsigned i) const;
  mlir::Type outType(unsigned i = 0) const;
  /// The lowered element type of a result.
  mlir::Type element(unsigned result = 0) const { return loweredElement(outType(result)); }
  bool isUnsigned(unsigned i) const { return inType(i).isUnsignedInteger() || inType(i).isInteger(1); }
  /// Whether somebody names the result (an optional output that is asked for).
  bool wants(unsigned result) const;

  //===- Attributes and constants -----------------------------------------------===//
  int64_t opset() const { return node.getOpset(); }
  int64_t intAttr(llvm::StringRef name, int64_t absent) const;
  double floatAttr(llvm::StringRef name, double absent) const;
  llvm::StringRef stringAttr(llvm::StringRef name, llvm::StringRef absent) const;
  std::optional<llvm::SmallVector<int64_t>> intsAttr(llvm::StringRef name) const;
  std::optional<llvm::SmallVector<double>> floatsAttr(llvm::StringRef name) const;
  /// The numbers of an integer operand that is known while compiling (shape arithmetic is folded before).
  std::optional<llvm::SmallVector<int64_t>> constant(unsigned i) const;
  /// The same, or a refusal: "`what` is not known while compiling".
  llvm::Expected<llvm::SmallVector<int64_t>> mustKnow(unsigned i, llvm::StringRef what) const;
  /// The axes that an operator takes as an attribute or, from some opset on, as operand `i`; nothing if it has neither;
  /// an error if they are not known while compiling or are not axes of `rank`. Normalised to 0..rank-1, sorted.
  llvm::Expected<std::optional<llvm::SmallVector<int64_t>>> axes(unsigned i, int64_t rank) const;
  llvm::Expected<int64_t> axis(llvm::StringRef name, int64_t absent, int64_t rank) const;
};

/// A refusal: the reason without the place (node and operator are added).
llvm::Error refuse(const llvm::Twine &reason);

/// Emits the node before `b`'s place; the results, null for one that nobody wants. Checks that only the run can make
/// (an index in range, sizes that must be equal) are emitted with check() of Building.h.
using LowerNode = llvm::Expected<Values> (*)(NodeLowering &);

/// One operator. Files of lowerings export their rows as `llvm::ArrayRef<Lowering> xxxLowerings()`, and Table.cpp joins
/// them.
struct Lowering {
  const char *domain, *name; // "" is ai.onnx
  LowerNode lower;
};
const Lowering *findLowering(llvm::StringRef domain, llvm::StringRef name);

} // namespace llmc::graph
