// The importer's state; private to the files that Graph.cpp names.
#pragma once
#include "dialects/llm/Llm.h"
#include "frontends/onnx/Check.h"
#include "frontends/onnx/Graph.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/StringMap.h"

namespace llmc::onnx {

/// Far above any decoder, also when functions are inlined: MLIR's memory stays below some hundred MB.
inline constexpr int64_t kMostNodes = 200000;

using Opsets = std::map<std::string, int64_t>; // by domain; "" is ai.onnx

/// The names of a graph or of a function's body, and of the graphs around it. A null value is an absent operand of a
/// function.
struct Scope {
  const Scope *parent = nullptr;
  llvm::StringMap<mlir::Value> values;
  llvm::StringMap<const ::onnx::TypeProto *> declared; // by value_info and outputs

  std::optional<mlir::Value> find(llvm::StringRef name) const;
};

struct Frame;
/// An attribute and where its graph, if it is one, finds names and references.
struct Bound {
  const ::onnx::AttributeProto *proto = nullptr;
  const Frame *frame = nullptr;
  const Scope *scope = nullptr;
};
/// A model-local function.
struct Function {
  const ::onnx::FunctionProto *proto = nullptr;
  std::vector<::onnx::AttributeProto> defaults;
  Opsets opsets;
};
/// What the nodes that are being imported belong to: the model's graph, or one call of a function.
struct Frame {
  const Function *function = nullptr; // null: the model's graph
  const Frame *caller = nullptr;
  const Opsets *opsets = nullptr;
  llvm::StringMap<Bound> attributes; // of the call
  std::string prefix;                // of node names
};
struct Place {
  const Frame &frame;
  Scope &scope;
};

class GraphImporter {
public:
  GraphImporter(const ::onnx::ModelProto &model, const Opsets &opsets, const TensorReader &tensors)
      : model(model), opsets(opsets), tensors(tensors), builder(tensors.context) {}
  llvm::Expected<mlir::OwningOpRef<mlir::ModuleOp>> run();

private:
  using Values = llvm::SmallVector<mlir::Value>;

  // Graph.cpp: the model's graph, values by name, messages.
  llvm::Error fail(const llvm::Twine &place, const llvm::Twine &found, const llvm::Twine &expected,
                   const llvm::Twine &hint = "");
  llvm::Error failNode(const ::onnx::NodeProto &node, const llvm::Twine &reason);
  llvm::Error checkName(const llvm::Twine &place, llvm::StringRef name);
  llvm::Error checkSizes();
  llvm::Expected<mlir::Type> declaredType(llvm::StringRef name, const ::onnx::TypeProto &type);
  llvm::Error collectDeclared(const ::onnx::GraphProto &graph, Scope &scope);
  /// A value's type with the rank that is declared for it, if the operator says none. A declared element type must be
  /// the value's.
  llvm::Expected<mlir::Type> withDeclared(llvm::StringRef name, mlir::Type type, const Scope &scope);
  llvm::Error define(llvm::StringRef name, mlir::Value value, Scope &scope);
  llvm::Error makeFunction(Scope &scope);
  mlir::ArrayAttr symbolsOf(const ::onnx::TypeProto &type);
  llvm::Error addReturn(Scope &scope);
  /// Initializers and nodes of a graph whose inputs are defined in `scope`.
  llvm::Error addGraph(const ::onnx::GraphProto &graph, Place place);

  // Constants.cpp: initializers, Constant nodes, attributes.
  llvm::Error addInitializer(const ::onnx::TensorProto &tensor, Scope &scope);
  llvm::Expected<mlir::Value> materialize(const Tensor &tensor, llvm::StringRef name, mlir::Location loc);
  llvm::Error addConstant(const ::onnx::NodeProto &node, Place place, mlir::Location loc);
  /// What an attribute is: itself, or what the caller of the function gave; none if the caller gave nothing.
  llvm::Expected<std::optional<Bound>> resolve(const ::onnx::NodeProto &node, const ::onnx::AttributeProto &attribute,
                                               Place place);
  llvm::Expected<mlir::Attribute> convertAttribute(const ::onnx::NodeProto &node, const ::onnx::AttributeProto &value,
                                                   llvm::StringRef name, char kind);
  /// All but graphs, which go to `graphs`.
  llvm::Expected<mlir::DictionaryAttr> convertAttributes(const ::onnx::NodeProto &node, const Operator &op, Place place,
                                                         llvm::StringMap<Bound> &graphs);
  mlir::DenseElementsAttr denseOf(mlir::Attribute attr);

  // Nodes.cpp
  llvm::Error addNode(const ::onnx::NodeProto &node, Place place);
  llvm::Expected<mlir::Location> location(const ::onnx::NodeProto &node, const Frame &frame);
  llvm::Error countNode(const ::onnx::NodeProto &node);
  llvm::Expected<Values> operandsOf(const ::onnx::NodeProto &node, const Operator &op, Place place, mlir::Location loc);
  llvm::Error addOperator(const ::onnx::NodeProto &node, const Operator &op, Place place, mlir::Location loc,
                          llvm::StringRef domain, int64_t opset);
  llvm::Error defineResults(const ::onnx::NodeProto &node, mlir::ValueRange results, Place place);

  // Functions.cpp
  llvm::Error collectFunctions();
  const Function *findFunction(const ::onnx::NodeProto &node);
  llvm::Error inlineFunction(const ::onnx::NodeProto &node, const Function &function, Place place);

  // Subgraphs.cpp
  struct Control {
    const ::onnx::NodeProto &node;
    Node view;
    llvm::StringMap<Bound> graphs;
    Place place;
    mlir::Location loc;
  };
  struct Body {
    std::unique_ptr<mlir::Region> region;
    llvm::SmallVector<mlir::Type> arguments, yields;
  };
  llvm::Error addControl(Control &control);
  llvm::Error addIf(Control &control);
  llvm::Error addLoop(Control &control);
  llvm::Error addScan(Control &control);
  llvm::Error addFoldedIf(Control &control, const Bound &branch);
  /// Imports a graph attribute as a region with arguments of these types.
  llvm::Expected<Body> addBody(Control &control, const Bound &bound, llvm::ArrayRef<mlir::Type> arguments);
  /// The same for a body whose arguments [firstState, firstState + states) are what it yields from `firstYield` on in
  /// the iteration before: their types are made wide enough for every iteration.
  llvm::Expected<Body> addLoopBody(Control &control, const Bound &bound, llvm::SmallVector<mlir::Type> arguments,
                                   unsigned firstState, unsigned firstYield, unsigned states);
  llvm::Error finishControl(Control &control, llvm::ArrayRef<mlir::Type> types, llvm::MutableArrayRef<Body> bodies);
  void discard(mlir::Region &region);

  const ::onnx::ModelProto &model;
  const Opsets &opsets;
  const TensorReader &tensors;
  mlir::OpBuilder builder;
  mlir::func::FuncOp function;
  llvm::StringMap<Function> functions;
  KnownElements known;
  unsigned depth = 0;           // of graphs and functions in each other
  int64_t nodes = 0, edges = 0; // imported; operands and results
};

/// The narrowest type that holds values of both types; null if their elements differ.
mlir::Type joinTypes(mlir::Type a, mlir::Type b);

} // namespace llmc::onnx
