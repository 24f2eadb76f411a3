// What one element of a tensor is, as an expression over indices, sizes and elements of other tensors, in a normal
// form: two elements are the same if their expressions are the same object. Integers are affine sums, truth values
// conjunctions of comparisons with 0, numbers sums of products as real arithmetic has them (rounding is ignored).
#pragma once
#include "mlir/IR/Value.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/SmallVector.h"
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

namespace llmc::raise {

struct ScalarNode;
/// Null: not known.
using Scalar = const ScalarNode *;
using Scalars = llvm::SmallVector<Scalar, 4>;

enum class Form {
  // integers
  Index,    // a variable: 0 <= i < operands[0]; numbers[0] tells variables apart
  Size,     // an unknown size of at least numbers[1]; numbers[0] tells sizes apart
  Affine,   // numbers[0] + sum of numbers[i + 1] * operands[i]
  FloorDiv, // operands[0] by numbers[0]

  Count, // 1 where operands[0] holds, else 0
  // truth
  AtLeast0, // operands[0] >= 0
  Not,      // of what is no comparison
  And,      // of any number; of none: true
  Or,       // of any number; of none: false
  IsZero,   // operands[0] == 0
  // numbers
  Real,       // reals[0] + sum of reals[i + 1] * operands[i]
  Product,    // of two or more, none of them a Real of one term
  Function,   // `name` of operands[0]: cos, exp, sqrt, ...
  Reciprocal, // 1 / operands[0]
  ToReal,     // of an integer that is not constant
  Mean,       // over the bound index operands[1] of operands[0]
  // any
  Select, // operands[0] ? operands[1] : operands[2]
  Element // of the tensor `tensor` at the indices `operands`
};

struct ScalarNode {
  Form form;
  llvm::SmallVector<int64_t, 2> numbers;
  llvm::SmallVector<double, 2> reals;
  Scalars operands;
  std::string name;
  mlir::Value tensor;
  unsigned id = 0;    // in order of creation
  unsigned means = 0; // the most Mean in one another

  /// The number of an Affine or Real without terms.
  std::optional<int64_t> integer() const;
  std::optional<double> real() const;
  bool isInteger() const { return form <= Form::Count; }
  bool isTruth() const { return form >= Form::AtLeast0 && form <= Form::IsZero; }
};

/// Makes expressions and owns them.
class ScalarPool {
public:
  //===- Integers ---------------------------------------------------------===//
  Scalar integer(int64_t value);
  /// A new variable, 0 <= i < extent.
  Scalar index(Scalar extent);
  /// A new size of at least `least`.
  Scalar size(int64_t least);
  Scalar add(Scalar a, Scalar b);
  Scalar subtract(Scalar a, Scalar b);
  /// Null if neither is constant.
  Scalar multiply(Scalar a, Scalar b);
  /// By a positive number, rounded down; and the rest.
  Scalar floorDiv(Scalar a, int64_t by);
  Scalar mod(Scalar a, int64_t by);
  /// Whether it is proved that a >= 0.
  bool isAtLeast0(Scalar a);
  bool isBelow(Scalar a, Scalar b) { return isAtLeast0(add(subtract(b, a), integer(-1))); }

  //===- Truth ------------------------------------------------------------===//
  Scalar truth(bool value);
  Scalar atLeast0(Scalar a);
  Scalar isZero(Scalar a);
  Scalar negate(Scalar truth);
  Scalar both(Scalar a, Scalar b);
  Scalar either(Scalar a, Scalar b) { return negate(both(negate(a), negate(b))); }
  /// 1 or 0.
  Scalar count(Scalar truth);

  //===- Numbers ------------------------------------------------------------===//
  Scalar real(double value);
  Scalar toReal(Scalar integer);
  /// The integer that a number is (or an integer already), or null.
  Scalar whole(Scalar number);
  Scalar addReal(Scalar a, Scalar b);
  Scalar multiplyReal(Scalar a, Scalar b);
  Scalar reciprocal(Scalar a);
  Scalar function(llvm::StringRef name, Scalar a);
  /// Mean of `body` over all values of `index`, which is bound by it.
  Scalar mean(Scalar body, Scalar index);

  //===- Any ----------------------------------------------------------------===//
  Scalar select(Scalar condition, Scalar yes, Scalar no);
  Scalar element(mlir::Value tensor, llvm::ArrayRef<Scalar> indices);
  /// `in` with some parts replaced: those that `replace` gives an expression for.
  Scalar transform(Scalar in, llvm::function_ref<Scalar(Scalar)> replace);
  /// `in` with the variable `index` replaced.
  Scalar substitute(Scalar in, Scalar index, Scalar by);
  /// `in` where all of `facts`, comparisons with 0, hold: choices that they decide are made.
  Scalar assume(Scalar in, llvm::ArrayRef<Scalar> facts);

  /// The most terms, factors or conditions side by side; more are not known (null).
  static constexpr unsigned kMostParts = 256;

private:
  Scalar intern(ScalarNode node);
  Scalar rebuild(Scalar like, llvm::ArrayRef<Scalar> operands);

  std::unordered_map<std::string, std::unique_ptr<ScalarNode>> nodes; // by content; lookup only
  unsigned variables = 0;
};

/// Whether `part` occurs in `in`, or is it.
bool occurs(Scalar part, Scalar in);
/// All parts of an expression, each once.
void visit(Scalar scalar, llvm::function_ref<void(Scalar)> each);

/// For messages and tests: "n1 + i2 - i3 >= 0". Of a long expression the beginning.
std::string print(Scalar scalar);

} // namespace llmc::raise
