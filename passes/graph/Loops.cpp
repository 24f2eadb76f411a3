#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "passes/graph/Building.h"
#include "passes/graph/Scalar.h"

using namespace mlir;

namespace llmc::graph {
namespace {
Values valuesOf(ScalarRef scalars) {
  return llvm::map_to_vector<4>(scalars, [](Scalar s) { return s.value; });
}
} // namespace

Scalar when(Scalar condition, llvm::function_ref<Scalar()> yes, llvm::function_ref<Scalar()> no) {
  Builder &b = *condition.b;
  if (std::optional<int64_t> known = getConstantIntValue(condition.value)) return *known ? yes() : no();
  auto branch = [&](llvm::function_ref<Scalar()> make) {
    return [&b, make](OpBuilder &nested, Location) {
      OpBuilder::InsertionGuard guard(b);
      b.restoreInsertionPoint(nested.saveInsertionPoint());
      scf::YieldOp::create(b, make().value);
    };
  };
  bool isUnsigned = false;
  auto first = [&] {
    Scalar result = yes();
    isUnsigned = result.isUnsigned;
    return result;
  };
  auto op = scf::IfOp::create(b, condition.value, branch(first), branch(no));
  return {&b, op.getResult(0), isUnsigned};
}

Values loop(Scalar from, Scalar to, ValueRange state, llvm::function_ref<Values(Scalar, ValueRange)> body) {
  Builder &b = *from.b;
  auto op = scf::ForOp::create(b, from.value, to.value, index(b, 1).value, state);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(op.getBody());
  Values next = body({&b, op.getInductionVar()}, op.getRegionIterArgs());
  scf::YieldOp::create(b, next);
  return Values(op.getResults());
}

Scalars folds(Scalar from, Scalar to, ScalarRef start, llvm::function_ref<Scalars(Scalar, ScalarRef)> body) {
  auto wrap = [&](ValueRange values) {
    Scalars scalars(start);
    for (auto [scalar, value] : llvm::zip_equal(scalars, values)) scalar.value = value;
    return scalars;
  };
  return wrap(
      loop(from, to, valuesOf(start), [&](Scalar i, ValueRange state) { return valuesOf(body(i, wrap(state))); }));
}

Scalar fold(Scalar from, Scalar to, Scalar start, llvm::function_ref<Scalar(Scalar, Scalar)> body) {
  return folds(from, to, start, [&](Scalar i, ScalarRef sums) { return Scalars{body(i, sums[0])}; })[0];
}

static Scalar foldRest(ScalarRef sizes, Scalars &indices, Scalar start,
                       llvm::function_ref<Scalar(ScalarRef, Scalar)> body) {
  if (indices.size() == sizes.size()) return body(indices, start);
  Scalar size = sizes[indices.size()];
  return fold(index(*size.b, 0), size, start, [&](Scalar i, Scalar sum) {
    indices.push_back(i);
    Scalar next = foldRest(sizes, indices, sum, body);
    indices.pop_back();
    return next;
  });
}
Scalar foldOver(ScalarRef sizes, Scalar start, llvm::function_ref<Scalar(ScalarRef, Scalar)> body) {
  Scalars indices;
  return foldRest(sizes, indices, start, body);
}

static Value forRest(ScalarRef sizes, Scalars &indices, Value tensor,
                     llvm::function_ref<Value(ScalarRef, Value)> body) {
  if (indices.size() == sizes.size()) return body(indices, tensor);
  Scalar size = sizes[indices.size()];
  return loop(index(*size.b, 0), size, tensor, [&](Scalar i, ValueRange state) {
    indices.push_back(i);
    Value next = forRest(sizes, indices, state[0], body);
    indices.pop_back();
    return Values{next};
  })[0];
}
Value forEach(ScalarRef sizes, Value tensor, llvm::function_ref<Value(ScalarRef, Value)> body) {
  Scalars indices;
  return forRest(sizes, indices, tensor, body);
}

Array array(Builder &b, Value tensor, bool isUnsigned) { return {&b, tensor, isUnsigned}; }
Array array(NodeLowering &n, unsigned operand) { return {&n.b, n.in(operand), n.isUnsigned(operand)}; }

Scalar Array::size(int64_t dim) const {
  if (dim < 0 || dim >= rank()) return index(*b, 1); // reads with too many indices do not verify
  if (!type().isDynamicDim(dim)) return index(*b, type().getDimSize(dim));
  return {b, b->createOrFold<tensor::DimOp>(tensor, dim)};
}
Scalars Array::sizes() const {
  Scalars all;
  for (int64_t dim = 0; dim < rank(); ++dim) all.push_back(size(dim));
  return all;
}
Scalar Array::operator()(ScalarRef indices) const {
  return {b, tensor::ExtractOp::create(*b, tensor, valuesOf(indices)), isUnsigned};
}
Scalar Array::at(Scalar inside, ScalarRef indices, Scalar outside) const {
  return when(inside, [&] { return (*this)(indices); }, [&] { return outside; });
}

Value empty(Builder &b, ScalarRef sizes, Type element) {
  auto folded = llvm::map_to_vector<8>(sizes, [](Scalar s) { return getAsOpFoldResult(s.value); });
  return tensor::EmptyOp::create(b, folded, element);
}
Value filled(ScalarRef sizes, Scalar value) {
  return tabulate(*value.b, sizes, value.type(), [&](ScalarRef) { return value; });
}
Value store(Value tensor, ScalarRef indices, Scalar value) {
  return tensor::InsertOp::create(*value.b, value.value, tensor, valuesOf(indices));
}

Value tabulate(Builder &b, ScalarRef sizes, Type element, llvm::function_ref<Scalar(ScalarRef)> body) {
  Value init = empty(b, sizes, element);
  AffineMap identity = b.getMultiDimIdentityMap(sizes.size());
  SmallVector<utils::IteratorType> parallel(sizes.size(), utils::IteratorType::parallel);
  auto generate = [&](OpBuilder &nested, Location, ValueRange) {
    OpBuilder::InsertionGuard guard(b);
    b.restoreInsertionPoint(nested.saveInsertionPoint());
    Scalars indices;
    for (size_t dim = 0; dim < sizes.size(); ++dim) indices.push_back({&b, linalg::IndexOp::create(b, dim)});
    linalg::YieldOp::create(b, body(indices).value);
  };
  return linalg::GenericOp::create(b, TypeRange{init.getType()}, ValueRange(), ValueRange{init}, identity, parallel,
                                   generate)
      .getResult(0);
}

Value reshape(Array x, ScalarRef sizes) {
  auto folded = llvm::map_to_vector<8>(sizes, [](Scalar s) { return getAsOpFoldResult(s.value); });
  return reshape(*x.b, x.tensor, folded);
}

Scalar product(Builder &b, ScalarRef sizes) {
  Scalar all = index(b, 1);
  for (Scalar size : sizes) all = all * size;
  return all;
}

Scalars broadcastIndices(ScalarRef sizes, ScalarRef indices) {
  Scalars own;
  for (auto [size, i] : llvm::zip(sizes, indices.take_back(std::min(sizes.size(), indices.size()))))
    own.push_back(select(equal(size, 1), index(*i.b, 0), i));
  return own;
}

void checkSizes(NodeLowering &n, Array x, ScalarRef sizes, const llvm::Twine &what) {
  for (auto [own, size] : llvm::zip(x.sizes(), sizes))
    checkEqual(n, getAsOpFoldResult(own.value), getAsOpFoldResult(size.value), what);
}
void checkBroadcast(NodeLowering &n, Array x, ScalarRef sizes, const llvm::Twine &what) {
  checkBroadcast(n, x.sizes(), sizes, what);
}
void checkBroadcast(NodeLowering &n, ScalarRef own, ScalarRef sizes, const llvm::Twine &what) {
  size_t count = std::min(own.size(), sizes.size());
  for (auto [mine, size] : llvm::zip_equal(own.take_back(count), sizes.take_back(count))) {
    Scalar fits = equal(mine, 1) | equal(mine, size);
    if (getConstantIntValue(fits.value).value_or(0) == 0) check(n, fits.value, what);
  }
}
llvm::Error require(NodeLowering &n, llvm::ArrayRef<Required> operands) {
  for (const Required &required : operands) {
    if (!n.has(required.operand)) continue;
    Array x = array(n, required.operand);
    if (x.rank() != int64_t(required.sizes.size()))
      return refuse(required.name + ": found rank " + llvm::Twine(x.rank()) + ", expected " +
                    llvm::Twine(required.sizes.size()));
    for (auto [axis, size] : llvm::enumerate(required.sizes)) {
      if (!size.value) continue;
      OpFoldResult found = getAsOpFoldResult(x.size(axis).value), expected = getAsOpFoldResult(size.value);
      if (known(found) && known(expected) && *known(found) != *known(expected))
        return refuse(required.name + ": found size " + llvm::Twine(*known(found)) + " of axis " + llvm::Twine(axis) +
                      ", expected " + llvm::Twine(*known(expected)));
      checkEqual(n, found, expected,
                 required.name + ": the size of axis " + llvm::Twine(axis) + " is not that of the other operands");
    }
  }
  return llvm::Error::success();
}
llvm::Error requireMultiple(NodeLowering &n, Scalar size, Scalar of, const llvm::Twine &what) {
  Scalar fits = equal(size % of, 0);
  if (getConstantIntValue(fits.value) == 0)
    return refuse(what + ": found " + llvm::Twine(*getConstantIntValue(size.value)) + ", expected a multiple of " +
                  llvm::Twine(*getConstantIntValue(of.value)));
  check(n, fits.value, what + " is not a multiple of what divides it");
  return llvm::Error::success();
}
Scalar checkedAt(NodeLowering &n, Scalar entry, Scalar size, const llvm::Twine &what) {
  return {&n.b, checkedIndex(n, n.b, entry.value, getAsOpFoldResult(size.value), what)};
}

Scalars broadcastSizes(Builder &b, ScalarRef x, ScalarRef y) {
  if (x.size() < y.size()) std::swap(x, y);
  Scalars sizes(x);
  size_t skipped = x.size() - y.size();
  for (size_t dim = skipped; dim < x.size(); ++dim) sizes[dim] = select(equal(x[dim], 1), y[dim - skipped], x[dim]);
  return sizes;
}

} // namespace llmc::graph
