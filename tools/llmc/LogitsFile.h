// A safetensors file of token ids and the logits after each, written row by row: `--dump-logits`.
#pragma once
#include "llvm/ADT/ArrayRef.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/raw_ostream.h"
#include <memory>
#include <string>

namespace llmc::cli {

/// Tensors `logits` F32 [rows, vocab], row i after token i, and `tokens` I64 [count]. The file appears under its name
/// when it is finished; unfinished, nothing is left of it.
class LogitsFile {
public:
  static llvm::Expected<std::unique_ptr<LogitsFile>> create(const std::string &path, int64_t vocab);
  ~LogitsFile();
  llvm::Error addRow(const float *logits);
  llvm::Error finish(llvm::ArrayRef<int32_t> tokens);

private:
  LogitsFile(std::string path, std::string temporary, int fd, int64_t vocab)
      : path(std::move(path)), temporary(std::move(temporary)), vocab(vocab), os(fd, /*shouldClose=*/true) {}
  llvm::Error check();
  const std::string path, temporary;
  const int64_t vocab;
  int64_t rows = 0;
  bool finished = false;
  llvm::raw_fd_ostream os;
};

} // namespace llmc::cli
