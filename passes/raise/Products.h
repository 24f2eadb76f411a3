// Products as exporters write them, in any order and association.
#pragma once
#include "passes/raise/Match.h"

namespace llmc::raise {

/// number * the product of the factors, each under casts. Of Mul, Div by a number, Neg and Pow by 2 or 3.
struct Product {
  double number = 1;
  llvm::SmallVector<mlir::Value, 4> factors;
};
Product productOf(mlir::Value value);

/// The activation that a node computes of `x`, if it is one: Sigmoid products, the spellings of GELU, operators of
/// their own. `added`: a bias that the operator adds to x first.
struct Activated {
  mlir::Value x, added;
  llm::Activation activation;
};
std::optional<Activated> activationOf(llm::OnnxNodeOp node, std::string &reason);

} // namespace llmc::raise
