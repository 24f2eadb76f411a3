// A safetensors file of token ids and the logits after each, written row by row: `--dump-logits`.
#pragma once
#include "tools/llmc/NewFile.h"
#include "llvm/ADT/ArrayRef.h"

namespace llmc::cli {

/// Tensors `logits` F32 [rows, vocab], row i after token i, and `tokens` I64 [count]. The file appears under its name
/// when it is finished; unfinished, nothing is left of it.
class LogitsFile {
public:
  static llvm::Expected<std::unique_ptr<LogitsFile>> create(const std::string &path, int64_t vocab);
  llvm::Error addRow(const float *logits);
  llvm::Error finish(llvm::ArrayRef<int32_t> tokens);

private:
  LogitsFile(std::unique_ptr<NewFile> file, int64_t vocab) : file(std::move(file)), vocab(vocab) {}
  const std::unique_ptr<NewFile> file;
  const int64_t vocab;
  int64_t rows = 0;
};

} // namespace llmc::cli
