#include "compiler/WeightFiles.h"
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace llmc {

static llvm::Expected<llm::InputFile> mapFile(const std::string &path) {
  auto fail = [&](const char *what) { return llvm::createStringError(path + ": " + what + ": " + strerror(errno)); };
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail("cannot open");
  struct stat status;
  void *base = nullptr;
  bool ok = fstat(fd, &status) == 0;
  if (ok && status.st_size > 0) {
    base = mmap(nullptr, status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    ok = base != MAP_FAILED;
  }
  llvm::Error error = ok ? llvm::Error::success() : fail("cannot map");
  close(fd);
  if (error) return error;
  return llm::InputFile{path, {static_cast<const uint8_t *>(base), size_t(status.st_size)}};
}

llvm::Expected<WeightFiles> WeightFiles::map(llvm::ArrayRef<std::string> paths) {
  WeightFiles files;
  for (const std::string &path : paths) {
    auto file = mapFile(path);
    if (!file) return file.takeError();
    files.mapped.push_back(*file);
  }
  return files;
}

WeightFiles::~WeightFiles() {
  for (const llm::InputFile &file : mapped)
    if (!file.bytes.empty()) munmap(const_cast<uint8_t *>(file.bytes.data()), file.bytes.size());
}

void WeightFiles::release(llvm::ArrayRef<uint8_t> bytes) const {
  // Whole 64 KB: what one page fault maps around it (Linux, fault_around_bytes), or each later fault nearby would bring
  // back pages that are done. Neighbours lose nothing but a fault. Never outside of the file: other memory of the
  // process may follow it, which MADV_DONTNEED would erase.
  constexpr uintptr_t kAround = 64 << 10, kPage = 4096;
  for (const llm::InputFile &file : mapped) {
    if (bytes.empty() || bytes.begin() < file.bytes.begin() || bytes.end() > file.bytes.end()) continue;
    uintptr_t first = uintptr_t(file.bytes.begin()), last = (uintptr_t(file.bytes.end()) + kPage - 1) / kPage * kPage;
    uintptr_t begin = std::max(first, uintptr_t(bytes.begin()) / kAround * kAround);
    uintptr_t end = std::min(last, (uintptr_t(bytes.end()) + kAround - 1) / kAround * kAround);
    madvise(reinterpret_cast<void *>(begin), end - begin, MADV_DONTNEED);
  }
}

} // namespace llmc
