#include "passes/raise/Elements.h"
#include "passes/raise/ElementNode.h"
#include "llvm/ADT/ScopeExit.h"
#include <cmath>

using namespace mlir;

namespace llmc::raise {

// Graphs can be hostile. What lies deeper or is more is not understood.
constexpr unsigned kMostDepth = 600, kMostLooks = 4000000;

bool hasCache(func::FuncOp step) {
  return llvm::any_of(step.getArguments(), [](BlockArgument argument) {
    auto type = dyn_cast<RankedTensorType>(argument.getType());
    return type && type.getRank() == 4 && isa<FloatType>(type.getElementType());
  });
}

Elements::Elements(bool hasCache, bool anyBatch)
    : tokens(scalars.size(1)), past(hasCache ? scalars.size(0) : scalars.integer(0)),
      batch(anyBatch ? scalars.size(1) : scalars.integer(1)) {}

//===- Shapes -----------------------------------------------------------------===//
const std::optional<Scalars> &Elements::shape(Value value) {
  static const std::optional<Scalars> kUnknown;
  auto found = shapes.find(value.getAsOpaquePointer());
  if (found != shapes.end()) return found->second;
  if (depth > kMostDepth) return kUnknown;
  ++depth;
  auto leave = llvm::make_scope_exit([&] { --depth; });
  std::optional<Scalars> made = shapeOf(value);
  return shapes[value.getAsOpaquePointer()] = std::move(made);
}

/// What the node says and what the type says: numbers come first.
std::optional<Scalars> Elements::shapeOf(Value value) {
  std::optional<Scalars> known;
  auto node = value.getDefiningOp<llm::OnnxNodeOp>();
  if (node) known = NodeElements(*this, node, cast<OpResult>(value).getResultNumber()).shape();
  auto type = dyn_cast<RankedTensorType>(value.getType());
  if (!type || (known && int64_t(known->size()) != type.getRank()) || (node && node.getDeclared())) return known;
  if (!known) known = inputShape(value, type);
  for (auto [size, number] : llvm::zip(*known, type.getShape()))
    if (!ShapedType::isDynamic(number) && (!size || !size->integer())) size = scalars.integer(number);
  return known;
}

/// Of what is no node: graph inputs and casts; rows are [tokens, C].
Scalars Elements::inputShape(Value value, RankedTensorType type) {
  Scalars out(type.getRank());
  auto fill = [&](ArrayRef<Scalar> sizes) { llvm::copy(sizes.take_front(type.getRank()), out.begin()); };
  StringRef name = inputName(value);
  bool floats = isa<FloatType>(type.getElementType());
  if (auto cast = value.getDefiningOp<UnrealizedConversionCastOp>()) {
    std::optional<Scalars> inner = cast.getNumOperands() == 1 ? shape(cast.getOperand(0)) : std::nullopt;
    if (inner && inner->size() + 1 == out.size()) inner->insert(inner->begin(), batch);
    if (inner && inner->size() == out.size() + 1) inner->erase(inner->begin()); // the batch
    if (inner && inner->size() == out.size()) fill(*inner);
  } else if (value.getDefiningOp<llm::OnnxNodeOp>()) {
    return out;
  } else if (name.empty() && (type.getRank() == 1 || type.getRank() == 2) && type.isDynamicDim(0)) {
    fill({tokens, nullptr});
  } else if (name == "input_ids" || name == "position_ids" || name == "inputs_embeds") {
    fill({batch, tokens});
  } else if (name == "attention_mask") {
    fill({batch, scalars.add(past, tokens)});
  } else if (!name.empty() && floats && type.getRank() == 4) { // past keys and values
    out[0] = batch;
    for (unsigned axis : {2u, 3u, 1u})
      if (type.isDynamicDim(axis)) {
        out[axis] = past;
        break;
      }
  }
  return out;
}

//===- Elements -----------------------------------------------------------------===//
Scalar Elements::at(Value value, ArrayRef<Scalar> indices) {
  const std::optional<Scalars> &sizes = shape(value);
  if (!sizes || sizes->size() != indices.size() || llvm::is_contained(indices, nullptr)) return nullptr;
  std::pair key(value.getAsOpaquePointer(), Scalars(indices));
  auto found = elements.find(key);
  if (found != elements.end()) return found->second;
  Scalar made = nullptr;
  if (depth <= kMostDepth && looks <= kMostLooks) {
    ++depth, ++looks;
    made = elementOf(value, indices);
    --depth;
  }
  if (!made) made = scalars.element(value, indices);
  return elements[key] = made;
}

Scalar Elements::elementOf(Value value, ArrayRef<Scalar> indices) {
  if (auto node = value.getDefiningOp<llm::OnnxNodeOp>())
    return NodeElements(*this, node, cast<OpResult>(value).getResultNumber()).element(indices);
  if (auto tensor = value.getDefiningOp<llm::OnnxTensorOp>()) return elementOfTensor(tensor, indices);
  if (auto constant = value.getDefiningOp<llm::OnnxConstantOp>()) {
    auto dense = dyn_cast<DenseElementsAttr>(constant.getValue());
    if (!dense) return nullptr;
    return dense.isSplat() && dense.getNumElements() ? constantAt(dense, Scalars(indices.size(), scalars.integer(0)))
                                                     : constantAt(dense, indices);
  }
  return elementOfInput(value, indices);
}

Scalar Elements::constantAt(DenseElementsAttr dense, ArrayRef<Scalar> indices) {
  int64_t place = 0;
  for (auto [index, size] : llvm::zip(indices, dense.getType().getShape())) {
    if (!index->integer() || *index->integer() < 0 || *index->integer() >= size) return nullptr;
    place = place * size + *index->integer();
  }
  if (auto floats = dyn_cast<DenseFPElementsAttr>(dense))
    return scalars.real((*(floats.begin() + place)).convertToDouble());
  auto integers = dyn_cast<DenseIntElementsAttr>(dense);
  if (!integers) return nullptr;
  APInt number = *(integers.begin() + place);
  Type element = dense.getElementType();
  if (element.isInteger(1)) return scalars.truth(!number.isZero());
  return scalars.integer(element.isUnsignedInteger() ? int64_t(number.getZExtValue()) : number.getSExtValue());
}

/// A table that was found to hold a rotary embedding (RopeTables.cpp) is written as the cosine or sine that it is, of
/// the position and a frequency: an element of one tensor that stands for all with the same frequencies.
Scalar Elements::elementOfTensor(llm::OnnxTensorOp tensor, ArrayRef<Scalar> indices) {
  if (llm::RopeAttr rope = tensor.getRopeAttr(); rope && indices.size() == 2) {
    Value stands = tables.try_emplace(rope, tensor.getY()).first->second;
    Scalar angle = scalars.multiplyReal(scalars.toReal(indices[0]), scalars.element(stands, {indices[1]}));
    return scalars.multiplyReal(scalars.real(float(rope.getScale())),
                                scalars.function(tensor.getIsCos() ? "cos" : "sin", angle));
  }
  auto dense = dyn_cast_or_null<DenseElementsAttr>(tensor.getValueAttr());
  return dense ? constantAt(dense, indices) : nullptr;
}

/// What the runtime's use of the graph says of its inputs; and what is under a cast, of rows as [batch, tokens, C] and
/// the other way round.
Scalar Elements::elementOfInput(Value value, ArrayRef<Scalar> indices) {
  if (inputName(value) == "attention_mask") return scalars.integer(1);
  if (inputName(value) == "position_ids" && indices.size() == 2) return scalars.add(past, indices[1]);
  auto argument = dyn_cast<BlockArgument>(value); // llmc-raise-signature: tokens, positions, logit rows
  if (argument && argument.getArgNumber() == 1 && inputName(value).empty() && indices.size() == 1)
    return scalars.add(past, indices[0]);
  auto cast = value.getDefiningOp<UnrealizedConversionCastOp>();
  auto type = cast && cast.getNumOperands() == 1 ? dyn_cast<RankedTensorType>(cast.getOperand(0).getType())
                                                 : RankedTensorType();
  if (!type) return nullptr;
  int64_t more = type.getRank() - int64_t(indices.size());
  Scalars inner(indices);
  if (more == 1) inner.insert(inner.begin(), scalars.integer(0));
  if (more == -1) inner.erase(inner.begin());
  return more >= -1 && more <= 1 ? at(cast.getOperand(0), inner) : nullptr;
}

std::optional<std::pair<Scalar, Scalar>> Elements::factors(Scalar element, Scalar inner) {
  auto node = element->form == Form::Element ? element->tensor.getDefiningOp<llm::OnnxNodeOp>() : llm::OnnxNodeOp();
  if (!node) return std::nullopt;
  return NodeElements(*this, node, 0).factors(element->operands, inner);
}

std::optional<double> Elements::number(Scalar scalar) {
  Scalar known = scalars.transform(scalar, [&](Scalar s) -> Scalar {
    if (s->form != Form::Element) return nullptr;
    if (auto tensor = s->tensor.getDefiningOp<llm::OnnxTensorOp>(); tensor && tensor.getRopeAttr()) {
      std::optional<int64_t> at = s->operands.size() == 1 ? s->operands[0]->integer() : std::nullopt;
      ArrayRef<F32> frequencies = tensor.getRopeAttr().getInvFreq();
      if (at && *at >= 0 && *at < int64_t(frequencies.size())) return scalars.real(float(frequencies[*at]));
    }
    Scalar made =
        s->operands.size() == shape(s->tensor).value_or(Scalars()).size() ? at(s->tensor, s->operands) : nullptr;
    return made && made->form == Form::Element ? nullptr : made;
  });
  return known ? known->real() : std::nullopt;
}

} // namespace llmc::raise
