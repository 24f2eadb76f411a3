#include "tools/llmc/LogitsFile.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/FileSystem.h"
#include <nlohmann/json.hpp>

namespace llmc::cli {
namespace {
// Room for the header, which is known only in the end; JSON may be padded with spaces.
constexpr size_t kHeaderBytes = 256 - 8;
} // namespace

llvm::Expected<std::unique_ptr<LogitsFile>> LogitsFile::create(const std::string &path, int64_t vocab) {
  llvm::SmallString<128> temporary;
  int fd;
  if (std::error_code error =
          llvm::sys::fs::createUniqueFile(path + ".tmp-%%%%%%", fd, temporary, llvm::sys::fs::OF_None, 0666))
    return llvm::createStringError(path + ": " + error.message());
  std::unique_ptr<LogitsFile> file(new LogitsFile(path, temporary.str().str(), fd, vocab));
  file->os << std::string(8 + kHeaderBytes, ' ');
  return file;
}

LogitsFile::~LogitsFile() {
  os.clear_error(); // reported by check; a stream that is destroyed with an error ends the process
  if (!finished) llvm::sys::fs::remove(temporary);
}

llvm::Error LogitsFile::check() {
  if (!os.has_error()) return llvm::Error::success();
  std::string message = os.error().message();
  os.clear_error();
  return llvm::createStringError(path + ": " + message);
}

llvm::Error LogitsFile::addRow(const float *logits) {
  os.write(reinterpret_cast<const char *>(logits), size_t(vocab) * sizeof(float));
  ++rows;
  return check();
}

llvm::Error LogitsFile::finish(llvm::ArrayRef<int32_t> tokens) {
  for (int32_t token : tokens) {
    int64_t wide = token;
    os.write(reinterpret_cast<const char *>(&wide), sizeof wide);
  }
  int64_t logitBytes = rows * vocab * 4, count = int64_t(tokens.size());
  nlohmann::ordered_json header = {
      {"logits", {{"dtype", "F32"}, {"shape", {rows, vocab}}, {"data_offsets", {0, logitBytes}}}},
      {"tokens", {{"dtype", "I64"}, {"shape", {count}}, {"data_offsets", {logitBytes, logitBytes + count * 8}}}}};
  std::string text = header.dump();
  text.resize(kHeaderBytes, ' ');
  char size[8];
  llvm::support::endian::write64le(size, kHeaderBytes);
  os.pwrite(size, 8, 0);
  os.pwrite(text.data(), text.size(), 8);
  os.close();
  if (llvm::Error error = check()) return error;
  if (std::error_code error = llvm::sys::fs::rename(temporary, path))
    return llvm::createStringError(path + ": " + error.message());
  finished = true;
  return llvm::Error::success();
}

} // namespace llmc::cli
