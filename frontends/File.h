// Input files: read-only, whole, checked. Nothing is copied, and every access is bounded by the size at opening.
#pragma once
#include "llvm/ADT/StringRef.h"
#include "llvm/ADT/Twine.h"
#include "llvm/Support/Error.h"
#include <cstdint>
#include <string>

namespace llmc {

/// `FILE: place: found X, expected Y; hint`: the form of every message about an input file. `place` (a tensor, a key, a
/// byte range; may be empty) and `found` may come from the file: control bytes are escaped and long text is cut.
llvm::Error inputError(llvm::StringRef file, const llvm::Twine &place, const llvm::Twine &found,
                       const llvm::Twine &expected, const llvm::Twine &hint = "");

/// `text` in a form that is safe in a message: control bytes and invalid UTF-8 as \xNN, at most 200 bytes of it.
std::string printable(llvm::StringRef text);

/// A read-only map of a whole regular file, or a view of bytes that someone else owns. A file that another process
/// shortens while it is mapped ends this process with SIGBUS; nothing here can prevent that.
class InputFile {
public:
  /// Follows symbolic links. Directories, devices, sockets and FIFOs are refused without being read.
  static llvm::Expected<InputFile> open(llvm::StringRef path);
  /// `bytes` must outlive the result; `name` stands in messages.
  static InputFile view(llvm::StringRef name, llvm::StringRef bytes);

  InputFile(InputFile &&other) noexcept;
  InputFile &operator=(InputFile &&other) noexcept;
  ~InputFile();

  const std::string &path() const { return name; }
  llvm::StringRef bytes() const { return data; }
  uint64_t size() const { return data.size(); }
  /// `size` bytes at `offset`. Bytes beyond the end are an error that names `place`.
  llvm::Expected<llvm::StringRef> read(uint64_t offset, uint64_t size, const llvm::Twine &place) const;

private:
  InputFile() = default;
  std::string name;
  llvm::StringRef data;
  bool mapped = false;
};

/// The whole text of a small file (a JSON document, a template): more than `limit` bytes are an error.
llvm::Expected<std::string> readSmallFile(llvm::StringRef path, uint64_t limit);

} // namespace llmc
