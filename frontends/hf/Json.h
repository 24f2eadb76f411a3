// JSON from a file that is not trusted: bounded depth, no duplicate names, no exceptions, errors that name the place.
#pragma once
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace llmc::hf {

inline constexpr uint64_t kMostJsonBytes = uint64_t(64) << 20; // the largest published index is about 10 MB
inline constexpr unsigned kMostJsonDepth = 64;

/// The document `text`, which must be UTF-8, hold no NUL byte, nest at most kMostJsonDepth deep and have no object with
/// two members of one name. `file` stands in messages.
llvm::Expected<nlohmann::json> parseJson(llvm::StringRef file, llvm::StringRef text);

/// The document in a file of at most kMostJsonBytes.
llvm::Expected<nlohmann::json> readJson(llvm::StringRef path);

/// "text", "a number", ...: what a value is, for messages.
std::string describe(const nlohmann::json &value);

/// Reads the members of one JSON object. It keeps the first error, after which every getter returns its fallback; so a
/// reader asks for all that it wants and then takes the error. A member that is null counts as absent.
class Fields {
public:
  /// `object` must outlive this. `prefix` comes before names in messages ("rope_scaling.").
  Fields(llvm::StringRef file, const nlohmann::json &object, llvm::StringRef prefix = "");
  ~Fields();

  /// Null if absent.
  const nlohmann::json *find(llvm::StringRef name);
  bool has(llvm::StringRef name) { return find(name); }
  /// Without a fallback, the member must be there.
  int64_t integer(llvm::StringRef name, int64_t least, int64_t most, std::optional<int64_t> fallback = std::nullopt);
  double number(llvm::StringRef name, std::optional<double> fallback = std::nullopt);
  /// As number, and it must be greater than 0.
  double positive(llvm::StringRef name, std::optional<double> fallback = std::nullopt);
  bool boolean(llvm::StringRef name, bool fallback);
  std::string text(llvm::StringRef name, std::optional<std::string> fallback = std::nullopt);

  void fail(llvm::StringRef name, const llvm::Twine &found, const llvm::Twine &expected, const llvm::Twine &hint = "");
  /// Keeps the error of a part that was read by other means.
  void fail(llvm::Error other);
  llvm::Error takeError();

private:
  const nlohmann::json *require(llvm::StringRef name, bool optional, const char *expected);
  std::string file, prefix;
  const nlohmann::json &object;
  llvm::Error error = llvm::Error::success();
};

} // namespace llmc::hf
