#include "frontends/hf/Safetensors.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/Endian.h"
#include <algorithm>
#include <nlohmann/json.hpp>

using nlohmann::json;

namespace llmc::hf {
namespace {

struct Dtype {
  llvm::StringLiteral name;
  uint64_t bits;
};
// github.com/huggingface/safetensors, safetensors/src/tensor.rs, enum Dtype.
constexpr Dtype kDtypes[] = {
    {"BOOL", 8},    {"U8", 8},      {"I8", 8},   {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F4", 4},
    {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"I16", 16}, {"U16", 16},    {"F16", 16},    {"BF16", 16},   {"I32", 32},
    {"U32", 32},    {"F32", 32},    {"C64", 64}, {"F64", 64},    {"I64", 64},    {"U64", 64},
};
constexpr size_t kMostRank = 16;

/// Reads the header event by event: no document is built, so memory is bounded by the tensors that there are.
class HeaderReader : public nlohmann::json_sax<json> {
public:
  HeaderReader(const InputFile &file, uint64_t dataBegin)
      : file(file), dataBegin(dataBegin), dataBytes(file.size() - dataBegin) {}
  ~HeaderReader() override { llvm::consumeError(std::move(error)); }

  std::vector<Tensor> tensors;

  llvm::Error takeError() {
    llvm::Error taken = std::move(error);
    error = llvm::Error::success();
    return taken;
  }

  bool null() override { return wrong("null"); }
  bool boolean(bool value) override { return wrong(value ? "true" : "false"); }
  bool number_integer(number_integer_t value) override { return wrong(llvm::Twine(value)); } // only negative ones
  bool number_float(number_float_t, const string_t &text) override { return wrong(text); }
  bool number_unsigned(number_unsigned_t value) override;
  bool string(string_t &value) override;
  bool binary(binary_t &) override { return wrong("binary"); }
  bool key(string_t &value) override;
  bool start_object(std::size_t) override;
  bool end_object() override;
  bool start_array(std::size_t) override;
  bool end_array() override {
    in = In::Entry;
    return true;
  }
  bool parse_error(std::size_t position, const std::string &, const nlohmann::detail::exception &) override {
    return fail("header", "no valid JSON at byte " + llvm::Twine(position), "a JSON object of tensors");
  }

private:
  enum class In { Start, Tensors, Metadata, Entry, Shape, Offsets, End };

  bool fail(const llvm::Twine &place, const llvm::Twine &found, const llvm::Twine &expected) {
    llvm::consumeError(std::move(error));
    error = inputError(file.path(), place, found, expected);
    return false;
  }
  std::string place() const {
    if (in == In::Start || in == In::Tensors || in == In::End) return tensor.name.empty() ? "header" : tensor.name;
    return in == In::Metadata ? "__metadata__" : tensor.name + ": " + field;
  }
  const char *wanted() const {
    switch (in) {
    case In::Tensors: return "an object with dtype, shape and data_offsets";
    case In::Metadata: return "text";
    case In::Entry:
      return field == "dtype" ? "the name of a dtype" : field == "shape" ? "a list of extents" : "two offsets";
    case In::Shape: return "extents that are integers from 0 to 2^63-1";
    case In::Offsets: return "two offsets that are integers from 0 to 2^64-1";
    default: return "an object of tensors";
    }
  }
  bool wrong(const llvm::Twine &found) { return fail(place(), found, wanted()); }
  bool finishTensor();

  const InputFile &file;
  uint64_t dataBegin, dataBytes;
  In in = In::Start;
  llvm::StringSet<> names, metadataNames;
  Tensor tensor; // the entry that is being read
  std::string field;
  llvm::SmallVector<llvm::StringRef, 3> fields; // that the entry has so far
  const Dtype *dtype = nullptr;
  llvm::SmallVector<uint64_t, 2> offsets;
  llvm::Error error = llvm::Error::success();
};

constexpr llvm::StringLiteral kFields[] = {"dtype", "shape", "data_offsets"};

bool HeaderReader::key(string_t &value) {
  if (in == In::Tensors) {
    tensor = Tensor();
    tensor.name = std::move(value);
    if (tensor.name.empty()) return fail("header", "a tensor without a name", "a name");
    if (!names.insert(tensor.name).second) return fail(tensor.name, "the name twice", "one tensor of a name");
    return true;
  }
  field = std::move(value);
  if (in == In::Metadata)
    return metadataNames.insert(field).second || fail("__metadata__", "'" + field + "' twice", "one member of a name");
  const auto *known = llvm::find(kFields, llvm::StringRef(field));
  if (known == std::end(kFields)) return fail(tensor.name, "a member '" + field + "'", "dtype, shape and data_offsets");
  if (llvm::is_contained(fields, *known)) return fail(tensor.name, field + " twice", "one");
  fields.push_back(*known);
  return true;
}

bool HeaderReader::start_object(std::size_t) {
  if (in == In::Start) {
    in = In::Tensors;
    return true;
  }
  if (in != In::Tensors) return wrong("an object");
  in = tensor.name == "__metadata__" ? In::Metadata : In::Entry;
  fields.clear(), offsets.clear();
  dtype = nullptr;
  return true;
}

bool HeaderReader::end_object() {
  if (in == In::Entry && !finishTensor()) return false;
  in = in == In::Tensors ? In::End : In::Tensors;
  return true;
}

bool HeaderReader::start_array(std::size_t) {
  if (in != In::Entry || field == "dtype") return wrong("a list");
  in = field == "shape" ? In::Shape : In::Offsets;
  return true;
}

bool HeaderReader::number_unsigned(number_unsigned_t value) {
  if (in == In::Shape) {
    if (value > uint64_t(INT64_MAX)) return wrong(llvm::Twine(value));
    if (tensor.shape.size() == kMostRank)
      return fail(place(), "more than " + llvm::Twine(kMostRank) + " extents", "at most so many");
    tensor.shape.push_back(int64_t(value));
    return true;
  }
  if (in != In::Offsets) return wrong(llvm::Twine(value));
  if (offsets.size() == 2) return fail(place(), "more than two offsets", "begin and end");
  offsets.push_back(value);
  return true;
}

bool HeaderReader::string(string_t &value) {
  if (in == In::Metadata) return true;
  if (in != In::Entry || field != "dtype") return wrong("'" + value + "'");
  dtype = llvm::find_if(kDtypes, [&](const Dtype &d) { return d.name == value; });
  if (dtype != std::end(kDtypes)) return true;
  dtype = nullptr;
  return fail(place(), "'" + value + "'", "a dtype of the safetensors format");
}

bool HeaderReader::finishTensor() {
  for (llvm::StringRef needed : kFields)
    if (!llvm::is_contained(fields, needed)) return fail(tensor.name, "no " + needed, "dtype, shape and data_offsets");
  if (offsets.size() != 2)
    return fail(tensor.name + ": data_offsets", llvm::Twine(uint64_t(offsets.size())) + " offsets", "begin and end");
  uint64_t begin = offsets[0], end = offsets[1], bits = dtype->bits;
  for (int64_t extent : tensor.shape)
    if (__builtin_mul_overflow(bits, uint64_t(extent), &bits))
      return fail(tensor.name, "shape " + shapeText(tensor.shape) + ", whose size is 2^64 bits or more",
                  "a tensor of " + llvm::Twine(dataBytes) + " bytes at most");
  if (begin > end || end > dataBytes)
    return fail(tensor.name + ": data_offsets", llvm::Twine(begin) + " to " + llvm::Twine(end),
                "a range within the " + llvm::Twine(dataBytes) + " bytes of data");
  if (bits % 8 || bits / 8 != end - begin)
    return fail(tensor.name, llvm::Twine(end - begin) + " bytes",
                llvm::Twine(bits / 8) + " (" + dtype->name + " " + shapeText(tensor.shape) + ")");
  tensor.dtype = dtype->name;
  tensor.offset = dataBegin + begin, tensor.bytes = end - begin;
  tensors.push_back(std::move(tensor));
  tensor = Tensor();
  return true;
}

/// Tensors of no elements have no place of their own and are left out.
llvm::Error checkPlaces(const InputFile &file, uint64_t dataBegin, SafetensorsTable &table) {
  llvm::stable_sort(table.tensors, [](const Tensor &a, const Tensor &b) {
    return std::pair(a.offset, a.bytes) < std::pair(b.offset, b.bytes);
  });
  uint64_t end = dataBegin;
  const Tensor *before = nullptr;
  auto skip = [&](uint64_t next) {
    if (next > end && !table.unused) table.unused = {end, next - end};
  };
  for (const Tensor &tensor : table.tensors) {
    if (!tensor.bytes) continue;
    if (before && tensor.offset < end)
      return inputError(file.path(), tensor.name, "bytes that " + before->name + " has too",
                        "tensors that do not overlap");
    skip(tensor.offset);
    end = tensor.offset + tensor.bytes; // within the file: no overflow
    before = &tensor;
  }
  skip(file.size());
  return llvm::Error::success();
}
} // namespace

std::string shapeText(llvm::ArrayRef<int64_t> shape) {
  std::string text = "[";
  for (int64_t extent : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(extent);
  return text + "]";
}

bool looksLikeSafetensors(llvm::StringRef bytes) {
  if (bytes.size() < 10) return false;
  uint64_t header = llvm::support::endian::read64le(bytes.data());
  return header >= 2 && header <= bytes.size() - 8 && bytes[8] == '{';
}

llvm::Expected<SafetensorsTable> parseSafetensors(const InputFile &file) {
  llvm::Expected<llvm::StringRef> length = file.read(0, 8, "header length");
  if (!length) return length.takeError();
  uint64_t headerBytes = llvm::support::endian::read64le(length->data());
  if (headerBytes > kMostHeaderBytes)
    return inputError(file.path(), "header length", llvm::Twine(headerBytes),
                      "at most " + llvm::Twine(kMostHeaderBytes));
  llvm::Expected<llvm::StringRef> header = file.read(8, headerBytes, "header");
  if (!header) return header.takeError();
  if (!header->starts_with("{")) return inputError(file.path(), "header", "no '{' at its beginning", "a JSON object");
  // The JSON library takes a NUL byte for the end of the text.
  if (header->contains('\0')) return inputError(file.path(), "header", "a NUL byte", "a JSON object");

  HeaderReader reader(file, 8 + headerBytes);
  bool good = json::sax_parse(header->begin(), header->end(), &reader);
  if (llvm::Error error = reader.takeError()) return error;
  if (!good) return inputError(file.path(), "header", "no valid JSON", "a JSON object of tensors");
  SafetensorsTable table;
  table.tensors = std::move(reader.tensors);
  if (llvm::Error error = checkPlaces(file, 8 + headerBytes, table)) return error;
  return table;
}

llvm::Error checkNoUnusedBytes(const InputFile &file, const SafetensorsTable &table) {
  if (!table.unused) return llvm::Error::success();
  return inputError(file.path(), "data",
                    llvm::Twine(table.unused->second) + " bytes at offset " + llvm::Twine(table.unused->first) +
                        " that no tensor has",
                    "tensors without gaps up to the end of the file");
}

} // namespace llmc::hf
