// Nodes: operators, operands and results.
#include "frontends/onnx/Importer.h"
#include "llvm/Support/JSON.h"

using llvm::StringRef;
using llvm::Twine;
using namespace mlir;

namespace llmc::onnx {

constexpr int64_t kMostEdges = 2000000;
constexpr size_t kMostPrefix = 256; // bytes of the names of calls in the name of a function's node

llvm::Error GraphImporter::countNode(const ::onnx::NodeProto &node) {
  ++nodes, edges += node.input_size() + node.output_size();
  if (nodes <= kMostNodes && edges <= kMostEdges) return llvm::Error::success();
  return fail("graph",
              "more than " + Twine(nodes > kMostNodes ? kMostNodes : kMostEdges) +
                  (nodes > kMostNodes ? " nodes" : " operands and results") + " when functions are inlined",
              "fewer");
}

llvm::Expected<Location> GraphImporter::location(const ::onnx::NodeProto &node, const Frame &frame) {
  StringRef name = node.name().empty() ? StringRef(node.op_type()) : StringRef(node.name());
  if (auto error = checkName("node", name)) return error;
  // Long names are not made longer: there may be as many as nodes.
  bool prefixed = !frame.prefix.empty() && name.size() + frame.prefix.size() <= 2 * kMostPrefix;
  return Location(NameLoc::get(builder.getStringAttr((prefixed ? frame.prefix : "") + name.str())));
}

llvm::Expected<GraphImporter::Values> GraphImporter::operandsOf(const ::onnx::NodeProto &node, const Operator &op,
                                                                Place place, Location loc) {
  auto valueOf = [&](int i) -> llvm::Expected<Value> { // null: absent
    if (node.input(i).empty()) return Value();
    if (std::optional<Value> value = place.scope.find(node.input(i))) return *value;
    return failNode(node, "operand " + Twine(i) + ": found '" + printable(node.input(i)) +
                              "', which is no input or initializer and is not made by an earlier node" +
                              (model.graph().input_size() ? "" : "; the graph has no inputs, a decoder has input_ids"));
  };
  Values operands;
  for (int i = 0; i < node.input_size(); ++i) {
    llvm::Expected<Value> value = valueOf(i);
    if (!value) return value.takeError();
    operands.push_back(*value);
  }
  while (!operands.empty() && !operands.back()) operands.pop_back();
  if (unsigned least = leastOperands(op); operands.size() < least)
    return failNode(node, "found " + Twine(operands.size()) + " operands, expected at least " + Twine(least));
  for (auto [i, value] : llvm::enumerate(operands)) {
    Presence presence = operandPresence(op, i);
    if (presence == Presence::None)
      return failNode(node, "found " + Twine(operands.size()) + " operands, expected at most " + Twine(i));
    if (presence == Presence::Required && !value)
      return failNode(node, "operand " + Twine(i) + ": found an empty name, expected a value");
    if (!value) value = llm::OnnxNoneOp::create(builder, loc, builder.getNoneType());
  }
  return operands;
}

llvm::Error GraphImporter::defineResults(const ::onnx::NodeProto &node, ValueRange results, Place place) {
  for (auto [i, result] : llvm::enumerate(results)) {
    if (int(i) >= node.output_size()) break;
    StringRef output = node.output(i);
    if (output.empty()) continue;
    if (auto error = checkName("result", output)) return error;
    if (!place.scope.values.try_emplace(output, result).second)
      return failNode(node, "found a second value named '" + printable(output) + "', expected one");
  }
  return llvm::Error::success();
}

llvm::Error GraphImporter::addOperator(const ::onnx::NodeProto &node, const Operator &op, Place place, Location loc,
                                       StringRef domain, int64_t opset) {
  llvm::StringMap<Bound> graphs;
  llvm::Expected<DictionaryAttr> attributes = convertAttributes(node, op, place, graphs);
  if (!attributes) return attributes.takeError();
  llvm::Expected<Values> operands = operandsOf(node, op, place, loc);
  if (!operands) return operands.takeError();
  unsigned results = node.output_size();
  while (results && node.output(results - 1).empty()) --results;
  auto [least, most] = resultCounts(op);
  if (results < least || results > most)
    return failNode(node, "found " + Twine(results) + " results, expected " + Twine(least) + " to " +
                              (most == UINT_MAX ? "any number" : std::to_string(most)));
  SmallVector<std::string> names(node.input().begin(), node.input().end());
  Node view{op.name, opset, *attributes, *operands, names, results, &known};
  if (!graphs.empty()) {
    Control control{node, view, std::move(graphs), place, loc};
    return addControl(control);
  }
  llvm::Expected<Types> types = inferTypes(op, view);
  if (!types) return failNode(node, llvm::toString(types.takeError()));
  UnitAttr declared;
  for (unsigned i = 0; i < results; ++i) {
    llvm::Expected<Type> better = withDeclared(node.output(i), (*types)[i], place.scope);
    if (!better) return better.takeError();
    if (*better != (*types)[i]) declared = builder.getUnitAttr();
    (*types)[i] = *better;
  }
  auto made = llm::OnnxNodeOp::create(builder, loc, *types, builder.getStringAttr(node.op_type()),
                                      builder.getStringAttr(domain), builder.getI64IntegerAttr(opset), *attributes,
                                      *operands, declared, 0);
  if (domain.empty() && results == 1)
    if (auto elements = inferElements(view, types->front())) known[made.getResult(0)] = std::move(*elements);
  return defineResults(node, made.getResults(), place);
}

llvm::Error GraphImporter::addNode(const ::onnx::NodeProto &node, Place place) {
  if (auto error = countNode(node)) return error;
  if (node.op_type().empty()) return failNode(node, "found no op_type");
  llvm::Expected<Location> loc = location(node, place.frame);
  if (!loc) return loc.takeError();
  if (const Function *called = findFunction(node)) return inlineFunction(node, *called, place);
  StringRef domain = node.domain() == "ai.onnx" ? StringRef() : StringRef(node.domain());
  if (domain.empty() && node.op_type() == "Constant") return addConstant(node, place, *loc);
  auto version = place.frame.opsets->find(domain.str());
  llvm::Expected<const Operator *> op =
      findOperator(domain, node.op_type(), version == place.frame.opsets->end() ? INT64_MAX : version->second);
  if (!op) return failNode(node, llvm::toString(op.takeError()));
  if (version == place.frame.opsets->end())
    return failNode(node, "found domain '" + (domain.empty() ? "ai.onnx" : domain) + "' without an opset_import");
  return addOperator(node, **op, place, *loc, domain, version->second);
}

} // namespace llmc::onnx
