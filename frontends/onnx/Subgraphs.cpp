// If, Loop and Scan: their graphs as bodies of llm.onnx_node.
#include "frontends/onnx/Importer.h"

using llvm::ArrayRef;
using llvm::StringRef;
using llvm::Twine;
using namespace mlir;

namespace llmc::onnx {

constexpr unsigned kMostRounds = 4; // of widening the types of a loop's states; then their ranks are given up

Type joinTypes(Type a, Type b) {
  auto x = cast<ShapedType>(a), y = cast<ShapedType>(b);
  if (x.getElementType() != y.getElementType()) return Type();
  if (a == b) return a;
  if (!x.hasRank() || !y.hasRank() || x.getRank() != y.getRank()) return UnrankedTensorType::get(x.getElementType());
  SmallVector<int64_t> shape(x.getShape());
  for (auto [dim, other] : llvm::zip(shape, y.getShape()))
    if (dim != other) dim = kUnknown;
  return RankedTensorType::get(shape, x.getElementType());
}

void GraphImporter::discard(Region &region) {
  region.walk([&](Operation *op) {
    for (Value result : op->getResults()) known.erase(result);
  });
}

llvm::Expected<GraphImporter::Body> GraphImporter::addBody(Control &c, const Bound &bound, ArrayRef<Type> arguments) {
  const ::onnx::GraphProto &graph = bound.proto->g();
  if (graph.input_size() != int(arguments.size()))
    return failNode(c.node,
                    "found a body with " + Twine(graph.input_size()) + " inputs, expected " + Twine(arguments.size()));
  if (!graph.output_size()) return failNode(c.node, "found a body without outputs");
  Body body{std::make_unique<Region>(), SmallVector<Type>(arguments), {}};
  Scope scope;
  scope.parent = bound.scope;
  OpBuilder::InsertionGuard guard(builder);
  Block *block = builder.createBlock(body.region.get(), {}, arguments, SmallVector<Location>(arguments.size(), c.loc));
  for (auto [input, argument] : llvm::zip(graph.input(), block->getArguments())) {
    if (auto error = checkName("input of a body", input.name())) return error;
    if (input.has_type()) {
      llvm::Expected<Type> type = declaredType(input.name(), input.type());
      if (!type) return type.takeError();
      if (!joinTypes(*type, argument.getType()))
        return failNode(c.node, "found the body's input '" + printable(input.name()) +
                                    "' declared with another element type than it gets");
    }
    if (auto error = define(input.name(), argument, scope)) return error;
  }
  if (auto error = addGraph(graph, {*bound.frame, scope})) {
    discard(*body.region);
    return error;
  }
  Values yields;
  for (const auto &output : graph.output()) {
    std::optional<Value> value = scope.find(output.name());
    if (!value || !*value)
      return failNode(c.node, "found no value for the body's output '" + printable(output.name()) + "'");
    yields.push_back(*value);
    body.yields.push_back(value->getType());
  }
  llm::OnnxYieldOp::create(builder, c.loc, yields);
  return body;
}

llvm::Expected<GraphImporter::Body> GraphImporter::addLoopBody(Control &c, const Bound &bound,
                                                               SmallVector<Type> arguments, unsigned firstState,
                                                               unsigned firstYield, unsigned states) {
  for (unsigned round = 0;; ++round) {
    llvm::Expected<Body> body = addBody(c, bound, arguments);
    if (!body) return body.takeError();
    if (body->yields.size() < firstYield + states)
      return failNode(c.node, "found a body with " + Twine(body->yields.size()) + " outputs, expected at least " +
                                  Twine(firstYield + states));
    bool holds = true;
    for (unsigned i = 0; i < states; ++i) {
      Type &type = arguments[firstState + i], joined = joinTypes(type, body->yields[firstYield + i]);
      if (!joined)
        return failNode(c.node,
                        "found state " + Twine(i) + " with another element type after an iteration than before");
      if (joined == type) continue;
      holds = false;
      type = round < kMostRounds ? joined : UnrankedTensorType::get(cast<ShapedType>(joined).getElementType());
    }
    if (holds) return body;
    discard(*body->region);
  }
}

llvm::Error GraphImporter::finishControl(Control &c, ArrayRef<Type> types, llvm::MutableArrayRef<Body> bodies) {
  if (c.node.output_size() > int(types.size()))
    return failNode(c.node, "found " + Twine(c.node.output_size()) + " results, the body makes " + Twine(types.size()));
  SmallVector<Type> results(types);
  UnitAttr declared;
  for (auto [type, name] : llvm::zip(results, c.node.output())) {
    llvm::Expected<Type> better = withDeclared(name, type, c.place.scope);
    if (!better) return better.takeError();
    if (*better != type) declared = builder.getUnitAttr();
    type = *better;
  }
  auto made = llm::OnnxNodeOp::create(builder, c.loc, results, builder.getStringAttr(c.node.op_type()),
                                      builder.getStringAttr(""), builder.getI64IntegerAttr(c.view.opset),
                                      c.view.attributes, c.view.operands, declared, bodies.size());
  for (auto [region, body] : llvm::zip(made.getBodies(), bodies)) region.takeBody(*body.region);
  return defineResults(c.node, made.getResults(), c.place);
}

//===- If -------------------------------------------------------------------===//
llvm::Error GraphImporter::addFoldedIf(Control &c, const Bound &branch) {
  const ::onnx::GraphProto &graph = branch.proto->g();
  if (graph.input_size() || graph.output_size() < c.node.output_size())
    return failNode(c.node, "found a branch with " + Twine(graph.input_size()) + " inputs and " +
                                Twine(graph.output_size()) + " outputs, expected none and " +
                                Twine(c.node.output_size()));
  Scope scope;
  scope.parent = branch.scope;
  if (auto error = addGraph(graph, {*branch.frame, scope})) return error;
  for (int i = 0; i < c.node.output_size(); ++i) {
    std::optional<Value> value = scope.find(graph.output(i).name());
    if (!value || !*value)
      return failNode(c.node, "found no value for the branch's output '" + printable(graph.output(i).name()) + "'");
    if (c.node.output(i).empty()) continue;
    if (auto error = checkName("result", c.node.output(i))) return error;
    if (auto error = define(c.node.output(i), *value, c.place.scope)) return error;
  }
  return llvm::Error::success();
}

llvm::Error GraphImporter::addIf(Control &c) {
  if (!c.view.has(0) || !c.view.element(0).isInteger(1)) return failNode(c.node, "found a condition that is not BOOL");
  const Bound branches[] = {c.graphs["then_branch"], c.graphs["else_branch"]};
  if (auto condition = c.view.constant(0); condition && condition->size() == 1)
    return addFoldedIf(c, branches[condition->front() ? 0 : 1]);
  SmallVector<Body> bodies;
  for (const Bound &branch : branches) {
    llvm::Expected<Body> body = addBody(c, branch, {});
    if (!body) return body.takeError();
    bodies.push_back(std::move(*body));
  }
  if (bodies[0].yields.size() != bodies[1].yields.size())
    return failNode(c.node, "found branches of " + Twine(bodies[0].yields.size()) + " and " +
                                Twine(bodies[1].yields.size()) + " outputs, expected as many");
  SmallVector<Type> types;
  for (auto [a, b] : llvm::zip(bodies[0].yields, bodies[1].yields)) {
    types.push_back(joinTypes(a, b));
    if (!types.back())
      return failNode(c.node,
                      "found output " + Twine(types.size() - 1) + " of different element types in the branches");
  }
  return finishControl(c, types, bodies);
}

//===- Loop and Scan --------------------------------------------------------===//
llvm::Error GraphImporter::addLoop(Control &c) {
  MLIRContext *context = tensors.context;
  Type count = RankedTensorType::get({}, IntegerType::get(context, 64));
  Type condition = RankedTensorType::get({}, IntegerType::get(context, 1));
  if ((c.view.has(0) && !c.view.element(0).isSignlessInteger(64)) || (c.view.has(1) && !c.view.element(1).isInteger(1)))
    return failNode(c.node, "found a trip count that is not INT64 or a condition that is not BOOL");
  unsigned states = c.view.operands.size() < 2 ? 0 : c.view.operands.size() - 2;
  SmallVector<Type> arguments{count, condition};
  for (unsigned i = 0; i < states; ++i) {
    if (!c.view.has(i + 2))
      return failNode(c.node, "operand " + Twine(i + 2) + ": found an empty name, expected a value");
    arguments.push_back(c.view.operands[i + 2].getType());
  }
  llvm::Expected<Body> body = addLoopBody(c, c.graphs["body"], arguments, 2, 1, states);
  if (!body) return body.takeError();
  if (!cast<ShapedType>(body->yields[0]).getElementType().isInteger(1))
    return failNode(c.node, "found a body whose first output, the condition, is not BOOL");
  SmallVector<Type> types(ArrayRef(body->arguments).drop_front(2));
  for (Type yield : ArrayRef(body->yields).drop_front(1 + states)) { // an element for each iteration
    auto slice = cast<ShapedType>(yield);
    SmallVector<int64_t> shape{kUnknown};
    if (slice.hasRank()) llvm::append_range(shape, slice.getShape());
    types.push_back(slice.hasRank() ? Type(RankedTensorType::get(shape, slice.getElementType())) : yield);
  }
  return finishControl(c, types, *body);
}

llvm::Error GraphImporter::addScan(Control &c) {
  if (c.view.opset < 9) return failNode(c.node, "found Scan of version 8, expected version 9 or later");
  int64_t inputs = c.view.intAttr("num_scan_inputs", 0), operands = c.view.operands.size();
  if (inputs < 1 || inputs > operands)
    return failNode(c.node,
                    "attribute num_scan_inputs: found " + Twine(inputs) + " of " + Twine(operands) + " operands");
  unsigned states = operands - inputs;
  auto list = [&](StringRef name, size_t size) -> llvm::Expected<SmallVector<int64_t>> {
    SmallVector<int64_t> values = c.view.intsAttr(name).value_or(SmallVector<int64_t>(size, 0));
    if (values.size() == size) return values;
    return failNode(c.node,
                    "attribute " + name + ": found " + Twine(values.size()) + " numbers, expected " + Twine(size));
  };
  llvm::Expected<SmallVector<int64_t>> axes = list("scan_input_axes", inputs);
  if (!axes) return axes.takeError();
  SmallVector<Type> arguments;
  int64_t length = kUnknown;
  for (int64_t i = 0; i < operands; ++i) {
    if (!c.view.has(i)) return failNode(c.node, "operand " + Twine(i) + ": found an empty name, expected a value");
    arguments.push_back(c.view.operands[i].getType());
    if (i < int64_t(states) || !c.view.ranked(i)) continue;
    llvm::Expected<int64_t> axis = normalAxis((*axes)[i - states], c.view.rank(i), "scan_input_axes");
    if (!axis) return failNode(c.node, llvm::toString(axis.takeError()));
    SmallVector<int64_t> shape(c.view.type(i).getShape());
    if (onnx::known(shape[*axis])) length = shape[*axis];
    shape.erase(shape.begin() + *axis);
    arguments.back() = RankedTensorType::get(shape, c.view.element(i));
  }
  llvm::Expected<Body> body = addLoopBody(c, c.graphs["body"], arguments, 0, 0, states);
  if (!body) return body.takeError();
  unsigned outputs = body->yields.size() - states;
  llvm::Expected<SmallVector<int64_t>> outputAxes = list("scan_output_axes", outputs);
  if (!outputAxes) return outputAxes.takeError();
  for (auto [name, size] : {std::pair("scan_input_directions", size_t(inputs)), {"scan_output_directions", outputs}})
    if (auto directions = list(name, size); !directions) return directions.takeError();
  SmallVector<Type> types(ArrayRef(body->arguments).take_front(states));
  for (unsigned i = 0; i < outputs; ++i) {
    auto slice = cast<ShapedType>(body->yields[states + i]);
    types.push_back(slice);
    if (!slice.hasRank()) continue;
    llvm::Expected<int64_t> axis = normalAxis((*outputAxes)[i], slice.getRank() + 1, "scan_output_axes");
    if (!axis) return failNode(c.node, llvm::toString(axis.takeError()));
    SmallVector<int64_t> shape(slice.getShape());
    shape.insert(shape.begin() + *axis, length);
    types.back() = RankedTensorType::get(shape, slice.getElementType());
  }
  return finishControl(c, types, *body);
}

llvm::Error GraphImporter::addControl(Control &c) {
  struct Row {
    StringRef name;
    llvm::Error (GraphImporter::*add)(Control &);
  };
  static const Row kRows[] = {
      {"If", &GraphImporter::addIf}, {"Loop", &GraphImporter::addLoop}, {"Scan", &GraphImporter::addScan}};
  for (const Row &row : kRows)
    if (row.name == c.view.opType) return (this->*row.add)(c);
  return failNode(c.node, "found graphs in an operator that is not known to have any");
}

} // namespace llmc::onnx
