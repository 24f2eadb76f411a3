#include "frontends/hf/Json.h"
#include "frontends/File.h"
#include <cmath>
#include <vector>

using nlohmann::json;

namespace llmc::hf {
namespace {

/// Builds the document event by event; the library's own builder neither bounds the depth nor sees duplicates.
class Builder : public nlohmann::json_sax<json> {
public:
  json result;
  std::string found, expected; // why a callback returned false

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t &) override { return add(value); }
  bool string(string_t &value) override { return add(std::move(value)); }
  bool binary(binary_t &) override { return false; }
  bool start_object(std::size_t) override { return open(json::object()); }
  bool start_array(std::size_t) override { return open(json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t &value) override {
    if (stack.back()->contains(value)) return fail("a second member named '" + value + "'", "one");
    name = std::move(value);
    return true;
  }

  bool parse_error(std::size_t position, const std::string &, const nlohmann::detail::exception &) override {
    return fail("no valid JSON at byte " + std::to_string(position), "a JSON document");
  }

private:
  bool fail(std::string what, std::string wanted) {
    found = std::move(what), expected = std::move(wanted);
    return false;
  }
  json *place(json &&value) {
    if (stack.empty()) return &(result = std::move(value));
    json &parent = *stack.back();
    if (parent.is_object()) return &(parent[name] = std::move(value));
    parent.push_back(std::move(value));
    return &parent.back();
  }
  template <typename T> bool add(T &&value) {
    place(json(std::forward<T>(value)));
    return true;
  }
  bool open(json &&value) {
    if (stack.size() >= kMostJsonDepth)
      return fail(("values nested more than " + llvm::Twine(kMostJsonDepth) + " deep").str(), "fewer levels");
    stack.push_back(place(std::move(value)));
    return true;
  }
  bool close() {
    stack.pop_back();
    return true;
  }

  std::vector<json *> stack; // a container's address is stable while it is the last child of its parent
  std::string name;
};
} // namespace

llvm::Expected<json> parseJson(llvm::StringRef file, llvm::StringRef text) {
  // The library takes a NUL byte for the end of the text.
  if (text.contains('\0')) return inputError(file, "", "a NUL byte", "a JSON document");
  Builder builder;
  if (!json::sax_parse(text.begin(), text.end(), &builder))
    return inputError(file, "", builder.found, builder.expected);
  return std::move(builder.result);
}

llvm::Expected<json> readJson(llvm::StringRef path) {
  llvm::Expected<InputFile> file = InputFile::open(path);
  if (!file) return file.takeError();
  if (file->size() > kMostJsonBytes)
    return inputError(path, "", llvm::Twine(file->size()) + " bytes", "at most " + llvm::Twine(kMostJsonBytes));
  return parseJson(path, file->bytes());
}

std::string describe(const json &value) {
  switch (value.type()) {
  case json::value_t::object: return "an object";
  case json::value_t::array: return "a list";
  case json::value_t::string: return "'" + value.get_ref<const std::string &>() + "'";
  case json::value_t::number_integer:
  case json::value_t::number_unsigned:
  case json::value_t::number_float:
  case json::value_t::boolean:
  case json::value_t::null: return value.dump();
  default: return "something else";
  }
}

Fields::Fields(llvm::StringRef file, const json &object, llvm::StringRef prefix)
    : file(file), prefix(prefix), object(object) {
  llvm::consumeError(std::move(error));
  error = llvm::Error::success();
  if (!object.is_object()) fail("", describe(object), "an object");
}

Fields::~Fields() { llvm::consumeError(std::move(error)); }

void Fields::fail(llvm::StringRef name, const llvm::Twine &found, const llvm::Twine &expected,
                  const llvm::Twine &hint) {
  if (!error) error = inputError(file, prefix + name, found, expected, hint);
}

void Fields::fail(llvm::Error other) {
  if (error)
    llvm::consumeError(std::move(other));
  else
    error = std::move(other);
}

llvm::Error Fields::takeError() {
  llvm::Error taken = std::move(error);
  error = llvm::Error::success();
  return taken;
}

const json *Fields::find(llvm::StringRef name) {
  if (!object.is_object()) return nullptr;
  auto it = object.find(name.str());
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

const json *Fields::require(llvm::StringRef name, bool optional, const char *expected) {
  const json *value = find(name);
  if (!value && !optional) fail(name, "nothing", expected);
  return value;
}

int64_t Fields::integer(llvm::StringRef name, int64_t least, int64_t most, std::optional<int64_t> fallback) {
  std::string range = "an integer from " + std::to_string(least) + " to " + std::to_string(most);
  const json *value = require(name, fallback.has_value(), range.c_str());
  int64_t otherwise = fallback.value_or(least);
  if (!value) return otherwise;
  // Unsigned values above INT64_MAX would wrap to negative ones.
  bool tooLarge = value->is_number_unsigned() && value->get<uint64_t>() > uint64_t(INT64_MAX);
  if (value->is_number_integer() && !tooLarge) {
    int64_t number = value->get<int64_t>();
    if (number >= least && number <= most) return number;
  }
  fail(name, describe(*value), range);
  return otherwise;
}

double Fields::number(llvm::StringRef name, std::optional<double> fallback) {
  const json *value = require(name, fallback.has_value(), "a number");
  double otherwise = fallback.value_or(1);
  if (!value) return otherwise;
  if (value->is_number() && std::isfinite(value->get<double>())) return value->get<double>();
  fail(name, describe(*value), "a number");
  return otherwise;
}

double Fields::positive(llvm::StringRef name, std::optional<double> fallback) {
  double value = number(name, fallback);
  if (value > 0) return value;
  fail(name, llvm::Twine(std::to_string(value)), "a number greater than 0");
  return fallback.value_or(1);
}

bool Fields::boolean(llvm::StringRef name, bool fallback) {
  const json *value = find(name);
  if (!value) return fallback;
  if (value->is_boolean()) return value->get<bool>();
  fail(name, describe(*value), "true or false");
  return fallback;
}

std::string Fields::text(llvm::StringRef name, std::optional<std::string> fallback) {
  const json *value = require(name, fallback.has_value(), "text");
  if (!value) return fallback.value_or("");
  if (value->is_string()) return value->get<std::string>();
  fail(name, describe(*value), "text");
  return fallback.value_or("");
}

} // namespace llmc::hf
