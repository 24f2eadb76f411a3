#include "tools/llmc/NewFile.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

namespace llmc::cli {

llvm::Expected<std::unique_ptr<NewFile>> NewFile::create(const std::string &path, uint64_t bytes) {
  llvm::StringRef parent = llvm::sys::path::parent_path(path);
  auto space = llvm::sys::fs::disk_space(parent.empty() ? "." : parent);
  if (space && space->available < bytes)
    return llvm::createStringError(path + ": found room for " + std::to_string(space->available) +
                                   " bytes on the disk, expected " + std::to_string(bytes));
  llvm::SmallString<128> temporary;
  int fd;
  if (std::error_code error =
          llvm::sys::fs::createUniqueFile(path + ".tmp-%%%%%%", fd, temporary, llvm::sys::fs::OF_None, 0666))
    return llvm::createStringError(path + ": " + error.message());
  return std::unique_ptr<NewFile>(new NewFile(path, temporary.str().str(), fd));
}

NewFile::~NewFile() {
  os.clear_error(); // reported by check; a stream that is destroyed with an error ends the process
  if (!finished) llvm::sys::fs::remove(temporary);
}

llvm::Error NewFile::check() {
  if (!os.has_error()) return llvm::Error::success();
  std::string message = os.error().message();
  os.clear_error();
  return llvm::createStringError(path + ": " + message);
}

llvm::Error NewFile::finish() {
  os.close();
  if (llvm::Error error = check()) return error;
  if (std::error_code error = llvm::sys::fs::rename(temporary, path))
    return llvm::createStringError(path + ": " + error.message());
  finished = true;
  return llvm::Error::success();
}

llvm::Error writeWhole(const std::string &path, llvm::StringRef bytes) {
  auto file = NewFile::create(path, bytes.size());
  if (!file) return file.takeError();
  (*file)->stream() << bytes;
  return (*file)->finish();
}

} // namespace llmc::cli
