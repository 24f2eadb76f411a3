#include "passes/raise/Rotary.h"
#include "mlir/IR/BuiltinOps.h"
#include "passes/raise/ShapeValues.h"

using namespace mlir;

namespace llmc::raise {
namespace {

llm::OnnxTensorOp tableOf(Value value) {
  value = value ? beforeCasts(value) : value;
  return value ? value.getDefiningOp<llm::OnnxTensorOp>() : llm::OnnxTensorOp();
}

/// The rope that the importer found in the tables.
llm::RopeAttr fromTables(Value cosValue, Value sinValue, int64_t &rows, std::string &reason) {
  llm::OnnxTensorOp cos = tableOf(cosValue), sin = tableOf(sinValue);
  if (!cos || !sin) {
    reason = "cos_cache or sin_cache is not an initialiser";
    return {};
  }
  if (!cos.getRope()) {
    reason = cos.getNoRope() ? cos.getNoRope()->str() : "cos_cache is not known to be a rotary embedding's";
    return {};
  }
  if (!cos.getIsCos() || sin.getIsCos() || sin.getRopeAttr() != cos.getRopeAttr()) {
    reason = "cos_cache and sin_cache are not a pair of one rotary embedding";
    return {};
  }
  rows = cast<RankedTensorType>(cos.getType()).getDimSize(0);
  return *cos.getRope();
}

/// The length that attention_mask has to exceed for a condition to hold, if it says that.
std::optional<int64_t> longerThan(Value condition) {
  llm::OnnxNodeOp node = nodeOf(condition, "Greater");
  bool orEqual = !node && nodeOf(condition, "GreaterOrEqual");
  if (orEqual) node = nodeOf(condition, "GreaterOrEqual");
  std::optional<double> bound = node ? scalar(node.getInputs()[1]) : std::nullopt;
  Value length = node ? node.getInputs()[0] : Value();
  while (llm::OnnxNodeOp cast = nodeOf(length, "Cast")) length = cast.getInputs()[0];
  std::optional<Sizes> sizes = length ? sizesIn(length) : std::nullopt;
  if (!bound || !sizes || sizes->size() != 1 || sizes->front().number != 1 ||
      inputName(sizes->front().of) != "attention_mask")
    return std::nullopt;
  return int64_t(*bound) - orEqual;
}

/// Tables that an If chooses: long ones if there are more than so many positions (model builder, LongRoPE).
llm::RopeAttr fromChoice(llm::OnnxNodeOp choice, unsigned cos, unsigned sin, int64_t &rows, std::string &reason) {
  std::optional<int64_t> bound = longerThan(choice.getInputs()[0]);
  if (!bound || *bound <= 0 || choice.getBodies().size() != 2) {
    reason = "the tables are those of an If that does not ask whether attention_mask is longer than a number";
    return {};
  }
  auto of = [&](unsigned body, int64_t &count) {
    auto yield = cast<llm::OnnxYieldOp>(choice.getBodies()[body].front().back());
    return fromTables(yield.getValues()[cos], yield.getValues()[sin], count, reason);
  };
  int64_t shortRows = 0;
  llm::RopeAttr longOnes = of(0, rows), shortOnes = longOnes ? of(1, shortRows) : llm::RopeAttr();
  if (!longOnes || !shortOnes) return {};
  if (longOnes.getDim() != shortOnes.getDim() || shortRows < *bound) {
    reason = "the tables of an If differ in width, or the short ones hold fewer positions than they are used for";
    return {};
  }
  return llm::RopeAttr::get(choice.getContext(), shortOnes.getDim(), shortOnes.getStyle(), shortOnes.getInvFreq(),
                            shortOnes.getScale(), *bound, F32(0.0f), F32(1.0f), longOnes.getInvFreq(),
                            longOnes.getScale());
}

} // namespace

llm::RopeAttr ropeOf(Value cos, Value sin, bool interleaved, int64_t &rows, std::string &reason) {
  auto first = dyn_cast_or_null<OpResult>(cos), second = dyn_cast_or_null<OpResult>(sin);
  llm::OnnxNodeOp choice = first ? nodeOf(cos, "If") : llm::OnnxNodeOp();
  llm::RopeAttr rope = choice && second && second.getOwner() == choice
                           ? fromChoice(choice, first.getResultNumber(), second.getResultNumber(), rows, reason)
                           : fromTables(cos, sin, rows, reason);
  if (!rope) return {};
  auto style = interleaved ? llm::RopeStyle::Interleaved : llm::RopeStyle::Half;
  return llm::RopeAttr::get(rope.getContext(), rope.getDim(), style, rope.getInvFreq(), rope.getScale(),
                            rope.getDynamicMax(), rope.getDynamicBase(), rope.getDynamicFactor(), rope.getLongInvFreq(),
                            rope.getLongScale());
}

void boundContext(PatternRewriter &rewriter, Operation *at, int64_t rows) {
  auto module = at->getParentOfType<ModuleOp>();
  auto known = module->getAttrOfType<IntegerAttr>(llm::kMaxContext);
  if (known && known.getInt() <= rows) return;
  rewriter.modifyOpInPlace(module, [&] { module->setAttr(llm::kMaxContext, rewriter.getI64IntegerAttr(rows)); });
}

} // namespace llmc::raise
