// Tensors in numpy's .npy files.
#pragma once
#include "llmc.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/Support/Error.h"
#include <string>
#include <vector>

namespace llmc::cli {

/// A tensor with its own elements, as llmc.h has them in memory.
struct OwnedTensor {
  llmc_tensor view = {};
  std::vector<char> bytes;
};

/// Reads a tensor whose elements are to be of `type` (llmc_element), in C or Fortran order. numpy has no types for
/// some: bf16 is read from 2-byte elements of type u2 or V2, floats of 8 and 4 bits from u1 or V1, 4-bit integers from
/// i1, u1 or V1, an element in each. Other mismatches are errors that say what was found.
llvm::Expected<OwnedTensor> readNpy(const std::string &path, int32_t type);
/// Writes it, C order: bf16 as u2, floats of 8 and 4 bits as u1, i4 as i1, u4 as u1.
llvm::Error writeNpy(const std::string &path, const llmc_tensor &tensor);

/// Elements of a tensor; "f32 [2, 3]".
int64_t elementsOf(const llmc_tensor &tensor);
std::string typeText(int32_t type, llvm::ArrayRef<int64_t> dims);

} // namespace llmc::cli
