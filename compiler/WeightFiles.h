// The input files of a compilation, mapped for reading.
#pragma once
#include "dialects/llm/eval/WeightView.h"

namespace llmc {

class WeightFiles {
public:
  /// Fails if a file cannot be opened or mapped.
  static llvm::Expected<WeightFiles> map(llvm::ArrayRef<std::string> paths);
  WeightFiles(WeightFiles &&) = default;
  ~WeightFiles();

  llvm::ArrayRef<llm::InputFile> files() const { return mapped; }
  /// Gives back the memory of bytes of one of the files that are not needed soon; they stay readable.
  void release(llvm::ArrayRef<uint8_t> bytes) const;

private:
  WeightFiles() = default;
  std::vector<llm::InputFile> mapped;
};

} // namespace llmc
