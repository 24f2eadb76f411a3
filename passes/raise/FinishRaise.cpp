#include "mlir/IR/Builders.h"
#include "passes/raise/Match.h"
#include "passes/raise/Raise.h"
#include "llvm/ADT/SetVector.h"

namespace llmc {
#define GEN_PASS_DEF_FINISHRAISE
#include "passes/raise/RaisePasses.h.inc"

using namespace mlir;
using namespace raise;

namespace {

constexpr unsigned kMostErrors = 5;
constexpr int64_t kDefaultContext = 4096; // positions

/// Gather(x, -1, axis 1) and Unsqueeze 1 (model builder, prune_lm_head): the last token's row. @step has the logit rows
/// for that.
Value beforeLastRow(Value value) {
  llm::OnnxNodeOp unsqueeze = nodeOf(value, "Unsqueeze");
  llm::OnnxNodeOp gather = unsqueeze ? nodeOf(unsqueeze.getInputs()[0], "Gather") : llm::OnnxNodeOp();
  if (!gather || intAttr(gather, "axis", 0) != 1 || scalar(gather.getInputs()[1]) != -1.0) return {};
  std::optional<SmallVector<int64_t>> axes = integers(operand(unsqueeze, 1));
  return axes && axes->size() == 1 && axes->front() == 1 ? gather.getInputs()[0] : Value();
}

class Finisher {
public:
  explicit Finisher(func::FuncOp function)
      : function(function), module(function->getParentOfType<ModuleOp>()), builder(function.getContext()) {}

  LogicalResult run() {
    removeUnused();
    if (failed(takeLogits())) return failure();
    removeUnused();
    if (failed(refuseLeftOvers()) || failed(dropArguments())) return failure();
    orderWeights();
    setSizes();
    return success();
  }

private:
  /// Nodes, casts and weights without uses. Operators of ONNX have no effects but their results.
  void removeUnused() {
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(function.getBody().front())))
      if (op.use_empty() && isa<llm::OnnxNodeOp, llm::OnnxNoneOp, llm::OnnxTensorOp, llm::OnnxConstantOp, llm::LinearOp,
                                llm::GetWeightOp, UnrealizedConversionCastOp>(op))
        op.erase();
  }

  /// Leaves the logits as the only result, of the rows that are asked for.
  LogicalResult takeLogits() {
    auto terminator = cast<func::ReturnOp>(function.getBody().front().getTerminator());
    Value logits;
    for (auto [i, value] : llvm::enumerate(terminator.getOperands())) {
      auto name = function.getResultAttrOfType<StringAttr>(i, kNameAttr);
      StringRef text = name ? name.getValue() : "";
      auto argument = dyn_cast<BlockArgument>(underRows(value));
      if (auto cache = argument ? dyn_cast<RankedTensorType>(argument.getType()) : RankedTensorType();
          cache && cache.getRank() == 4)
        continue;
      if (text != "logits" && terminator.getNumOperands() > 1) {
        // A cache whose attention was not raised is reported as that.
        if (value.getDefiningOp<llm::OnnxNodeOp>()) continue;
        return function.emitError() << "graph output '" << text
                                    << "': found no meaning for it, expected logits and a cache";
      }
      logits = value;
    }
    if (!logits) return function.emitError("found no output named logits");
    if (failed(selectRows(logits))) {
      if (failed(refuseLeftOvers())) return failure();
      return function.emitError("logits: found rows that no llm.linear makes, expected those of the output head");
    }
    Value rows = underRows(logits);
    builder.setInsertionPoint(terminator);
    func::ReturnOp::create(builder, function.getLoc(), rows);
    terminator.erase();
    function.removeResAttrsAttr();
    function.setFunctionType(builder.getFunctionType(function.getArgumentTypes(), rows.getType()));
    return success();
  }

  /// Inserts llm.select_rows above the head, and above the final norm when the head is all that reads it.
  LogicalResult selectRows(Value logits) {
    auto head = underRows(logits).getDefiningOp<llm::LinearOp>();
    if (!head) return failure();
    if (Value all = beforeLastRow(underRows(head.getX())); all && isa<RankedTensorType>(underRows(all).getType()))
      head.getXMutable().assign(underRows(all));
    OpOperand *place = &head.getXMutable();
    while (auto norm = place->get().getDefiningOp<llm::RmsNormOp>()) {
      if (!norm->hasOneUse() && !onlyUnusedNodes(norm, head)) break;
      place = &norm.getXMutable();
    }
    Value x = place->get();
    if (x.getType() != rowsType(builder.getContext(), cast<RankedTensorType>(x.getType()).getShape().back()))
      return failure();
    // Before the weight of the op that reads it, where a frontend would build it.
    builder.setInsertionPoint(place->getOwner());
    place->set(llm::SelectRowsOp::create(builder, head.getLoc(), x.getType(), x, function.getArgument(2)));
    return success();
  }
  /// Whether all other uses of a norm are nodes that nothing reads any more.
  static bool onlyUnusedNodes(llm::RmsNormOp norm, llm::LinearOp head) {
    SmallVector<Operation *> work(norm->getUsers());
    while (!work.empty()) {
      Operation *user = work.pop_back_val();
      if (user == head) continue;
      if (!isa<llm::OnnxNodeOp, UnrealizedConversionCastOp>(user)) return false;
      if (llvm::is_contained(user->getUsers(), head.getOperation())) continue; // the cast that the head has read
      work.append(user->getUsers().begin(), user->getUsers().end());
    }
    return true;
  }

  LogicalResult refuseLeftOvers() {
    SmallVector<llm::OnnxNodeOp> refused, others;
    for (auto node : function.getOps<llm::OnnxNodeOp>()) (node->hasAttr(kRefusal) ? refused : others).push_back(node);
    if (refused.empty() && others.empty()) {
      for (auto cast : function.getOps<UnrealizedConversionCastOp>())
        return cast.emitError("found values of other types than rows, expected [batch, tokens, C]");
      return success();
    }
    // A node without a reason usually waits for one that has one.
    if (refused.empty()) refused = others;
    for (llm::OnnxNodeOp node : ArrayRef(refused).take_front(kMostErrors)) {
      auto reason = node->getAttrOfType<StringAttr>(kRefusal);
      auto name = dyn_cast<NameLoc>(node.getLoc());
      node.emitError() << "node '" << (name ? name.getName().getValue() : "") << "' (" << node.getOpType()
                       << "): " << (reason ? reason.getValue() : "no pattern of a decoder has this operator here");
    }
    return failure();
  }

  LogicalResult dropArguments() {
    llvm::BitVector gone(function.getNumArguments());
    for (BlockArgument argument : function.getArguments().drop_front(3)) {
      if (!argument.use_empty())
        return function.emitError() << "graph input '" << inputName(argument) << "': found no meaning for it";
      gone.set(argument.getArgNumber());
    }
    function.removeArgAttrsAttr();
    return function.eraseArguments(gone);
  }

  /// Each weight's value right before the op that reads it; symbols in the order of their use.
  void orderWeights() {
    for (Operation &op : llvm::make_early_inc_range(function.getBody().front()))
      for (OpOperand &operand : op.getOpOperands()) {
        auto get = operand.get().getDefiningOp<llm::GetWeightOp>();
        if (!get) continue;
        builder.setInsertionPoint(&op);
        operand.set(builder.clone(*get)->getResult(0));
      }
    removeUnused();
    llvm::SetVector<StringAttr> used;
    for (auto get : function.getOps<llm::GetWeightOp>()) used.insert(get.getWeightAttr().getAttr());
    SymbolTable symbols(module);
    for (StringAttr name : used) symbols.lookup(name)->moveBefore(function);
    for (auto weight : llvm::make_early_inc_range(module.getOps<llm::WeightOp>()))
      if (!used.contains(weight.getSymNameAttr())) weight.erase();
  }

  void setSizes() {
    auto set = [&](StringRef name, int64_t value) { module->setAttr(name, builder.getI64IntegerAttr(value)); };
    set(llm::kVocab, cast<RankedTensorType>(function.getResultTypes()[0]).getDimSize(1));
    set(llm::kLayers, llvm::range_size(function.getOps<llm::AttentionOp>()));
    for (auto embed : function.getOps<llm::EmbedOp>())
      set(llm::kHidden, cast<RankedTensorType>(embed.getY().getType()).getDimSize(1));
  }

  func::FuncOp function;
  ModuleOp module;
  OpBuilder builder;
};

struct FinishRaise : impl::FinishRaiseBase<FinishRaise> {
  void runOnOperation() override {
    auto function = getOperation().lookupSymbol<func::FuncOp>(llm::kStep);
    if (!function || function.isExternal()) {
      getOperation().emitError("found no @step, expected an imported graph");
      return signalPassFailure();
    }
    if (!isImportedGraph(function)) return;
    if (failed(Finisher(function).run())) return signalPassFailure();
    // A graph alone does not say it, unless tables of positions bound it (llmc-raise-sdpa, -rope, -embed).
    if (!getOperation()->hasAttr(llm::kMaxContext))
      getOperation()->setAttr(llm::kMaxContext, OpBuilder(&getContext()).getI64IntegerAttr(kDefaultContext));
  }
};

} // namespace
} // namespace llmc
