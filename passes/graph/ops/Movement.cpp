// Operators that copy elements to other places, by rules that do not depend on values.
#include "passes/graph/Building.h"
#include "passes/graph/Lowerings.h"
#include "passes/graph/RuntimeAxes.h"

using namespace mlir;
using arith::CmpIPredicate;

namespace llmc::graph {
namespace {

llvm::Expected<Values> lowerTranspose(NodeLowering &n) {
  int64_t rank = n.rank(0);
  SmallVector<int64_t> perm = n.intsAttr("perm").value_or(SmallVector<int64_t>());
  if (!n.intsAttr("perm"))
    for (int64_t i = rank; i-- > 0;) perm.push_back(i);
  SmallVector<int64_t> sorted(perm);
  llvm::sort(sorted);
  if (!llvm::equal(sorted, llvm::seq<int64_t>(0, rank))) return refuse("perm is not a permutation of the dims");
  return Values{transpose(n.b, n.in(0), perm)};
}

//===- Concat, Split -----------------------------------------------------------------===//
llvm::Expected<Values> lowerConcat(NodeLowering &n) {
  Builder &b = n.b;
  if (n.operands.empty()) return refuse("found no operands, expected at least one");
  auto axis = n.axis("axis", 1, n.rank(0));
  if (!axis) return axis.takeError();
  Values joined;
  bool small = n.rank(0) == 1;
  Sizes dims = dimsOf(b, n.in(0));
  dims[*axis] = size(b, 0);
  for (unsigned i = 0; i < n.operands.size(); ++i) {
    if (n.rank(i) != n.rank(0)) return refuse("found operands of different numbers of dims");
    std::optional<Values> elements = scalars(b, n.in(i));
    small &= elements && joined.size() + elements->size() <= size_t(kMostScalars);
    if (small) joined.append(*elements);
    for (int64_t d = 0; d < n.rank(i); ++d) {
      Size dim = dimOf(b, n.in(i), d);
      if (d == *axis) {
        dims[d] = add(b, dims[d], dim);
        continue;
      }
      if (known(dim) && known(dims[d]) && known(dim) != known(dims[d]))
        return refuse("dim " + llvm::Twine(d) + " of the operands: found " + llvm::Twine(*known(dims[d])) + " and " +
                      llvm::Twine(*known(dim)) + ", expected equal ones");
      checkEqual(n, dim, dims[d], "dims of the operands differ");
      if (known(dim)) dims[d] = dim;
    }
  }
  if (small) return Values{fromScalars(b, {int64_t(joined.size())}, n.element(), joined)};
  Value result = empty(b, dims, n.element());
  Sizes offsets(dims.size(), size(b, 0)), steps(dims.size(), size(b, 1));
  for (Value operand : n.operands) {
    Sizes sizes = dims;
    sizes[*axis] = dimOf(b, operand, *axis);
    if (known(sizes[*axis]) == 0) continue;
    Value part = castTo(b, operand, tensorType(sizes, n.element()));
    result = tensor::InsertSliceOp::create(b, part, result, offsets, sizes, steps);
    offsets[*axis] = add(b, offsets[*axis], sizes[*axis]);
  }
  return Values{result};
}

/// The sizes of the parts: given, or as equal as they can be.
llvm::Expected<Sizes> partsOf(NodeLowering &n, Size whole) {
  Builder &b = n.b;
  int64_t count = n.node.getNumResults();
  if (auto attribute = n.intsAttr("split")) {
    Sizes sizes;
    for (int64_t part : *attribute) sizes.push_back(size(b, part));
    return sizes;
  }
  if (n.has(1)) return sizesFrom(n, 1);
  Sizes sizes;
  if (n.opset() < 18 && known(whole) && *known(whole) % count)
    return refuse("found a dim of " + llvm::Twine(*known(whole)) + ", expected a multiple of " + llvm::Twine(count));
  Size part = ceilDiv(b, whole, size(b, count)), left = whole;
  for (int64_t i = 0; i < count; ++i) {
    sizes.push_back(i + 1 < count ? part : left);
    left = sub(b, left, part);
  }
  return sizes;
}

llvm::Expected<Values> lowerSplit(NodeLowering &n) {
  Builder &b = n.b;
  auto axis = n.axis("axis", 0, n.rank(0));
  if (!axis) return axis.takeError();
  Sizes dims = dimsOf(b, n.in(0)), offsets(dims.size(), size(b, 0));
  llvm::Expected<Sizes> parts = partsOf(n, dims[*axis]);
  if (!parts) return parts.takeError();
  if (parts->size() != n.node.getNumResults())
    return refuse("found " + llvm::Twine(parts->size()) + " sizes for " + llvm::Twine(n.node.getNumResults()) +
                  " results");
  Size sum = size(b, 0);
  for (Size part : *parts) {
    sum = add(b, sum, part);
    if (known(part) && *known(part) < 0) return refuse("split: found a negative size");
    if (!known(part)) check(n, compare(b, CmpIPredicate::sge, part, size(b, 0)), "split has a negative size");
  }
  if (known(sum) && known(dims[*axis]) && known(sum) != known(dims[*axis]))
    return refuse("split: found sizes of " + llvm::Twine(*known(sum)) + " in sum, expected " +
                  llvm::Twine(*known(dims[*axis])));
  checkEqual(n, sum, dims[*axis], "the sizes of the parts do not add up to the dim");
  Values results;
  std::optional<Values> elements = n.rank(0) == 1 ? scalars(b, n.in(0)) : std::nullopt;
  for (Size part : *parts) {
    if (elements && known(part) && known(offsets[0])) {
      results.push_back(fromScalars(b, {*known(part)}, n.element(),
                                    ArrayRef<Value>(*elements).slice(*known(offsets[0]), *known(part))));
    } else {
      dims[*axis] = part;
      results.push_back(slice(b, n.in(0), offsets, dims));
    }
    offsets[*axis] = add(b, offsets[*axis], part);
  }
  return results;
}

//===- Slice ----------------------------------------------------------------------------===//
constexpr int64_t kToTheEnd = int64_t(1) << 42; // more than any dim

/// A start or end as numpy reads it, in [least, most].
Size clamped(Builder &b, Size at, Size dim, Size least, Size most) {
  if (known(at) && *known(at) >= kToTheEnd) return most;
  if (known(at) && *known(at) <= -kToTheEnd) return least;
  Size place = at;
  if (known(at)) {
    if (*known(at) < 0) place = add(b, dim, at);
    if (known(at) == 0 && known(least) == 0) return at;
  } else {
    Value isNegative = compare(b, CmpIPredicate::slt, at, size(b, 0));
    place = asSize(b, arith::SelectOp::create(b, isNegative, asIndex(b, add(b, at, dim)), asIndex(b, at)));
  }
  if (knownEqual(place, most)) return most;
  place = smaller(b, place, most);
  bool surely = known(at) && *known(at) >= 0 && known(least) == 0;
  return surely ? place : larger(b, place, least);
}

struct Cut {
  Size offset, count;
  int64_t step;
};

Cut cutOf(Builder &b, Size dim, Size start, Size end, int64_t step) {
  Size none = size(b, 0), before = size(b, -1), last = sub(b, dim, size(b, 1));
  Size from = step > 0 ? clamped(b, start, dim, none, dim) : clamped(b, start, dim, before, last);
  Size to = step > 0 ? clamped(b, end, dim, none, dim) : clamped(b, end, dim, before, last);
  Size length = step > 0 ? sub(b, to, from) : sub(b, from, to);
  bool whole = known(from) == 0 && (known(to) || knownEqual(to, dim));
  if (!whole || step < 0) length = larger(b, length, none);
  return {from, ceilDiv(b, length, size(b, std::abs(step))), step};
}

llvm::Expected<Sizes> limits(NodeLowering &n, const char *name, unsigned operand) {
  if (auto attribute = n.intsAttr(name)) {
    Sizes sizes;
    for (int64_t v : *attribute) sizes.push_back(size(n.b, v));
    return sizes;
  }
  if (!n.has(operand)) return refuse(llvm::Twine("found no ") + name);
  return sizesFrom(n, operand);
}

llvm::Expected<Values> lowerSlice(NodeLowering &n) {
  Builder &b = n.b;
  if (isRuntimeList(n, 3) || isRuntimeList(n, 4)) return sliceAtRun(n);
  auto starts = limits(n, "starts", 1);
  if (!starts) return starts.takeError();
  auto ends = limits(n, "ends", 2);
  if (!ends) return ends.takeError();
  SmallVector<int64_t> axes = llvm::to_vector(llvm::seq<int64_t>(0, starts->size())), steps(starts->size(), 1);
  if (auto attribute = n.intsAttr("axes")) axes = *attribute;
  for (auto [i, name, numbers] : {std::tuple{3u, "axes", &axes}, {4u, "steps", &steps}}) {
    if (!n.has(i)) continue;
    auto read = n.mustKnow(i, name);
    if (!read) return read.takeError();
    *numbers = *read;
  }
  if (ends->size() != starts->size() || axes.size() != starts->size() || steps.size() != starts->size())
    return refuse("starts, ends, axes and steps differ in length");
  Sizes dims = dimsOf(b, n.in(0)), offsets(dims.size(), size(b, 0)), strides(dims.size(), size(b, 1));
  bool backwards = false;
  int64_t rank = n.rank(0);
  for (auto [axis, start, end, step] : llvm::zip(axes, *starts, *ends, steps)) {
    if (axis < -rank || axis >= rank || step == 0 || step == INT64_MIN)
      return refuse("found axis " + llvm::Twine(axis) + ", step " + llvm::Twine(step) + ", expected an axis of " +
                    llvm::Twine(rank) + " dims and a step other than 0");
    int64_t at = axis < 0 ? axis + rank : axis;
    Cut cut = cutOf(b, dims[at], start, end, step);
    offsets[at] = cut.offset, dims[at] = cut.count, strides[at] = size(b, step);
    backwards |= step < 0;
  }
  std::optional<Values> elements = rank == 1 ? scalars(b, n.in(0)) : std::nullopt;
  if (elements && known(offsets[0]) && known(dims[0])) {
    Values picked;
    for (int64_t i = 0; i < *known(dims[0]); ++i)
      picked.push_back((*elements)[*known(offsets[0]) + i * *known(strides[0])]);
    return Values{fromScalars(b, {int64_t(picked.size())}, n.element(), picked)};
  }
  if (!backwards) return Values{slice(b, n.in(0), offsets, dims, strides)};
  return Values{generate(b, dims, n.element(), [&](Builder &inner, ValueRange at) {
    Values places;
    for (auto [i, offset, stride] : llvm::zip(at, offsets, strides))
      places.push_back(asIndex(inner, add(inner, offset, mul(inner, i, stride))));
    return graph::at(inner, n.in(0), places);
  })};
}

//===- Tile, Pad --------------------------------------------------------------------------===//
llvm::Expected<Values> lowerTile(NodeLowering &n) {
  Builder &b = n.b;
  auto repeats = sizesFrom(n, 1);
  if (!repeats) return repeats.takeError();
  Sizes own = dimsOf(b, n.in(0)), dims;
  if (repeats->size() != own.size()) return refuse("repeats are not one for each dim");
  for (auto [dim, repeat] : llvm::zip(own, *repeats)) dims.push_back(mul(b, dim, repeat));
  return Values{generate(b, dims, n.element(), [&](Builder &inner, ValueRange at) {
    Values places;
    for (auto [i, dim, repeat] : llvm::zip(at, own, *repeats))
      places.push_back(known(repeat) == 1 ? i : Value(arith::RemUIOp::create(inner, i, asIndex(inner, dim))));
    return graph::at(inner, n.in(0), places);
  })};
}

/// Where the element at `i` (which may be outside of [0, dim)) comes from.
Value paddedFrom(Builder &b, StringRef mode, Value i, Value dim) {
  Value none = indexConstant(b, 0), one = indexConstant(b, 1);
  auto modulo = [&](Value x, Value m) -> Value {
    Value rest = arith::RemSIOp::create(b, x, m);
    Value isNegative = arith::CmpIOp::create(b, CmpIPredicate::slt, rest, none);
    return arith::SelectOp::create(b, isNegative, arith::AddIOp::create(b, rest, m), rest);
  };
  if (mode == "wrap") return modulo(i, dim);
  Value last = arith::SubIOp::create(b, dim, one);
  if (mode == "edge") return arith::MaxSIOp::create(b, none, arith::MinSIOp::create(b, i, last));
  Value period = arith::MaxSIOp::create(b, one, arith::AddIOp::create(b, last, last)); // reflect
  Value place = modulo(i, period);
  return arith::MinSIOp::create(b, place, arith::SubIOp::create(b, period, place));
}

llvm::Expected<Values> lowerPad(NodeLowering &n) {
  Builder &b = n.b;
  auto pads = limits(n, "pads", 1);
  if (!pads) return pads.takeError();
  StringRef mode = n.stringAttr("mode", "constant");
  if (!llvm::is_contained({"constant", "edge", "reflect", "wrap"}, mode)) return refuse("mode: found '" + mode + "'");
  SmallVector<int64_t> axes = llvm::to_vector(llvm::seq<int64_t>(0, n.rank(0)));
  if (isRuntimeList(n, 3)) {
    auto found = padsAtRun(n, *pads);
    if (!found) return found.takeError();
    *pads = llvm::to_vector<6>(llvm::concat<Size>(found->first, found->second));
  } else if (n.has(3)) {
    auto read = n.mustKnow(3, "axes");
    if (!read) return read.takeError();
    axes = *read;
  }
  if (pads->size() != 2 * axes.size()) return refuse("pads are not two for each axis");
  Sizes own = dimsOf(b, n.in(0)), dims = own, before(own.size(), size(b, 0));
  for (auto [i, axis] : llvm::enumerate(axes)) {
    int64_t at = axis < 0 ? axis + n.rank(0) : axis;
    if (at < 0 || at >= n.rank(0)) return refuse("axes: found " + llvm::Twine(axis));
    before[at] = (*pads)[i];
    dims[at] = add(b, add(b, own[at], before[at]), (*pads)[i + axes.size()]);
  }
  bool constant = mode == "constant";
  Value fill = constant && n.has(2) ? scalarOf(n, 2)
               : constant && n.node.getOnnxAttributes().contains("value")
                   ? number(b, n.element(), n.floatAttr("value", 0))
                   : zero(b, n.element());
  if (!constant) {
    Size most = product(b, own);
    check(n,
          arith::OrIOp::create(b, compare(b, CmpIPredicate::sgt, most, size(b, 0)),
                               compare(b, CmpIPredicate::eq, product(b, dims), size(b, 0))),
          "a tensor without elements cannot be padded with them");
  }
  return Values{generate(b, dims, n.element(), [&](Builder &inner, ValueRange at) -> Value {
    Values places;
    Value inside = integer(inner, inner.getI1Type(), 1);
    for (auto [i, dim, pad] : llvm::zip(at, own, before)) {
      Value place = asIndex(inner, sub(inner, i, pad)), extent = asIndex(inner, dim);
      if (constant)
        inside = arith::AndIOp::create(inner, inside, arith::CmpIOp::create(inner, CmpIPredicate::ult, place, extent));
      places.push_back(constant ? place : paddedFrom(inner, mode, place, extent));
    }
    if (!constant) return graph::at(inner, n.in(0), places);
    auto choice = scf::IfOp::create(
        inner, inside,
        [&](OpBuilder &nested, Location loc) {
          Builder then(loc, nested);
          scf::YieldOp::create(then, graph::at(then, n.in(0), places));
        },
        [&](OpBuilder &nested, Location loc) { scf::YieldOp::create(nested, loc, fill); });
    return choice.getResult(0);
  })};
}

//===- Blocks -------------------------------------------------------------------------------===//
llvm::Expected<Values> lowerDepthToSpace(NodeLowering &n) {
  Builder &b = n.b;
  if (n.rank(0) != 4) return refuse("found other than 4 dims");
  int64_t block = n.intAttr("blocksize", 0);
  if (block < 1) return refuse("blocksize: expected 1 or more");
  Sizes d = dimsOf(b, n.in(0));
  Size k = size(b, block), depth = floorDiv(b, d[1], size(b, block * block));
  checkEqual(n, mul(b, depth, size(b, block * block)), d[1], "the depth is not a multiple of the block");
  bool columns = n.stringAttr("mode", "DCR") == "CRD";
  Sizes split = columns ? Sizes{d[0], depth, k, k, d[2], d[3]} : Sizes{d[0], k, k, depth, d[2], d[3]};
  SmallVector<int64_t> perm = columns ? SmallVector<int64_t>{0, 1, 4, 2, 5, 3} : SmallVector<int64_t>{0, 3, 4, 1, 5, 2};
  Value moved = transpose(b, reshape(b, n.in(0), split), perm);
  return Values{reshape(b, moved, {d[0], depth, mul(b, d[2], k), mul(b, d[3], k)})};
}

llvm::Expected<Values> lowerSpaceToDepth(NodeLowering &n) {
  Builder &b = n.b;
  if (n.rank(0) != 4) return refuse("found other than 4 dims");
  int64_t block = n.intAttr("blocksize", 0);
  if (block < 1) return refuse("blocksize: expected 1 or more");
  Sizes d = dimsOf(b, n.in(0));
  Size k = size(b, block), height = floorDiv(b, d[2], k), width = floorDiv(b, d[3], k);
  checkEqual(n, mul(b, height, k), d[2], "the height is not a multiple of the block");
  checkEqual(n, mul(b, width, k), d[3], "the width is not a multiple of the block");
  Value moved = transpose(b, reshape(b, n.in(0), {d[0], d[1], height, k, width, k}), {0, 3, 5, 1, 2, 4});
  return Values{reshape(b, moved, {d[0], mul(b, d[1], size(b, block * block)), height, width})};
}

llvm::Expected<Values> lowerReverseSequence(NodeLowering &n) {
  Builder &b = n.b;
  int64_t time = n.intAttr("time_axis", 0), batch = n.intAttr("batch_axis", 1);
  if (n.rank(0) < 2 || time == batch || time < 0 || time > 1 || batch < 0 || batch > 1)
    return refuse("expected the time and batch axes to be 0 and 1");
  Sizes dims = dimsOf(b, n.in(0));
  checkEqual(n, dimOf(b, n.in(1), 0), dims[batch], "there is not one length for each batch");
  return Values{generate(b, dims, n.element(), [&](Builder &inner, ValueRange at) {
    Value length = asIndex(inner, asSize(inner, graph::at(inner, n.in(1), ValueRange{at[batch]})));
    check(n, inner, arith::CmpIOp::create(inner, CmpIPredicate::ule, length, asIndex(inner, dims[time])),
          "a length is out of range");
    Value isReversed = arith::CmpIOp::create(inner, CmpIPredicate::ult, at[time], length);
    Value from = arith::SubIOp::create(inner, arith::SubIOp::create(inner, length, indexConstant(inner, 1)), at[time]);
    Values places(at.begin(), at.end());
    places[time] = arith::SelectOp::create(inner, isReversed, from, at[time]);
    return graph::at(inner, n.in(0), places);
  })};
}

constexpr Lowering kRows[] = {{"", "Concat", lowerConcat},
                              {"", "DepthToSpace", lowerDepthToSpace},
                              {"", "Pad", lowerPad},
                              {"", "ReverseSequence", lowerReverseSequence},
                              {"", "Slice", lowerSlice},
                              {"", "SpaceToDepth", lowerSpaceToDepth},
                              {"", "Split", lowerSplit},
                              {"", "Tile", lowerTile},
                              {"", "Transpose", lowerTranspose}};

} // namespace

llvm::ArrayRef<Lowering> movementLowerings() { return kRows; }

} // namespace llmc::graph
