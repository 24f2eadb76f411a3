#include "frontends/onnx/Graph.h"
#include "dialects/llm/Llm.h"
#include "frontends/onnx/Check.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/ConvertUTF.h"
#include "llvm/Support/JSON.h"

using llvm::StringRef;
using llvm::Twine;
using namespace mlir;

namespace llmc::onnx {
namespace {

constexpr int kMostNodes = 200000, kMostValues = 20000; // far above any decoder: MLIR's memory stays small
constexpr size_t kMostText = 1 << 16;                   // bytes of a name or a string attribute

class GraphImporter {
public:
  GraphImporter(const ::onnx::ModelProto &model, const Skeleton &skeleton, const std::map<std::string, int64_t> &opsets,
                const TensorReader &tensors)
      : model(model), graph(model.graph()), skeleton(skeleton), opsets(opsets), tensors(tensors),
        builder(tensors.context) {}

  llvm::Expected<OwningOpRef<ModuleOp>> run() {
    OwningOpRef<ModuleOp> module = ModuleOp::create(builder.getUnknownLoc());
    builder.setInsertionPointToEnd(module->getBody());
    if (auto error = checkSizes()) return error;
    if (auto error = collectDeclared()) return error;
    if (auto error = makeFunction()) return error;
    for (int i = 0; i < graph.initializer_size(); ++i)
      if (auto error = addInitializer(i)) return error;
    for (int i = 0; i < graph.node_size(); ++i)
      if (auto error = addNode(i)) return error;
    if (auto error = addReturn()) return error;
    return module;
  }

private:
  llvm::Error fail(const Twine &place, const Twine &found, const Twine &expected, const Twine &hint = "") {
    return inputError(tensors.model.path(), place, found, expected, hint);
  }
  llvm::Error failNode(const ::onnx::NodeProto &node, const Twine &reason) {
    return llvm::createStringError(tensors.model.path() + ": node '" + printable(node.name()) + "' (" +
                                   printable(node.op_type()) + "): " + printable(reason.str()));
  }
  llvm::Error checkName(const Twine &place, StringRef name) {
    if (name.size() > kMostText) return fail(place, "a name of " + Twine(name.size()) + " bytes", "a short name");
    if (!llvm::json::isUTF8(name)) return fail(place, "the name '" + printable(name) + "'", "UTF-8");
    return llvm::Error::success();
  }

  llvm::Error checkSizes() {
    if (!graph.node_size()) return fail("graph", "no nodes", "a decoder");
    if (!graph.output_size()) return fail("graph", "no outputs", "logits and a cache");
    if (!graph.input_size()) return fail("graph", "no inputs", "input_ids and a cache");
    if (graph.node_size() > kMostNodes)
      return fail("graph", Twine(graph.node_size()) + " nodes", "at most " + Twine(kMostNodes));
    if (std::max(graph.input_size(), graph.output_size()) > kMostValues)
      return fail("graph", "more than " + Twine(kMostValues) + " inputs or outputs", "those of a decoder");
    if (graph.sparse_initializer_size()) return fail("graph", "a sparse initializer", "dense ones");
    return llvm::Error::success();
  }

  /// The type that a ValueInfoProto declares.
  llvm::Expected<Type> declaredType(const ::onnx::ValueInfoProto &info) {
    StringRef name = info.name();
    if (!info.has_type()) return fail(name, "no type", "a tensor type");
    if (!info.type().has_tensor_type()) return fail(name, "a type that is not a tensor", "a tensor type");
    const auto &tensor = info.type().tensor_type();
    Type element = elementType(tensors.context, tensor.elem_type());
    if (!element) return fail(name, "elements of " + elementName(tensor.elem_type()), "a type of numbers");
    if (!tensor.has_shape()) return Type(UnrankedTensorType::get(element));
    if (tensor.shape().dim_size() > 8) return fail(name, Twine(tensor.shape().dim_size()) + " dims", "at most 8");
    SmallVector<int64_t> shape;
    for (const auto &dim : tensor.shape().dim()) {
      if (dim.has_dim_value() && (dim.dim_value() < 0 || dim.dim_value() > (int64_t(1) << 42)))
        return fail(name, "a dim of " + Twine(dim.dim_value()), "dims of 0 to 2^42");
      shape.push_back(dim.has_dim_value() ? dim.dim_value() : ShapedType::kDynamic);
    }
    return Type(RankedTensorType::get(shape, element));
  }

  llvm::Error collectDeclared() {
    for (const auto &info : graph.value_info()) {
      if (auto error = checkName("value_info", info.name())) return error;
      if (!info.has_type() || !info.type().has_tensor_type()) continue;
      declared[info.name()] = info.type().tensor_type().elem_type();
    }
    return llvm::Error::success();
  }
  /// A value's element type must be what value_info says of it. Shapes there are not relied on.
  llvm::Error checkDeclared(StringRef name, Type type) {
    auto found = declared.find(name);
    if (found == declared.end() || found->second == 0) return llvm::Error::success();
    if (elementType(tensors.context, found->second) == cast<ShapedType>(type).getElementType())
      return llvm::Error::success();
    std::string text;
    llvm::raw_string_ostream(text) << type;
    return fail(name, text, elementName(found->second) + " elements (from value_info)");
  }

  llvm::Error define(StringRef name, Value value) {
    if (values.try_emplace(name, value).second) return llvm::Error::success();
    return fail(name, "a second value of this name", "one");
  }

  llvm::Error makeFunction() {
    llvm::StringSet<> initializers, seen;
    for (const auto &tensor : graph.initializer()) initializers.insert(tensor.name());
    SmallVector<Type> types;
    SmallVector<StringRef> names;
    for (const auto &input : graph.input()) {
      if (auto error = checkName("graph input", input.name())) return error;
      if (input.name().empty()) return fail("graph", "an input without a name", "a name");
      if (!seen.insert(input.name()).second) return fail(input.name(), "two graph inputs of this name", "one");
      llvm::Expected<Type> type = declaredType(input);
      if (!type) return type.takeError();
      if (initializers.contains(input.name())) continue; // a default value: the initializer is used
      types.push_back(*type);
      names.push_back(input.name());
    }
    function = func::FuncOp::create(builder, builder.getUnknownLoc(), llm::kStep, builder.getFunctionType(types, {}));
    Block *body = function.addEntryBlock();
    for (auto [i, name] : llvm::enumerate(names)) {
      function.setArgAttr(i, kNameAttr, builder.getStringAttr(name));
      if (auto error = define(name, body->getArgument(i))) return error;
    }
    builder.setInsertionPointToEnd(body);
    return llvm::Error::success();
  }

  /// A tensor as a value: small integers and scalars by value, others by reference.
  llvm::Expected<Value> materialize(const Tensor &tensor, StringRef name, Location loc) {
    Type element = tensor.type.getElementType();
    bool plain = element.isInteger(1) || element.isInteger(32) || element.isInteger(64);
    bool byReference = tensor.bytes && tensor.bytes->size > 0;
    if (!byReference || tensor.type.getNumElements() <= 1 || (plain && element.isSignlessInteger())) {
      llvm::Expected<DenseElementsAttr> value = tensors.constant(tensor);
      if (!value) return value.takeError();
      if (*value) return Value(llm::OnnxConstantOp::create(builder, loc, tensor.type, *value));
    }
    if (!byReference)
      return fail(name, "many elements in a field of variable-length numbers", "raw_data or external data",
                  "save the model again with raw data");
    auto storage = llm::StorageAttr::get(tensors.context, tensor.bytes->file, tensor.bytes->offset, tensor.bytes->size);
    return Value(llm::OnnxTensorOp::create(builder, loc, tensor.type, builder.getStringAttr(name), storage,
                                           llm::RopeAttr(), UnitAttr(), StringAttr(), ElementsAttr()));
  }

  llvm::Error addInitializer(int index) {
    const auto &proto = graph.initializer(index);
    StringRef name = proto.name();
    if (auto error = checkName("initializer", name)) return error;
    if (name.empty()) return fail("graph", "an initializer without a name", "a name");
    llvm::Expected<Tensor> tensor = tensors.read(proto, skeleton.initializers[index], name);
    if (!tensor) return tensor.takeError();
    if (auto error = checkDeclared(name, tensor->type)) return error;
    llvm::Expected<Value> value = materialize(*tensor, name, NameLoc::get(builder.getStringAttr(name)));
    return value ? define(name, *value) : value.takeError();
  }

  //===- Nodes ----------------------------------------------------------------===//
  llvm::Expected<Attribute> convertAttribute(const ::onnx::NodeProto &node, int nodeIndex, int index, char kind) {
    const ::onnx::AttributeProto &a = node.attribute(index);
    auto mismatch = [&] {
      return failNode(node, "attribute " + printable(a.name()) +
                                ": found another type or no value of its type, expected " +
                                (kind == 'i'   ? "INT"
                                 : kind == 'f' ? "FLOAT"
                                 : kind == 's' ? "STRING"
                                 : kind == 't' ? "TENSOR"
                                 : kind == 'F' ? "FLOATS"
                                               : "INTS"));
    };
    if (!a.ref_attr_name().empty())
      return failNode(node, "attribute " + printable(a.name()) +
                                ": found a reference, which has no meaning outside a function");
    using Proto = ::onnx::AttributeProto;
    switch (kind) {
    case 'i':
      if (a.type() != Proto::INT || !a.has_i()) return mismatch();
      return Attribute(builder.getI64IntegerAttr(a.i()));
    case 'f':
      if (a.type() != Proto::FLOAT || !a.has_f()) return mismatch();
      return Attribute(builder.getF32FloatAttr(a.f()));
    case 's':
      if (a.type() != Proto::STRING || !a.has_s() || a.s().size() > kMostText || !llvm::json::isUTF8(a.s()))
        return mismatch();
      return Attribute(builder.getStringAttr(a.s()));
    case 'I':
      if (a.type() != Proto::INTS) return mismatch();
      return Attribute(builder.getDenseI64ArrayAttr(SmallVector<int64_t>(a.ints().begin(), a.ints().end())));
    case 'F':
      if (a.type() != Proto::FLOATS) return mismatch();
      return Attribute(builder.getDenseF32ArrayAttr(SmallVector<float>(a.floats().begin(), a.floats().end())));
    default: break;
    }
    if (a.type() != Proto::TENSOR || !a.has_t()) return mismatch();
    llvm::Expected<Tensor> tensor = readAttributeTensor(node, nodeIndex, index);
    if (!tensor) return tensor.takeError();
    llvm::Expected<DenseElementsAttr> value = tensors.constant(*tensor);
    if (!value) return value.takeError();
    if (!*value)
      return failNode(node, "attribute " + printable(a.name()) + ": found a large tensor, expected a small one");
    return Attribute(*value);
  }

  llvm::Expected<Tensor> readAttributeTensor(const ::onnx::NodeProto &node, int nodeIndex, int index) {
    auto payloads = skeleton.nodeTensors.find({unsigned(nodeIndex), unsigned(index)});
    std::string place = node.name() + (node.output_size() ? " (" + node.output(0) + ")" : "");
    return tensors.read(node.attribute(index).t(),
                        payloads == skeleton.nodeTensors.end() ? std::vector<Payload>() : payloads->second, place);
  }

  llvm::Error addConstant(const ::onnx::NodeProto &node, int nodeIndex, Location loc) {
    static constexpr std::pair<StringLiteral, char> kKinds[] = {
        {"value", 't'}, {"value_float", 'f'}, {"value_int", 'i'}, {"value_floats", 'F'}, {"value_ints", 'I'}};
    if (node.attribute_size() != 1 || node.input_size() || node.output_size() != 1)
      return failNode(node, "expects one attribute, no operands and one result");
    StringRef name = node.attribute(0).name();
    const auto *kind = llvm::find_if(kKinds, [&](const auto &row) { return row.first == name; });
    if (kind == std::end(kKinds))
      return failNode(node, "attribute " + printable(name) + ": expected a value of numbers");
    Value value;
    if (kind->second == 't') {
      if (!node.attribute(0).has_t()) return failNode(node, "attribute value: found no tensor");
      llvm::Expected<Tensor> tensor = readAttributeTensor(node, nodeIndex, 0);
      if (!tensor) return tensor.takeError();
      llvm::Expected<Value> made = materialize(*tensor, node.output(0), loc);
      if (!made) return made.takeError();
      value = *made;
    } else {
      llvm::Expected<Attribute> attr = convertAttribute(node, nodeIndex, 0, kind->second);
      if (!attr) return attr.takeError();
      DenseElementsAttr dense = denseOf(*attr);
      value = llm::OnnxConstantOp::create(builder, loc, dense.getType(), dense);
    }
    if (node.output(0).empty()) return failNode(node, "found a result without a name");
    if (auto error = checkName("result", node.output(0))) return error;
    if (auto error = checkDeclared(node.output(0), value.getType())) return error;
    return define(node.output(0), value);
  }
  DenseElementsAttr denseOf(Attribute attr) {
    auto scalar = [&](Type type) { return RankedTensorType::get({}, type); };
    auto vector = [&](int64_t n, Type type) { return RankedTensorType::get({n}, type); };
    if (auto i = dyn_cast<IntegerAttr>(attr)) return DenseElementsAttr::get(scalar(i.getType()), attr);
    if (auto f = dyn_cast<FloatAttr>(attr)) return DenseElementsAttr::get(scalar(f.getType()), attr);
    if (auto i = dyn_cast<DenseI64ArrayAttr>(attr))
      return DenseElementsAttr::get(vector(i.size(), builder.getI64Type()), i.asArrayRef());
    auto f = cast<DenseF32ArrayAttr>(attr);
    return DenseElementsAttr::get(vector(f.size(), builder.getF32Type()), f.asArrayRef());
  }

  llvm::Expected<DictionaryAttr> convertAttributes(const ::onnx::NodeProto &node, int nodeIndex, const Operator &op) {
    NamedAttrList attributes;
    for (int i = 0; i < node.attribute_size(); ++i) {
      StringRef name = node.attribute(i).name();
      char kind = attributeKind(op, name);
      if (!kind)
        return failNode(node, "attribute " + printable(name) + ": found one that is not known of this operator");
      if (attributes.get(name)) return failNode(node, "attribute " + name + ": found twice, expected once");
      llvm::Expected<Attribute> attr = convertAttribute(node, nodeIndex, i, kind);
      if (!attr) return attr.takeError();
      attributes.set(name, *attr);
    }
    DictionaryAttr dictionary = attributes.getDictionary(tensors.context);
    if (StringRef missing = missingAttribute(op, dictionary); !missing.empty())
      return failNode(node, "attribute " + missing + ": found none, expected one");
    return dictionary;
  }

  llvm::Expected<SmallVector<Value>> operandsOf(const ::onnx::NodeProto &node, const Operator &op, Location loc) {
    int count = node.input_size();
    if (count > int(op.maxOperands))
      return failNode(node, "found " + Twine(count) + " operands, expected at most " + Twine(op.maxOperands));
    while (count && node.input(count - 1).empty()) --count;
    if (count < int(op.minOperands))
      return failNode(node, "found " + Twine(count) + " operands, expected at least " + Twine(op.minOperands));
    SmallVector<Value> operands;
    for (int i = 0; i < count; ++i) {
      StringRef name = node.input(i);
      if (name.empty()) {
        if (i < int(op.minOperands) && !(op.mayBeAbsent >> i & 1))
          return failNode(node, "operand " + Twine(i) + ": found an empty name, expected a value");
        operands.push_back(llm::OnnxNoneOp::create(builder, loc, builder.getNoneType()));
        continue;
      }
      auto found = values.find(name);
      if (found == values.end())
        return failNode(node, "operand " + Twine(i) + ": found '" + printable(name) +
                                  "', which is no input or initializer and is not made by an earlier node");
      operands.push_back(found->second);
    }
    return operands;
  }

  llvm::Expected<const Operator *> operatorOf(const ::onnx::NodeProto &node, StringRef domain) {
    if (node.op_type().empty()) return failNode(node, "found no op_type");
    if (auto error = checkName("node", node.name())) return error;
    for (const auto &function : model.functions())
      if (function.name() == node.op_type() && function.domain() == node.domain())
        return failNode(node, "found a model-local function, expected an operator; inline functions before compiling");
    const Operator *op = findOperator(domain, node.op_type());
    bool known = domain.empty() || domain == "com.microsoft";
    if (!op)
      return failNode(node, "found an " +
                                Twine(known ? "operator that is not known" : "operator of an unknown domain") +
                                " (domain '" + printable(domain.empty() ? "ai.onnx" : domain) + "')");
    if (!opsets.count(domain.str())) return failNode(node, "found domain '" + domain + "' without an opset_import");
    return op;
  }

  llvm::Error addNode(int index) {
    const ::onnx::NodeProto &node = graph.node(index);
    StringRef name = node.name().empty() ? StringRef(node.op_type()) : StringRef(node.name());
    if (!llvm::json::isUTF8(name)) return fail("node", "the name '" + printable(name) + "'", "UTF-8");
    Location loc = NameLoc::get(builder.getStringAttr(name));
    StringRef domain = node.domain() == "ai.onnx" ? StringRef() : StringRef(node.domain());
    if (domain.empty() && node.op_type() == "Constant") return addConstant(node, index, loc);
    llvm::Expected<const Operator *> op = operatorOf(node, domain);
    if (!op) return op.takeError();
    llvm::Expected<DictionaryAttr> attributes = convertAttributes(node, index, **op);
    if (!attributes) return attributes.takeError();
    llvm::Expected<SmallVector<Value>> operands = operandsOf(node, **op, loc);
    if (!operands) return operands.takeError();
    int results = node.output_size();
    while (results && node.output(results - 1).empty()) --results;
    if (results < int((*op)->minResults) || results > int((*op)->maxResults))
      return failNode(node, "found " + Twine(results) + " results, expected " + Twine((*op)->minResults) + " to " +
                                Twine((*op)->maxResults));

    SmallVector<std::string> names;
    for (const std::string &input : node.input()) names.push_back(input);
    int64_t opset = opsets.at(domain.str());
    Node view{(*op)->name, opset, *attributes, *operands, names, unsigned(results)};
    llvm::Expected<Types> types = (*op)->infer(view);
    if (!types) return failNode(node, llvm::toString(types.takeError()));
    auto made = llm::OnnxNodeOp::create(builder, loc, *types, builder.getStringAttr(node.op_type()),
                                        builder.getStringAttr(domain), builder.getI64IntegerAttr(opset), *attributes,
                                        *operands);
    for (int i = 0; i < results; ++i) {
      StringRef output = node.output(i);
      if (output.empty()) continue;
      if (auto error = checkName("result", output)) return error;
      if (auto error = checkDeclared(output, made.getResult(i).getType())) return error;
      if (!values.try_emplace(output, made.getResult(i)).second)
        return failNode(node, "found a second value named '" + printable(output) + "', expected one");
    }
    return llvm::Error::success();
  }

  llvm::Error addReturn() {
    SmallVector<Value> results;
    SmallVector<Type> types;
    SmallVector<Attribute> names;
    llvm::StringSet<> seen;
    for (const auto &output : graph.output()) {
      StringRef name = output.name();
      if (auto error = checkName("graph output", name)) return error;
      if (!seen.insert(name).second) return fail(name, "two graph outputs of this name", "one");
      auto found = values.find(name);
      if (found == values.end()) return fail(name, "a graph output that no node makes", "a value of the graph");
      llvm::Expected<Type> type = declaredType(output);
      if (!type) return type.takeError();
      if (cast<ShapedType>(*type).getElementType() != cast<ShapedType>(found->second.getType()).getElementType())
        return fail(name, "an output declared with another element type than its value has", "the same type");
      results.push_back(found->second);
      types.push_back(found->second.getType());
      names.push_back(builder.getDictionaryAttr(builder.getNamedAttr(kNameAttr, builder.getStringAttr(name))));
    }
    function.setFunctionType(builder.getFunctionType(function.getArgumentTypes(), types));
    function.setResAttrsAttr(builder.getArrayAttr(names));
    func::ReturnOp::create(builder, builder.getUnknownLoc(), results);
    return llvm::Error::success();
  }

  const ::onnx::ModelProto &model;
  const ::onnx::GraphProto &graph;
  const Skeleton &skeleton;
  const std::map<std::string, int64_t> &opsets;
  const TensorReader &tensors;
  OpBuilder builder;
  func::FuncOp function;
  llvm::StringMap<Value> values;
  llvm::StringMap<int> declared; // element type by value_info
};
} // namespace

llvm::Expected<OwningOpRef<ModuleOp>> importGraph(const ::onnx::ModelProto &model, const Skeleton &skeleton,
                                                  const std::map<std::string, int64_t> &opsets,
                                                  const TensorReader &tensors) {
  return GraphImporter(model, skeleton, opsets, tensors).run();
}

} // namespace llmc::onnx
