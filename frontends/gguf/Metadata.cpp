#include "frontends/gguf/Metadata.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/JSON.h"
#include <cmath>

namespace endian = llvm::support::endian;

namespace llmc::gguf {
namespace {

constexpr llvm::StringLiteral kTypeNames[] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                              "bool", "string", "array", "u64", "i64", "f64"};

llvm::StringRef typeName(const Value &value) { return kTypeNames[uint32_t(value.type)]; }

/// An integer of any width; u64 above INT64_MAX and other types are nullopt.
std::optional<int64_t> readInteger(ValueType type, const char *bytes) {
  switch (type) {
  case ValueType::U8: return uint8_t(*bytes);
  case ValueType::I8: return int8_t(*bytes);
  case ValueType::U16: return endian::read16le(bytes);
  case ValueType::I16: return int16_t(endian::read16le(bytes));
  case ValueType::U32: return endian::read32le(bytes);
  case ValueType::I32: return int32_t(endian::read32le(bytes));
  case ValueType::I64: return int64_t(endian::read64le(bytes));
  case ValueType::U64: {
    uint64_t value = endian::read64le(bytes);
    if (value <= uint64_t(INT64_MAX)) return int64_t(value);
    return std::nullopt;
  }
  default: return std::nullopt;
  }
}

/// A finite F32 or F64.
std::optional<double> readNumber(ValueType type, const char *bytes) {
  double value = type == ValueType::F32   ? double(llvm::bit_cast<float>(endian::read32le(bytes)))
                 : type == ValueType::F64 ? llvm::bit_cast<double>(endian::read64le(bytes))
                                          : NAN;
  if (std::isfinite(value)) return value;
  return std::nullopt;
}
} // namespace

void Metadata::fail(llvm::StringRef key, const llvm::Twine &found, const llvm::Twine &expected,
                    const llvm::Twine &hint) {
  if (!error) error = inputError(file.path(), key, found, expected, hint);
}

llvm::Error Metadata::takeError() {
  llvm::Error taken = std::move(error);
  error = llvm::Error::success();
  return taken;
}

const Value *Metadata::find(llvm::StringRef key) const {
  auto it = table.metadata.find(key);
  return it == table.metadata.end() ? nullptr : &it->second;
}

const Value *Metadata::require(llvm::StringRef key, bool optional, const char *expected) {
  const Value *value = find(key);
  if (!value && !optional) fail(key, "nothing", expected);
  return value;
}

int64_t Metadata::integer(llvm::StringRef key, int64_t least, int64_t most, std::optional<int64_t> fallback) {
  std::string range = "an integer from " + std::to_string(least) + " to " + std::to_string(most);
  const Value *value = require(key, fallback.has_value(), range.c_str());
  int64_t otherwise = fallback.value_or(least);
  if (!value) return otherwise;
  if (std::optional<int64_t> number = readInteger(value->type, value->bytes.data())) {
    if (*number >= least && *number <= most) return *number;
    fail(key, llvm::Twine(*number), range);
  } else {
    fail(key, "a value of type " + typeName(*value), range);
  }
  return otherwise;
}

double Metadata::positive(llvm::StringRef key, std::optional<double> fallback) {
  const Value *value = require(key, fallback.has_value(), "a number greater than 0");
  double otherwise = fallback.value_or(1);
  if (!value) return otherwise;
  std::optional<double> number = readNumber(value->type, value->bytes.data());
  if (number && *number > 0) return *number;
  fail(key, number ? std::to_string(*number) : "a value of type " + typeName(*value).str() + ", or not finite",
       "a number greater than 0");
  return otherwise;
}

std::optional<bool> Metadata::boolean(llvm::StringRef key) {
  const Value *value = find(key);
  if (!value) return std::nullopt;
  if (value->type == ValueType::Bool && uint8_t(value->bytes[0]) <= 1) return value->bytes[0] != 0;
  fail(key, "a value of type " + typeName(*value), "true or false");
  return std::nullopt;
}

std::string Metadata::text(llvm::StringRef key, std::optional<std::string> fallback) {
  const Value *value = require(key, fallback.has_value(), "text");
  if (!value) return fallback.value_or("");
  if (value->type == ValueType::String && llvm::json::isUTF8(value->bytes)) return value->bytes.str();
  fail(key, value->type == ValueType::String ? "text that is not UTF-8" : "a value of type " + typeName(*value),
       "UTF-8 text");
  return fallback.value_or("");
}

std::optional<std::vector<llvm::StringRef>> Metadata::texts(llvm::StringRef key) {
  const Value *value = find(key);
  if (!value) return std::nullopt;
  if (value->type != ValueType::Array || value->element != ValueType::String) {
    fail(key, "a value of type " + typeName(*value), "an array of strings");
    return std::nullopt;
  }
  std::vector<llvm::StringRef> result;
  llvm::StringRef rest = value->bytes; // the reader checked the lengths
  for (uint64_t i = 0; i < value->count; ++i) {
    uint64_t size = endian::read64le(rest.data());
    result.push_back(rest.substr(8, size));
    rest = rest.drop_front(8 + size);
    if (!llvm::json::isUTF8(result.back())) {
      fail(key, "string " + llvm::Twine(i) + " that is not UTF-8: " + result.back(), "UTF-8");
      return std::nullopt;
    }
  }
  return result;
}

std::optional<std::vector<double>> Metadata::numbers(llvm::StringRef key) {
  const Value *value = find(key);
  if (!value) return std::nullopt;
  if (value->type != ValueType::Array || value->element != ValueType::F32) {
    fail(key, "a value of type " + typeName(*value), "an array of f32");
    return std::nullopt;
  }
  std::vector<double> result;
  for (uint64_t i = 0; i < value->count; ++i) {
    std::optional<double> number = readNumber(ValueType::F32, value->bytes.data() + 4 * i);
    if (!number) fail(key, "number " + llvm::Twine(i) + " that is not finite", "finite numbers");
    result.push_back(number.value_or(0));
  }
  return result;
}

std::optional<std::vector<int64_t>> Metadata::integers(llvm::StringRef key) {
  const Value *value = find(key);
  if (!value) return std::nullopt;
  if (value->type != ValueType::Array || (value->element != ValueType::I32 && value->element != ValueType::U32)) {
    fail(key, "a value of type " + typeName(*value), "an array of i32");
    return std::nullopt;
  }
  std::vector<int64_t> result;
  for (uint64_t i = 0; i < value->count; ++i)
    result.push_back(*readInteger(value->element, value->bytes.data() + 4 * i));
  return result;
}

} // namespace llmc::gguf
