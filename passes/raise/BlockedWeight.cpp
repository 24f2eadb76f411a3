#include "passes/raise/BlockedWeight.h"

using namespace mlir;

namespace llmc::raise {
namespace {

struct Tensors {
  llm::OnnxTensorOp codes, scales, zeros;
  RankedTensorType type() { return cast<RankedTensorType>(codes.getType()); }
};

llm::OnnxTensorOp tensorOf(Value value) {
  return value ? value.getDefiningOp<llm::OnnxTensorOp>() : llm::OnnxTensorOp();
}

/// Why the tensors are no such weight, or empty.
std::string refusal(Tensors t, const BlockedOperands &operands) {
  if (!t.codes || !t.scales || (operands.zeros && !t.zeros))
    return "codes, scales (of 2 axes, or of 1 without blocks) or zero points are not initialisers";
  auto element = dyn_cast<IntegerType>(t.type().getElementType());
  if (t.type().getRank() != 2 || !element || element.isSignless() ||
      (element.getWidth() != 4 && element.getWidth() != 8))
    return "the codes are not a matrix of INT4, UINT4, INT8 or UINT8";
  if (element.isUnsigned() && !t.zeros) return "unsigned codes without zero points";
  if (operands.block % 16 || (operands.block && operands.block < 16))
    return "blocks of " + std::to_string(operands.block) + ", expected a multiple of 16";
  SmallVector<int64_t> groups(t.type().getShape());
  int64_t &along = groups[operands.transposed ? 0 : 1];
  along = operands.block ? llvm::divideCeil(along, operands.block) : 1;
  auto hasShape = [&](llm::OnnxTensorOp tensor) {
    ArrayRef<int64_t> shape = cast<RankedTensorType>(tensor.getType()).getShape();
    return shape == ArrayRef(groups) || (!operands.block && shape == ArrayRef<int64_t>{groups[0] * groups[1]});
  };
  if (!hasShape(t.scales)) return "scales of another shape than the blocks";
  if (t.zeros && (!hasShape(t.zeros) || t.zeros.getType().getElementType() != element))
    return "zero points of another type than the codes or another shape than the scales";
  return "";
}

} // namespace

std::optional<WeightSpec> blockedWeight(const BlockedOperands &operands, StringRef node, std::string &reason) {
  Tensors t = {tensorOf(operands.codes), floatTensor(operands.scales, operands.block ? 2 : 1),
               tensorOf(operands.zeros)};
  reason = refusal(t, operands);
  if (!reason.empty()) return std::nullopt;
  auto element = cast<IntegerType>(t.type().getElementType());
  int64_t k = t.type().getDimSize(operands.transposed ? 0 : 1);
  auto encoded = wq::EncodedType::get(
      element.getContext(), wq::Encoding::OnnxBlocks, element.getWidth(),
      operands.block ? operands.block : llvm::alignTo(k, 16),
      scaleTypeOf(cast<RankedTensorType>(t.scales.getType()).getElementType()), bool(t.zeros), /*act_order=*/false,
      /*nested=*/false, F32(), element.isSigned(), operands.transposed, /*float_zeros=*/false);
  WeightSpec spec;
  spec.name = weightName(t.codes.getName(), node);
  SmallVector<int64_t> shape(t.type().getShape());
  if (operands.transposed) std::swap(shape[0], shape[1]);
  spec.type = RankedTensorType::get(shape, encoded);
  spec.storage = {t.codes.getStorage(), t.scales.getStorage()};
  if (t.zeros) spec.storage.push_back(t.zeros.getStorage());
  return spec;
}

} // namespace llmc::raise
