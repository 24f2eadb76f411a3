#include "tools/llmc/LogitsFile.h"
#include "llvm/Support/Endian.h"
#include <nlohmann/json.hpp>

namespace llmc::cli {
namespace {
// Room for the header, which is known only in the end; JSON may be padded with spaces.
constexpr size_t kHeaderBytes = 256 - 8;
} // namespace

llvm::Expected<std::unique_ptr<LogitsFile>> LogitsFile::create(const std::string &path, int64_t vocab) {
  auto file = NewFile::create(path);
  if (!file) return file.takeError();
  (*file)->stream() << std::string(8 + kHeaderBytes, ' ');
  return std::unique_ptr<LogitsFile>(new LogitsFile(std::move(*file), vocab));
}

llvm::Error LogitsFile::addRow(const float *logits) {
  file->stream().write(reinterpret_cast<const char *>(logits), size_t(vocab) * sizeof(float));
  ++rows;
  return file->check();
}

llvm::Error LogitsFile::finish(llvm::ArrayRef<int32_t> tokens) {
  llvm::raw_fd_ostream &os = file->stream();
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
  return file->finish();
}

} // namespace llmc::cli
