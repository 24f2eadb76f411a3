#include "mlir/IR/Matchers.h"
#include "passes/graph/Building.h"

using namespace mlir;

namespace llmc::graph {

RankedTensorType tensorType(ArrayRef<Size> dims, Type element) {
  SmallVector<int64_t> shape;
  for (Size dim : dims) shape.push_back(known(dim).value_or(ShapedType::kDynamic));
  return RankedTensorType::get(shape, element);
}

static Sizes attributesWhereKnown(Builder &b, ArrayRef<Size> dims) {
  Sizes result;
  for (Size dim : dims) result.push_back(known(dim) ? size(b, *known(dim)) : dim);
  return result;
}

Value empty(Builder &b, ArrayRef<Size> dims, Type element) {
  return tensor::EmptyOp::create(b, attributesWhereKnown(b, dims), element);
}

Value filled(Builder &b, ArrayRef<Size> dims, Value scalar) {
  Value out = empty(b, dims, scalar.getType());
  return linalg::FillOp::create(b, ValueRange{scalar}, ValueRange{out}).getResult(0);
}

Value constantTensor(Builder &b, DenseElementsAttr value) {
  Type element = value.getElementType(), lowered = loweredElement(element);
  if (element != lowered && element.getIntOrFloatBitWidth() == lowered.getIntOrFloatBitWidth())
    return arith::ConstantOp::create(b, value.bitcast(lowered));
  if (element == lowered) return arith::ConstantOp::create(b, value);
  // Types of less than a byte: elements by value, or by pattern.
  SmallVector<APInt> elements;
  if (isa<FloatType>(element))
    for (const APFloat &v : value.getValues<APFloat>()) elements.push_back(v.bitcastToAPInt().zext(8));
  else
    for (const APInt &v : value.getValues<APInt>())
      elements.push_back(element.isUnsignedInteger() ? v.zext(8) : v.sext(8));
  return arith::ConstantOp::create(
      b, DenseElementsAttr::get(RankedTensorType::get(value.getType().getShape(), lowered), elements));
}

Value at(Builder &b, Value tensor, ValueRange indices) { return tensor::ExtractOp::create(b, tensor, indices); }

Value scalarOf(NodeLowering &n, unsigned operand) {
  Builder &b = n.b;
  Value x = n.in(operand);
  if (std::optional<Values> elements = scalars(b, x); elements && elements->size() == 1) return elements->front();
  Values zeros;
  for (Size dim : dimsOf(b, x)) {
    checkEqual(n, dim, size(b, 1), "operand " + llvm::Twine(operand) + " has other than one element");
    zeros.push_back(indexConstant(b, 0));
  }
  return at(b, x, zeros);
}

//===- Small integer tensors as scalars --------------------------------------------===//
std::optional<Values> scalars(Builder &b, Value tensor) {
  while (auto cast = tensor.getDefiningOp<tensor::CastOp>()) tensor = cast.getSource();
  if (!isa<IntegerType>(cast<RankedTensorType>(tensor.getType()).getElementType())) return std::nullopt;
  if (auto made = tensor.getDefiningOp<tensor::FromElementsOp>())
    return Values(made.getElements().begin(), made.getElements().end());
  DenseIntElementsAttr dense;
  if (!matchPattern(tensor, m_Constant(&dense)) || dense.getNumElements() > kMostScalars) return std::nullopt;
  Values elements;
  for (const APInt &value : dense.getValues<APInt>())
    elements.push_back(arith::ConstantOp::create(b, b.getIntegerAttr(dense.getElementType(), value)));
  return elements;
}

Value fromScalars(Builder &b, ArrayRef<int64_t> shape, Type element, ValueRange elements) {
  auto type = RankedTensorType::get(shape, element);
  if (elements.empty()) return arith::ConstantOp::create(b, DenseElementsAttr::get(type, ArrayRef<Attribute>()));
  return tensor::FromElementsOp::create(b, type, elements);
}

/// Emits scalar code and folds what can be.
static Value folded(Builder &b, llvm::function_ref<Value()> emit) {
  Block *block = b.getInsertionBlock();
  Block::iterator point = b.getInsertionPoint();
  Operation *before = point == block->begin() ? nullptr : &*std::prev(point);
  Value result = emit();
  Block::iterator from = before ? std::next(before->getIterator()) : block->begin();
  for (Operation &op : llvm::make_early_inc_range(llvm::make_range(from, point))) {
    SmallVector<Value> values;
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(&op); // constants that folding makes stand before its users
    if (op.getNumResults() != 1 || op.hasTrait<OpTrait::ConstantLike>() || failed(b.tryFold(&op, values)) ||
        values.size() != 1)
      continue;
    if (op.getResult(0) == result) result = values[0];
    op.getResult(0).replaceAllUsesWith(values[0]);
    op.erase();
  }
  return result;
}

llvm::Expected<Sizes> sizesFrom(NodeLowering &n, unsigned operand) {
  Builder &b = n.b;
  Value x = n.in(operand);
  auto type = n.type(operand);
  if (type.getRank() > 1 || !type.hasStaticShape())
    return refuse("operand " + llvm::Twine(operand) + ": how many numbers it has is not known while compiling");
  Sizes sizes;
  if (std::optional<Values> elements = scalars(b, x)) {
    for (Value element : *elements) sizes.push_back(asSize(b, element));
    return sizes;
  }
  for (int64_t i = 0; i < type.getNumElements(); ++i) {
    Values index;
    if (type.getRank()) index.push_back(indexConstant(b, i));
    sizes.push_back(asSize(b, at(b, x, index)));
  }
  return sizes;
}

//===- Element by element --------------------------------------------------------------===//
/// The operand's dim that meets the result's `axis`, or 1.
static Size facingDim(Builder &b, Value operand, int64_t resultRank, int64_t axis) {
  int64_t own = axis - (resultRank - cast<RankedTensorType>(operand.getType()).getRank());
  return own < 0 ? size(b, 1) : dimOf(b, operand, own);
}

Size broadcastSize(NodeLowering &n, ArrayRef<Size> dims) {
  Builder &b = n.b;
  SmallVector<Size> left;
  for (Size dim : dims)
    if (known(dim) != 1 && llvm::none_of(left, [&](Size other) { return knownEqual(dim, other); })) left.push_back(dim);
  if (left.empty()) return size(b, 1);
  const char *reason = "dims of the operands differ and none is 1";
  llvm::sort(left, [](Size x, Size y) { return known(x).has_value() > known(y).has_value(); });
  Size result = left.front();
  for (Size dim : ArrayRef(left).drop_front()) {
    Value same = compare(b, arith::CmpIPredicate::eq, result, dim);
    Value isOne = compare(b, arith::CmpIPredicate::eq, dim, size(b, 1));
    Value fits = arith::OrIOp::create(b, same, isOne);
    if (known(result)) {
      check(n, fits, reason);
      continue;
    }
    Value wasOne = compare(b, arith::CmpIPredicate::eq, result, size(b, 1));
    check(n, arith::OrIOp::create(b, fits, wasOne), reason);
    result = Value(arith::SelectOp::create(b, wasOne, asIndex(b, dim), asIndex(b, result)));
  }
  return result;
}

static int64_t largestRank(ValueRange operands) {
  int64_t rank = 0;
  for (Value operand : operands) rank = std::max(rank, cast<RankedTensorType>(operand.getType()).getRank());
  return rank;
}

Sizes broadcastDims(NodeLowering &n, ValueRange operands) {
  int64_t rank = largestRank(operands);
  Sizes dims;
  for (int64_t axis = 0; axis < rank; ++axis) {
    SmallVector<Size> facing;
    for (Value operand : operands) facing.push_back(facingDim(n.b, operand, rank, axis));
    dims.push_back(broadcastSize(n, facing));
  }
  return dims;
}

namespace {
/// How an operand of an element-wise operation is read: by an affine map, or, where only the run knows whether a dim is
/// 1, by indices that are multiplied with 0 or 1.
struct Access {
  Value tensor;
  std::optional<AffineMap> map;
  SmallVector<int64_t> axes; // of the result, for each axis of the tensor; -1: index 0
  Values steps;              // for each axis: null, or the factor of the index
};
} // namespace

static Access accessOf(Builder &b, Value operand, ArrayRef<Size> dims) {
  Access access{operand, std::nullopt, {}, {}};
  int64_t rank = int64_t(dims.size()), own = cast<RankedTensorType>(operand.getType()).getRank();
  bool affine = true;
  SmallVector<AffineExpr> exprs;
  for (int64_t i = 0; i < own; ++i) {
    int64_t axis = i + rank - own;
    Size dim = dimOf(b, operand, i);
    bool isOne = known(dim) == 1;
    access.axes.push_back(isOne ? -1 : axis);
    access.steps.push_back(Value());
    exprs.push_back(isOne ? b.getAffineConstantExpr(0) : b.getAffineDimExpr(axis));
    if (isOne || knownEqual(dim, dims[axis])) continue;
    affine = false;
    Value single = compare(b, arith::CmpIPredicate::eq, dim, size(b, 1));
    access.steps.back() = arith::SelectOp::create(b, single, indexConstant(b, 0), indexConstant(b, 1));
  }
  if (affine) access.map = AffineMap::get(rank, 0, exprs, b.getContext());
  return access;
}

static Value readAt(Builder &b, const Access &access) {
  Values indices;
  for (auto [axis, step] : llvm::zip(access.axes, access.steps)) {
    if (axis < 0) {
      indices.push_back(indexConstant(b, 0));
      continue;
    }
    Value index = linalg::IndexOp::create(b, axis);
    indices.push_back(step ? Value(arith::MulIOp::create(b, index, step)) : index);
  }
  return at(b, access.tensor, indices);
}

/// All elements of an element-wise operation on small integer tensors, as scalar code.
static std::optional<Value> elementwiseScalars(NodeLowering &n, ArrayRef<Size> dims, ValueRange operands, Type element,
                                               Body body) {
  Builder &b = n.b;
  SmallVector<int64_t> shape;
  int64_t count = 1;
  for (Size dim : dims) {
    if (!known(dim)) return std::nullopt;
    shape.push_back(*known(dim));
    count *= shape.back();
    if (count > kMostScalars) return std::nullopt;
  }
  if (!isa<IntegerType>(element)) return std::nullopt;
  SmallVector<Values> parts;
  for (Value operand : operands) {
    std::optional<Values> elements = scalars(b, operand);
    if (!elements || !cast<RankedTensorType>(operand.getType()).hasStaticShape()) return std::nullopt;
    parts.push_back(std::move(*elements));
  }
  Values results;
  for (int64_t i = 0; i < count; ++i) {
    Values arguments;
    for (auto [operand, elements] : llvm::zip(operands, parts)) {
      ArrayRef<int64_t> own = cast<RankedTensorType>(operand.getType()).getShape();
      int64_t rest = i, offset = 0, stride = 1;
      for (int64_t axis = int64_t(shape.size()) - 1; axis >= 0; --axis) {
        int64_t index = rest % shape[axis], place = axis - int64_t(shape.size() - own.size());
        rest /= shape[axis];
        if (place < 0) continue;
        offset += own[place] == 1 ? 0 : index * stride;
        stride *= own[place];
      }
      arguments.push_back(elements[offset]);
    }
    results.push_back(folded(b, [&] { return body(b, arguments); }));
  }
  return fromScalars(b, shape, element, results);
}

Value elementwiseTo(NodeLowering &n, ArrayRef<Size> dims, ValueRange operands, Type element, Body body) {
  if (std::optional<Value> small = elementwiseScalars(n, dims, operands, element, body)) return *small;
  Builder &b = n.b;
  SmallVector<Access> accesses;
  Values inputs;
  SmallVector<AffineMap> maps;
  for (Value operand : operands) {
    accesses.push_back(accessOf(b, operand, dims));
    if (!accesses.back().map) continue;
    inputs.push_back(operand);
    maps.push_back(*accesses.back().map);
  }
  Value out = empty(b, dims, element);
  maps.push_back(b.getMultiDimIdentityMap(dims.size()));
  SmallVector<utils::IteratorType> iterators(dims.size(), utils::IteratorType::parallel);
  auto generic = linalg::GenericOp::create(
      b, TypeRange{out.getType()}, inputs, ValueRange{out}, maps, iterators,
      [&](OpBuilder &nested, Location loc, ValueRange given) {
        Builder inner(loc, nested);
        Values arguments;
        unsigned next = 0;
        for (const Access &access : accesses)
          arguments.push_back(toCompute(inner, access.map ? given[next++] : readAt(inner, access)));
        linalg::YieldOp::create(inner, fromCompute(inner, body(inner, arguments), element));
      });
  return generic.getResult(0);
}

llvm::Expected<Value> elementwise(NodeLowering &n, ValueRange operands, Type element, Body body) {
  int64_t rank = largestRank(operands);
  for (int64_t axis = 0; axis < rank; ++axis) {
    std::optional<int64_t> extent;
    for (Value operand : operands) {
      std::optional<int64_t> dim = known(facingDim(n.b, operand, rank, axis));
      if (!dim || *dim == 1) continue;
      if (extent && *extent != *dim)
        return refuse("dims of the operands: found " + llvm::Twine(*extent) + " and " + llvm::Twine(*dim) +
                      ", expected equal ones or 1");
      extent = dim;
    }
  }
  Sizes dims = broadcastDims(n, operands);
  return elementwiseTo(n, dims, operands, element, body);
}

Value generate(Builder &b, ArrayRef<Size> dims, Type element, Body body) {
  Value out = empty(b, dims, element);
  SmallVector<utils::IteratorType> iterators(dims.size(), utils::IteratorType::parallel);
  auto generic = linalg::GenericOp::create(b, TypeRange{out.getType()}, ValueRange(), ValueRange{out},
                                           ArrayRef{b.getMultiDimIdentityMap(dims.size())}, iterators,
                                           [&](OpBuilder &nested, Location loc, ValueRange) {
                                             Builder inner(loc, nested);
                                             Values indices;
                                             for (size_t i = 0; i < dims.size(); ++i)
                                               indices.push_back(linalg::IndexOp::create(inner, i));
                                             linalg::YieldOp::create(inner, body(inner, indices));
                                           });
  return generic.getResult(0);
}

Value reduce(Builder &b, Value x, ArrayRef<int64_t> axes, bool keepDims, Value init,
             llvm::function_ref<Value(Builder &, Value, Value)> combine) {
  Sizes dims = dimsOf(b, x), kept;
  SmallVector<AffineExpr> exprs;
  SmallVector<utils::IteratorType> iterators;
  for (auto [i, dim] : llvm::enumerate(dims)) {
    bool reduced = llvm::is_contained(axes, int64_t(i));
    iterators.push_back(reduced ? utils::IteratorType::reduction : utils::IteratorType::parallel);
    if (reduced) continue;
    kept.push_back(dim);
    exprs.push_back(b.getAffineDimExpr(i));
  }
  Value out = filled(b, kept, init);
  SmallVector<AffineMap> maps{b.getMultiDimIdentityMap(dims.size()),
                              AffineMap::get(dims.size(), 0, exprs, b.getContext())};
  auto generic =
      linalg::GenericOp::create(b, TypeRange{out.getType()}, ValueRange{x}, ValueRange{out}, maps, iterators,
                                [&](OpBuilder &nested, Location loc, ValueRange given) {
                                  Builder inner(loc, nested);
                                  linalg::YieldOp::create(inner, combine(inner, given[1], toCompute(inner, given[0])));
                                });
  return keepDims ? unsqueeze(b, generic.getResult(0), axes) : generic.getResult(0);
}

//===- The same elements, elsewhere ------------------------------------------------------===//
Value castTo(Builder &b, Value x, RankedTensorType type) {
  return x.getType() == type ? x : Value(tensor::CastOp::create(b, type, x));
}

static SmallVector<ReassociationIndices> allInOne(int64_t rank) {
  ReassociationIndices group;
  for (int64_t i = 0; i < rank; ++i) group.push_back(i);
  return {group};
}

Value reshape(Builder &b, Value x, ArrayRef<Size> dims) {
  auto from = cast<RankedTensorType>(x.getType());
  RankedTensorType to = tensorType(dims, from.getElementType());
  if (from.getRank() == to.getRank() && llvm::equal(dimsOf(b, x), dims, knownEqual)) return castTo(b, x, to);
  if (std::optional<Values> elements = scalars(b, x); elements && to.hasStaticShape())
    if (to.getNumElements() == int64_t(elements->size()))
      return fromScalars(b, to.getShape(), to.getElementType(), *elements);
  auto dynamic = [&](ArrayRef<int64_t> shape) { return RankedTensorType::get(shape, from.getElementType()); };
  if (to.getRank() == 0) { // one element: all dims are 1
    SmallVector<int64_t> ones(from.getRank(), 1);
    Value single =
        castTo(b, castTo(b, x, dynamic(SmallVector<int64_t>(from.getRank(), ShapedType::kDynamic))), dynamic(ones));
    return tensor::CollapseShapeOp::create(b, single, ArrayRef<ReassociationIndices>());
  }
  Sizes target = attributesWhereKnown(b, dims);
  if (from.getRank() == 0) {
    SmallVector<int64_t> ones(to.getRank(), 1);
    Value grown = tensor::ExpandShapeOp::create(b, dynamic(ones), x, ArrayRef<ReassociationIndices>());
    return to == grown.getType()
               ? grown
               : castTo(b, castTo(b, grown, dynamic(SmallVector<int64_t>(to.getRank(), ShapedType::kDynamic))), to);
  }
  Value flat = from.getRank() == 1 ? x : Value(tensor::CollapseShapeOp::create(b, x, allInOne(from.getRank())));
  RankedTensorType line = dynamic({to.hasStaticShape() ? to.getNumElements() : ShapedType::kDynamic});
  if (flat.getType() != line) flat = castTo(b, castTo(b, flat, dynamic({ShapedType::kDynamic})), line);
  if (to.getRank() == 1) return castTo(b, flat, to);
  return tensor::ExpandShapeOp::create(b, to, flat, allInOne(to.getRank()), target);
}

Value transpose(Builder &b, Value x, ArrayRef<int64_t> perm) {
  if (llvm::equal(perm, llvm::seq<int64_t>(0, perm.size()))) return x;
  Sizes dims = dimsOf(b, x), target;
  SmallVector<AffineExpr> exprs(perm.size());
  for (auto [i, axis] : llvm::enumerate(perm)) {
    target.push_back(dims[axis]);
    exprs[axis] = b.getAffineDimExpr(i);
  }
  Value out = empty(b, target, cast<RankedTensorType>(x.getType()).getElementType());
  SmallVector<AffineMap> maps{AffineMap::get(perm.size(), 0, exprs, b.getContext()),
                              b.getMultiDimIdentityMap(perm.size())};
  SmallVector<utils::IteratorType> iterators(perm.size(), utils::IteratorType::parallel);
  auto generic = linalg::GenericOp::create(
      b, TypeRange{out.getType()}, ValueRange{x}, ValueRange{out}, maps, iterators,
      [](OpBuilder &nested, Location loc, ValueRange given) { linalg::YieldOp::create(nested, loc, given[0]); });
  return generic.getResult(0);
}

Value slice(Builder &b, Value x, ArrayRef<Size> offsets, ArrayRef<Size> sizes, ArrayRef<Size> strides) {
  // MLIR refuses an offset at the end of a dim, even if nothing is taken.
  if (llvm::any_of(sizes, [](Size size) { return known(size) == 0; }))
    return empty(b, sizes, cast<RankedTensorType>(x.getType()).getElementType());
  Sizes steps = attributesWhereKnown(b, strides);
  if (strides.empty()) steps.assign(offsets.size(), size(b, 1));
  // Nothing, of nothing or at the end of an axis: an offset that extract_slice does not allow.
  if (llvm::any_of(sizes, [](Size own) { return known(own) == 0; }) ||
      llvm::is_contained(cast<RankedTensorType>(x.getType()).getShape(), 0))
    return empty(b, sizes, cast<RankedTensorType>(x.getType()).getElementType());
  return tensor::ExtractSliceOp::create(b, x, attributesWhereKnown(b, offsets), attributesWhereKnown(b, sizes), steps);
}

Value unsqueeze(Builder &b, Value x, ArrayRef<int64_t> axes) {
  Sizes dims = dimsOf(b, x);
  for (int64_t axis : axes) dims.insert(dims.begin() + axis, size(b, 1));
  return reshape(b, x, dims);
}

Value squeeze(Builder &b, Value x, ArrayRef<int64_t> axes) {
  Sizes dims;
  for (auto [i, dim] : llvm::enumerate(dimsOf(b, x)))
    if (!llvm::is_contained(axes, int64_t(i))) dims.push_back(dim);
  return reshape(b, x, dims);
}

Values delinearise(Builder &b, Value linear, ArrayRef<Size> dims) {
  Values indices(dims.size());
  for (size_t i = dims.size(); i-- > 0;) {
    if (i == 0) {
      indices[0] = linear;
      break;
    }
    Value extent = asIndex(b, dims[i]);
    indices[i] = arith::RemUIOp::create(b, linear, extent);
    linear = arith::DivUIOp::create(b, linear, extent);
  }
  return indices;
}

Values loop(Builder &b, Size count, ValueRange tensors, llvm::function_ref<Values(Builder &, Value, ValueRange)> body) {
  auto loop = scf::ForOp::create(b, indexConstant(b, 0), asIndex(b, count), indexConstant(b, 1), tensors,
                                 [&](OpBuilder &nested, Location loc, Value i, ValueRange carried) {
                                   Builder inner(loc, nested);
                                   scf::YieldOp::create(inner, body(inner, i, carried));
                                 });
  return Values(loop.getResults().begin(), loop.getResults().end());
}

} // namespace llmc::graph
