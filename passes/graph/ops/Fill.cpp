// Tensors made of numbers and places alone.
#include "mlir/IR/Matchers.h"
#include "passes/graph/Building.h"
#include "passes/graph/Lowerings.h"

using namespace mlir;
using arith::CmpFPredicate, arith::CmpIPredicate;

namespace llmc::graph {
namespace {

llvm::Expected<Values> lowerConstantOfShape(NodeLowering &n) {
  Builder &b = n.b;
  llvm::Expected<Sizes> dims = sizesFrom(n, 0);
  if (!dims) return dims.takeError();
  Value value = zero(b, n.element());
  if (auto given = n.node.getOnnxAttributes().getAs<DenseElementsAttr>("value")) {
    if (given.getNumElements() != 1) return refuse("value: expected one element");
    Value tensor = constantTensor(b, given);
    value = at(b, tensor, Values(given.getType().getRank(), indexConstant(b, 0)));
  }
  SmallVector<int64_t> shape;
  int64_t count = 1;
  for (Size dim : *dims) {
    if (known(dim) && *known(dim) < 0) return refuse("found a negative size");
    shape.push_back(known(dim).value_or(kMostScalars + 1));
    count = std::min<int64_t>(count * shape.back(), kMostScalars + 1);
  }
  if (count <= kMostScalars && isa<IntegerType>(n.element())) {
    Value scalar = value;
    SmallVector<Value> foldedValue;
    OpBuilder::InsertionGuard guard(b);
    if (succeeded(b.tryFold(value.getDefiningOp(), foldedValue)) && foldedValue.size() == 1) scalar = foldedValue[0];
    return Values{fromScalars(b, shape, n.element(), Values(count, scalar))};
  }
  return Values{filled(b, *dims, value)};
}

//===- Range ------------------------------------------------------------------------===//
/// ceil((limit - start) / delta), 0 if that is negative.
Size countOf(NodeLowering &n, Value start, Value limit, Value delta) {
  Builder &b = n.b;
  Type type = start.getType();
  if (isa<FloatType>(type)) {
    check(n, arith::CmpFOp::create(b, CmpFPredicate::UNE, delta, zero(b, type)), "delta is zero");
    Value steps = math::CeilOp::create(b, arith::DivFOp::create(b, arith::SubFOp::create(b, limit, start), delta));
    Value count = arith::MaximumFOp::create(b, steps, zero(b, type));
    // What is no count (NaN, or more than memory has) becomes one that the allocation refuses.
    Value fits = arith::CmpFOp::create(b, CmpFPredicate::OLT, count, number(b, type, 4e18));
    count = arith::FPToSIOp::create(b, b.getI64Type(), arith::SelectOp::create(b, fits, count, number(b, type, 4e18)));
    return asSize(b, count);
  }
  Value wide[3], given[] = {start, limit, delta};
  for (auto [out, in] : llvm::zip(wide, given))
    out = in.getType().isInteger(64) ? in : Value(b.createOrFold<arith::ExtSIOp>(b.getI64Type(), in));
  Size from = asSize(b, wide[0]), to = asSize(b, wide[1]), by = asSize(b, wide[2]);
  if (known(by) == 1) {
    Size length = sub(b, to, from);
    bool surely = known(from) == 0 && isa<Value>(to) && isa_and_nonnull<tensor::DimOp>(cast<Value>(to).getDefiningOp());
    return surely ? length : larger(b, length, size(b, 0));
  }
  check(n, compare(b, CmpIPredicate::ne, by, size(b, 0)), "delta is zero");
  Value distance = arith::SubIOp::create(b, wide[1], wide[0]);
  return larger(b, asSize(b, b.createOrFold<arith::CeilDivSIOp>(distance, wide[2])), size(b, 0));
}

llvm::Expected<Values> lowerRange(NodeLowering &n) {
  Builder &b = n.b;
  Type element = n.element();
  if (n.isUnsigned(0)) return refuse("a range of unsigned numbers");
  std::optional<SmallVector<int64_t>> start = n.constant(0), limit = n.constant(1), delta = n.constant(2);
  if (start && limit && delta && start->size() == 1 && limit->size() == 1 && delta->size() == 1 && delta->front()) {
    int64_t by = delta->front();
    __int128 distance = __int128(limit->front()) - start->front();
    __int128 count = by > 0 ? (distance + by - 1) / by : (distance + by + 1) / by;
    if (count <= kMostScalars) {
      Values elements;
      for (int64_t i = 0; i < int64_t(count); ++i) elements.push_back(integer(b, element, start->front() + i * by));
      return Values{fromScalars(b, {int64_t(elements.size())}, element, elements)};
    }
  }
  Value from = toCompute(b, scalarOf(n, 0)), to = toCompute(b, scalarOf(n, 1)), by = toCompute(b, scalarOf(n, 2));
  Size count = countOf(n, from, to, by);
  return Values{generate(b, {count}, element, [&](Builder &inner, ValueRange at) {
    Type type = from.getType();
    if (isa<FloatType>(type)) {
      Value i = arith::IndexCastOp::create(inner, inner.getI64Type(), at[0]);
      Value steps = arith::MulFOp::create(inner, arith::SIToFPOp::create(inner, type, i), by);
      return fromCompute(inner, arith::AddFOp::create(inner, from, steps), element);
    }
    Value steps = arith::MulIOp::create(inner, arith::IndexCastOp::create(inner, type, at[0]), by);
    return Value(arith::AddIOp::create(inner, from, steps));
  })};
}

//===- By place -----------------------------------------------------------------------===//
llvm::Expected<Values> lowerEyeLike(NodeLowering &n) {
  Builder &b = n.b;
  if (n.rank(0) != 2) return refuse("found other than 2 dims");
  int64_t k = n.intAttr("k", 0);
  Type element = n.element();
  return Values{generate(b, dimsOf(b, n.in(0)), element, [&](Builder &inner, ValueRange at) -> Value {
    Value column = arith::AddIOp::create(inner, at[0], indexConstant(inner, k));
    Value isOne = arith::CmpIOp::create(inner, CmpIPredicate::eq, column, at[1]);
    return arith::SelectOp::create(inner, isOne, one(inner, element), zero(inner, element));
  })};
}

llvm::Expected<Values> lowerTrilu(NodeLowering &n) {
  Builder &b = n.b;
  if (n.rank(0) < 2) return refuse("found fewer than 2 dims");
  bool upper = n.intAttr("upper", 1) != 0;
  Value k = n.has(1) ? asIndex(b, asSize(b, scalarOf(n, 1))) : indexConstant(b, 0);
  return Values{generate(b, dimsOf(b, n.in(0)), n.element(), [&](Builder &inner, ValueRange at) -> Value {
    Value diagonal = arith::AddIOp::create(inner, at[at.size() - 2], k);
    Value kept = arith::CmpIOp::create(inner, upper ? CmpIPredicate::sge : CmpIPredicate::sle, at.back(), diagonal);
    return arith::SelectOp::create(inner, kept, graph::at(inner, n.in(0), at), zero(inner, n.element()));
  })};
}

llvm::Expected<Values> lowerOneHot(NodeLowering &n) {
  Builder &b = n.b;
  auto axis = n.axis("axis", -1, n.rank(0) + 1);
  if (!axis) return axis.takeError();
  Value count = toCompute(b, scalarOf(n, 1)), values = n.in(2);
  if (n.rank(2) != 1) return refuse("values: expected off and on");
  checkEqual(n, dimOf(b, values, 0), size(b, 2), "values are not two");
  Type i64 = b.getI64Type();
  Size depth = asSize(b, convertScalar(b, count, n.inType(1), i64));
  check(n, compare(b, CmpIPredicate::sge, depth, size(b, 0)), "depth is negative");
  Value off = at(b, values, indexConstant(b, 0)), on = at(b, values, indexConstant(b, 1));
  Sizes dims = dimsOf(b, n.in(0));
  dims.insert(dims.begin() + *axis, depth);
  return Values{generate(b, dims, n.element(), [&](Builder &inner, ValueRange at) -> Value {
    Values place(at.begin(), at.end());
    place.erase(place.begin() + *axis);
    Value found = toCompute(inner, graph::at(inner, n.in(0), place));
    Value index = asIndex(inner, asSize(inner, convertScalar(inner, found, n.inType(0), i64)));
    Value isNegative = arith::CmpIOp::create(inner, CmpIPredicate::slt, index, indexConstant(inner, 0));
    Value wrapped = arith::AddIOp::create(inner, index, asIndex(inner, depth));
    index = arith::SelectOp::create(inner, isNegative, wrapped, index);
    Value isOn = arith::CmpIOp::create(inner, CmpIPredicate::eq, index, at[*axis]);
    return arith::SelectOp::create(inner, isOn, on, off);
  })};
}

constexpr Lowering kRows[] = {{"", "ConstantOfShape", lowerConstantOfShape},
                              {"", "EyeLike", lowerEyeLike},
                              {"", "OneHot", lowerOneHot},
                              {"", "Range", lowerRange},
                              {"", "Trilu", lowerTrilu}};

} // namespace

llvm::ArrayRef<Lowering> fillLowerings() { return kRows; }

} // namespace llmc::graph
