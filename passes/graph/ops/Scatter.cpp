// Elements written to places chosen by indices: one after the other, in order.
#include "passes/graph/Building.h"
#include "passes/graph/Lowerings.h"

using namespace mlir;

namespace llmc::graph {
namespace {

/// What is written where `old` is.
Value combined(NodeLowering &n, Builder &b, Value old, Value update) {
  StringRef how = n.stringAttr("reduction", "none");
  if (how == "none") return update;
  Value x = toCompute(b, old), y = toCompute(b, update), result;
  bool isFloat = isa<FloatType>(x.getType()), isUnsigned = n.isUnsigned(0);
  if (how == "add")
    result = isFloat ? Value(arith::AddFOp::create(b, x, y)) : Value(arith::AddIOp::create(b, x, y));
  else if (how == "mul")
    result = isFloat ? Value(arith::MulFOp::create(b, x, y)) : Value(arith::MulIOp::create(b, x, y));
  else if (how == "max")
    result = isFloat      ? Value(arith::MaximumFOp::create(b, x, y))
             : isUnsigned ? Value(arith::MaxUIOp::create(b, x, y))
                          : Value(arith::MaxSIOp::create(b, x, y));
  else
    result = isFloat      ? Value(arith::MinimumFOp::create(b, x, y))
             : isUnsigned ? Value(arith::MinUIOp::create(b, x, y))
                          : Value(arith::MinSIOp::create(b, x, y));
  return fromCompute(b, result, old.getType());
}

llvm::Error checkReduction(NodeLowering &n) {
  StringRef how = n.stringAttr("reduction", "none");
  if (llvm::is_contained({"none", "add", "mul", "max", "min"}, how)) return llvm::Error::success();
  return refuse("reduction: found '" + how + "', expected none, add, mul, max or min");
}

/// result[places(i)] = combined(result[...], updates[i]) for all i.
Value writeAll(NodeLowering &n, Value data, Value updates, llvm::function_ref<Values(Builder &, ValueRange)> places) {
  Builder &b = n.b;
  Sizes dims = dimsOf(b, updates);
  Value count = asIndex(b, product(b, dims));
  return loop(b, count, data, [&](Builder &inner, Value i, ValueRange carried) {
    Values from = delinearise(inner, i, dims), to = places(inner, from);
    Value old = graph::at(inner, carried[0], to), update = graph::at(inner, updates, from);
    Value next = combined(n, inner, old, update);
    return Values{tensor::InsertOp::create(inner, next, carried[0], to)};
  })[0];
}

llvm::Expected<Values> lowerScatterElements(NodeLowering &n) {
  Builder &b = n.b;
  auto axis = n.axis("axis", 0, n.rank(0));
  if (!axis) return axis.takeError();
  if (llvm::Error error = checkReduction(n)) return std::move(error);
  if (n.rank(1) != n.rank(0) || n.rank(2) != n.rank(0)) return refuse("operands differ in their number of dims");
  Sizes data = dimsOf(b, n.in(0)), dims = dimsOf(b, n.in(1)), updates = dimsOf(b, n.in(2));
  for (int64_t i = 0; i < n.rank(0); ++i) {
    checkEqual(n, updates[i], dims[i], "updates and indices differ in their dims");
    if (i != *axis && !knownEqual(dims[i], data[i]))
      check(n, compare(b, arith::CmpIPredicate::sle, dims[i], data[i]), "indices have a larger dim than the data");
  }
  return Values{writeAll(n, n.in(0), n.in(2), [&](Builder &inner, ValueRange from) {
    Values to(from.begin(), from.end());
    to[*axis] = checkedIndex(n, inner, graph::at(inner, n.in(1), from), data[*axis], "an index");
    return to;
  })};
}

llvm::Expected<Values> lowerScatterNd(NodeLowering &n) {
  Builder &b = n.b;
  if (llvm::Error error = checkReduction(n)) return std::move(error);
  int64_t rank = n.rank(1);
  Sizes data = dimsOf(b, n.in(0)), indices = dimsOf(b, n.in(1)), updates = dimsOf(b, n.in(2));
  std::optional<int64_t> depth = rank ? known(indices.back()) : std::nullopt;
  if (!depth) return refuse("the last dim of the indices is not known while compiling");
  Sizes expected(indices.begin(), indices.end() - 1);
  if (*depth > n.rank(0)) return refuse("indices have more axes than the data");
  expected.append(data.begin() + *depth, data.end());
  if (expected.size() != updates.size()) return refuse("updates have another number of dims than expected");
  for (auto [found, wanted] : llvm::zip(updates, expected))
    checkEqual(n, found, wanted, "updates have other dims than indices and data say");
  return Values{writeAll(n, n.in(0), n.in(2), [&](Builder &inner, ValueRange from) {
    ValueRange outer = from.take_front(rank - 1), rest = from.drop_front(rank - 1);
    Values row(outer.begin(), outer.end()), to;
    row.push_back(Value());
    for (int64_t i = 0; i < *depth; ++i) {
      row.back() = indexConstant(inner, i);
      to.push_back(checkedIndex(n, inner, graph::at(inner, n.in(1), row), data[i], "an index"));
    }
    to.append(rest.begin(), rest.end());
    return to;
  })};
}

constexpr Lowering kRows[] = {{"", "Scatter", lowerScatterElements},
                              {"", "ScatterElements", lowerScatterElements},
                              {"", "ScatterND", lowerScatterNd}};

} // namespace

llvm::ArrayRef<Lowering> scatterLowerings() { return kRows; }

} // namespace llmc::graph
