#include "frontends/gguf/Reader.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/JSON.h"
#include <algorithm>

namespace endian = llvm::support::endian;

namespace llmc::gguf {
namespace {

// The format has no limits of its own; these are far above all published files and keep tables small.
constexpr uint64_t kMostMetadata = 1 << 16, kMostTensors = 1 << 20, kMostKeyBytes = 1 << 16, kMostNameBytes = 255;
constexpr uint64_t kMostRank = 4; // GGML_MAX_DIMS
constexpr uint64_t kLeastAlignment = 8, kMostAlignment = 1 << 20, kDefaultAlignment = 32;
constexpr uint64_t kLeastEntryBytes = 8 + 1 + 4 + 1;          // key length, key, type, value
constexpr uint64_t kLeastTensorBytes = 8 + 1 + 4 + 8 + 4 + 8; // name, rank, one extent, type, offset
constexpr llvm::StringLiteral kAlignmentKey = "general.alignment";

/// Size of a scalar in bytes; 0 for strings, arrays and unknown types.
uint64_t scalarBytes(ValueType type) {
  constexpr uint8_t kBytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  return uint32_t(type) < std::size(kBytes) ? kBytes[uint32_t(type)] : 0;
}

/// Reads forward; after the first error every read gives zero or nothing.
class Reader {
public:
  explicit Reader(const InputFile &file) : file(file) {}
  ~Reader() { llvm::consumeError(std::move(error)); }

  llvm::Expected<Table> read();

private:
  bool fail(const llvm::Twine &found, const llvm::Twine &expected, const llvm::Twine &hint = "") {
    if (!error) error = inputError(file.path(), place, found, expected, hint);
    failed = true;
    return false;
  }
  uint64_t left() const { return file.size() - at; }
  llvm::StringRef take(uint64_t size) {
    if (failed) return {};
    if (size > left()) {
      fail(llvm::Twine(size) + " bytes at offset " + llvm::Twine(at),
           "at most " + llvm::Twine(left()) + " up to the end of the file", "the file is truncated or damaged");
      return {};
    }
    llvm::StringRef bytes = file.bytes().substr(at, size);
    at += size;
    return bytes;
  }
  uint32_t u32() {
    llvm::StringRef bytes = take(4);
    return failed ? 0 : endian::read32le(bytes.data());
  }
  uint64_t u64() {
    llvm::StringRef bytes = take(8);
    return failed ? 0 : endian::read64le(bytes.data());
  }
  /// A name: UTF-8 of 1 to `most` bytes.
  llvm::StringRef name(uint64_t most);
  void header();
  void entry();
  void value(Value &value);
  void tensorEntry();
  void alignment();
  /// Places follow the table of tensors, at the next multiple of the alignment.
  void places();
  void overlaps();

  const InputFile &file;
  uint64_t at = 0, metadataCount = 0, tensorCount = 0, alignTo = kDefaultAlignment;
  std::string place = "header";
  Table table;
  llvm::StringSet<> names;
  llvm::Error error = llvm::Error::success();
  bool failed = false;
};

llvm::StringRef Reader::name(uint64_t most) {
  uint64_t size = u64();
  if (!failed && (size == 0 || size > most))
    fail("a name of " + llvm::Twine(size) + " bytes", "1 to " + llvm::Twine(most) + " bytes");
  llvm::StringRef text = take(size);
  if (!failed && !llvm::json::isUTF8(text)) fail("a name that is not UTF-8: " + text, "UTF-8");
  return text;
}

void Reader::header() {
  llvm::StringRef magic = take(4);
  if (failed) return;
  if (magic != "GGUF") return void(fail("the magic '" + magic + "'", "GGUF"));
  table.version = u32();
  if (failed) return;
  if (table.version != 2 && table.version != 3) {
    bool swapped = llvm::byteswap(table.version) <= 3 && table.version;
    return void(
        fail("version " + llvm::Twine(table.version), "2 or 3", swapped ? "big-endian files are not supported" : ""));
  }
  tensorCount = u64(), metadataCount = u64();
  if (failed) return;
  // Bounded by the file before anything is made of that size.
  if (metadataCount > std::min(kMostMetadata, left() / kLeastEntryBytes))
    fail(llvm::Twine(metadataCount) + " metadata entries",
         "at most " + llvm::Twine(std::min(kMostMetadata, left() / kLeastEntryBytes)) + " in this file");
  if (tensorCount > std::min(kMostTensors, left() / kLeastTensorBytes))
    fail(llvm::Twine(tensorCount) + " tensors",
         "at most " + llvm::Twine(std::min(kMostTensors, left() / kLeastTensorBytes)) + " in this file");
}

void Reader::value(Value &value) {
  uint32_t type = u32();
  if (failed) return;
  value.type = ValueType(type);
  if (value.type == ValueType::String) {
    value.bytes = take(u64());
    return;
  }
  if (value.type != ValueType::Array) {
    if (uint64_t size = scalarBytes(value.type))
      value.bytes = take(size);
    else
      fail("a value of type " + llvm::Twine(type), "0 to 12");
    return;
  }
  uint32_t element = u32();
  value.count = u64();
  if (failed) return;
  value.element = ValueType(element);
  uint64_t begin = at;
  if (uint64_t size = scalarBytes(value.element)) {
    if (value.count > left() / size)
      return void(fail("an array of " + llvm::Twine(value.count) + " values",
                       "at most " + llvm::Twine(left() / size) + " up to the end of the file"));
    take(value.count * size);
  } else if (value.element == ValueType::String) {
    if (value.count > left() / 8)
      return void(fail("an array of " + llvm::Twine(value.count) + " strings",
                       "at most " + llvm::Twine(left() / 8) + " up to the end of the file"));
    for (uint64_t i = 0; i < value.count && !failed; ++i) take(u64());
  } else {
    return void(
        fail(value.element == ValueType::Array ? "an array of arrays" : "an array of type " + std::to_string(element),
             "an array of numbers, booleans or strings"));
  }
  if (!failed) value.bytes = file.bytes().substr(begin, at - begin);
}

void Reader::entry() {
  place = "metadata";
  llvm::StringRef key = name(kMostKeyBytes);
  if (failed) return;
  place = key.str();
  auto [it, isNew] = table.metadata.try_emplace(key);
  if (!isNew) return void(fail("the key twice", "once"));
  value(it->second);
}

void Reader::tensorEntry() {
  place = "tensors";
  Tensor tensor;
  tensor.name = name(kMostNameBytes).str();
  if (failed) return;
  place = tensor.name;
  if (!names.insert(tensor.name).second) return void(fail("the name twice", "one tensor of a name"));
  uint64_t rank = u32(), elements = 1;
  if (!failed && (rank == 0 || rank > kMostRank))
    return void(fail("rank " + llvm::Twine(rank), "1 to " + llvm::Twine(kMostRank)));
  uint64_t row = 0;
  for (uint64_t i = 0; i < rank && !failed; ++i) {
    uint64_t extent = u64();
    if (failed) return;
    if (i == 0) row = extent;
    // The product stays below 2^62, so that no size in bytes or bits overflows later.
    if (extent == 0 || __builtin_mul_overflow(elements, extent, &elements) || elements >> 58)
      return void(fail("an extent of " + llvm::Twine(extent), "positive extents whose product is below 2^58"));
    tensor.shape.insert(tensor.shape.begin(), int64_t(extent));
  }
  uint32_t type = u32();
  tensor.offset = u64(); // within the data; made absolute once its start is known
  if (failed) return;
  tensor.type = findTensorType(type);
  if (!tensor.type) return void(fail("tensor type " + llvm::Twine(type), "a type of GGML"));
  if (row % tensor.type->block)
    return void(fail("rows of " + llvm::Twine(row) + " elements",
                     "a multiple of " + llvm::Twine(tensor.type->block) + " (" + tensor.type->name + ")"));
  tensor.bytes = elements / tensor.type->block * tensor.type->bytes; // 2^58 elements of at most 8 bytes
  table.tensors.push_back(std::move(tensor));
}

void Reader::alignment() {
  auto it = table.metadata.find(kAlignmentKey);
  if (it == table.metadata.end()) return;
  place = kAlignmentKey;
  if (it->second.type != ValueType::U32) return void(fail("a value of another type", "a u32"));
  alignTo = endian::read32le(it->second.bytes.data());
  if (alignTo < kLeastAlignment || alignTo > kMostAlignment || alignTo & (alignTo - 1))
    fail(llvm::Twine(alignTo), "a power of two from 8 to " + llvm::Twine(kMostAlignment));
}

void Reader::places() {
  uint64_t data = (at + alignTo - 1) & ~(alignTo - 1); // at <= file size: no overflow
  if (data > file.size()) data = file.size();
  uint64_t size = file.size() - data;
  for (Tensor &tensor : table.tensors) {
    place = tensor.name;
    if (tensor.offset % alignTo)
      return void(fail("offset " + llvm::Twine(tensor.offset), "a multiple of " + llvm::Twine(alignTo)));
    if (tensor.offset > size || tensor.bytes > size - tensor.offset)
      return void(fail(llvm::Twine(tensor.bytes) + " bytes at offset " + llvm::Twine(tensor.offset),
                       "at most " + llvm::Twine(size) + " bytes of data in all", "the file is truncated or damaged"));
    tensor.offset += data;
  }
}

void Reader::overlaps() {
  std::vector<const Tensor *> order;
  for (const Tensor &tensor : table.tensors) order.push_back(&tensor);
  llvm::stable_sort(order, [](const Tensor *a, const Tensor *b) { return a->offset < b->offset; });
  for (size_t i = 1; i < order.size(); ++i)
    if (order[i]->offset < order[i - 1]->offset + order[i - 1]->bytes) {
      place = order[i]->name;
      return void(fail("bytes that " + order[i - 1]->name + " has too", "tensors that do not overlap"));
    }
}

llvm::Expected<Table> Reader::read() {
  header();
  for (uint64_t i = 0; i < metadataCount && !failed; ++i) entry();
  for (uint64_t i = 0; i < tensorCount && !failed; ++i) tensorEntry();
  if (!failed) alignment();
  if (!failed) places();
  if (!failed) overlaps();
  if (error) return std::move(error);
  return std::move(table);
}
} // namespace

std::string shapeText(llvm::ArrayRef<int64_t> shape) {
  std::string text = "[";
  for (int64_t extent : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(extent);
  return text + "]";
}

llvm::Expected<Table> parseGguf(const InputFile &file) { return Reader(file).read(); }

} // namespace llmc::gguf
