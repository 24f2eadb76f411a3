// A GGUF file: bytes -> checked tables of metadata and tensors. Versions 2 and 3, little-endian.
#pragma once
#include "frontends/File.h"
#include "frontends/gguf/Types.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringMap.h"
#include <vector>

namespace llmc::gguf {

enum class ValueType : uint32_t { U8, I8, U16, I16, U32, I32, F32, Bool, String, Array, U64, I64, F64 };

/// A metadata value as it lies in the file.
struct Value {
  ValueType type = ValueType::U8;
  ValueType element = ValueType::U8; // arrays: the type of the elements, never Array
  uint64_t count = 0;                // arrays: elements
  llvm::StringRef bytes;             // scalars and arrays: little-endian, unaligned; strings: their bytes
};

struct Tensor {
  std::string name;
  const TensorType *type = nullptr;
  llvm::SmallVector<int64_t, 2> shape; // outermost first, as in Hugging Face; the file has it the other way round
  uint64_t offset = 0, bytes = 0;      // within the file
};

struct Table {
  uint32_t version = 0;
  llvm::StringMap<Value> metadata;
  std::vector<Tensor> tensors; // in the order of the file
};

/// Counts, lengths and offsets are checked against the file before they are used; keys and names are unique UTF-8; no
/// two tensors share bytes. The values refer to `file`'s bytes.
llvm::Expected<Table> parseGguf(const InputFile &file);

/// "[320, 64]".
std::string shapeText(llvm::ArrayRef<int64_t> shape);

} // namespace llmc::gguf
