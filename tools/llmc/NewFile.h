// Files that are written whole or not at all.
#pragma once
#include "llvm/Support/Error.h"
#include "llvm/Support/raw_ostream.h"
#include <memory>

namespace llmc::cli {

/// A file that appears under its name when it is complete; of an unfinished one nothing is left.
class NewFile {
public:
  /// `bytes`: its size in the end, if known; less room on the disk is an error.
  static llvm::Expected<std::unique_ptr<NewFile>> create(const std::string &path, uint64_t bytes = 0);
  ~NewFile();
  llvm::raw_fd_ostream &stream() { return os; }
  /// Whether all was written so far.
  llvm::Error check();
  llvm::Error finish();

private:
  NewFile(std::string path, std::string temporary, int fd)
      : path(std::move(path)), temporary(std::move(temporary)), os(fd, /*shouldClose=*/true) {}
  const std::string path, temporary;
  bool finished = false;
  llvm::raw_fd_ostream os;
};

/// All of `bytes` as the file `path`.
llvm::Error writeWhole(const std::string &path, llvm::StringRef bytes);

} // namespace llmc::cli
