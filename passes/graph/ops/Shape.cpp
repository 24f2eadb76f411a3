// Operators that only change or ask dims.
#include "passes/graph/Building.h"
#include "passes/graph/Lowerings.h"
#include "passes/graph/RuntimeAxes.h"

using namespace mlir;
using arith::CmpIPredicate;

namespace llmc::graph {
namespace {

Value scalarOfSize(Builder &b, Size size) {
  if (std::optional<int64_t> number = known(size)) return integer(b, b.getI64Type(), *number);
  return arith::IndexCastOp::create(b, b.getI64Type(), cast<Value>(size));
}

llvm::Expected<Values> lowerShape(NodeLowering &n) {
  int64_t rank = n.rank(0), start = n.intAttr("start", 0), end = n.intAttr("end", rank);
  start = std::clamp<int64_t>(start < 0 ? start + rank : start, 0, rank);
  end = std::clamp<int64_t>(end < 0 ? end + rank : end, 0, rank);
  Values dims;
  for (int64_t i = start; i < end; ++i) dims.push_back(scalarOfSize(n.b, dimOf(n.b, n.in(0), i)));
  return Values{fromScalars(n.b, {int64_t(dims.size())}, n.b.getI64Type(), dims)};
}

llvm::Expected<Values> lowerSize(NodeLowering &n) {
  Value count = scalarOfSize(n.b, product(n.b, dimsOf(n.b, n.in(0))));
  return Values{fromScalars(n.b, {}, n.b.getI64Type(), count)};
}

//===- Reshape ----------------------------------------------------------------------===//
/// A number that comes from dims alone.
bool surelyNotNegative(Size size, int depth = 6) {
  if (std::optional<int64_t> number = known(size)) return *number >= 0;
  Operation *op = cast<Value>(size).getDefiningOp();
  if (isa_and_nonnull<tensor::DimOp>(op)) return true;
  if (!isa_and_nonnull<arith::AddIOp, arith::MulIOp, arith::DivSIOp>(op) || depth == 0) return false;
  return llvm::all_of(op->getOperands(), [&](Value v) { return surelyNotNegative(v, depth - 1); });
}

/// total / others where sizes that are equal cancel; `exact` if what is left surely divides.
Size quotient(NodeLowering &n, Sizes total, Sizes others, bool &exact) {
  Builder &b = n.b;
  int64_t above = 1, below = 1;
  SmallVector<Size> up, down;
  for (Size s : total) known(s) ? void(above *= *known(s)) : up.push_back(s);
  for (Size s : others) {
    if (known(s)) {
      below *= *known(s);
      continue;
    }
    auto *equal = llvm::find_if(up, [&](Size u) { return knownEqual(u, s); });
    equal != up.end() ? void(up.erase(equal)) : down.push_back(s);
  }
  exact = down.empty() && below > 0 && above % below == 0;
  if (exact) return mul(b, size(b, above / below), product(b, up));
  Size divisor = mul(b, size(b, below), product(b, down));
  Value isZero = compare(b, CmpIPredicate::eq, divisor, size(b, 0));
  Value safe = arith::SelectOp::create(b, isZero, indexConstant(b, 1), asIndex(b, divisor));
  return floorDiv(b, mul(b, size(b, above), product(b, up)), safe);
}

/// Numbers of which only the run knows which is -1.
void inferAtRun(NodeLowering &n, ArrayRef<Size> from, Sizes &to) {
  Builder &b = n.b;
  Size others = size(b, 1);
  Values isMissing;
  for (Size dim : to) {
    isMissing.push_back(compare(b, CmpIPredicate::eq, dim, size(b, -1)));
    Value counted = b.createOrFold<arith::SelectOp>(isMissing.back(), indexConstant(b, 1), asIndex(b, dim));
    others = mul(b, others, asSize(b, counted));
  }
  Size divisor = larger(b, others, size(b, 1));
  Size missing = floorDiv(b, product(b, from), divisor);
  for (auto [dim, is] : llvm::zip(to, isMissing))
    dim = asSize(b, b.createOrFold<arith::SelectOp>(is, asIndex(b, missing), asIndex(b, dim)));
}

llvm::Expected<Values> lowerReshape(NodeLowering &n) {
  Builder &b = n.b;
  Sizes to, from = dimsOf(b, n.in(0));
  if (std::optional<SmallVector<int64_t>> attribute = n.intsAttr("shape")) {
    for (int64_t dim : *attribute) to.push_back(size(b, dim));
  } else {
    if (!n.has(1)) return refuse("found no shape, expected one");
    llvm::Expected<Sizes> read = sizesFrom(n, 1);
    if (!read) return read.takeError();
    to = std::move(*read);
  }
  bool zeroIsZero = n.intAttr("allowzero", 0) != 0, exact = false;
  std::optional<size_t> missing;
  bool open = false; // a number may turn out to be -1
  for (auto [i, dim] : llvm::enumerate(to)) {
    if (known(dim) == -1) {
      if (missing) return refuse("shape: found -1 twice, expected it once at most");
      missing = i;
      continue;
    }
    if (known(dim) && *known(dim) < 0)
      return refuse("shape: found " + llvm::Twine(*known(dim)) + ", expected -1 or more");
    if (known(dim) == 0 && !zeroIsZero) {
      if (i >= from.size()) return refuse("shape: found 0 for a dim that the tensor does not have");
      dim = from[i];
    } else if (!known(dim) && !zeroIsZero && i < from.size() && !knownEqual(dim, from[i])) {
      Value isZero = compare(b, CmpIPredicate::eq, dim, size(b, 0));
      open |= !surelyNotNegative(dim);
      dim = Value(arith::SelectOp::create(b, isZero, asIndex(b, from[i]), asIndex(b, dim)));
      continue;
    }
    open |= !surelyNotNegative(dim);
  }
  if (missing) {
    Sizes others = to;
    others.erase(others.begin() + *missing);
    to[*missing] = quotient(n, from, others, exact);
  } else if (open) {
    inferAtRun(n, from, to);
  }
  if (open)
    for (Size dim : to)
      if (!surelyNotNegative(dim))
        check(n, compare(b, CmpIPredicate::sge, dim, size(b, 0)), "shape has a negative size");
  Size found = product(b, from), expected = product(b, to);
  if (known(found) && known(expected) && known(found) != known(expected))
    return refuse("found " + llvm::Twine(*known(found)) + " elements, expected " + llvm::Twine(*known(expected)));
  if (!exact || open) checkEqual(n, found, expected, "the new shape has another number of elements");
  return Values{reshape(b, n.in(0), to)};
}

llvm::Expected<Values> lowerFlatten(NodeLowering &n) {
  int64_t rank = n.rank(0), axis = n.intAttr("axis", 1);
  if (axis < -rank || axis > rank) return refuse("axis: found " + llvm::Twine(axis) + ", expected one of the tensor");
  axis += axis < 0 ? rank : 0;
  Sizes dims = dimsOf(n.b, n.in(0));
  ArrayRef<Size> all(dims);
  return Values{reshape(n.b, n.in(0), {product(n.b, all.take_front(axis)), product(n.b, all.drop_front(axis))})};
}

llvm::Expected<Values> lowerSqueeze(NodeLowering &n) {
  if (isRuntimeList(n, 1)) return squeezeAtRun(n);
  auto axes = n.axes(1, n.rank(0));
  if (!axes) return axes.takeError();
  SmallVector<int64_t> dropped;
  if (*axes) {
    dropped = **axes;
  } else {
    for (int64_t i = 0; i < n.rank(0); ++i) {
      std::optional<int64_t> dim = known(dimOf(n.b, n.in(0), i));
      if (!dim) return refuse("no axes are given, and which dims are 1 is not known while compiling");
      if (*dim == 1) dropped.push_back(i);
    }
  }
  for (int64_t axis : dropped) {
    Size dim = dimOf(n.b, n.in(0), axis);
    if (known(dim) && *known(dim) != 1)
      return refuse("dim " + llvm::Twine(axis) + ": found " + llvm::Twine(*known(dim)) + ", expected 1");
    checkEqual(n, dim, size(n.b, 1), "a dim that is squeezed is not 1");
  }
  return Values{squeeze(n.b, n.in(0), dropped)};
}

llvm::Expected<Values> lowerUnsqueeze(NodeLowering &n) {
  if (isRuntimeList(n, 1)) return unsqueezeAtRun(n);
  int64_t more = 0;
  if (std::optional<SmallVector<int64_t>> attribute = n.intsAttr("axes")) {
    more = int64_t(attribute->size());
  } else if (n.has(1)) {
    auto numbers = n.mustKnow(1, "axes");
    if (!numbers) return numbers.takeError();
    more = int64_t(numbers->size());
  }
  auto axes = n.axes(1, n.rank(0) + more);
  if (!axes) return axes.takeError();
  if (!*axes) return refuse("found no axes, expected some");
  return Values{unsqueeze(n.b, n.in(0), **axes)};
}

llvm::Expected<Values> lowerExpand(NodeLowering &n) {
  Builder &b = n.b;
  llvm::Expected<Sizes> shape = sizesFrom(n, 1);
  if (!shape) return shape.takeError();
  Sizes own = dimsOf(b, n.in(0)), dims;
  size_t rank = std::max(own.size(), shape->size());
  auto facing = [&](const Sizes &sizes, size_t axis) {
    return axis < rank - sizes.size() ? size(b, 1) : sizes[axis - (rank - sizes.size())];
  };
  for (size_t axis = 0; axis < rank; ++axis) {
    Size mine = facing(own, axis), wanted = facing(*shape, axis);
    std::optional<int64_t> p = known(mine), q = known(wanted);
    if (p && q && *p != *q && *p != 1 && *q != 1)
      return refuse("dim " + llvm::Twine(axis) + ": found " + llvm::Twine(*p) + ", expected 1 or " + llvm::Twine(*q));
    dims.push_back(broadcastSize(n, {mine, wanted}));
  }
  if (own.size() == dims.size() && llvm::equal(own, dims, knownEqual)) return Values{n.in(0)};
  return Values{elementwiseTo(n, dims, n.in(0), n.element(), [](Builder &, ValueRange v) { return v[0]; })};
}

constexpr Lowering kRows[] = {{"", "Expand", lowerExpand},      {"", "Flatten", lowerFlatten},
                              {"", "Reshape", lowerReshape},    {"", "Shape", lowerShape},
                              {"", "Size", lowerSize},          {"", "Squeeze", lowerSqueeze},
                              {"", "Unsqueeze", lowerUnsqueeze}};

} // namespace

llvm::ArrayRef<Lowering> shapeLowerings() { return kRows; }

} // namespace llmc::graph
