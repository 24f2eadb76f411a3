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

class Scanner {
public:
  Scanner(StringRef path, StringRef file) : path(path), file(file) {}

  llvm::Error model(StringRef bytes) {
    return each(bytes, [&](const Field &f) -> llvm::Error {
      if (f.wire == Length && f.number == 7) return nested(result.bytes, f, &Scanner::graph);
      bool documentation = f.wire == Length && (f.number == 6 || f.number == 14);
      if (!documentation) result.bytes += f.all;
      return llvm::Error::success();
    });
  }
  Skeleton result;

private:
  using Visit = llvm::Error (Scanner::*)(StringRef, std::string &);

  template <typename F> llvm::Error each(StringRef bytes, F visit) {
    Fields fields(bytes);
    for (Field f; fields.next(f);)
      if (llvm::Error error = visit(f)) return error;
    if (!fields.reason) return llvm::Error::success();
    return inputError(path, llvm::formatv("byte {0}", fields.where() - file.data()).str(), fields.reason,
                      "an ONNX model", "the file is damaged, truncated or of another kind");
  }
  llvm::Error nested(std::string &out, const Field &field, Visit visit) {
    std::string body;
    if (llvm::Error error = (this->*visit)(field.body, body)) return error;
    appendMessage(out, field.number, body);
    return llvm::Error::success();
  }

  llvm::Error graph(StringRef bytes, std::string &out) {
    return each(bytes, [&](const Field &f) -> llvm::Error {
      if (f.wire == Length && f.number == 1) return node(f, out);
      if (f.wire == Length && f.number == 5) {
        payloads = &result.initializers.emplace_back();
        return nested(out, f, &Scanner::tensor);
      }
      if (f.wire != Length || f.number != 10) out += f.all;
      return llvm::Error::success();
    });
  }
  llvm::Error node(const Field &field, std::string &out) {
    attributes = 0;
    llvm::Error error = nested(out, field, &Scanner::nodeFields);
    ++nodes;
    return error;
  }
  llvm::Error nodeFields(StringRef bytes, std::string &out) {
    return each(bytes, [&](const Field &f) -> llvm::Error {
      if (f.wire == Length && f.number == 5) {
        llvm::Error error = nested(out, f, &Scanner::attribute);
        ++attributes;
        return error;
      }
      bool documentation = f.wire == Length && (f.number == 6 || f.number == 9);
      if (!documentation) out += f.all;
      return llvm::Error::success();
    });
  }
  llvm::Error attribute(StringRef bytes, std::string &out) {
    return each(bytes, [&](const Field &f) -> llvm::Error {
      if (f.wire == Length && f.number == 5) {
        payloads = &result.nodeTensors[{nodes, attributes}];
        return nested(out, f, &Scanner::tensor);
      }
      out += f.all;
      return llvm::Error::success();
    });
  }
  llvm::Error tensor(StringRef bytes, std::string &out) {
    return each(bytes, [&](const Field &f) -> llvm::Error {
      bool data = f.number == kRawData || f.number == kFloatData || f.number == kDoubleData;
      if (f.wire == Length && data)
        payloads->push_back({int(f.number), uint64_t(f.body.data() - file.data()), f.body.size()});
      else if (f.wire != Length || f.number != 12)
        out += f.all;
      return llvm::Error::success();
    });
  }

  StringRef path, file;
  std::vector<Payload> *payloads = nullptr;
  unsigned nodes = 0, attributes = 0;
};
} // namespace

llvm::Expected<Skeleton> scanModel(StringRef path, StringRef bytes) {
  Scanner scanner(path, bytes);
  if (llvm::Error error = scanner.model(bytes)) return error;
  return std::move(scanner.result);
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
