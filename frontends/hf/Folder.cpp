#include "frontends/hf/Folder.h"
#include "frontends/File.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

namespace fs = llvm::sys::fs;
namespace path = llvm::sys::path;

namespace llmc::hf {

llvm::Expected<Folder> Folder::open(llvm::StringRef given) {
  llvm::SmallString<256> real;
  if (std::error_code code = fs::real_path(given, real))
    return llvm::createStringError(given + ": cannot open: " + code.message());
  if (!fs::is_directory(real)) return inputError(given, "", "a file", "a model folder");
  Folder folder;
  folder.given = given.str();
  folder.real = real.str().str();
  llvm::StringRef parent = path::parent_path(real);
  if (path::filename(parent) == "snapshots") // huggingface_hub: models--NAME/{blobs,snapshots/REVISION}
    folder.blobs = (path::parent_path(parent) + "/blobs").str();
  return folder;
}

static bool isWithin(llvm::StringRef file, llvm::StringRef folder) {
  return !folder.empty() && file.consume_front(folder) && (file.starts_with("/") || folder.ends_with("/"));
}

llvm::Expected<std::optional<std::string>> Folder::find(llvm::StringRef name) const {
  if (name.empty() || name == "." || name == ".." || name.find_first_of(llvm::StringRef("/\\\0", 3)) != name.npos)
    return inputError(given, "", "the file name '" + name + "'", "the name of a file in this folder");
  std::string full = given + (llvm::StringRef(given).ends_with("/") ? "" : "/") + name.str();
  llvm::SmallString<256> target;
  if (std::error_code code = fs::real_path(full, target)) {
    if (code == std::errc::no_such_file_or_directory) return std::nullopt;
    return llvm::createStringError(full + ": cannot open: " + code.message());
  }
  if (!isWithin(target, real) && !isWithin(target, blobs))
    return inputError(full, "", "a symbolic link out of the folder", "a file in the folder");
  return full;
}

std::string Folder::name() const { return path::filename(real).str(); }

} // namespace llmc::hf
