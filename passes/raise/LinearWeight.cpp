#include "passes/raise/LinearWeight.h"
#include "passes/raise/BlockedWeight.h"

using namespace mlir;

namespace llmc::raise {

std::string nameOf(llm::OnnxNodeOp node) {
  auto loc = dyn_cast<NameLoc>(node.getLoc());
  return loc ? loc.getName().str() : "";
}

namespace {

/// DequantizeLinear of [K, N], or if `transposed` of [N, K], with scales along K or for each of N.
std::optional<WeightSpec> dequantised(llm::OnnxNodeOp node, llm::OnnxNodeOp user, bool transposed,
                                      std::string &reason) {
  auto type = dyn_cast<RankedTensorType>(node.getInputs()[0].getType());
  int64_t axis = intAttr(node, "axis", 1), kAxis = transposed ? 1 : 0, block = intAttr(node, "block_size", 0);
  if (axis < 0) axis += 2;
  if (!type || type.getRank() != 2 || axis < 0 || axis > 1) {
    reason = "DequantizeLinear of no matrix, or along axis " + std::to_string(axis);
    return std::nullopt;
  }
  if (intAttr(node, "output_dtype", 0)) {
    reason = "DequantizeLinear with output_dtype, expected the type of the scales";
    return std::nullopt;
  }
  bool perOutput = !block && axis != kAxis; // a scale for each of N: one block
  if (!perOutput && axis != kAxis) {
    reason = "DequantizeLinear in blocks along axis " + std::to_string(axis) + ", expected that of K, " +
             std::to_string(kAxis);
    return std::nullopt;
  }
  if (!perOutput && !block) {
    reason = "DequantizeLinear with a scale for each of K, expected blocks or a scale for each of N";
    return std::nullopt;
  }
  return blockedWeight({node.getInputs()[0], node.getInputs()[1], operand(node, 2), perOutput ? 0 : block,
                        /*transposed=*/!transposed},
                       nameOf(user), reason);
}

} // namespace

std::optional<WeightSpec> linearWeight(llm::OnnxNodeOp node, Value w, bool transposed, std::string &reason) {
  w = beforeCasts(w);
  while (Value from = exchanged(w)) w = beforeCasts(from), transposed = !transposed;
  if (llm::OnnxNodeOp dequantise = nodeOf(w, "DequantizeLinear"))
    return dequantised(dequantise, node, transposed, reason);
  llm::OnnxTensorOp tensor = floatTensor(w, 2);
  if (!tensor) {
    reason = "the weight is not a float initialiser of two axes, or one that is dequantised";
    return std::nullopt;
  }
  auto type = cast<RankedTensorType>(tensor.getType());
  WeightSpec spec;
  spec.name = weightName(tensor.getName(), nameOf(node));
  int64_t first = type.getDimSize(0), second = type.getDimSize(1);
  spec.type = transposed ? type : RankedTensorType::get({second, first}, type.getElementType());
  spec.storage = {tensor.getStorage()};
  spec.transposed = !transposed;
  return spec;
}

std::optional<WeightSpec> nBitsWeight(llm::OnnxNodeOp node, std::string &reason) {
  auto refuse = [&](const Twine &why) {
    reason = why.str();
    return std::nullopt;
  };
  int64_t bits = intAttr(node, "bits", 4), block = intAttr(node, "block_size", 0);
  if (bits != 2 && bits != 4 && bits != 8) return refuse("MatMulNBits of " + Twine(bits) + " bits, expected 2, 4 or 8");
  if (block < 16 || block > 256) return refuse("MatMulNBits with blocks of " + Twine(block) + ", expected 16 to 256");
  auto codes = node.getInputs()[1].getDefiningOp<llm::OnnxTensorOp>();
  llm::OnnxTensorOp scales = node.getInputs()[2].getDefiningOp<llm::OnnxTensorOp>();
  Value zeroOperand = operand(node, 3), groupOperand = operand(node, 4);
  auto zeros = zeroOperand ? zeroOperand.getDefiningOp<llm::OnnxTensorOp>() : llm::OnnxTensorOp();
  auto groups = groupOperand ? groupOperand.getDefiningOp<llm::OnnxTensorOp>() : llm::OnnxTensorOp();
  if (!codes || !scales || (zeroOperand && !zeros) || (groupOperand && !groups))
    return refuse("B, scales, zero points or g_idx are not initialisers");
  Type element = scales.getType().getElementType();
  if (!element.isF16() && !element.isBF16() && !element.isF32()) return refuse("scales are not F32, F16 or BF16");
  bool floatZeros = zeros && !zeros.getType().getElementType().isUnsignedInteger(8);
  if (floatZeros && zeros.getType().getElementType() != element)
    return refuse("MatMulNBits with zero points of neither UINT8 nor the scales' type");
  int64_t k = intAttr(node, "K", 0);
  if (groups && groups.getType().getNumElements() != k)
    return refuse("g_idx of " + Twine(groups.getType().getNumElements()) + " elements, expected K = " + Twine(k));

  auto encoded = wq::EncodedType::get(node.getContext(), wq::Encoding::MatMulNBits, bits, block, scaleTypeOf(element),
                                      bool(zeros), /*act_order=*/bool(groups), /*nested=*/false, F32(),
                                      /*is_signed=*/false, /*transposed=*/false, floatZeros);
  WeightSpec spec;
  spec.name = weightName(codes.getName(), nameOf(node));
  spec.type = RankedTensorType::get({intAttr(node, "N", 0), k}, encoded);
  spec.storage = {codes.getStorage(), scales.getStorage()};
  if (zeros) spec.storage.push_back(zeros.getStorage());
  if (groups) spec.storage.push_back(groups.getStorage());
  return spec;
}

} // namespace llmc::raise
