// Tensors whose bytes are in a file beside the model.
#pragma once
#include "frontends/File.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace llmc::onnx {

/// Bytes of an input file: `file` is an index as in #llm.storage.
struct Bytes {
  int64_t file = 0, offset = 0, size = 0;
};

/// The files that a model's tensors are in. Index 0 is the model itself.
class DataFiles {
public:
  explicit DataFiles(llvm::StringRef model);

  /// Where a tensor is, from the key-value pairs of its external_data. `expected` is the size that its dims give.
  /// The location must be relative, without "..", of a regular file that is still in the model's folder when symbolic
  /// links are resolved; offset and length must lie within it. Nothing is read.
  llvm::Expected<Bytes> locate(llvm::StringRef tensor, int64_t expected,
                               llvm::ArrayRef<std::pair<std::string, std::string>> keys);

  const std::vector<std::string> &paths() const { return files; }
  /// A file other than the model; valid until the next call.
  llvm::Expected<const InputFile *> map(int64_t index);

private:
  struct Known {
    int64_t index, size;
  };
  llvm::Expected<Known> open(llvm::StringRef tensor, llvm::StringRef location);

  std::vector<std::string> files;
  llvm::StringMap<Known> known; // by location
  std::optional<InputFile> mapped;
  int64_t mappedIndex = 0;
};

} // namespace llmc::onnx
