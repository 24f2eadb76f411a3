// Typed access to the metadata of a GGUF file.
#pragma once
#include "frontends/gguf/Reader.h"
#include <optional>
#include <string>
#include <vector>

namespace llmc::gguf {

/// It keeps the first error, after which every getter returns its fallback; so a reader asks for all that it wants and
/// then takes the error. Any integer type serves for an integer, F32 and F64 for a number.
class Metadata {
public:
  Metadata(const InputFile &file, const Table &table) : file(file), table(table) {}
  ~Metadata() { llvm::consumeError(std::move(error)); }

  const Value *find(llvm::StringRef key) const;
  bool has(llvm::StringRef key) const { return find(key); }
  /// Without a fallback, the key must be there.
  int64_t integer(llvm::StringRef key, int64_t least, int64_t most, std::optional<int64_t> fallback = std::nullopt);
  /// A finite number greater than 0.
  double positive(llvm::StringRef key, std::optional<double> fallback = std::nullopt);
  std::optional<bool> boolean(llvm::StringRef key);
  /// UTF-8.
  std::string text(llvm::StringRef key, std::optional<std::string> fallback = std::nullopt);
  /// Arrays; nullopt if absent. Text must be UTF-8 and numbers finite.
  std::optional<std::vector<llvm::StringRef>> texts(llvm::StringRef key);
  std::optional<std::vector<double>> numbers(llvm::StringRef key);
  std::optional<std::vector<int64_t>> integers(llvm::StringRef key);

  void fail(llvm::StringRef key, const llvm::Twine &found, const llvm::Twine &expected, const llvm::Twine &hint = "");
  llvm::Error takeError();

private:
  const Value *require(llvm::StringRef key, bool optional, const char *expected);
  const InputFile &file;
  const Table &table;
  llvm::Error error = llvm::Error::success();
};

} // namespace llmc::gguf
