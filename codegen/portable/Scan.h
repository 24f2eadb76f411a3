// Finding the largest of an array.
#pragma once
#include "codegen/portable/KernelBuilder.h"

namespace llmc::portable {

/// What was found: values[k] descending, indices[k]; of equal values the first. Empty places: -infinity, -1.
struct List {
  int64_t k;
  Var values, indices;
};

/// The k largest of x[begin..end); `indexOf` a column is what the list keeps. What is not a number, and -infinity, is
/// never found.
void scan(KernelBuilder &b, const List &list, Var x, Var begin, Var end, llvm::function_ref<Var(Var)> indexOf);

} // namespace llmc::portable
