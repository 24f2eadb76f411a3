// The files of a model folder: nothing outside it is opened because of what a file in it says.
#pragma once
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include <optional>
#include <string>

namespace llmc::hf {

/// A model folder. Files are named by one path component, and symbolic links must stay in the folder; the exception is
/// the hub's cache, whose snapshots/REVISION/ holds links into the same repository's blobs/.
class Folder {
public:
  static llvm::Expected<Folder> open(llvm::StringRef path);

  /// The path of `name` in the folder if it is a file there (or a link that stays within); absent files are nullopt.
  llvm::Expected<std::optional<std::string>> find(llvm::StringRef name) const;
  const std::string &path() const { return given; }
  /// Its last component, for people.
  std::string name() const;

private:
  std::string given, real, blobs; // blobs: empty outside a hub cache
};

} // namespace llmc::hf
