#include "mlir/IR/Builders.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "passes/raise/Match.h"
#include "passes/raise/Raise.h"
#include "passes/raise/ShapeValues.h"
#include "llvm/ADT/SetVector.h"

namespace llmc {
#define GEN_PASS_DEF_FINISHRAISE
#include "passes/raise/RaisePasses.h.inc"

using namespace mlir;
using namespace raise;

namespace {

constexpr unsigned kMostErrors = 5;
constexpr int64_t kDefaultContext = 4096; // positions

/// Whether starts, ends and steps of a Slice take the last of axis 1 (of [batch, tokens, C]) alone.
bool takesLast(llm::OnnxNodeOp slice) {
  std::optional<SmallVector<int64_t>> begin = numbersIn(operand(slice, 1)), end = numbersIn(operand(slice, 2)),
                                      axes = numbersIn(operand(slice, 3)), steps = numbersIn(operand(slice, 4));
  auto is = [](const std::optional<SmallVector<int64_t>> &list, int64_t value) {
    return list && list->size() == 1 && list->front() == value;
  };
  bool toEnd = end && end->size() == 1 && end->front() >= std::numeric_limits<int32_t>::max();
  return is(begin, -1) && toEnd && (is(axes, 1) || is(axes, -2)) && (!operand(slice, 4) || is(steps, 1));
}

/// x if a value is its last token's row, in one of the forms that exporters write: Gather(x, -1, axis 1) and Unsqueeze
/// 1 (model builder, prune_lm_head), Gather(x, [-1]), Slice(x, [-1:]). @step has the logit rows for that.
Value beforeLastRow(Value value) {
  if (llm::OnnxNodeOp slice = nodeOf(value, "Slice")) return takesLast(slice) ? slice.getInputs()[0] : Value();
  llm::OnnxNodeOp unsqueeze = nodeOf(value, "Unsqueeze");
  llm::OnnxNodeOp gather = nodeOf(unsqueeze ? unsqueeze.getInputs()[0] : value, "Gather");
  if (!gather || (intAttr(gather, "axis", 0) != 1 && intAttr(gather, "axis", 0) != -2) ||
      scalar(gather.getInputs()[1]) != -1.0)
    return {};
  auto rank = cast<RankedTensorType>(gather.getInputs()[1].getType()).getRank();
  if (!unsqueeze) return gather.getInputs()[0]; // a graph output may drop the axis
  std::optional<SmallVector<int64_t>> axes = integers(operand(unsqueeze, 1));
  return rank == 0 && axes && axes->size() == 1 && axes->front() == 1 ? gather.getInputs()[0] : Value();
}

/// Whether an op computes a row from the same row alone, so that rows can be selected before it.
bool isRowByRow(Operation *op) { return isa_and_present<llm::RmsNormOp, llm::LayerNormOp, llm::ScaleOp>(op); }

class Finisher {
public:
  explicit Finisher(func::FuncOp function)
      : function(function), module(function->getParentOfType<ModuleOp>()), builder(function.getContext()) {}

  LogicalResult run() {
    removeUnused();
    if (failed(takeLogits())) return failure();
    removeUnused();
    if (failed(refuseLeftOvers()) || failed(dropArguments())) return failure();
    normaliseHeads();
    orderWeights();
    setSizes();
    return success();
  }

private:
  /// Nodes, casts, rows and weights without uses. Operators of ONNX have no effects but their results.
  void removeUnused() {
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(function.getBody().front())))
      if (op.use_empty() && (isa<llm::OnnxNodeOp>(op) || (isPure(&op) && !op.hasTrait<OpTrait::IsTerminator>())))
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
  LogicalResult selectRows(Value &logits) {
    if (Value all = beforeLastRow(underRows(logits))) logits = all;
    Operation *last = underRows(logits).getDefiningOp();
    while (isa_and_present<llm::ScaleOp>(last)) last = last->getOperand(0).getDefiningOp();
    auto head = dyn_cast_or_null<llm::LinearOp>(last);
    if (!head) return failure();
    OpOperand *place = &head.getXMutable();
    for (;;) {
      if (Value all = beforeLastRow(underRows(place->get())); all && underRows(all).getType() == place->get().getType())
        place->set(underRows(all));
      Operation *op = place->get().getDefiningOp();
      if (!isRowByRow(op) || (!op->hasOneUse() && !onlyUnusedNodes(op, place->getOwner()))) break;
      place = &op->getOpOperand(0);
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
  static bool onlyUnusedNodes(Operation *norm, Operation *reader) {
    SmallVector<Operation *> work(norm->getUsers());
    while (!work.empty()) {
      Operation *user = work.pop_back_val();
      if (user == reader) continue;
      if (!isa<llm::OnnxNodeOp, UnrealizedConversionCastOp>(user)) return false;
      if (llvm::is_contained(user->getUsers(), reader)) continue; // the cast that the head has read
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

  /// A single head's norm is that of the row: where q and k are both normalised, as one of heads.
  void normaliseHeads() {
    auto under = [](Value value) {
      auto rope = value.getDefiningOp<llm::RopeOp>();
      return rope ? rope.getX() : value;
    };
    for (auto attention : function.getOps<llm::AttentionOp>())
      for (Value value : {under(attention.getQ()), under(attention.getK())})
        if (auto norm = value.getDefiningOp<llm::RmsNormOp>(); norm && norm.getX().getDefiningOp<llm::LinearOp>()) {
          builder.setInsertionPoint(norm);
          norm.replaceAllUsesWith(llm::HeadNormOp::create(builder, norm.getLoc(), norm.getType(), norm.getX(),
                                                          norm.getWeight(), norm.getEpsilonAttr())
                                      .getY());
          norm.erase();
        }
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
