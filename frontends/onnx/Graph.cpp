// The model's graph: its values by name, its function. Nodes.cpp, Constants.cpp, Functions.cpp and Subgraphs.cpp have
// the rest of the importer.
#include "frontends/onnx/Graph.h"
#include "frontends/onnx/Importer.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/SaveAndRestore.h"

using llvm::StringRef;
using llvm::Twine;
using namespace mlir;

namespace llmc::onnx {

constexpr int kMostValues = 20000;    // inputs or outputs
constexpr size_t kMostText = 1 << 16; // bytes of a name
constexpr unsigned kMostDepth = 64;   // of graphs and functions in each other: the stack stays small

std::optional<Value> Scope::find(StringRef name) const {
  for (const Scope *scope = this; scope; scope = scope->parent)
    if (auto found = scope->values.find(name); found != scope->values.end()) return found->second;
  return std::nullopt;
}

llvm::Error GraphImporter::fail(const Twine &place, const Twine &found, const Twine &expected, const Twine &hint) {
  return inputError(tensors.model.path(), place, found, expected, hint);
}
llvm::Error GraphImporter::failNode(const ::onnx::NodeProto &node, const Twine &reason) {
  return llvm::createStringError(tensors.model.path() + ": node '" + printable(node.name()) + "' (" +
                                 printable(node.op_type()) + "): " + printable(reason.str()));
}
llvm::Error GraphImporter::checkName(const Twine &place, StringRef name) {
  if (name.size() > kMostText) return fail(place, "a name of " + Twine(name.size()) + " bytes", "a short name");
  if (!llvm::json::isUTF8(name)) return fail(place, "the name '" + printable(name) + "'", "UTF-8");
  return llvm::Error::success();
}

llvm::Error GraphImporter::checkSizes() {
  const auto &graph = model.graph();
  if (!graph.output_size()) return fail("graph", "no outputs", "one at least");
  if (graph.node_size() > kMostNodes)
    return fail("graph", Twine(graph.node_size()) + " nodes", "at most " + Twine(kMostNodes));
  if (std::max(graph.input_size(), graph.output_size()) > kMostValues)
    return fail("graph", "more than " + Twine(kMostValues) + " inputs or outputs", "those of a decoder");
  return llvm::Error::success();
}

//===- Declared types -------------------------------------------------------===//
llvm::Expected<Type> GraphImporter::declaredType(StringRef name, const ::onnx::TypeProto &type) {
  if (type.has_sequence_type()) return fail(name, "a sequence", "a tensor type", "sequences are not supported");
  if (type.has_map_type()) return fail(name, "a map", "a tensor type", "maps are not supported");
  if (type.has_optional_type())
    return fail(name, "an optional value", "a tensor type", "optional values are not supported");
  if (!type.has_tensor_type()) return fail(name, "a type that is not a tensor", "a tensor type");
  const auto &tensor = type.tensor_type();
  Type element = elementType(tensors.context, tensor.elem_type());
  if (!element) return fail(name, "elements of " + elementName(tensor.elem_type()), "a type of numbers");
  if (!tensor.has_shape()) return Type(UnrankedTensorType::get(element));
  if (tensor.shape().dim_size() > 8) return fail(name, Twine(tensor.shape().dim_size()) + " dims", "at most 8");
  SmallVector<int64_t> shape;
  for (const auto &dim : tensor.shape().dim()) {
    if (dim.has_dim_value() && (dim.dim_value() < 0 || dim.dim_value() > kMostDim))
      return fail(name, "a dim of " + Twine(dim.dim_value()), "dims of 0 to 2^42");
    shape.push_back(dim.has_dim_value() ? dim.dim_value() : kUnknown);
  }
  return Type(RankedTensorType::get(shape, element));
}

llvm::Error GraphImporter::collectDeclared(const ::onnx::GraphProto &graph, Scope &scope) {
  for (const auto *list : {&graph.value_info(), &graph.output()})
    for (const auto &info : *list) {
      if (auto error = checkName("value_info", info.name())) return error;
      if (info.has_type() && info.type().has_tensor_type()) scope.declared[info.name()] = &info.type();
    }
  return llvm::Error::success();
}

llvm::Expected<Type> GraphImporter::withDeclared(StringRef name, Type type, const Scope &scope) {
  auto found = scope.declared.find(name);
  if (found == scope.declared.end()) return type;
  const auto &tensor = found->second->tensor_type();
  Type element = cast<ShapedType>(type).getElementType();
  if (tensor.elem_type() != 0 && elementType(tensors.context, tensor.elem_type()) != element) {
    std::string text;
    llvm::raw_string_ostream(text) << type;
    return fail(name, text, elementName(tensor.elem_type()) + " elements (as it is declared)");
  }
  // No more than the rank: sizes that are wrong would go unnoticed for longer.
  if (isa<RankedTensorType>(type) || !tensor.has_shape() || tensor.shape().dim_size() > 8) return type;
  return Type(RankedTensorType::get(SmallVector<int64_t>(tensor.shape().dim_size(), kUnknown), element));
}

//===- The function ---------------------------------------------------------===//
llvm::Error GraphImporter::define(StringRef name, Value value, Scope &scope) {
  if (scope.values.try_emplace(name, value).second) return llvm::Error::success();
  return fail(name, "a second value of this name", "one");
}

/// The names of the dims, "" for one without; null if none has one that can be printed.
ArrayAttr GraphImporter::symbolsOf(const ::onnx::TypeProto &type) {
  SmallVector<Attribute> symbols;
  bool any = false;
  for (const auto &dim : type.tensor_type().shape().dim()) {
    bool named = dim.has_dim_param() && dim.dim_param().size() <= kMostText && llvm::json::isUTF8(dim.dim_param());
    any |= named && !dim.dim_param().empty();
    symbols.push_back(builder.getStringAttr(named ? StringRef(dim.dim_param()) : ""));
  }
  return any ? builder.getArrayAttr(symbols) : ArrayAttr();
}

llvm::Error GraphImporter::makeFunction(Scope &scope) {
  llvm::StringSet<> initializers, seen;
  for (const auto &tensor : model.graph().initializer()) initializers.insert(tensor.name());
  SmallVector<Type> types;
  SmallVector<StringRef> names;
  SmallVector<ArrayAttr> symbols;
  for (const auto &input : model.graph().input()) {
    if (auto error = checkName("graph input", input.name())) return error;
    if (input.name().empty()) return fail("graph", "an input without a name", "a name");
    if (!seen.insert(input.name()).second) return fail(input.name(), "two graph inputs of this name", "one");
    if (!input.has_type()) return fail(input.name(), "no type", "a tensor type");
    llvm::Expected<Type> type = declaredType(input.name(), input.type());
    if (!type) return type.takeError();
    if (initializers.contains(input.name())) continue; // a default value: the initializer is used
    types.push_back(*type);
    names.push_back(input.name());
    symbols.push_back(symbolsOf(input.type()));
  }
  function = func::FuncOp::create(builder, builder.getUnknownLoc(), llm::kStep, builder.getFunctionType(types, {}));
  Block *body = function.addEntryBlock();
  for (auto [i, name] : llvm::enumerate(names)) {
    function.setArgAttr(i, kNameAttr, builder.getStringAttr(name));
    if (symbols[i]) function.setArgAttr(i, kDimsAttr, symbols[i]);
    if (auto error = define(name, body->getArgument(i), scope)) return error;
  }
  builder.setInsertionPointToEnd(body);
  return llvm::Error::success();
}

llvm::Error GraphImporter::addGraph(const ::onnx::GraphProto &graph, Place place) {
  llvm::SaveAndRestore deeper(depth, depth + 1);
  if (depth > kMostDepth)
    return fail("graph", "more than " + Twine(kMostDepth) + " graphs and functions in each other", "fewer");
  if (graph.sparse_initializer_size()) return fail("graph", "a sparse initializer", "dense ones");
  if (auto error = collectDeclared(graph, place.scope)) return error;
  for (const auto &tensor : graph.initializer())
    if (auto error = addInitializer(tensor, place.scope)) return error;
  for (const auto &node : graph.node())
    if (auto error = addNode(node, place)) return error;
  return llvm::Error::success();
}

llvm::Error GraphImporter::addReturn(Scope &scope) {
  SmallVector<Value> results;
  SmallVector<Type> types;
  SmallVector<Attribute> names;
  llvm::StringSet<> seen;
  for (const auto &output : model.graph().output()) {
    StringRef name = output.name();
    if (auto error = checkName("graph output", name)) return error;
    if (!seen.insert(name).second) return fail(name, "two graph outputs of this name", "one");
    std::optional<Value> value = scope.find(name);
    if (!value) return fail(name, "a graph output that no node makes", "a value of the graph");
    if (!output.has_type()) return fail(name, "no type", "a tensor type");
    llvm::Expected<Type> type = declaredType(name, output.type());
    if (!type) return type.takeError();
    if (cast<ShapedType>(*type).getElementType() != cast<ShapedType>(value->getType()).getElementType())
      return fail(name, "an output declared with another element type than its value has", "the same type");
    results.push_back(*value);
    types.push_back(value->getType());
    names.push_back(builder.getDictionaryAttr(builder.getNamedAttr(kNameAttr, builder.getStringAttr(name))));
  }
  function.setFunctionType(builder.getFunctionType(function.getArgumentTypes(), types));
  function.setResAttrsAttr(builder.getArrayAttr(names));
  func::ReturnOp::create(builder, builder.getUnknownLoc(), results);
  return llvm::Error::success();
}

llvm::Expected<OwningOpRef<ModuleOp>> GraphImporter::run() {
  OwningOpRef<ModuleOp> module = ModuleOp::create(builder.getUnknownLoc());
  builder.setInsertionPointToEnd(module->getBody());
  Scope scope;
  Frame frame;
  frame.opsets = &opsets;
  if (auto error = checkSizes()) return error;
  if (auto error = collectFunctions()) return error;
  if (auto error = makeFunction(scope)) return error;
  if (auto error = addGraph(model.graph(), {frame, scope})) return error;
  if (auto error = addReturn(scope)) return error;
  return module;
}

llvm::Expected<OwningOpRef<ModuleOp>> importGraph(const ::onnx::ModelProto &model,
                                                  const std::map<std::string, int64_t> &opsets,
                                                  const TensorReader &tensors) {
  return GraphImporter(model, opsets, tensors).run();
}

} // namespace llmc::onnx
