#include "frontends/hf/QuantisedLinear.h"
#include "llvm/Support/Endian.h"

namespace llmc::hf {
namespace {

using Place = Checkpoint::Place;
using Shape = llvm::SmallVector<int64_t, 2>;

/// Codes, scales, zero points and group indices: names after the module's, and shapes.
struct GroupedLayout {
  llvm::StringLiteral codes, scales, zeros, groups; // groups: empty if the layout has none
  /// perWord: codes in 32 bits.
  Shape (*codeShape)(int64_t n, int64_t k, int64_t perWord);
  bool isTransposed; // scales and zero points are [groups, n], not [n, groups]
};

Shape gptqCodes(int64_t n, int64_t k, int64_t perWord) { return {k / perWord, n}; }
Shape awqCodes(int64_t n, int64_t k, int64_t perWord) { return {k, n / perWord}; }
Shape compressedCodes(int64_t n, int64_t k, int64_t perWord) { return {n, k / perWord}; }

constexpr GroupedLayout kGptqLayout = {".qweight", ".scales", ".qzeros", ".g_idx", gptqCodes, true};
constexpr GroupedLayout kAwqLayout = {".qweight", ".scales", ".qzeros", "", awqCodes, true};
constexpr GroupedLayout kCompressedLayout = {".weight_packed", ".weight_scale", ".weight_zero_point",
                                             ".weight_g_idx",  compressedCodes, false};

const GroupedLayout &layoutOf(wq::Encoding encoding) {
  if (encoding == wq::Encoding::Awq) return kAwqLayout;
  return encoding == wq::Encoding::CompressedTensors ? kCompressedLayout : kGptqLayout;
}

/// What only a quantised module has.
std::string markerOf(wq::Encoding encoding) {
  return encoding == wq::Encoding::Nf4 ? ".weight.absmax" : layoutOf(encoding).codes.str();
}

wq::ScaleType scaleTypeOf(llvm::StringRef dtype) {
  return dtype == "F32" ? wq::ScaleType::F32 : dtype == "F16" ? wq::ScaleType::F16 : wq::ScaleType::BF16;
}

/// The parts of one weight, collected in the order of !wq.encoded.
struct Parts {
  TensorReader &reader;
  const std::string &module;
  llvm::SmallVector<llm::StorageAttr, 1> storage;

  Place read(llvm::StringRef suffix, llvm::ArrayRef<int64_t> shape, llvm::ArrayRef<llvm::StringRef> dtypes) {
    return reader.tensor(module + suffix.str(), shape, dtypes);
  }
  Place add(llvm::StringRef suffix, llvm::ArrayRef<int64_t> shape, llvm::ArrayRef<llvm::StringRef> dtypes) {
    Place place = read(suffix, shape, dtypes);
    if (place.tensor) storage.push_back(reader.storage(place));
    return place;
  }
  void fail(llvm::StringRef suffix, const llvm::Twine &found, const llvm::Twine &expected,
            const llvm::Twine &hint = "") {
    reader.fail(module + suffix.str(), found, expected, hint);
  }
};

class GroupedReader {
public:
  GroupedReader(TensorReader &reader, const Quantisation &config, const std::string &module, int64_t n, int64_t k)
      : parts{reader, module, {}}, config(config), layout(layoutOf(config.encoding)), n(n), k(k),
        bits(config.layer(module).bits), group(config.layer(module).group) {
    if (group == -1 || group > k) group = k;
  }

  /// Null after an error.
  wq::EncodedType read() {
    int64_t perWord = 32 / bits;
    if (k % 8 || group % 16)
      parts.fail("", llvm::Twine(k) + " inputs in groups of " + llvm::Twine(group), "multiples of 8 and of 16");
    if (layout.isTransposed && n % perWord)
      parts.fail("", llvm::Twine(n) + " outputs", "a multiple of " + llvm::Twine(perWord));
    groups = (k + group - 1) / group;
    parts.add(layout.codes, layout.codeShape(n, k, perWord), {"I32"});
    Place scales = parts.add(layout.scales, byGroup(n), kFloats);
    bool zeroPoints = readZeros(), actOrder = readGroups();
    if (config.encoding == wq::Encoding::CompressedTensors) checkShape();
    if (parts.reader.failed()) return nullptr;
    return wq::EncodedType::get(&parts.reader.context, config.encoding, bits, group, scaleTypeOf(scales.tensor->dtype),
                                zeroPoints, actOrder, /*nested=*/false, F32());
  }
  llvm::SmallVector<llm::StorageAttr, 1> takeStorage() { return std::move(parts.storage); }

private:
  Shape byGroup(int64_t columns) const { return layout.isTransposed ? Shape{groups, columns} : Shape{columns, groups}; }

  /// Whether there are zero points that matter.
  bool readZeros() {
    bool symmetric = config.encoding == wq::Encoding::CompressedTensors && config.symmetric;
    if (symmetric) {
      if (parts.reader.has(parts.module + layout.zeros.str()))
        parts.fail(layout.zeros, "a tensor", "none, as the config says symmetric");
      return false;
    }
    int64_t perWord = 32 / bits;
    Place zeros = parts.read(layout.zeros, byGroup((n + perWord - 1) / perWord), {"I32"});
    if (!zeros.tensor) return false;
    llvm::StringRef bytes = parts.reader.bytes(zeros);
    bool minusOne = config.encoding == wq::Encoding::Gptq;
    if (minusOne && bits == 8 && bytes.contains('\xff'))
      parts.fail(layout.zeros, "a stored zero point of 255", "at most 254, as the zero point is one more");
    int middle = (1 << (bits - 1)) - minusOne;
    if (bytes.find_first_not_of(char(bits == 4 ? middle | middle << 4 : middle)) == llvm::StringRef::npos) return false;
    parts.storage.push_back(parts.reader.storage(zeros));
    return true;
  }

  /// Whether there are group indices, and out of order.
  bool readGroups() {
    if (layout.groups.empty()) return false;
    bool needed = config.actOrder && groups > 1;
    if (!needed && !parts.reader.has(parts.module + layout.groups.str())) return false;
    Place place = parts.read(layout.groups, {k}, {"I32"});
    if (!place.tensor) return false;
    const char *indices = parts.reader.bytes(place).data();
    bool inOrder = true;
    for (int64_t i = 0; i < k; ++i) {
      int32_t index = int32_t(llvm::support::endian::read32le(indices + 4 * i));
      if (index < 0 || index >= groups) {
        parts.fail(layout.groups, "group " + llvm::Twine(index) + " at " + llvm::Twine(i),
                   "0 to " + llvm::Twine(groups - 1));
        return false;
      }
      inOrder &= index == i / group;
    }
    if (inOrder) return false;
    parts.storage.push_back(parts.reader.storage(place));
    return true;
  }

  /// weight_shape says the shape once more.
  void checkShape() {
    Place place = parts.read(".weight_shape", {2}, {"I64"});
    if (!place.tensor) return;
    const char *data = parts.reader.bytes(place).data();
    auto extent = [&](int i) { return int64_t(llvm::support::endian::read64le(data + 8 * i)); };
    if (extent(0) != n || extent(1) != k)
      parts.fail(".weight_shape", shapeText({extent(0), extent(1)}), shapeText({n, k}) + ", as the config says");
  }

  Parts parts;
  const Quantisation &config;
  const GroupedLayout &layout;
  int64_t n, k, bits, group, groups = 0;
};

/// What weight.quant_state.bitsandbytes__nf4 says, as JSON.
struct Nf4State {
  int64_t block = 0;
  bool nested = false;
  float nestedOffset = 0;
};

constexpr llvm::StringLiteral kNf4State = ".weight.quant_state.bitsandbytes__nf4";

llvm::Expected<Nf4State> parseNf4State(llvm::StringRef file, llvm::StringRef name, llvm::StringRef text, int64_t n,
                                       int64_t k) {
  llvm::Expected<nlohmann::json> document = parseJson((file + ": " + name).str(), text);
  if (!document) return document.takeError();
  Fields fields(file, *document, (name + ": ").str());
  Nf4State state;
  if (std::string type = fields.text("quant_type"); type != "nf4") fields.fail("quant_type", "'" + type + "'", "nf4");
  state.block = fields.integer("blocksize", 16, 1 << 16);
  const nlohmann::json *shape = fields.find("shape");
  if (!shape || *shape != nlohmann::json{n, k})
    fields.fail("shape", shape ? llvm::StringRef(shape->dump()).take_front(100).str() : "nothing",
                shapeText({n, k}) + ", as the config says");
  if (state.block % 16 || k % state.block)
    fields.fail("blocksize", llvm::Twine(state.block), "a multiple of 16 that divides rows of " + llvm::Twine(k));
  state.nested = fields.has("nested_blocksize") || fields.has("nested_offset");
  if (state.nested) {
    fields.integer("nested_blocksize", 256, 256);
    state.nestedOffset = float(fields.number("nested_offset"));
    if (std::string type = fields.text("nested_dtype", "float32"); type != "float32")
      fields.fail("nested_dtype", "'" + type + "'", "float32");
  }
  if (llvm::Error error = fields.takeError()) return error;
  return state;
}

wq::EncodedType readNf4(Parts &parts, int64_t n, int64_t k) {
  TensorReader &reader = parts.reader;
  std::string name = parts.module + kNf4State.str();
  Place place = reader.vector(name, "U8");
  if (!place.tensor) return nullptr;
  llvm::Expected<Nf4State> state = parseNf4State(reader.file(), name, reader.bytes(place), n, k);
  if (!state) return reader.fail(state.takeError()), nullptr;
  int64_t blocks = n * k / state->block; // n and k are at most kMostHidden and kMostVocab
  parts.add(".weight", {n * k / 2, 1}, {"U8"});
  parts.add(".weight.absmax", {blocks}, {state->nested ? "U8" : "F32"});
  parts.add(".weight.quant_map", {16}, {"F32"});
  if (state->nested) {
    parts.add(".weight.nested_absmax", {(blocks + 255) / 256}, {"F32"});
    parts.add(".weight.nested_quant_map", {256}, {"F32"});
  }
  if (reader.failed()) return nullptr;
  return wq::EncodedType::get(&reader.context, wq::Encoding::Nf4, 4, state->block, wq::ScaleType::F32,
                              /*zero_points=*/false, /*act_order=*/false, state->nested, state->nestedOffset);
}
} // namespace

bool isQuantised(TensorReader &reader, const Quantisation &config, const std::string &module) {
  std::string marker = module + markerOf(config.encoding);
  if (!reader.has(marker)) return false;
  if (config.layer(module).isPlain()) reader.fail(marker, "a tensor", "a plain weight, as extra_config says 16 bits");
  if (config.encoding != wq::Encoding::Nf4 && reader.has(module + ".weight"))
    reader.fail(marker, "a quantised weight beside " + module + ".weight", "one of them");
  return true;
}

llm::DecoderWeight readQuantised(TensorReader &reader, const Quantisation &config, const std::string &module, int64_t n,
                                 int64_t k) {
  if (reader.failed()) return {};
  Parts parts{reader, module, {}};
  wq::EncodedType type;
  if (config.encoding == wq::Encoding::Nf4) {
    type = readNf4(parts, n, k);
  } else {
    GroupedReader grouped(reader, config, module, n, k);
    type = grouped.read();
    parts.storage = grouped.takeStorage();
  }
  if (!type) return {};
  return {module + ".weight", mlir::RankedTensorType::get({n, k}, type), std::move(parts.storage)};
}

} // namespace llmc::hf
