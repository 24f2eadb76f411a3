// Writes small GGUF files, valid or not, for tests.
#pragma once
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include <cstdint>
#include <string>
#include <vector>

namespace llmc::test {

/// Metadata entries and tensors in the order in which they are added; text() is the file.
class GgufFile {
public:
  GgufFile &number(llvm::StringRef key, uint32_t value);
  GgufFile &real(llvm::StringRef key, float value);
  GgufFile &boolean(llvm::StringRef key, bool value);
  GgufFile &string(llvm::StringRef key, llvm::StringRef value);
  GgufFile &strings(llvm::StringRef key, llvm::ArrayRef<std::string> values);
  GgufFile &reals(llvm::StringRef key, llvm::ArrayRef<float> values);
  GgufFile &integers(llvm::StringRef key, llvm::ArrayRef<int32_t> values);
  GgufFile &remove(llvm::StringRef key);
  /// `shape` as the file has it (fastest extent first); `bytes` of data, zeros if shorter than `size`.
  GgufFile &tensor(llvm::StringRef name, uint32_t type, llvm::ArrayRef<uint64_t> shape, size_t size,
                   llvm::StringRef bytes = "");
  /// A complete llama: 1 layer, hidden 32, 2 heads, 1 KV head, feed-forward 64, 8 tokens, matrices of `type`
  /// (`rowBytes` for 32 elements).
  static GgufFile llama(uint32_t type = 0, size_t rowBytes = 128);
  std::string text() const;

private:
  GgufFile &entry(llvm::StringRef key, uint32_t type, std::string value);
  std::vector<std::pair<std::string, std::string>> entries; // key, type and value
  std::vector<std::string> tensors;                         // without the offset
  std::vector<std::string> data;
};

} // namespace llmc::test
