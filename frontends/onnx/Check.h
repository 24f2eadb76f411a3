// What is known about ONNX operators: how many operands, which attributes, and the types of their results.
#pragma once
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/ValueRange.h"
#include "llvm/Support/Error.h"
#include <optional>

namespace llmc::onnx {

/// A node with its operands' types, for the checks. Messages are `reason`s without the place: the importer adds file,
/// node and operator.
struct Node {
  llvm::StringRef opType;
  int64_t opset = 0;
  mlir::DictionaryAttr attributes;
  mlir::ValueRange operands;         // an absent one has NoneType
  llvm::ArrayRef<std::string> names; // of the operands
  unsigned results = 1;

  bool has(unsigned i) const { return i < operands.size() && !llvm::isa<mlir::NoneType>(operands[i].getType()); }
  mlir::ShapedType type(unsigned i) const { return llvm::cast<mlir::ShapedType>(operands[i].getType()); }
  mlir::Type element(unsigned i) const { return type(i).getElementType(); }
  bool ranked(unsigned i) const { return has(i) && type(i).hasRank(); }
  int64_t rank(unsigned i) const { return type(i).getRank(); }
  /// Size of a dimension, from the back if negative; kDynamic if it is not known.
  int64_t dim(unsigned i, int64_t axis) const;
  int64_t intAttr(llvm::StringRef name, int64_t absent) const;
  double floatAttr(llvm::StringRef name, double absent) const;
  llvm::StringRef stringAttr(llvm::StringRef name, llvm::StringRef absent) const;
  /// The numbers of a list attribute, or of a constant integer operand.
  std::optional<llvm::SmallVector<int64_t>> intsAttr(llvm::StringRef name) const;
  std::optional<llvm::SmallVector<int64_t>> constant(unsigned i) const;
};

using Types = llvm::SmallVector<mlir::Type, 4>;
using Infer = llvm::Expected<Types> (*)(const Node &);

/// One operator. `attributes`: "name:kind" separated by blanks, kind one of i f s t I (ints) g (graph), "!" after a
/// required one.
struct Operator {
  const char *domain, *name;
  unsigned minOperands, maxOperands, minResults, maxResults;
  const char *attributes;
  Infer infer;
  unsigned mayBeAbsent = 0; // bits of operands before minOperands that may have the empty name
};

/// The row of an operator, or null: then it is not known.
const Operator *findOperator(llvm::StringRef domain, llvm::StringRef name);
/// The kind letter of an attribute of a row, 0 if it has none of that name.
char attributeKind(const Operator &op, llvm::StringRef name);
/// The first required attribute that is not in `attributes`, or empty.
llvm::StringRef missingAttribute(const Operator &op, mlir::DictionaryAttr attributes);

/// An error with a reason, for the functions below.
llvm::Error refuse(const llvm::Twine &reason);
/// The axis counted from the front; out of range is an error that names `what`.
llvm::Expected<int64_t> normalAxis(int64_t axis, int64_t rank, llvm::StringRef what = "axis");

// Rows of com.microsoft and of the operators that only decoders have (InferFused.cpp).
llvm::Expected<Types> inferRmsNorm(const Node &);
llvm::Expected<Types> inferSkipNorm(const Node &);
llvm::Expected<Types> inferLayerNorm(const Node &);
llvm::Expected<Types> inferMatMulNBits(const Node &);
llvm::Expected<Types> inferGroupQueryAttention(const Node &);
llvm::Expected<Types> inferMultiHeadAttention(const Node &);
llvm::Expected<Types> inferAttention(const Node &);
llvm::Expected<Types> inferMsRotary(const Node &);
llvm::Expected<Types> inferGatherBlockQuantized(const Node &);
llvm::Expected<Types> inferDequantizeLinear(const Node &);
// Operators that compute with shapes and data movement (InferShape.cpp).
llvm::Expected<Types> inferShape(const Node &);
llvm::Expected<Types> inferGather(const Node &);
llvm::Expected<Types> inferReshape(const Node &);
llvm::Expected<Types> inferTranspose(const Node &);
llvm::Expected<Types> inferConcat(const Node &);
llvm::Expected<Types> inferUnsqueeze(const Node &);
llvm::Expected<Types> inferSqueeze(const Node &);
llvm::Expected<Types> inferSlice(const Node &);
llvm::Expected<Types> inferSplit(const Node &);
llvm::Expected<Types> inferExpand(const Node &);
llvm::Expected<Types> inferConstantOfShape(const Node &);
llvm::Expected<Types> inferFlatten(const Node &);
llvm::Expected<Types> inferTile(const Node &);
llvm::Expected<Types> inferGatherNd(const Node &);

} // namespace llmc::onnx
