#include "frontends/onnx/ExternalData.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

using llvm::StringRef;
using llvm::Twine;

namespace llmc::onnx {

DataFiles::DataFiles(StringRef model) { files.push_back(model.str()); }

/// What is wrong with a location, or nothing.
static const char *refuseLocation(StringRef location) {
  if (location.empty()) return "an empty location";
  if (llvm::sys::path::is_absolute(location)) return "an absolute location";
  if (location.contains('\\') || location.contains('\0')) return "a location with a backslash or a zero byte";
  for (auto part = llvm::sys::path::begin(location), end = llvm::sys::path::end(location); part != end; ++part)
    if (*part == "..") return "a location with ..";
  return nullptr;
}

llvm::Expected<DataFiles::Known> DataFiles::open(StringRef tensor, StringRef location) {
  if (auto found = known.find(location); found != known.end()) return found->second;
  auto refuse = [&](const Twine &found, const Twine &expected) {
    return inputError(files[0], tensor, found, expected, "external data must be a file in the model's folder");
  };
  if (const char *why = refuseLocation(location))
    return refuse(Twine(why) + " ('" + printable(location) + "')", "a file name relative to the model's folder");

  llvm::SmallString<256> path(llvm::sys::path::parent_path(files[0])), folder, resolved;
  if (path.empty()) path = ".";
  if (std::error_code error = llvm::sys::fs::real_path(path, folder)) return refuse(error.message(), "a folder");
  llvm::sys::path::append(path, location);
  if (std::error_code error = llvm::sys::fs::real_path(path, resolved))
    return refuse("'" + printable(location) + "': " + error.message(), "an existing file");
  if (resolved != folder && (!StringRef(resolved).starts_with(folder) ||
                             (folder != "/" && !StringRef(resolved).drop_front(folder.size()).starts_with("/"))))
    return refuse("'" + printable(location) + "', a symbolic link out of the model's folder", "a file within it");
  llvm::sys::fs::file_status status;
  if (std::error_code error = llvm::sys::fs::status(resolved, status)) return refuse(error.message(), "a regular file");
  if (!llvm::sys::fs::is_regular_file(status))
    return refuse("'" + printable(location) + "', which is not a regular file", "a regular file");

  Known entry{int64_t(files.size()), int64_t(status.getSize())};
  files.push_back(std::string(path));
  known[location] = entry;
  return entry;
}

llvm::Expected<const InputFile *> DataFiles::map(int64_t index) {
  if (!mapped || mappedIndex != index) { // tensors of one file mostly follow each other
    llvm::Expected<InputFile> file = InputFile::open(files[index]);
    if (!file) return file.takeError();
    mapped.emplace(std::move(*file));
    mappedIndex = index;
  }
  return &*mapped;
}

llvm::Expected<Bytes> DataFiles::locate(StringRef tensor, int64_t expected,
                                        llvm::ArrayRef<std::pair<std::string, std::string>> keys) {
  llvm::StringMap<StringRef> values;
  for (const auto &[key, value] : keys)
    if (!values.try_emplace(key, value).second)
      return inputError(files[0], tensor, "external_data with '" + printable(key) + "' twice", "one of each key");
  if (!values.count("location"))
    return inputError(files[0], tensor, "external_data without a location", "the name of a file");
  llvm::Expected<Known> file = open(tensor, values["location"]);
  if (!file) return file.takeError();

  auto number = [&](StringRef key, int64_t absent) -> llvm::Expected<int64_t> {
    auto found = values.find(key);
    if (found == values.end()) return absent;
    int64_t value = 0;
    if (found->second.getAsInteger(10, value) || value < 0)
      return inputError(files[0], tensor, "external_data " + key + " '" + printable(found->second) + "'",
                        "a number from 0 to 2^63 - 1");
    return value;
  };
  llvm::Expected<int64_t> offset = number("offset", 0);
  if (!offset) return offset.takeError();
  llvm::Expected<int64_t> length = number("length", expected);
  if (!length) return length.takeError();
  if (*length != expected)
    return inputError(files[0], tensor, Twine(*length) + " bytes of external data",
                      Twine(expected) + " (from its dims and type)");
  if (*offset > file->size || *length > file->size - *offset)
    return inputError(files[0], tensor,
                      "external data at " + Twine(*offset) + " of " + Twine(*length) + " bytes in a file of " +
                          Twine(file->size),
                      "bytes within the file", "the data file is truncated or belongs to another model");
  return Bytes{file->index, *offset, *length};
}

} // namespace llmc::onnx
