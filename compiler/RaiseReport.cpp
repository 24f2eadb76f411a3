#include "compiler/RaiseReport.h"
#include "compiler/Compiler.h"
#include "compiler/Import.h"
#include "dialects/llm/Llm.h"
#include "frontends/onnx/Import.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/PassManager.h"
#include "passes/raise/Match.h"
#include "passes/raise/Raise.h"
#include "llvm/ADT/MapVector.h"
#include <nlohmann/json.hpp>

using namespace mlir;

namespace llmc {
namespace {

std::string nameOf(Operation *op) {
  auto name = dyn_cast<NameLoc>(op->getLoc());
  return name ? name.getName().str() : "";
}

/// Ops that stand for nodes: all of the llm dialect but weights and what is still a node.
bool isRaised(Operation &op) {
  return isa<llm::LlmDialect>(op.getDialect()) &&
         !isa<llm::OnnxNodeOp, llm::OnnxNoneOp, llm::OnnxTensorOp, llm::OnnxConstantOp, llm::GetWeightOp>(op);
}

void collect(func::FuncOp step, RaiseReport &report) {
  llvm::MapVector<StringRef, std::vector<std::string>> raised;
  for (Operation &op : step.getOps()) {
    if (isRaised(op)) raised[op.getName().getStringRef()].push_back(nameOf(&op));
    auto node = dyn_cast<llm::OnnxNodeOp>(op);
    if (!node) continue;
    auto reason = node->getAttrOfType<StringAttr>(raise::kRefusal);
    report.left.push_back({nameOf(node), node.getOpType().str(), reason ? reason.getValue().str() : ""});
  }
  for (auto &[op, nodes] : raised) report.raised.push_back({op.str(), std::move(nodes)});
}

} // namespace

llvm::Expected<RaiseReport> reportRaise(const std::string &path) {
  llvm::Expected<InputKind> kind = recogniseInput(path);
  if (!kind) return kind.takeError();
  if (*kind != InputKind::Onnx) return llvm::createStringError(path + ": found no ONNX file, which --onnx is about");
  auto context = makeContext();
  std::vector<std::string> errors;
  ScopedDiagnosticHandler handler(context.get(), [&](Diagnostic &diagnostic) {
    if (diagnostic.getSeverity() == DiagnosticSeverity::Error) errors.push_back(diagnostic.str());
  });
  llvm::Expected<ImportedModel> model = importOnnx(path, *context);
  if (!model) return model.takeError();
  RaiseReport report;
  auto step = model->module->lookupSymbol<func::FuncOp>(llm::kStep);
  if (!step) return llvm::createStringError(path + ": found no @step after import");
  report.nodes = llvm::range_size(step.getOps<llm::OnnxNodeOp>());
  PassManager passes(context.get());
  buildRaisePipeline(passes);
  bool raised = succeeded(passes.run(*model->module));
  collect(step, report);
  // What is said of nodes is in the list; without any, the first error is about the graph.
  if (!raised && llvm::all_of(report.left, [](const RaiseReport::Left &node) { return node.reason.empty(); }))
    report.error = errors.empty() ? "failed without a reason" : errors.front();
  return report;
}

std::string RaiseReport::toJson() const {
  using Json = nlohmann::ordered_json;
  Json json = {{"nodes", nodes}, {"step", isStep()}, {"raised", Json::array()}, {"left", Json::array()}};
  for (const Raised &kind : raised)
    json["raised"].push_back({{"op", kind.op}, {"count", kind.nodes.size()}, {"nodes", kind.nodes}});
  for (const Left &node : left)
    json["left"].push_back({{"node", node.node}, {"op_type", node.opType}, {"reason", node.reason}});
  if (!error.empty()) json["error"] = error;
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string RaiseReport::toText(const std::string &model) const {
  constexpr size_t kMostNames = 4;
  std::string text = model + ": " + std::to_string(nodes) + " nodes, ";
  text += isStep() ? "all raised\n" : std::to_string(left.size()) + " not raised\n";
  if (!error.empty()) text += error + "\n";
  text += "\nraised\n";
  for (const Raised &kind : raised) {
    text += "  " + kind.op + ", " + std::to_string(kind.nodes.size()) + ": ";
    std::vector<std::string> names = kind.nodes; // a packed node may be several ops
    names.erase(std::unique(names.begin(), names.end()), names.end());
    for (size_t i = 0; i < std::min(kMostNames, names.size()); ++i) text += (i ? ", " : "") + names[i];
    text += names.size() > kMostNames ? ", ...\n" : "\n";
  }
  if (left.empty()) return text;
  // Reasons first: what has none usually waits for a node that has one.
  text += "\nnot raised\n";
  for (const Left &node : left)
    if (!node.reason.empty()) text += "  '" + node.node + "' (" + node.opType + "): " + node.reason + "\n";
  llvm::MapVector<StringRef, int64_t> others;
  for (const Left &node : left)
    if (node.reason.empty()) ++others[node.opType];
  if (!others.empty()) text += "  without a reason, as no pattern takes them by themselves:";
  for (auto &[type, count] : others) text += " " + type.str() + " " + std::to_string(count);
  return text + (others.empty() ? "" : "\n");
}

} // namespace llmc
