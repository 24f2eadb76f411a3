#include "passes/graph/Building.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;

namespace llmc::graph {

//===- Sizes ----------------------------------------------------------------------===//
Size size(Builder &b, int64_t number) { return b.getIndexAttr(number); }

std::optional<int64_t> known(Size size) { return getConstantIntValue(size); }

/// How deep computations are compared: sums of a few dims.
static constexpr int kMostDepth = 6;

static bool sameComputation(Value a, Value b, int depth) {
  if (a == b) return true;
  auto left = dyn_cast<OpResult>(a), right = dyn_cast<OpResult>(b);
  if (!left || !right || depth == 0 || left.getResultNumber() != right.getResultNumber()) return false;
  Operation *x = left.getOwner(), *y = right.getOwner();
  if (x->getName() != y->getName() || !isPure(x) || x->getNumRegions() || x->getAttrs() != y->getAttrs() ||
      x->getPropertiesAsAttribute() != y->getPropertiesAsAttribute() || x->getNumOperands() != y->getNumOperands())
    return false;
  for (auto [p, q] : llvm::zip(x->getOperands(), y->getOperands()))
    if (!sameComputation(p, q, depth - 1)) return false;
  return true;
}

bool knownEqual(Size a, Size b) {
  std::optional<int64_t> x = known(a), y = known(b);
  if (x || y) return x == y;
  return sameComputation(cast<Value>(a), cast<Value>(b), kMostDepth);
}

Value indexConstant(Builder &b, int64_t number) { return arith::ConstantIndexOp::create(b, number); }

Value asIndex(Builder &b, Size size) {
  if (std::optional<int64_t> number = known(size)) return indexConstant(b, *number);
  return cast<Value>(size);
}

Size asSize(Builder &b, Value value) {
  APInt constant;
  if (matchPattern(value, m_ConstantInt(&constant))) return size(b, constant.getSExtValue());
  if (value.getType().isIndex()) return value;
  if (auto cast = value.getDefiningOp<arith::IndexCastOp>(); cast && cast.getIn().getType().isIndex())
    return cast.getIn();
  return Value(arith::IndexCastOp::create(b, b.getIndexType(), value));
}

/// The value whose dims were written down when the tensor was made; else nothing.
static std::optional<Size> recordedDim(Builder &b, Value tensor, int64_t axis) {
  Operation *op = tensor.getDefiningOp();
  if (auto made = dyn_cast_or_null<tensor::EmptyOp>(op)) return made.getMixedSizes()[axis];
  if (auto made = dyn_cast_or_null<tensor::ExpandShapeOp>(op)) return made.getMixedOutputShape()[axis];
  if (auto made = dyn_cast_or_null<tensor::CastOp>(op)) return dimOf(b, made.getSource(), axis);
  if (auto made = dyn_cast_or_null<tensor::InsertSliceOp>(op)) return dimOf(b, made.getDest(), axis);
  if (auto made = dyn_cast_or_null<tensor::InsertOp>(op)) return dimOf(b, made.getDest(), axis);
  if (auto made = dyn_cast_or_null<tensor::ExtractSliceOp>(op);
      made && made.getSourceType().getRank() == made.getType().getRank())
    return made.getMixedSizes()[axis];
  if (auto made = dyn_cast_or_null<linalg::LinalgOp>(op))
    return dimOf(b, made.getDpsInits()[cast<OpResult>(tensor).getResultNumber()], axis);
  return std::nullopt;
}

Size dimOf(Builder &b, Value tensor, int64_t axis) {
  auto type = cast<RankedTensorType>(tensor.getType());
  if (!type.isDynamicDim(axis)) return size(b, type.getDimSize(axis));
  if (std::optional<Size> recorded = recordedDim(b, tensor, axis)) return *recorded;
  // One tensor.dim for each, right behind the value: equal sizes are then the same value.
  for (Operation *user : tensor.getUsers())
    if (auto dim = dyn_cast<tensor::DimOp>(user); dim && dim->getBlock() == tensor.getParentBlock())
      if (dim.getConstantIndex() == axis) return dim.getResult();
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointAfterValue(tensor);
  Value number = indexConstant(b, axis);
  return Value(tensor::DimOp::create(b, tensor, number));
}

Sizes dimsOf(Builder &b, Value tensor) {
  Sizes dims;
  for (int64_t i = 0; i < cast<RankedTensorType>(tensor.getType()).getRank(); ++i) dims.push_back(dimOf(b, tensor, i));
  return dims;
}

Size add(Builder &b, Size x, Size y) {
  std::optional<int64_t> p = known(x), q = known(y);
  if (p && q) return size(b, *p + *q);
  if (p == 0) return y;
  if (q == 0) return x;
  return Value(arith::AddIOp::create(b, asIndex(b, x), asIndex(b, y)));
}
Size sub(Builder &b, Size x, Size y) {
  std::optional<int64_t> p = known(x), q = known(y);
  if (p && q) return size(b, *p - *q);
  if (q == 0) return x;
  if (knownEqual(x, y)) return size(b, 0);
  return Value(arith::SubIOp::create(b, asIndex(b, x), asIndex(b, y)));
}
Size mul(Builder &b, Size x, Size y) {
  std::optional<int64_t> p = known(x), q = known(y);
  if (p && q) {
    if (int64_t result; !llvm::MulOverflow(*p, *q, result)) return size(b, result);
  }
  if (p == 0 || q == 0) return size(b, 0);
  if (p == 1) return y;
  if (q == 1) return x;
  return Value(arith::MulIOp::create(b, asIndex(b, x), asIndex(b, y)));
}
Size floorDiv(Builder &b, Size x, Size y) {
  std::optional<int64_t> p = known(x), q = known(y);
  if (p && q && *q > 0) return size(b, *p / *q);
  if (q == 1) return x;
  return Value(arith::DivSIOp::create(b, asIndex(b, x), asIndex(b, y)));
}
Size ceilDiv(Builder &b, Size x, Size y) { return floorDiv(b, add(b, x, sub(b, y, size(b, 1))), y); }
Size smaller(Builder &b, Size x, Size y) {
  std::optional<int64_t> p = known(x), q = known(y);
  if (p && q) return size(b, std::min(*p, *q));
  if (knownEqual(x, y)) return x;
  return Value(arith::MinSIOp::create(b, asIndex(b, x), asIndex(b, y)));
}
Size larger(Builder &b, Size x, Size y) {
  std::optional<int64_t> p = known(x), q = known(y);
  if (p && q) return size(b, std::max(*p, *q));
  if (knownEqual(x, y)) return x;
  return Value(arith::MaxSIOp::create(b, asIndex(b, x), asIndex(b, y)));
}
Size product(Builder &b, ArrayRef<Size> sizes) {
  Size all = size(b, 1);
  for (Size one : sizes) all = mul(b, all, one);
  return all;
}

//===- Checks -----------------------------------------------------------------------===//
void check(NodeLowering &n, Builder &b, Value condition, const llvm::Twine &reason) {
  APInt constant;
  if (matchPattern(condition, m_ConstantInt(&constant)) && !constant.isZero()) return;
  std::string name;
  if (auto loc = dyn_cast<NameLoc>(n.node.getLoc())) name = loc.getName().str();
  cf::AssertOp::create(b, condition,
                       b.getStringAttr("node '" + name + "' (" + n.node.getOpType() + "): " + reason.str()));
}
void check(NodeLowering &n, Value condition, const llvm::Twine &reason) { check(n, n.b, condition, reason); }

Value compare(Builder &b, arith::CmpIPredicate predicate, Size x, Size y) {
  Value left = asIndex(b, x), right = asIndex(b, y);
  return b.createOrFold<arith::CmpIOp>(predicate, left, right);
}

void checkEqual(NodeLowering &n, Size found, Size expected, const llvm::Twine &reason) {
  if (!knownEqual(found, expected)) check(n, compare(n.b, arith::CmpIPredicate::eq, found, expected), reason);
}

Value checkedIndex(NodeLowering &n, Builder &b, Value integer, Size extent, const llvm::Twine &what) {
  Value index = asIndex(b, asSize(b, integer)), limit = asIndex(b, extent), none = indexConstant(b, 0);
  Value isNegative = b.createOrFold<arith::CmpIOp>(arith::CmpIPredicate::slt, index, none);
  Value wrapped = b.createOrFold<arith::AddIOp>(index, limit);
  index = b.createOrFold<arith::SelectOp>(isNegative, wrapped, index);
  check(n, b, b.createOrFold<arith::CmpIOp>(arith::CmpIPredicate::ult, index, limit), what + " is out of range");
  return index;
}

//===- Scalars ------------------------------------------------------------------------===//
Value integer(Builder &b, Type type, int64_t number) {
  return arith::ConstantOp::create(b, cast<TypedAttr>(b.getIntegerAttr(type, number)));
}
Value number(Builder &b, Type floatType, double number) {
  return arith::ConstantOp::create(b, cast<TypedAttr>(b.getFloatAttr(floatType, number)));
}
Value zero(Builder &b, Type type) { return arith::ConstantOp::create(b, cast<TypedAttr>(b.getZeroAttr(type))); }
Value one(Builder &b, Type type) { return isa<FloatType>(type) ? number(b, type, 1) : integer(b, type, 1); }

Type computeType(Type element) {
  return element.isF16() || element.isBF16() ? Type(Float32Type::get(element.getContext())) : element;
}
Value toCompute(Builder &b, Value scalar) {
  Type type = computeType(scalar.getType());
  return type == scalar.getType() ? scalar : Value(arith::ExtFOp::create(b, type, scalar));
}
Value fromCompute(Builder &b, Value scalar, Type element) {
  return scalar.getType() == element ? scalar : Value(arith::TruncFOp::create(b, element, scalar));
}

} // namespace llmc::graph
