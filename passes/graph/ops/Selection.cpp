// Operators whose result is as long as some condition holds.
#include "passes/graph/Building.h"
#include "passes/graph/Lowerings.h"

using namespace mlir;
using arith::CmpIPredicate;

namespace llmc::graph {
namespace {

/// The numbers of the elements of a line for which `holds`: a tensor of as many i64 as there are.
Value placesWhere(Builder &b, Size length, llvm::function_ref<Value(Builder &, Value)> holds) {
  Value none = indexConstant(b, 0);
  Value count = loop(b, length, none, [&](Builder &inner, Value i, ValueRange carried) {
    Value more = arith::AddIOp::create(inner, carried[0], indexConstant(inner, 1));
    return Values{arith::SelectOp::create(inner, holds(inner, i), more, carried[0])};
  })[0];
  Value list = empty(b, {count}, b.getI64Type());
  Values both = loop(b, length, {list, none}, [&](Builder &inner, Value i, ValueRange carried) {
    auto choice = scf::IfOp::create(
        inner, holds(inner, i),
        [&](OpBuilder &nested, Location loc) {
          Builder then(loc, nested);
          Value number = arith::IndexCastOp::create(then, then.getI64Type(), i);
          Value grown = tensor::InsertOp::create(then, number, carried[0], carried[1]);
          Value next = arith::AddIOp::create(then, carried[1], indexConstant(then, 1));
          scf::YieldOp::create(then, ValueRange{grown, next});
        },
        [&](OpBuilder &nested, Location loc) { scf::YieldOp::create(nested, loc, carried); });
    return Values(choice.getResults().begin(), choice.getResults().end());
  });
  return both[0];
}

Value isSet(Builder &b, Value x) {
  if (isa<FloatType>(x.getType())) return arith::CmpFOp::create(b, arith::CmpFPredicate::UNE, x, zero(b, x.getType()));
  return arith::CmpIOp::create(b, CmpIPredicate::ne, x, zero(b, x.getType()));
}

llvm::Expected<Values> lowerNonZero(NodeLowering &n) {
  Builder &b = n.b;
  Sizes dims = dimsOf(b, n.in(0));
  Value line = reshape(b, n.in(0), {product(b, dims)});
  Value places = placesWhere(b, dimOf(b, line, 0), [&](Builder &inner, Value i) {
    return isSet(inner, toCompute(inner, at(inner, line, i)));
  });
  // Row r of the result is the index along axis r.
  Sizes result{size(b, n.rank(0)), dimOf(b, places, 0)};
  return Values{generate(b, result, b.getI64Type(), [&](Builder &inner, ValueRange where) -> Value {
    Value linear = asIndex(inner, asSize(inner, at(inner, places, where[1])));
    Values indices = delinearise(inner, linear, dims);
    Value chosen = indexConstant(inner, 0);
    for (auto [axis, index] : llvm::enumerate(indices)) {
      Value isThis = arith::CmpIOp::create(inner, CmpIPredicate::eq, where[0], indexConstant(inner, axis));
      chosen = arith::SelectOp::create(inner, isThis, index, chosen);
    }
    return arith::IndexCastOp::create(inner, inner.getI64Type(), chosen);
  })};
}

llvm::Expected<Values> lowerCompress(NodeLowering &n) {
  Builder &b = n.b;
  Value data = n.in(0), condition = n.in(1);
  int64_t axis = 0;
  if (n.rank(1) != 1) return refuse("the condition has other than one dim");
  if (n.node.getOnnxAttributes().contains("axis")) {
    auto given = n.axis("axis", 0, n.rank(0));
    if (!given) return given.takeError();
    axis = *given;
  } else {
    data = reshape(b, data, {product(b, dimsOf(b, data))});
  }
  Sizes dims = dimsOf(b, data);
  Size length = dimOf(b, condition, 0);
  check(n, compare(b, CmpIPredicate::sle, length, dims[axis]), "the condition is longer than the data");
  Value places = placesWhere(b, length, [&](Builder &inner, Value i) { return at(inner, condition, i); });
  dims[axis] = dimOf(b, places, 0);
  return Values{generate(b, dims, n.element(), [&](Builder &inner, ValueRange where) {
    Values from(where.begin(), where.end());
    from[axis] = asIndex(inner, asSize(inner, at(inner, places, where[axis])));
    return at(inner, data, from);
  })};
}

constexpr Lowering kRows[] = {{"", "Compress", lowerCompress}, {"", "NonZero", lowerNonZero}};

} // namespace

llvm::ArrayRef<Lowering> selectionLowerings() { return kRows; }

} // namespace llmc::graph
