// Initializers, Constant nodes and attributes.
#include "frontends/onnx/Importer.h"
#include "llvm/Support/JSON.h"

using llvm::StringRef;
using llvm::Twine;
using namespace mlir;

namespace llmc::onnx {

constexpr int64_t kMostTableElements = 1024; // floats that are kept beside where they are: tables of frequencies
constexpr size_t kMostText = 1 << 16;        // bytes of a string attribute

using Proto = ::onnx::AttributeProto;
struct KindRow {
  char kind;
  int type;
  const char *name;
};
static constexpr KindRow kKinds[] = {{'i', Proto::INT, "INT"},         {'f', Proto::FLOAT, "FLOAT"},
                                     {'s', Proto::STRING, "STRING"},   {'t', Proto::TENSOR, "TENSOR"},
                                     {'I', Proto::INTS, "INTS"},       {'F', Proto::FLOATS, "FLOATS"},
                                     {'S', Proto::STRINGS, "STRINGS"}, {'g', Proto::GRAPH, "GRAPH"}};

/// A tensor as a value: small integers and scalars by value, others by reference; floats of small tables both ways.
llvm::Expected<Value> GraphImporter::materialize(const Tensor &tensor, StringRef name, Location loc) {
  Type element = tensor.type.getElementType();
  int64_t count = tensor.type.getNumElements();
  bool plain = element.isInteger(1) || element.isSignlessInteger(32) || element.isSignlessInteger(64);
  bool byReference = tensor.bytes && tensor.bytes->size > 0;
  bool table = isa<FloatType>(element) && element.getIntOrFloatBitWidth() >= 16 && count <= kMostTableElements;
  DenseElementsAttr value;
  if (!byReference || count <= 1 || (plain && count <= TensorReader::kMostConstantElements) || table) {
    llvm::Expected<DenseElementsAttr> elements = tensors.constant(tensor);
    if (!elements) return elements.takeError();
    value = *elements;
    if (!(byReference && table && count > 1))
      return Value(llm::OnnxConstantOp::create(builder, loc, tensor.type, value));
  }
  auto storage = llm::StorageAttr::get(tensors.context, tensor.bytes->file, tensor.bytes->offset, tensor.bytes->size);
  return Value(llm::OnnxTensorOp::create(builder, loc, tensor.type, builder.getStringAttr(name), storage,
                                         llm::RopeAttr(), UnitAttr(), StringAttr(), value));
}

llvm::Error GraphImporter::addInitializer(const ::onnx::TensorProto &proto, Scope &scope) {
  StringRef name = proto.name();
  if (auto error = checkName("initializer", name)) return error;
  if (name.empty()) return fail("graph", "an initializer without a name", "a name");
  llvm::Expected<Tensor> tensor = tensors.read(proto, name);
  if (!tensor) return tensor.takeError();
  if (auto type = withDeclared(name, tensor->type, scope); !type) return type.takeError();
  llvm::Expected<Value> value = materialize(*tensor, name, NameLoc::get(builder.getStringAttr(name)));
  return value ? define(name, *value, scope) : value.takeError();
}

llvm::Expected<std::optional<Bound>> GraphImporter::resolve(const ::onnx::NodeProto &node, const Proto &attribute,
                                                            Place place) {
  if (attribute.ref_attr_name().empty()) return Bound{&attribute, &place.frame, &place.scope};
  if (!place.frame.function)
    return failNode(node, "attribute " + printable(attribute.name()) +
                              ": found a reference, which has no meaning outside a function");
  auto found = place.frame.attributes.find(attribute.ref_attr_name());
  if (found == place.frame.attributes.end()) return std::nullopt;
  return found->second;
}

llvm::Expected<Attribute> GraphImporter::convertAttribute(const ::onnx::NodeProto &node, const Proto &a, StringRef name,
                                                          char kind) {
  const KindRow *row = llvm::find_if(kKinds, [&](const KindRow &r) { return r.kind == kind; });
  auto mismatch = [&] {
    return failNode(node, "attribute " + printable(name) + ": found another type or no value of its type, expected " +
                              (row == std::end(kKinds) ? "a value of numbers" : row->name));
  };
  if (row == std::end(kKinds) || a.type() != row->type) return mismatch();
  auto text = [&](const std::string &s) { return s.size() <= kMostText && llvm::json::isUTF8(s); };
  switch (kind) {
  case 'i':
    if (!a.has_i()) return mismatch();
    return Attribute(builder.getI64IntegerAttr(a.i()));
  case 'f':
    if (!a.has_f()) return mismatch();
    return Attribute(builder.getF32FloatAttr(a.f()));
  case 's':
    if (!a.has_s() || !text(a.s())) return mismatch();
    return Attribute(builder.getStringAttr(a.s()));
  case 'I': return Attribute(builder.getDenseI64ArrayAttr(SmallVector<int64_t>(a.ints().begin(), a.ints().end())));
  case 'F': return Attribute(builder.getDenseF32ArrayAttr(SmallVector<float>(a.floats().begin(), a.floats().end())));
  case 'S': {
    SmallVector<Attribute> strings;
    for (const std::string &s : a.strings()) {
      if (!text(s)) return mismatch();
      strings.push_back(builder.getStringAttr(s));
    }
    return Attribute(builder.getArrayAttr(strings));
  }
  default: break;
  }
  if (kind != 't' || !a.has_t()) return mismatch();
  llvm::Expected<Tensor> tensor =
      tensors.read(a.t(), node.name() + (node.output_size() ? " (" + node.output(0) + ")" : ""));
  if (!tensor) return tensor.takeError();
  if (tensor->type.getNumElements() > TensorReader::kMostConstantElements)
    return failNode(node, "attribute " + printable(name) + ": found a large tensor, expected a small one");
  llvm::Expected<DenseElementsAttr> value = tensors.constant(*tensor);
  if (!value) return value.takeError();
  return Attribute(*value);
}

llvm::Error GraphImporter::addConstant(const ::onnx::NodeProto &node, Place place, Location loc) {
  static constexpr std::pair<StringLiteral, char> kValues[] = {
      {"value", 't'}, {"value_float", 'f'}, {"value_int", 'i'}, {"value_floats", 'F'}, {"value_ints", 'I'}};
  if (node.attribute_size() != 1 || node.input_size() || node.output_size() != 1)
    return failNode(node, "expects one attribute, no operands and one result");
  StringRef name = node.attribute(0).name();
  if (name == "sparse_value") return failNode(node, "sparse tensors are not supported");
  if (name == "value_string" || name == "value_strings") return failNode(node, "strings are not supported");
  const auto *kind = llvm::find_if(kValues, [&](const auto &row) { return row.first == name; });
  if (kind == std::end(kValues))
    return failNode(node, "attribute " + printable(name) + ": expected a value of numbers");
  llvm::Expected<std::optional<Bound>> bound = resolve(node, node.attribute(0), place);
  if (!bound) return bound.takeError();
  if (!*bound) return failNode(node, "attribute " + name + ": found a reference to what the caller does not give");
  const Proto &proto = *(*bound)->proto;
  Value value;
  if (kind->second == 't') {
    if (proto.type() != Proto::TENSOR || !proto.has_t()) return failNode(node, "attribute value: found no tensor");
    llvm::Expected<Tensor> tensor = tensors.read(proto.t(), node.name() + " (" + node.output(0) + ")");
    if (!tensor) return tensor.takeError();
    llvm::Expected<Value> made = materialize(*tensor, node.output(0), loc);
    if (!made) return made.takeError();
    value = *made;
  } else {
    llvm::Expected<Attribute> attr = convertAttribute(node, proto, name, kind->second);
    if (!attr) return attr.takeError();
    DenseElementsAttr dense = denseOf(*attr);
    value = llm::OnnxConstantOp::create(builder, loc, dense.getType(), dense);
  }
  if (node.output(0).empty()) return failNode(node, "found a result without a name");
  if (auto error = checkName("result", node.output(0))) return error;
  if (auto type = withDeclared(node.output(0), value.getType(), place.scope); !type) return type.takeError();
  return define(node.output(0), value, place.scope);
}

DenseElementsAttr GraphImporter::denseOf(Attribute attr) {
  auto scalar = [&](Type type) { return RankedTensorType::get({}, type); };
  auto vector = [&](int64_t n, Type type) { return RankedTensorType::get({n}, type); };
  if (auto i = dyn_cast<IntegerAttr>(attr)) return DenseElementsAttr::get(scalar(i.getType()), attr);
  if (auto f = dyn_cast<FloatAttr>(attr)) return DenseElementsAttr::get(scalar(f.getType()), attr);
  if (auto i = dyn_cast<DenseI64ArrayAttr>(attr))
    return DenseElementsAttr::get(vector(i.size(), builder.getI64Type()), i.asArrayRef());
  auto f = cast<DenseF32ArrayAttr>(attr);
  return DenseElementsAttr::get(vector(f.size(), builder.getF32Type()), f.asArrayRef());
}

llvm::Expected<DictionaryAttr> GraphImporter::convertAttributes(const ::onnx::NodeProto &node, const Operator &op,
                                                                Place place, llvm::StringMap<Bound> &graphs) {
  NamedAttrList attributes;
  SmallVector<StringRef> present;
  for (const Proto &attribute : node.attribute()) {
    StringRef name = attribute.name();
    char kind = attributeKind(op, name);
    if (!kind) return failNode(node, "attribute " + printable(name) + ": found one that is not known of this operator");
    if (llvm::is_contained(present, name)) return failNode(node, "attribute " + name + ": found twice, expected once");
    llvm::Expected<std::optional<Bound>> bound = resolve(node, attribute, place);
    if (!bound) return bound.takeError();
    if (!*bound) continue; // not given by the caller: as if it were not there
    present.push_back(name);
    if (kind == 'g') {
      if ((*bound)->proto->type() != Proto::GRAPH || !(*bound)->proto->has_g())
        return failNode(node, "attribute " + name + ": found no graph");
      graphs[name] = **bound;
      continue;
    }
    llvm::Expected<Attribute> attr = convertAttribute(node, *(*bound)->proto, name, kind);
    if (!attr) return attr.takeError();
    attributes.set(name, *attr);
  }
  if (StringRef missing = missingAttribute(op, present); !missing.empty())
    return failNode(node, "attribute " + missing + ": found none, expected one");
  return attributes.getDictionary(tensors.context);
}

} // namespace llmc::onnx
