// A small language over OpBuilder for the portable kernels: values with operators, pointers with byte offsets, counted
// loops, and rows of columns in vectors of kLanes with a masked tail. An emitter written with it reads like the
// formula.
#pragma once
#include "codegen/Kernel.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/ADT/STLFunctionalExtras.h"

namespace llmc::portable {

/// Lanes of every vector, the columns of one line of a weight panel; LLVM splits them as the target needs.
inline constexpr int64_t kLanes = 16;
static_assert(kPanel % kLanes == 0);

class KernelBuilder;

/// A value of the kernel (i1..i64, f32, a vector of these, or a pointer), or a number that takes the type of the other
/// operand. A scalar that meets a vector is broadcast. `pointer + i64` adds bytes. Integers are signed, except that >>
/// shifts zeros in. f32 multiplications and additions are never contracted; see KernelBuilder::fma.
class Var {
public:
  Var() = default;
  Var(KernelBuilder *builder, mlir::Value value) : builder(builder), value(value) {}
  Var(double number) : number(number) {}
  Var(int number) : number(number) {}
  Var(int64_t number) : number(double(number)) {}

  friend Var operator+(Var a, Var b);
  friend Var operator-(Var a, Var b);
  friend Var operator*(Var a, Var b);
  friend Var operator/(Var a, Var b);
  friend Var operator%(Var a, Var b);
  friend Var operator&(Var a, Var b);
  friend Var operator|(Var a, Var b);
  friend Var operator<<(Var a, Var b);
  friend Var operator>>(Var a, Var b);
  friend Var operator<(Var a, Var b);  // f32: ordered
  friend Var operator==(Var a, Var b); // f32: ordered

  KernelBuilder *builder = nullptr;
  mlir::Value value; // null: a number
  double number = 0;
};
using Vars = llvm::SmallVector<Var>;

/// Builds one kernel: a module with `llvm.func @kernel(%args: !llvm.ptr)`.
class KernelBuilder {
public:
  explicit KernelBuilder(const Target &target);
  KernelBuilder(const KernelBuilder &) = delete;
  /// Ends the function and returns the module's text, or what the verifier says.
  llvm::Expected<Code> finish();

  /// The function's argument.
  Var args();
  const Target &target;
  /// A fused multiply-add, and conversions between f16 and f32, are single instructions here. Where they are not, fma
  /// is a multiplication and an addition (fmaf of libm would be called for each lane), and f16 goes through integers
  /// (LLVM would call __extendhfsf2 of a compiler runtime).
  const bool hasFma, hasF16;

  // Types and constants.
  mlir::Type i8(), i16(), i32(), i64(), f32(), ptr();
  mlir::VectorType lanes(mlir::Type element, int64_t count = kLanes);
  Var constant(mlir::Type type, double number);
  /// f32 lanes, all `number`.
  Var splat(double number) { return constant(lanes(f32()), number); }
  /// A scalar in every lane.
  Var broadcast(Var scalar, int64_t count = kLanes);
  /// A vector constant.
  Var constants(llvm::ArrayRef<int32_t> numbers);

  // Memory. Addresses need no more alignment than their element.
  Var load(mlir::Type type, Var pointer);
  void store(Var value, Var pointer);
  /// `count` lanes of which the first `valid` are read, the others 0; of a vector, the first `valid` are written.
  Var loadLanes(mlir::Type element, Var pointer, int64_t valid, int64_t count = kLanes);
  void storeLanes(Var value, Var pointer, int64_t valid);
  /// The first `valid` lanes, 0 in the others.
  Var keepLanes(Var value, int64_t valid);
  /// `bytes` of stack for the whole function, 64-byte aligned.
  Var stack(int64_t bytes);

  // Arithmetic.
  Var fma(Var a, Var b, Var c);
  Var sqrt(Var x), abs(Var x), roundEven(Var x);
  Var cos(Var x), sin(Var x), pow(Var x, Var y); // libm
  /// b if a is not a number.
  Var max(Var a, Var b);
  Var min(Var a, Var b);
  Var select(Var condition, Var yes, Var no);
  Var toFloat(Var integer);             // signed
  Var toInt(Var x, mlir::Type element); // of an integral f32 in range
  Var signExtend(Var x, mlir::Type element), zeroExtend(Var x, mlir::Type element), truncate(Var x, mlir::Type element);
  Var extendF16(Var x), truncateF16(Var x); // arith.extf and truncf: only if hasF16
  Var asInt(Var x), asFloat(Var x);         // the same 32 bits
  Var sum(Var vector), maximum(Var vector); // integers: signed
  Var any(Var conditions);                  // of a vector of i1
  /// Lanes first, first+step, ...
  Var every(Var vector, int64_t first, int64_t step);
  Var interleave(Var even, Var odd);
  /// Lane i of the result is lane order[i].
  Var permute(Var vector, llvm::ArrayRef<int64_t> order);

  // Control.
  /// for (i = begin; i < end; i += step).
  void loop(Var begin, Var end, int64_t step, llvm::function_ref<void(Var)> body);
  /// The same with values carried from turn to turn, which it returns.
  Vars loop(Var begin, Var end, int64_t step, Vars init, llvm::function_ref<Vars(Var, Vars)> body);
  void ifThen(Var condition, llvm::function_ref<void()> body);
  /// Columns 0..count in steps of `step`: a loop of whole steps (valid == step), then one with the rest.
  Vars columns(int64_t count, int64_t step, Vars init, llvm::function_ref<Vars(Var, int64_t valid, Vars)> body);
  void columns(int64_t count, llvm::function_ref<void(Var, int64_t valid)> body);

  // Building blocks of Var's operators.
  template <typename IntOp, typename FloatOp> Var binary(Var a, Var b);
  template <typename IntOp> Var integer(Var a, Var b);
  Var compare(Var a, Var b, bool equal);
  Var add(Var a, Var b); // also pointer + bytes

private:
  /// Gives numbers a type and scalars the shape of the other operand.
  void unify(Var &a, Var &b);
  mlir::Value typed(Var x, mlir::Type type);
  mlir::Type withElement(mlir::Type like, mlir::Type element);
  unsigned alignment(mlir::Type type);
  Var var(mlir::Value value) { return {this, value}; }

  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  mlir::ImplicitLocOpBuilder b;
  mlir::LLVM::LLVMFuncOp function;
};

} // namespace llmc::portable
