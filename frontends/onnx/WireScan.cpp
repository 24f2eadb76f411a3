#include "frontends/onnx/WireScan.h"
#include "frontends/File.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/LEB128.h"

using llvm::StringRef;

namespace llmc::onnx {
namespace {

enum Wire : unsigned { Varint = 0, Fixed64 = 1, Length = 2, Fixed32 = 5 };

/// One field: `all` is its bytes with the tag, `body` the payload of a length-delimited one.
struct Field {
  unsigned number = 0, wire = 0;
  uint64_t value = 0; // of a varint
  StringRef all, body;
};

/// Reads fields one after the other. `reason` is set, and `next` false, at the first malformed one.
class Fields {
public:
  explicit Fields(StringRef bytes) : rest(bytes) {}
  bool next(Field &field) {
    if (rest.empty() || reason) return false;
    StringRef start = rest;
    uint64_t tag = 0, length = 0;
    if (!varint(tag)) return false;
    field = {unsigned(tag >> 3), unsigned(tag & 7), 0, {}, {}};
    if (tag > UINT32_MAX || field.number == 0) return fail("a field number out of range");
    switch (field.wire) {
    case Varint:
      if (!varint(field.value)) return false;
      break;
    case Fixed64:
    case Fixed32:
      length = field.wire == Fixed64 ? 8 : 4;
      if (length > rest.size()) return fail("a number that is cut off");
      rest = rest.drop_front(length);
      break;
    case Length:
      if (!varint(length)) return false;
      if (length > rest.size()) return fail("a length past the end");
      field.body = rest.take_front(length);
      rest = rest.drop_front(length);
      break;
    default: return fail("a wire type that ONNX does not use");
    }
    field.all = start.drop_back(rest.size());
    return true;
  }
  const char *reason = nullptr;
  const char *where() const { return rest.data(); }

private:
  bool fail(const char *why) {
    reason = why;
    return false;
  }
  bool varint(uint64_t &value) {
    value = 0;
    for (unsigned i = 0; i < 10 && i < rest.size(); ++i) {
      uint8_t byte = rest[i];
      value |= uint64_t(byte & 127) << (7 * i);
      if (byte < 128) {
        rest = rest.drop_front(i + 1);
        return true;
      }
    }
    return fail("a number that does not end");
  }
  StringRef rest;
};

void appendMessage(std::string &out, unsigned number, StringRef body) {
  uint8_t buffer[20];
  unsigned size = llvm::encodeULEB128(number << 3 | Length, buffer);
  size += llvm::encodeULEB128(body.size(), buffer + size);
  out.append(reinterpret_cast<char *>(buffer), size);
  out.append(body.data(), body.size());
}

/// The messages of the schema that hold tensors, and where.
enum class Message { Model, Graph, Node, Attribute, Tensor, Sparse, Function, Drop };
struct Rule {
  Message in;
  unsigned field;
  Message to; // Drop: documentation, metadata and what does not matter here
};
constexpr Rule kRules[] = {
    {Message::Model, 6, Message::Drop},          {Message::Model, 7, Message::Graph},
    {Message::Model, 14, Message::Drop},         {Message::Model, 20, Message::Drop},
    {Message::Model, 25, Message::Function},     {Message::Graph, 1, Message::Node},
    {Message::Graph, 5, Message::Tensor},        {Message::Graph, 10, Message::Drop},
    {Message::Graph, 14, Message::Drop},         {Message::Graph, 15, Message::Sparse},
    {Message::Graph, 16, Message::Drop},         {Message::Node, 5, Message::Attribute},
    {Message::Node, 6, Message::Drop},           {Message::Node, 9, Message::Drop},
    {Message::Node, 10, Message::Drop},          {Message::Attribute, 5, Message::Tensor},
    {Message::Attribute, 6, Message::Graph},     {Message::Attribute, 10, Message::Tensor},
    {Message::Attribute, 11, Message::Graph},    {Message::Attribute, 13, Message::Drop},
    {Message::Attribute, 22, Message::Sparse},   {Message::Attribute, 23, Message::Sparse},
    {Message::Sparse, 1, Message::Tensor},       {Message::Sparse, 2, Message::Tensor},
    {Message::Function, 7, Message::Node},       {Message::Function, 8, Message::Drop},
    {Message::Function, 11, Message::Attribute}, {Message::Function, 12, Message::Drop},
    {Message::Function, 14, Message::Drop},
};
const Rule *findRule(Message in, unsigned field) {
  for (const Rule &rule : kRules)
    if (rule.in == in && rule.field == field) return &rule;
  return nullptr;
}

constexpr int kDocString = 12;      // of a TensorProto
constexpr unsigned kMostDepth = 96; // of messages: protobuf's own limit is 100
constexpr StringRef kDeepHint = "the file is damaged, or has more than 30 nested subgraphs";

class Scanner {
public:
  Scanner(StringRef path, StringRef file) : path(path), file(file) {}

  llvm::Error scan(StringRef bytes, Message in, std::string &out) {
    if (++depth > kMostDepth)
      return inputError(path, llvm::formatv("byte {0}", bytes.data() - file.data()).str(),
                        "more than " + llvm::Twine(kMostDepth) + " messages in each other", "fewer", kDeepHint);
    std::string payloads;
    Fields fields(bytes);
    for (Field f; fields.next(f);) {
      const Rule *rule = f.wire == Length ? findRule(in, f.number) : nullptr;
      if (in == Message::Tensor && f.wire == Length && isPayload(f.number))
        payloads += llvm::formatv("{0} {1} {2} ", f.number, f.body.data() - file.data(), f.body.size());
      else if (in == Message::Tensor && f.wire == Length && f.number == kDocString)
        continue; // ours alone
      else if (!rule)
        out += f.all;
      else if (rule->to != Message::Drop) {
        std::string body;
        if (llvm::Error error = scan(f.body, rule->to, body)) return error;
        appendMessage(out, f.number, body);
      }
    }
    --depth;
    if (!payloads.empty()) appendMessage(out, kDocString, payloads);
    if (!fields.reason) return llvm::Error::success();
    return inputError(path, llvm::formatv("byte {0}", fields.where() - file.data()).str(), fields.reason,
                      "an ONNX model", "the file is damaged, truncated or of another kind");
  }

private:
  static bool isPayload(unsigned field) { return field == kRawData || field == kFloatData || field == kDoubleData; }

  StringRef path, file;
  unsigned depth = 0;
};
} // namespace

llvm::Expected<std::string> scanModel(StringRef path, StringRef bytes) {
  std::string skeleton;
  if (llvm::Error error = Scanner(path, bytes).scan(bytes, Message::Model, skeleton)) return error;
  return skeleton;
}

llvm::SmallVector<Payload, 1> payloadsOf(const ::onnx::TensorProto &tensor) {
  llvm::SmallVector<Payload, 1> payloads;
  StringRef rest = tensor.doc_string();
  while (!rest.empty()) {
    Payload payload;
    for (uint64_t *number : {&payload.field, &payload.offset, &payload.size}) {
      if (rest.consumeInteger(10, *number)) return {};
      rest = rest.ltrim(' ');
    }
    payloads.push_back(payload);
  }
  return payloads;
}

bool startsLikeModel(StringRef bytes) {
  Fields fields(bytes);
  unsigned seen = 0;
  bool version = false, graph = false, opset = false;
  for (Field f; seen < 64 && fields.next(f); ++seen) {
    switch (f.number) {
    case 1:
      version = f.wire == Varint && f.value < 1000;
      if (!version) return false;
      break;
    case 5:
      if (f.wire != Varint) return false;
      break;
    case 7:
      graph = f.wire == Length;
      if (!graph) return false;
      break;
    case 8:
      opset = f.wire == Length;
      if (!opset) return false;
      break;
    default:
      if (f.number < 25 && f.wire != Length) return false;
    }
  }
  // A truncated model is still one, so that its error message can say so.
  return version || (graph && opset);
}

} // namespace llmc::onnx
