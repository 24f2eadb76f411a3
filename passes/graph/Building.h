// The pieces that lowerings are made of: sizes, checks, and tensors computed element by element.
#pragma once
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "passes/graph/NodeLowering.h"

namespace llmc::graph {

//===- Sizes: numbers where they are known, index values where only the run knows them ---===//
using Size = mlir::OpFoldResult;
using Sizes = llvm::SmallVector<mlir::OpFoldResult, 6>;

Size size(Builder &b, int64_t number);
std::optional<int64_t> known(Size size);
/// Surely equal: the same number, or the same computation.
bool knownEqual(Size a, Size b);
mlir::Value asIndex(Builder &b, Size size);
/// From an integer scalar (sign-extended).
Size asSize(Builder &b, mlir::Value integer);
Size dimOf(Builder &b, mlir::Value tensor, int64_t axis);
Sizes dimsOf(Builder &b, mlir::Value tensor);
Size add(Builder &b, Size x, Size y);
Size sub(Builder &b, Size x, Size y);
Size mul(Builder &b, Size x, Size y);
/// Of non-negative numbers, y > 0.
Size floorDiv(Builder &b, Size x, Size y);
Size ceilDiv(Builder &b, Size x, Size y);
Size smaller(Builder &b, Size x, Size y);
Size larger(Builder &b, Size x, Size y);
Size product(Builder &b, llvm::ArrayRef<Size> sizes);

//===- Checks that only the run can make ------------------------------------------------===//
/// The run ends with "node 'x' (Op): reason" if `condition` (i1) is false. May stand in the body of a generic.
void check(NodeLowering &n, mlir::Value condition, const llvm::Twine &reason);
void check(NodeLowering &n, Builder &b, mlir::Value condition, const llvm::Twine &reason);
void checkEqual(NodeLowering &n, Size found, Size expected, const llvm::Twine &reason);
mlir::Value compare(Builder &b, mlir::arith::CmpIPredicate predicate, Size x, Size y);
/// An index scalar (any integer) of ONNX, negative from the end, as index in [0, extent): checked.
mlir::Value checkedIndex(NodeLowering &n, Builder &b, mlir::Value integer, Size extent, const llvm::Twine &what);

//===- Scalars ------------------------------------------------------------------------------===//
mlir::Value indexConstant(Builder &b, int64_t number);
mlir::Value integer(Builder &b, mlir::Type type, int64_t number);
mlir::Value number(Builder &b, mlir::Type floatType, double number);
/// Zero, or one, of an integer or float type.
mlir::Value zero(Builder &b, mlir::Type type);
mlir::Value one(Builder &b, mlir::Type type);
/// What arithmetic on elements of a lowered type is done in: f32 for f16 and bf16, else the type itself.
mlir::Type computeType(mlir::Type element);
mlir::Value toCompute(Builder &b, mlir::Value scalar);
mlir::Value fromCompute(Builder &b, mlir::Value scalar, mlir::Type element);
/// ONNX Cast of one lowered scalar; `from` and `to` are types of the file (i4, f8, ui8, ...). Floats of 8 bits saturate
/// if `saturate`. Float to integer truncates; what is out of range gives some value, never a trap.
mlir::Value convertScalar(Builder &b, mlir::Value scalar, mlir::Type from, mlir::Type to, bool saturate = true);

//===- Tensors --------------------------------------------------------------------------------===//
mlir::RankedTensorType tensorType(llvm::ArrayRef<Size> dims, mlir::Type element);
mlir::Value empty(Builder &b, llvm::ArrayRef<Size> dims, mlir::Type element);
mlir::Value filled(Builder &b, llvm::ArrayRef<Size> dims, mlir::Value scalar);
/// A constant of the file, its elements in their lowered type.
mlir::Value constantTensor(Builder &b, mlir::DenseElementsAttr value);
/// The only element of a tensor of one element (any rank; checked if dims are dynamic).
mlir::Value scalarOf(NodeLowering &n, unsigned operand);
mlir::Value at(Builder &b, mlir::Value tensor, mlir::ValueRange indices);
/// The elements of a small integer tensor that was made of scalars (or is a constant): shape arithmetic is scalar code,
/// so that known numbers stay known. Nothing for others.
std::optional<Values> scalars(Builder &b, mlir::Value tensor);
/// The numbers of a 1-D (or 0-D) integer operand as sizes, known or not; its length must be known.
llvm::Expected<Sizes> sizesFrom(NodeLowering &n, unsigned operand);
mlir::Value fromScalars(Builder &b, llvm::ArrayRef<int64_t> shape, mlir::Type element, mlir::ValueRange elements);
/// At most this many elements are kept as scalars.
inline constexpr int64_t kMostScalars = 64;

/// Called with scalars in their computeType (f32 for f16, bf16); gives one in the computeType of the result.
using Body = llvm::function_ref<mlir::Value(Builder &, mlir::ValueRange)>;
/// y = body(operands...), element by element with numpy's broadcasting (checked).
llvm::Expected<mlir::Value> elementwise(NodeLowering &n, mlir::ValueRange operands, mlir::Type element, Body body);
/// The dims of that; and the size that dims broadcast to (checked).
Size broadcastSize(NodeLowering &n, llvm::ArrayRef<Size> dims);
Sizes broadcastDims(NodeLowering &n, mlir::ValueRange operands);
/// The same with the result's dims given; operands must be broadcastable to them.
mlir::Value elementwiseTo(NodeLowering &n, llvm::ArrayRef<Size> dims, mlir::ValueRange operands, mlir::Type element,
                          Body body);
/// y[i...] = body(i...): the lowered element itself, not its computeType.
mlir::Value generate(Builder &b, llvm::ArrayRef<Size> dims, mlir::Type element, Body body);
/// acc = combine(acc, x) over `axes` (sorted), from `init`: a tensor of init's type (dims 1 for the axes, or without
/// them). x is given in its computeType; the order is that of the elements.
mlir::Value reduce(Builder &b, mlir::Value x, llvm::ArrayRef<int64_t> axes, bool keepDims, mlir::Value init,
                   llvm::function_ref<mlir::Value(Builder &, mlir::Value acc, mlir::Value x)> combine);
/// The same elements with other dims, whose product is the same (the caller checks).
mlir::Value reshape(Builder &b, mlir::Value x, llvm::ArrayRef<Size> dims);
/// y's axis i is x's axis perm[i].
mlir::Value transpose(Builder &b, mlir::Value x, llvm::ArrayRef<int64_t> perm);
/// x[offset : offset + size * stride : stride], strides > 0, in range.
mlir::Value slice(Builder &b, mlir::Value x, llvm::ArrayRef<Size> offsets, llvm::ArrayRef<Size> sizes,
                  llvm::ArrayRef<Size> strides = {});
/// Adds or drops axes of size 1 (`axes` of the larger rank, sorted).
mlir::Value unsqueeze(Builder &b, mlir::Value x, llvm::ArrayRef<int64_t> axes);
mlir::Value squeeze(Builder &b, mlir::Value x, llvm::ArrayRef<int64_t> axes);
/// The same tensor with a type whose static dims are those of `dims`.
mlir::Value castTo(Builder &b, mlir::Value x, mlir::RankedTensorType type);
/// The indices of the element with number `linear` of a tensor of `dims`.
Values delinearise(Builder &b, mlir::Value linear, llvm::ArrayRef<Size> dims);
/// for i in [0, count): values = body(i, values). Values keep their types; updates by tensor.insert are in place.
Values loop(Builder &b, Size count, mlir::ValueRange values,
            llvm::function_ref<Values(Builder &, mlir::Value i, mlir::ValueRange)> body);
/// The elements of x with every element converted (Cast), or x itself if the types are the same.
llvm::Expected<mlir::Value> convertTensor(NodeLowering &n, mlir::Value x, mlir::Type from, mlir::Type to,
                                          bool saturate = true);

} // namespace llmc::graph
