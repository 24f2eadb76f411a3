#include "passes/raise/Rotary.h"
#include "mlir/IR/BuiltinOps.h"

using namespace mlir;

namespace llmc::raise {

llm::RopeAttr ropeOf(Value cosValue, Value sinValue, bool interleaved, std::string &reason) {
  auto cos = cosValue ? cosValue.getDefiningOp<llm::OnnxTensorOp>() : llm::OnnxTensorOp();
  auto sin = sinValue ? sinValue.getDefiningOp<llm::OnnxTensorOp>() : llm::OnnxTensorOp();
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
  llm::RopeAttr rope = *cos.getRope();
  auto style = interleaved ? llm::RopeStyle::Interleaved : llm::RopeStyle::Half;
  return llm::RopeAttr::get(rope.getContext(), rope.getDim(), style, rope.getInvFreq(), rope.getScale(),
                            rope.getDynamicMax(), rope.getDynamicBase(), rope.getDynamicFactor());
}

void boundContext(PatternRewriter &rewriter, Operation *at, Value table) {
  int64_t rows = cast<RankedTensorType>(table.getType()).getDimSize(0);
  auto module = at->getParentOfType<ModuleOp>();
  auto known = module->getAttrOfType<IntegerAttr>(llm::kMaxContext);
  if (known && known.getInt() <= rows) return;
  rewriter.modifyOpInPlace(module, [&] { module->setAttr(llm::kMaxContext, rewriter.getI64IntegerAttr(rows)); });
}

} // namespace llmc::raise
