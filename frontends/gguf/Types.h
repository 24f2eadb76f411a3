// The tensor types of GGML, by their number in GGUF files.
#pragma once
#include "llvm/ADT/StringRef.h"
#include <cstdint>
#include <string>

namespace llmc::gguf {

struct TensorType {
  uint32_t number;
  llvm::StringLiteral name;
  uint32_t block, bytes; // elements of a block and the block's size; rows are whole blocks
};

/// Null for numbers that no type has (any more).
const TensorType *findTensorType(uint32_t number);

} // namespace llmc::gguf
