// If, Loop and Scan: bodies are lowered where they stand, into scf.if and scf.while. Values that a loop carries may
// change their dims from one iteration to the next, but not how many they have.
#include "mlir/IR/Matchers.h"
#include "passes/graph/Building.h"
#include "passes/graph/Lowerings.h"

using namespace mlir;
using arith::CmpIPredicate;

namespace llmc::graph {
namespace {

/// The most static type of both; an error if the numbers of dims differ.
llvm::Expected<RankedTensorType> join(Type x, Type y) {
  auto p = cast<RankedTensorType>(x), q = cast<RankedTensorType>(y);
  if (p.getRank() != q.getRank())
    return refuse("a value has " + llvm::Twine(p.getRank()) + " dims in one place and " + llvm::Twine(q.getRank()) +
                  " in another");
  if (p.getElementType() != q.getElementType()) return refuse("a value changes its element type");
  SmallVector<int64_t> shape;
  for (auto [a, b] : llvm::zip(p.getShape(), q.getShape())) shape.push_back(a == b ? a : ShapedType::kDynamic);
  return p.clone(shape);
}

//===- If ---------------------------------------------------------------------------===//
/// A body lowered into a block that is nowhere yet.
struct Branch {
  std::unique_ptr<Block> block = std::make_unique<Block>();
  Values results;
};

llvm::Error lowerBranch(NodeLowering &n, Region &body, Branch &branch) {
  OpBuilder::InsertionGuard guard(n.b);
  n.b.setInsertionPointToEnd(branch.block.get());
  llvm::Expected<Values> results = n.lowerRegion(body, {});
  if (!results) return results.takeError();
  branch.results = std::move(*results);
  return llvm::Error::success();
}

llvm::Expected<Values> lowerIf(NodeLowering &n) {
  Builder &b = n.b;
  if (n.node.getBodies().size() != 2) return refuse("expected two bodies");
  Region &yes = n.node.getBodies()[0], &no = n.node.getBodies()[1];
  if (std::optional<SmallVector<int64_t>> known = n.constant(0); known && known->size() == 1)
    return n.lowerRegion(known->front() ? yes : no, {});
  Value condition = scalarOf(n, 0);
  Branch branches[2];
  if (llvm::Error error = lowerBranch(n, yes, branches[0])) return std::move(error);
  if (llvm::Error error = lowerBranch(n, no, branches[1])) return std::move(error);
  SmallVector<Type> types;
  for (auto [x, y] : llvm::zip(branches[0].results, branches[1].results)) {
    llvm::Expected<RankedTensorType> type = join(x.getType(), y.getType());
    if (!type) return type.takeError();
    types.push_back(*type);
  }
  auto choice = scf::IfOp::create(b, types, condition, /*withElse=*/true);
  for (auto [branch, region] : llvm::zip(branches, choice->getRegions())) {
    Block &block = region.front();
    block.getOperations().splice(block.begin(), branch.block->getOperations());
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToEnd(&block);
    Values yielded;
    for (auto [value, type] : llvm::zip(branch.results, types))
      yielded.push_back(castTo(b, value, cast<RankedTensorType>(type)));
    scf::YieldOp::create(b, yielded);
  }
  return Values(choice.getResults().begin(), choice.getResults().end());
}

//===- Loops ---------------------------------------------------------------------------===//
/// What Loop and Scan have in common: `carried` tensors and a condition go round, `scanned` tensors pile up.
struct LoopForm {
  Region &body;
  Size trips;           // at most; null: only the condition ends it
  Value start;          // the condition before the first iteration, i1
  Values carried;       // at the start
  unsigned scanned;     // values that each iteration adds to a pile
  bool yieldsCondition; // first
  /// The arguments of the body from the iteration's index, the condition and the carried values.
  llvm::function_ref<Values(Builder &, Value, Value, ValueRange)> arguments;
};

/// The condition (null if the body yields none), the carried values, the piled ones.
struct Iteration {
  std::unique_ptr<Block> block = std::make_unique<Block>();
  Value condition;
  Values carried, scanned;
};

/// Lowers the body for carried values of these types. Block arguments: index, condition, carried, piles.
llvm::Error lowerIteration(NodeLowering &n, const LoopForm &form, ArrayRef<Type> types, Iteration &out) {
  Builder &b = n.b;
  OpBuilder::InsertionGuard guard(b);
  Location loc = b.getLoc();
  Value i = out.block->addArgument(b.getIndexType(), loc), go = out.block->addArgument(b.getI1Type(), loc);
  Values carried;
  for (Type type : types) carried.push_back(out.block->addArgument(type, loc));
  b.setInsertionPointToEnd(out.block.get());
  llvm::Expected<Values> results = n.lowerRegion(form.body, form.arguments(b, i, go, carried));
  if (!results) return results.takeError();
  ArrayRef<Value> left(*results);
  if (left.size() != form.yieldsCondition + types.size() + form.scanned)
    return refuse("the body yields " + llvm::Twine(left.size()) + " values, expected " +
                  llvm::Twine(form.yieldsCondition + types.size() + form.scanned));
  if (form.yieldsCondition) {
    Value tensor = left.front();
    int64_t rank = cast<RankedTensorType>(tensor.getType()).getRank();
    out.condition = at(b, tensor, Values(rank, indexConstant(b, 0)));
    left = left.drop_front();
  }
  out.carried.assign(left.begin(), left.begin() + types.size());
  out.scanned.assign(left.begin() + types.size(), left.end());
  return llvm::Error::success();
}

/// Widens types until the body gives what it takes.
llvm::Error settle(NodeLowering &n, const LoopForm &form, SmallVector<Type> &types, Iteration &out) {
  constexpr int kMostRounds = 10; // a dim becomes dynamic in each but the last
  for (int round = 0; round < kMostRounds; ++round) {
    Iteration next;
    if (llvm::Error error = lowerIteration(n, form, types, next)) return error;
    bool stable = true;
    for (auto [type, value] : llvm::zip(types, next.carried)) {
      llvm::Expected<RankedTensorType> both = join(type, value.getType());
      if (!both) return both.takeError();
      stable &= *both == type;
      type = *both;
    }
    if (stable) {
      out = std::move(next);
      return llvm::Error::success();
    }
    next.block->dropAllReferences();
  }
  return refuse("the dims of the carried values do not settle");
}

/// [count, dims...] and one more row.
Value grown(NodeLowering &n, Value pile, Value row) {
  Builder &b = n.b;
  Sizes dims = dimsOf(b, row), none(dims.size() + 1, size(b, 0)), steps(dims.size() + 1, size(b, 1));
  Type element = cast<RankedTensorType>(row.getType()).getElementType();
  Size count = dimOf(b, pile, 0);
  Value isFirst = compare(b, CmpIPredicate::eq, count, size(b, 0));
  for (auto [i, dim] : llvm::enumerate(dims)) {
    Size before = dimOf(b, pile, i + 1);
    if (knownEqual(before, dim)) continue;
    Value same = compare(b, CmpIPredicate::eq, before, dim);
    check(n, arith::OrIOp::create(b, same, isFirst), "a scanned value changes its dims between iterations");
  }
  Sizes all{add(b, count, size(b, 1))}, old{count}, one{size(b, 1)};
  for (Sizes *sizes : {&all, &old, &one}) sizes->append(dims);
  Value result = empty(b, all, element);
  result = tensor::InsertSliceOp::create(b, castTo(b, pile, tensorType(old, element)), result, none, old, steps);
  Sizes last = none;
  last[0] = count;
  return tensor::InsertSliceOp::create(b, reshape(b, row, one), result, last, one, steps);
}

llvm::Expected<Values> lowerLoopForm(NodeLowering &n, const LoopForm &form) {
  Builder &b = n.b;
  SmallVector<Type> types;
  for (Value value : form.carried) types.push_back(value.getType());
  Iteration body;
  if (llvm::Error error = settle(n, form, types, body)) return std::move(error);
  Values initial{indexConstant(b, 0), form.start};
  for (auto [value, type] : llvm::zip(form.carried, types))
    initial.push_back(castTo(b, value, cast<RankedTensorType>(type)));
  for (Value row : body.scanned) {
    auto type = cast<RankedTensorType>(row.getType());
    SmallVector<int64_t> shape{ShapedType::kDynamic};
    llvm::append_range(shape, type.getShape());
    Values sizes;
    for (int64_t dim : shape)
      if (ShapedType::isDynamic(dim)) sizes.push_back(indexConstant(b, 0));
    initial.push_back(tensor::EmptyOp::create(b, shape, type.getElementType(), sizes));
  }
  SmallVector<Type> all;
  for (Value value : initial) all.push_back(value.getType());
  auto loop = scf::WhileOp::create(
      b, all, initial,
      [&](OpBuilder &nested, Location loc, ValueRange now) {
        Value go = now[1];
        if (form.trips) {
          Value left = arith::CmpIOp::create(nested, loc, CmpIPredicate::slt, now[0], cast<Value>(form.trips));
          go = arith::AndIOp::create(nested, loc, go, left);
        }
        scf::ConditionOp::create(nested, loc, go, now);
      },
      [](OpBuilder &, Location, ValueRange) {});
  Block &after = loop.getAfter().front();
  for (auto [argument, given] : llvm::zip(body.block->getArguments(), after.getArguments()))
    argument.replaceAllUsesWith(given);
  after.getOperations().splice(after.end(), body.block->getOperations());
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToEnd(&after);
  auto standing = [&](Value v) { // the body may yield its own arguments
    auto argument = dyn_cast<BlockArgument>(v);
    return argument && argument.getOwner() == body.block.get() ? Value(after.getArgument(argument.getArgNumber())) : v;
  };
  Values next{arith::AddIOp::create(b, after.getArgument(0), indexConstant(b, 1)),
              body.condition ? standing(body.condition) : after.getArgument(1)};
  for (auto [value, type] : llvm::zip(body.carried, types))
    next.push_back(castTo(b, standing(value), cast<RankedTensorType>(type)));
  for (auto [i, row] : llvm::enumerate(body.scanned)) {
    Value pile = after.getArgument(2 + types.size() + i);
    next.push_back(castTo(b, grown(n, pile, standing(row)), cast<RankedTensorType>(pile.getType())));
  }
  scf::YieldOp::create(b, next);
  auto results = loop.getResults().drop_front(2);
  return Values(results.begin(), results.end());
}

llvm::Expected<Values> lowerLoop(NodeLowering &n) {
  Builder &b = n.b;
  if (n.node.getBodies().size() != 1) return refuse("expected one body");
  Type i64 = b.getI64Type();
  Size trips;
  if (n.has(0)) trips = asIndex(b, asSize(b, scalarOf(n, 0)));
  Value start = n.has(1) ? scalarOf(n, 1) : integer(b, b.getI1Type(), 1);
  Values carried(n.operands.begin() + std::min<size_t>(2, n.operands.size()), n.operands.end());
  auto arguments = [&](Builder &inner, Value i, Value go, ValueRange values) {
    Value number = arith::IndexCastOp::create(inner, i64, i);
    Values all{fromScalars(inner, {}, i64, number), fromScalars(inner, {}, inner.getI1Type(), go)};
    all.append(values.begin(), values.end());
    return all;
  };
  unsigned scanned = n.node.getNumResults() - unsigned(carried.size());
  return lowerLoopForm(n, {n.node.getBodies()[0], trips, start, carried, scanned, true, arguments});
}

//===- Scan -------------------------------------------------------------------------------===//
Value reversed(Builder &b, Value x) {
  Sizes dims = dimsOf(b, x);
  return generate(b, dims, cast<RankedTensorType>(x.getType()).getElementType(), [&](Builder &inner, ValueRange i) {
    Values places(i.begin(), i.end());
    Value last = arith::SubIOp::create(inner, asIndex(inner, dims[0]), indexConstant(inner, 1));
    places[0] = arith::SubIOp::create(inner, last, i[0]);
    return at(inner, x, places);
  });
}

/// x with `axis` first, or (`back`) the first axis at `axis`.
llvm::Expected<Value> moved(Builder &b, Value x, int64_t axis, bool back) {
  int64_t rank = cast<RankedTensorType>(x.getType()).getRank();
  if (axis < -rank || axis >= rank) return refuse("scan axes: found " + llvm::Twine(axis));
  axis += axis < 0 ? rank : 0;
  SmallVector<int64_t> perm = llvm::to_vector(llvm::seq<int64_t>(0, rank));
  if (back)
    std::rotate(perm.begin(), perm.begin() + 1, perm.begin() + axis + 1);
  else
    std::rotate(perm.begin(), perm.begin() + axis, perm.begin() + axis + 1);
  return transpose(b, x, perm);
}

llvm::Expected<Values> lowerScan(NodeLowering &n) {
  Builder &b = n.b;
  int64_t inputs = n.intAttr("num_scan_inputs", 0), states = int64_t(n.operands.size()) - inputs;
  if (n.opset() < 9) return refuse("opset " + llvm::Twine(n.opset()) + ": expected 9 or later");
  if (inputs < 1 || states < 0 || n.node.getBodies().size() != 1) return refuse("num_scan_inputs does not fit");
  auto listed = [&](const char *name, size_t i) {
    auto list = n.intsAttr(name);
    return list && i < list->size() ? (*list)[i] : 0;
  };
  Values sequences;
  Size length;
  for (int64_t i = 0; i < inputs; ++i) {
    llvm::Expected<Value> sequence = moved(b, n.in(states + i), listed("scan_input_axes", i), false);
    if (!sequence) return sequence.takeError();
    sequences.push_back(listed("scan_input_directions", i) ? reversed(b, *sequence) : *sequence);
    Size own = dimOf(b, sequences.back(), 0);
    if (i)
      checkEqual(n, own, length, "scanned inputs differ in length");
    else
      length = own;
  }
  auto arguments = [&](Builder &inner, Value i, Value, ValueRange carried) {
    Values all(carried.begin(), carried.end());
    for (Value sequence : sequences) {
      Sizes dims = dimsOf(inner, sequence), offsets(dims.size(), size(inner, 0));
      dims[0] = size(inner, 1), offsets[0] = i;
      all.push_back(squeeze(inner, slice(inner, sequence, offsets, dims), {0}));
    }
    return all;
  };
  Values carried(n.operands.begin(), n.operands.begin() + states);
  unsigned scanned = n.node.getNumResults() - unsigned(states);
  auto results = lowerLoopForm(
      n, {n.node.getBodies()[0], asIndex(b, length), integer(b, b.getI1Type(), 1), carried, scanned, false, arguments});
  if (!results) return results.takeError();
  for (unsigned i = 0; i < scanned; ++i) {
    Value &pile = (*results)[states + i];
    if (listed("scan_output_directions", i)) pile = reversed(b, pile);
    llvm::Expected<Value> placed = moved(b, pile, listed("scan_output_axes", i), true);
    if (!placed) return placed.takeError();
    pile = *placed;
  }
  return results;
}

constexpr Lowering kRows[] = {{"", "If", lowerIf}, {"", "Loop", lowerLoop}, {"", "Scan", lowerScan}};

} // namespace

llvm::ArrayRef<Lowering> controlLowerings() { return kRows; }

} // namespace llmc::graph
