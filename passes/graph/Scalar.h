// Programs over single elements: what most lowerings are written in.
//
// A Scalar is a value of the program being built, with arithmetic that picks the operation from its type; an Array is
// a tensor that is read by element. tabulate() makes a tensor from a function of its indices (a parallel
// linalg.generic), loop() and fold() are sequential. Constants fold while they are built, so a size that is known stays
// known in the types.
#pragma once
#include "passes/graph/NodeLowering.h"
#include "llvm/ADT/STLFunctionalExtras.h"

namespace llmc::graph {

struct Scalar {
  Builder *b = nullptr;
  mlir::Value value;
  bool isUnsigned = false; // how its bits are read, if it is an integer

  mlir::Type type() const { return value.getType(); }
  bool isFloat() const { return llvm::isa<mlir::FloatType>(type()); }
};
using Scalars = llvm::SmallVector<Scalar, 8>;
using ScalarRef = llvm::ArrayRef<Scalar>;

//===- Constants and conversions ----------------------------------------------===//
Scalar index(Builder &b, int64_t value);
Scalar constant(Builder &b, mlir::Type type, double value);
/// A constant of the type (and sign) of `like`.
Scalar constantLike(Scalar like, double value);
/// The least and the greatest value of a type; the infinities of a float type that has them.
Scalar lowest(Builder &b, mlir::Type type, bool isUnsigned);
Scalar highest(Builder &b, mlir::Type type, bool isUnsigned);
/// The value in another type: floats round to nearest even, float to integer truncates, integers wrap.
Scalar convert(Scalar x, mlir::Type type, bool isUnsigned = false);
Scalar toIndex(Scalar x);
Scalar toF32(Scalar x);
/// What sums of this type are kept in: f32 for narrower floats, otherwise the type.
mlir::Type sumType(mlir::Type element);

//===- Arithmetic: both operands of one type -------------------------------------===//
Scalar operator+(Scalar x, Scalar y);
Scalar operator-(Scalar x, Scalar y);
Scalar operator*(Scalar x, Scalar y);
Scalar operator/(Scalar x, Scalar y); // of integers: towards zero
Scalar operator%(Scalar x, Scalar y); // the sign of x
Scalar operator<(Scalar x, Scalar y);
Scalar operator<=(Scalar x, Scalar y);
Scalar operator>(Scalar x, Scalar y);
Scalar operator>=(Scalar x, Scalar y);
Scalar operator&(Scalar x, Scalar y);
Scalar operator|(Scalar x, Scalar y);
Scalar operator!(Scalar x); // of i1
Scalar operator-(Scalar x);
Scalar equal(Scalar x, Scalar y);
Scalar minimum(Scalar x, Scalar y); // of floats: NaN if either is
Scalar maximum(Scalar x, Scalar y);
Scalar select(Scalar condition, Scalar yes, Scalar no);

inline Scalar operator+(Scalar x, double y) { return x + constantLike(x, y); }
inline Scalar operator-(Scalar x, double y) { return x - constantLike(x, y); }
inline Scalar operator*(Scalar x, double y) { return x * constantLike(x, y); }
inline Scalar operator/(Scalar x, double y) { return x / constantLike(x, y); }
inline Scalar operator%(Scalar x, double y) { return x % constantLike(x, y); }
inline Scalar operator<(Scalar x, double y) { return x < constantLike(x, y); }
inline Scalar operator<=(Scalar x, double y) { return x <= constantLike(x, y); }
inline Scalar operator>(Scalar x, double y) { return x > constantLike(x, y); }
inline Scalar operator>=(Scalar x, double y) { return x >= constantLike(x, y); }
inline Scalar equal(Scalar x, double y) { return equal(x, constantLike(x, y)); }

// Of floats.
Scalar exp(Scalar x);
Scalar log(Scalar x);
Scalar sqrt(Scalar x);
Scalar tanh(Scalar x);
Scalar sin(Scalar x);
Scalar cos(Scalar x);
Scalar erf(Scalar x);
Scalar pow(Scalar x, Scalar y);
Scalar floor(Scalar x);
Scalar ceil(Scalar x);
Scalar roundEven(Scalar x);
Scalar isNan(Scalar x);
/// Of floats and signed integers.
Scalar abs(Scalar x);
Scalar sigmoid(Scalar x);

//===- Control ---------------------------------------------------------------------===//
/// The value of one of the two; only that one is computed.
Scalar when(Scalar condition, llvm::function_ref<Scalar()> yes, llvm::function_ref<Scalar()> no);
/// for i in from..to: state = body(i, state), of scalars and tensors.
Values loop(Scalar from, Scalar to, mlir::ValueRange state,
            llvm::function_ref<Values(Scalar i, mlir::ValueRange state)> body);
Scalar fold(Scalar from, Scalar to, Scalar start, llvm::function_ref<Scalar(Scalar i, Scalar sum)> body);
/// A nest of folds over 0..sizes.
Scalar foldOver(ScalarRef sizes, Scalar start, llvm::function_ref<Scalar(ScalarRef i, Scalar sum)> body);
/// Several sums at once.
Scalars folds(Scalar from, Scalar to, ScalarRef start, llvm::function_ref<Scalars(Scalar i, ScalarRef sums)> body);
/// A nest of loops over 0..sizes that changes a tensor.
mlir::Value forEach(ScalarRef sizes, mlir::Value tensor,
                    llvm::function_ref<mlir::Value(ScalarRef i, mlir::Value tensor)> body);

//===- Tensors -----------------------------------------------------------------------===//
struct Array {
  Builder *b = nullptr;
  mlir::Value tensor;
  bool isUnsigned = false;

  mlir::RankedTensorType type() const { return llvm::cast<mlir::RankedTensorType>(tensor.getType()); }
  mlir::Type element() const { return type().getElementType(); }
  int64_t rank() const { return type().getRank(); }
  Scalar size(int64_t dim) const;
  Scalars sizes() const;
  Scalar operator()(ScalarRef indices) const;
  /// The element where `inside` holds, `outside` elsewhere; nothing is read there.
  Scalar at(Scalar inside, ScalarRef indices, Scalar outside) const;
};
Array array(NodeLowering &n, unsigned operand);
Array array(Builder &b, mlir::Value tensor, bool isUnsigned = false);

mlir::Value empty(Builder &b, ScalarRef sizes, mlir::Type element);
mlir::Value filled(ScalarRef sizes, Scalar value);
mlir::Value store(mlir::Value tensor, ScalarRef indices, Scalar value);
/// t[i...] = body(i...), each element on its own.
mlir::Value tabulate(Builder &b, ScalarRef sizes, mlir::Type element, llvm::function_ref<Scalar(ScalarRef i)> body);
/// The same elements in other sizes, whose product is the same.
mlir::Value reshape(Array x, ScalarRef sizes);

Scalar product(Builder &b, ScalarRef sizes);
/// The indices of an operand of `sizes` in numpy's broadcasting to `indices`: aligned at the end, 0 where the size
/// is 1.
Scalars broadcastIndices(ScalarRef sizes, ScalarRef indices);
/// The run ends unless x has these sizes; each is that of x or 1, aligned at the end, for the second.
void checkSizes(NodeLowering &n, Array x, ScalarRef sizes, const llvm::Twine &what);
void checkBroadcast(NodeLowering &n, Array x, ScalarRef sizes, const llvm::Twine &what);
void checkBroadcast(NodeLowering &n, ScalarRef own, ScalarRef sizes, const llvm::Twine &what);
/// An operand's sizes as others have them; a Scalar without a value allows any size.
struct Required {
  unsigned operand;
  llvm::StringRef name;
  Scalars sizes;
};
/// Each operand that is there has its rank and sizes: a refusal if it surely has not, a check of the run if only that
/// knows.
llvm::Error require(NodeLowering &n, llvm::ArrayRef<Required> operands);
/// The same for `size` being a multiple of `of`, which is above 0.
llvm::Error requireMultiple(NodeLowering &n, Scalar size, Scalar of, const llvm::Twine &what);
/// An index that the data has, negative from the end: the run ends if it is not in 0..size.
Scalar checkedAt(NodeLowering &n, Scalar entry, Scalar size, const llvm::Twine &what);
/// The sizes that two operands broadcast to.
Scalars broadcastSizes(Builder &b, ScalarRef x, ScalarRef y);

} // namespace llmc::graph
