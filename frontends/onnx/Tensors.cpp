#include "frontends/onnx/Tensors.h"
#include "llvm/ADT/APFloat.h"
#include "llvm/ADT/StringExtras.h"

using llvm::StringRef;
using llvm::Twine;
using namespace mlir;

namespace llmc::onnx {
namespace {

/// Numbers are those of TensorProto.DataType; some are newer than the schema that is compiled in.
struct ElementRow {
  int number;
  const char *name;
  Type (*type)(MLIRContext *); // null: not a type of numbers
  int typedField;              // field of TensorProto for its elements, if not raw_data
};
template <unsigned bits, IntegerType::SignednessSemantics sign> Type integer(MLIRContext *context) {
  return IntegerType::get(context, bits, sign);
}
template <typename T> Type floating(MLIRContext *context) { return T::get(context); }

constexpr int kInt32Data = 5, kInt64Data = 7, kUint64Data = 11;
constexpr ElementRow kElements[] = {
    {0, "UNDEFINED", nullptr, 0},
    {1, "FLOAT", floating<Float32Type>, kFloatData},
    {2, "UINT8", integer<8, IntegerType::Unsigned>, kInt32Data},
    {3, "INT8", integer<8, IntegerType::Signed>, kInt32Data},
    {4, "UINT16", integer<16, IntegerType::Unsigned>, kInt32Data},
    {5, "INT16", integer<16, IntegerType::Signed>, kInt32Data},
    {6, "INT32", integer<32, IntegerType::Signless>, kInt32Data},
    {7, "INT64", integer<64, IntegerType::Signless>, kInt64Data},
    {8, "STRING", nullptr, 0},
    {9, "BOOL", integer<1, IntegerType::Signless>, kInt32Data},
    {10, "FLOAT16", floating<Float16Type>, kInt32Data},
    {11, "DOUBLE", floating<Float64Type>, kDoubleData},
    {12, "UINT32", integer<32, IntegerType::Unsigned>, kUint64Data},
    {13, "UINT64", integer<64, IntegerType::Unsigned>, kUint64Data},
    {14, "COMPLEX64", nullptr, 0},
    {15, "COMPLEX128", nullptr, 0},
    {16, "BFLOAT16", floating<BFloat16Type>, kInt32Data},
    {17, "FLOAT8E4M3FN", floating<Float8E4M3FNType>, kInt32Data},
    {18, "FLOAT8E4M3FNUZ", floating<Float8E4M3FNUZType>, kInt32Data},
    {19, "FLOAT8E5M2", floating<Float8E5M2Type>, kInt32Data},
    {20, "FLOAT8E5M2FNUZ", floating<Float8E5M2FNUZType>, kInt32Data},
    {21, "UINT4", integer<4, IntegerType::Unsigned>, kInt32Data},
    {22, "INT4", integer<4, IntegerType::Signed>, kInt32Data},
    {23, "FLOAT4E2M1", floating<Float4E2M1FNType>, kInt32Data},
    {24, "FLOAT8E8M0", floating<Float8E8M0FNUType>, kInt32Data},
    {25, "UINT2", integer<2, IntegerType::Unsigned>, kInt32Data},
    {26, "INT2", integer<2, IntegerType::Signed>, kInt32Data},
};
const ElementRow *findElement(int64_t number) {
  for (const ElementRow &row : kElements)
    if (row.number == number) return &row;
  return nullptr;
}

constexpr int kMostRank = 8;
constexpr int64_t kMostElements = int64_t(1) << 42; // and so 2^45 bytes at most: sums with offsets do not overflow

/// Which data fields a tensor uses, by number in the schema.
llvm::SmallVector<int, 4> usedFields(const ::onnx::TensorProto &t, llvm::ArrayRef<Payload> payloads) {
  llvm::SmallVector<int, 4> fields;
  auto add = [&](int field) {
    if (!llvm::is_contained(fields, field)) fields.push_back(field);
  };
  for (const Payload &payload : payloads) add(payload.field);
  if (t.float_data_size()) add(kFloatData);
  if (t.int32_data_size()) add(kInt32Data);
  if (t.string_data_size()) add(6);
  if (t.int64_data_size()) add(kInt64Data);
  if (t.has_raw_data()) add(kRawData);
  if (t.double_data_size()) add(kDoubleData);
  if (t.uint64_data_size()) add(kUint64Data);
  return fields;
}

/// The number of elements; dims that are negative, too many or too large are an error.
llvm::Expected<int64_t> countElements(const ::onnx::TensorProto &t, StringRef file, StringRef place) {
  if (t.dims_size() > kMostRank)
    return inputError(file, place, Twine(t.dims_size()) + " dims", "at most " + Twine(kMostRank));
  int64_t count = 1;
  for (int64_t dim : t.dims()) {
    if (dim < 0) return inputError(file, place, "a dim of " + Twine(dim), "dims of 0 or more");
    if (dim > kMostElements || count > kMostElements / std::max<int64_t>(dim, 1))
      return inputError(file, place, "dims whose product is more than 2^42 elements", "the dims of its data");
    count *= dim;
  }
  return count;
}

std::vector<int64_t> typedValues(const ::onnx::TensorProto &t, int field) {
  if (field == kInt32Data) return {t.int32_data().begin(), t.int32_data().end()};
  if (field == kInt64Data) return {t.int64_data().begin(), t.int64_data().end()};
  return {t.uint64_data().begin(), t.uint64_data().end()};
}
} // namespace

Type elementType(MLIRContext *context, int64_t number) {
  const ElementRow *row = findElement(number);
  return row && row->type ? row->type(context) : Type();
}

int64_t bitsOf(Type element) { return element.isInteger(1) ? 8 : element.getIntOrFloatBitWidth(); }

std::string elementName(int64_t number) {
  const ElementRow *row = findElement(number);
  return row ? row->name : "type " + std::to_string(number);
}

llvm::Expected<Tensor> TensorReader::read(const ::onnx::TensorProto &t, StringRef place) const {
  StringRef path = model.path();
  llvm::SmallVector<Payload, 1> payloads = payloadsOf(t);
  auto refuse = [&](const Twine &found, const Twine &expected) { return inputError(path, place, found, expected); };
  Type element = elementType(context, t.data_type());
  if (!element) return refuse("elements of " + elementName(t.data_type()), "a type of numbers");
  if (t.has_segment()) return refuse("the obsolete segment field", "the whole tensor in one place");
  llvm::Expected<int64_t> count = countElements(t, path, place);
  if (!count) return count.takeError();
  Tensor tensor;
  tensor.name = t.name();
  tensor.type = RankedTensorType::get(SmallVector<int64_t>(t.dims().begin(), t.dims().end()), element);
  int64_t needed = (*count * bitsOf(element) + 7) / 8;

  llvm::SmallVector<int, 4> fields = usedFields(t, payloads);
  bool external = t.data_location() == ::onnx::TensorProto::EXTERNAL;
  if (external != (t.external_data_size() != 0) || (external && !fields.empty()))
    return refuse("data both in the model and in an external file, or a location without data", "one of them");
  if (external) {
    std::vector<std::pair<std::string, std::string>> keys;
    for (const auto &entry : t.external_data()) keys.emplace_back(entry.key(), entry.value());
    llvm::Expected<Bytes> bytes = files.locate(place, needed, keys);
    if (!bytes) return bytes.takeError();
    tensor.bytes = *bytes;
    return tensor;
  }
  if (fields.empty() && *count == 0) return tensor;
  if (fields.size() != 1)
    return refuse(fields.empty() ? "no data" : "data in several fields", "one of raw_data and the typed fields");
  int field = fields.front();
  if (field != kRawData && field != findElement(t.data_type())->typedField)
    return refuse("the data field of another type", "raw_data or the field of " + elementName(t.data_type()));
  if (payloads.size() > 1 || (payloads.empty() && field != kInt32Data && field != kInt64Data && field != kUint64Data))
    return refuse("data in several pieces", "one packed piece");
  if (!payloads.empty()) {
    tensor.bytes = Bytes{0, int64_t(payloads[0].offset), int64_t(payloads[0].size)};
    if (payloads[0].offset > model.size() || payloads[0].size > model.size() - payloads[0].offset)
      return refuse("data outside the file", "data within it");
    if (tensor.bytes->size != needed)
      return refuse(Twine(tensor.bytes->size) + " bytes of data", Twine(needed) + " (from its dims and type)");
    return tensor;
  }
  tensor.values = typedValues(t, field);
  int64_t perValue = std::max<int64_t>(8 / bitsOf(element), 1);
  if (int64_t(tensor.values.size()) != (*count + perValue - 1) / perValue)
    return refuse(Twine(tensor.values.size()) + " elements of data", Twine(*count) + " (from its dims)");
  return tensor;
}

llvm::Expected<StringRef> TensorReader::load(const Bytes &bytes, StringRef place) const {
  if (bytes.file == 0) return model.read(bytes.offset, bytes.size, place);
  llvm::Expected<const InputFile *> file = files.map(bytes.file);
  return file ? (*file)->read(bytes.offset, bytes.size, place) : file.takeError();
}

/// Elements of less than a byte, the first one in the lowest bits.
static DenseElementsAttr unpack(RankedTensorType type, StringRef raw) {
  Type element = type.getElementType();
  unsigned bits = element.getIntOrFloatBitWidth();
  SmallVector<Attribute> values;
  for (int64_t i = 0; i < type.getNumElements(); ++i) {
    uint64_t at = uint64_t(i) * bits;
    APInt value(bits, uint8_t(raw[at / 8]) >> (at % 8) & ((1u << bits) - 1));
    if (auto floating = dyn_cast<FloatType>(element))
      values.push_back(FloatAttr::get(element, llvm::APFloat(floating.getFloatSemantics(), value)));
    else
      values.push_back(IntegerAttr::get(element, value));
  }
  return DenseElementsAttr::get(type, values);
}

llvm::Expected<DenseElementsAttr> TensorReader::constant(const Tensor &tensor) const {
  Type element = tensor.type.getElementType();
  int64_t bits = bitsOf(element);
  if (tensor.type.getNumElements() == 0) return DenseElementsAttr::get(tensor.type, ArrayRef<Attribute>{});
  std::string raw;
  if (tensor.bytes) {
    llvm::Expected<StringRef> bytes = load(*tensor.bytes, tensor.name);
    if (!bytes) return bytes.takeError();
    raw = bytes->str();
  } else { // two's complement, and the bits of f16 and bf16 as they are: the low bytes of each value
    for (int64_t value : tensor.values)
      for (int64_t i = 0; i < std::max<int64_t>(bits / 8, 1); ++i) raw += char(uint64_t(value) >> (8 * i));
  }
  if (element.isInteger(1)) {
    SmallVector<bool> flags;
    for (char c : raw) flags.push_back(c != 0);
    return DenseElementsAttr::get(tensor.type, flags);
  }
  if (bits < 8) return unpack(tensor.type, raw);
  return DenseElementsAttr::getFromRawBuffer(tensor.type, ArrayRef<char>(raw.data(), raw.size()));
}

} // namespace llmc::onnx
