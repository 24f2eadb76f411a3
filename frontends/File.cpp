#include "frontends/File.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/ConvertUTF.h"
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace llmc {

std::string printable(llvm::StringRef text) {
  constexpr size_t kMostBytes = 200;
  bool cut = text.size() > kMostBytes;
  llvm::StringRef shown = text.take_front(kMostBytes);
  if (cut) // not within a character
    while (!shown.empty() && (uint8_t(text[shown.size()]) & 0xC0) == 0x80) shown = shown.drop_back();
  const auto *begin = reinterpret_cast<const llvm::UTF8 *>(shown.data());
  bool isText = llvm::isLegalUTF8String(&begin, begin + shown.size());
  std::string out;
  for (unsigned char c : shown) {
    if (c < 0x20 || c == 0x7F || (c >= 0x80 && !isText))
      out += "\\x" + llvm::utohexstr(c, /*LowerCase=*/false, /*Width=*/2);
    else
      out += char(c);
  }
  return cut ? out + "..." : out;
}

llvm::Error inputError(llvm::StringRef file, const llvm::Twine &place, const llvm::Twine &found,
                       const llvm::Twine &expected, const llvm::Twine &hint) {
  std::string message = file.str(), where = printable(place.str()), note = hint.str();
  if (!where.empty()) message += ": " + where;
  message += ": found " + printable(found.str()) + ", expected " + expected.str();
  if (!note.empty()) message += "; " + note;
  return llvm::createStringError(message);
}

static const char *kindName(mode_t mode) {
  return S_ISDIR(mode)                    ? "a directory"
         : S_ISFIFO(mode)                 ? "a FIFO"
         : S_ISSOCK(mode)                 ? "a socket"
         : S_ISCHR(mode) || S_ISBLK(mode) ? "a device"
                                          : "a special file";
}

llvm::Expected<InputFile> InputFile::open(llvm::StringRef path) {
  InputFile file;
  file.name = path.str();
  if (path.contains('\0')) return inputError(printable(path), "", "a path with a NUL byte", "a file");
  // Not opened before its kind is known: opening a FIFO waits and opening a device may act.
  struct stat status;
  if (::stat(file.name.c_str(), &status))
    return llvm::createStringError(file.name + ": cannot open: " + std::strerror(errno));
  if (!S_ISREG(status.st_mode)) return inputError(path, "", kindName(status.st_mode), "a regular file");
  int descriptor = ::open(file.name.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (descriptor < 0) return llvm::createStringError(file.name + ": cannot open: " + std::strerror(errno));
  if (::fstat(descriptor, &status) || !S_ISREG(status.st_mode)) { // it may have been replaced in between
    ::close(descriptor);
    return inputError(path, "", "a special file", "a regular file");
  }
  void *bytes = nullptr;
  if (status.st_size > 0) {
    bytes = ::mmap(nullptr, size_t(status.st_size), PROT_READ, MAP_PRIVATE, descriptor, 0);
    int reason = errno;
    if (bytes == MAP_FAILED) {
      ::close(descriptor);
      return llvm::createStringError(file.name + ": cannot map " + std::to_string(status.st_size) +
                                     " bytes: " + std::strerror(reason));
    }
    file.mapped = true;
    file.data = {static_cast<const char *>(bytes), size_t(status.st_size)};
  }
  ::close(descriptor); // the map keeps the file
  return file;
}

InputFile InputFile::view(llvm::StringRef name, llvm::StringRef bytes) {
  InputFile file;
  file.name = name.str();
  file.data = bytes;
  return file;
}

InputFile::InputFile(InputFile &&other) noexcept
    : name(std::move(other.name)), data(std::exchange(other.data, {})), mapped(std::exchange(other.mapped, false)) {}

InputFile &InputFile::operator=(InputFile &&other) noexcept {
  std::swap(name, other.name);
  std::swap(data, other.data);
  std::swap(mapped, other.mapped);
  return *this;
}

InputFile::~InputFile() {
  if (mapped) ::munmap(const_cast<char *>(data.data()), data.size());
}

llvm::Expected<llvm::StringRef> InputFile::read(uint64_t offset, uint64_t size, const llvm::Twine &place) const {
  if (offset > data.size() || size > data.size() - offset)
    return inputError(name, place, llvm::Twine(size) + " bytes at offset " + llvm::Twine(offset),
                      "at most " + llvm::Twine(uint64_t(data.size())) + " bytes in all", "the file is truncated");
  return data.substr(size_t(offset), size_t(size));
}

llvm::Expected<std::string> readSmallFile(llvm::StringRef path, uint64_t limit) {
  llvm::Expected<InputFile> file = InputFile::open(path);
  if (!file) return file.takeError();
  if (file->size() > limit)
    return inputError(path, "", llvm::Twine(file->size()) + " bytes", "at most " + llvm::Twine(limit));
  return file->bytes().str();
}

} // namespace llmc
