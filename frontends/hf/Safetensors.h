// The header of a safetensors file: bytes -> a checked table of tensors.
#pragma once
#include "frontends/File.h"
#include "llvm/ADT/SmallVector.h"
#include <optional>
#include <vector>

namespace llmc::hf {

/// The format's own limit.
inline constexpr uint64_t kMostHeaderBytes = 100'000'000;

struct Tensor {
  std::string name;
  llvm::StringRef dtype; // as in the file: F32, F16, BF16, ...
  llvm::SmallVector<int64_t, 2> shape;
  uint64_t offset = 0, bytes = 0; // within the file
};

struct SafetensorsTable {
  std::vector<Tensor> tensors; // by offset
  /// The first bytes of the data that no tensor has (offset within the file, size).
  std::optional<std::pair<uint64_t, uint64_t>> unused;
};

/// Every tensor lies within the file, has a known dtype and exactly the bytes of its shape; no two share bytes or a
/// name. Bytes that no tensor has are only recorded, so that a missing tensor can be named first: checkNoUnusedBytes.
llvm::Expected<SafetensorsTable> parseSafetensors(const InputFile &file);

/// The format allows no holes.
llvm::Error checkNoUnusedBytes(const InputFile &file, const SafetensorsTable &table);

/// Whether the bytes begin as a safetensors file does: a header length that fits, and then an object.
bool looksLikeSafetensors(llvm::StringRef bytes);

/// "[320, 64]".
std::string shapeText(llvm::ArrayRef<int64_t> shape);

} // namespace llmc::hf
