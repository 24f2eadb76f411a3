#include "passes/graph/NodeLowering.h"
#include "mlir/IR/Matchers.h"
#include "passes/graph/Building.h"
#include "llvm/ADT/STLExtras.h"

using namespace mlir;

namespace llmc::graph {

llvm::Error refuse(const llvm::Twine &reason) { return llvm::createStringError(reason); }

Type loweredElement(Type element) {
  unsigned bits = element.getIntOrFloatBitWidth();
  if (isa<IntegerType>(element)) return IntegerType::get(element.getContext(), bits > 1 && bits < 8 ? 8 : bits);
  return bits <= 8 ? Type(IntegerType::get(element.getContext(), 8)) : element;
}

static Type elementOf(Value value) {
  auto shaped = dyn_cast<ShapedType>(value.getType());
  return shaped ? shaped.getElementType() : Type();
}
Type NodeLowering::inType(unsigned i) const { return elementOf(node.getInputs()[i]); }
Type NodeLowering::outType(unsigned i) const { return elementOf(node.getResult(i)); }
bool NodeLowering::wants(unsigned result) const {
  return result < node.getNumResults() && !node.getResult(result).use_empty();
}

//===- Attributes ---------------------------------------------------------------===//
int64_t NodeLowering::intAttr(StringRef name, int64_t absent) const {
  auto attr = node.getOnnxAttributes().getAs<IntegerAttr>(name);
  return attr ? attr.getInt() : absent;
}
double NodeLowering::floatAttr(StringRef name, double absent) const {
  auto attr = node.getOnnxAttributes().getAs<FloatAttr>(name);
  return attr ? attr.getValueAsDouble() : absent;
}
StringRef NodeLowering::stringAttr(StringRef name, StringRef absent) const {
  auto attr = node.getOnnxAttributes().getAs<StringAttr>(name);
  return attr ? attr.getValue() : absent;
}
std::optional<SmallVector<int64_t>> NodeLowering::intsAttr(StringRef name) const {
  auto attr = node.getOnnxAttributes().getAs<DenseI64ArrayAttr>(name);
  if (!attr) return std::nullopt;
  return SmallVector<int64_t>(attr.asArrayRef());
}
std::optional<SmallVector<double>> NodeLowering::floatsAttr(StringRef name) const {
  auto attr = node.getOnnxAttributes().getAs<DenseF32ArrayAttr>(name);
  if (!attr) return std::nullopt;
  ArrayRef<float> values = attr.asArrayRef();
  return SmallVector<double>(values.begin(), values.end());
}

//===- Constants ------------------------------------------------------------------===//
std::optional<SmallVector<int64_t>> NodeLowering::constant(unsigned i) const {
  if (!has(i) || !isa<IntegerType>(type(i).getElementType())) return std::nullopt;
  SmallVector<int64_t> numbers;
  DenseIntElementsAttr dense;
  bool isUnsignedType = isUnsigned(i);
  if (matchPattern(in(i), m_Constant(&dense))) {
    for (const APInt &value : dense.getValues<APInt>())
      numbers.push_back(isUnsignedType ? int64_t(value.getZExtValue()) : value.getSExtValue());
    return numbers;
  }
  std::optional<Values> elements = scalars(b, in(i));
  if (!elements) return std::nullopt;
  for (Value element : *elements) {
    APInt value;
    if (!matchPattern(element, m_ConstantInt(&value))) return std::nullopt;
    numbers.push_back(isUnsignedType ? int64_t(value.getZExtValue()) : value.getSExtValue());
  }
  return numbers;
}
llvm::Expected<SmallVector<int64_t>> NodeLowering::mustKnow(unsigned i, StringRef what) const {
  if (std::optional<SmallVector<int64_t>> numbers = constant(i)) return *numbers;
  return refuse(what + " is not known while compiling");
}

llvm::Expected<std::optional<SmallVector<int64_t>>> NodeLowering::axes(unsigned i, int64_t rank) const {
  std::optional<SmallVector<int64_t>> numbers = intsAttr("axes");
  if (!numbers && has(i)) {
    llvm::Expected<SmallVector<int64_t>> read = mustKnow(i, "axes");
    if (!read) return read.takeError();
    numbers = std::move(*read);
  }
  if (!numbers) return std::optional<SmallVector<int64_t>>();
  for (int64_t &axis : *numbers) {
    if (axis < -rank || axis >= rank)
      return refuse("axes: found " + llvm::Twine(axis) + ", expected axes of " + llvm::Twine(rank) + " dims");
    axis += axis < 0 ? rank : 0;
  }
  llvm::sort(*numbers);
  if (std::adjacent_find(numbers->begin(), numbers->end()) != numbers->end())
    return refuse("axes: found one twice, expected each once");
  return numbers;
}
llvm::Expected<int64_t> NodeLowering::axis(StringRef name, int64_t absent, int64_t rank) const {
  int64_t axis = intAttr(name, absent);
  if (axis < -rank || axis >= rank)
    return refuse(name + ": found " + llvm::Twine(axis) + ", expected an axis of " + llvm::Twine(rank) + " dims");
  return axis < 0 ? axis + rank : axis;
}

} // namespace llmc::graph
