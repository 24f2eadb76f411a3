// Elements chosen by indices.
#include "passes/graph/Building.h"
#include "passes/graph/Lowerings.h"

using namespace mlir;

namespace llmc::graph {
namespace {

/// Elements of a small list at known places.
std::optional<Value> gatherScalars(NodeLowering &n) {
  if (n.rank(0) != 1 || !n.type(1).hasStaticShape()) return std::nullopt;
  std::optional<Values> elements = scalars(n.b, n.in(0));
  std::optional<SmallVector<int64_t>> indices = n.constant(1);
  if (!elements || !indices || indices->size() > size_t(kMostScalars)) return std::nullopt;
  Values picked;
  int64_t count = int64_t(elements->size());
  for (int64_t i : *indices) {
    if (i < -count || i >= count) return std::nullopt;
    picked.push_back((*elements)[i < 0 ? i + count : i]);
  }
  return fromScalars(n.b, n.type(1).getShape(), n.element(), picked);
}

llvm::Expected<Values> lowerGather(NodeLowering &n) {
  Builder &b = n.b;
  auto axis = n.axis("axis", 0, n.rank(0));
  if (!axis) return axis.takeError();
  if (std::optional<Value> small = gatherScalars(n)) return Values{*small};
  Sizes data = dimsOf(b, n.in(0)), chosen = dimsOf(b, n.in(1)), dims(data.begin(), data.begin() + *axis);
  dims.append(chosen);
  dims.append(data.begin() + *axis + 1, data.end());
  size_t inner = chosen.size();
  // Checked once for each index, so that the loop over the data is without branches.
  Value indices = elementwiseTo(n, chosen, n.in(1), b.getI64Type(), [&](Builder &nested, ValueRange v) -> Value {
    Value index = checkedIndex(n, nested, v[0], data[*axis], "an index");
    return arith::IndexCastOp::create(nested, nested.getI64Type(), index);
  });
  return Values{generate(b, dims, n.element(), [&](Builder &nested, ValueRange at) {
    Value index = graph::at(nested, indices, at.slice(*axis, inner));
    Values places(at.begin(), at.begin() + *axis);
    places.push_back(arith::IndexCastOp::create(nested, nested.getIndexType(), index));
    places.append(at.begin() + *axis + inner, at.end());
    return graph::at(nested, n.in(0), places);
  })};
}

llvm::Expected<Values> lowerGatherElements(NodeLowering &n) {
  Builder &b = n.b;
  auto axis = n.axis("axis", 0, n.rank(0));
  if (!axis) return axis.takeError();
  if (n.rank(1) != n.rank(0)) return refuse("indices have another number of dims than the data");
  Sizes data = dimsOf(b, n.in(0)), dims = dimsOf(b, n.in(1));
  for (int64_t i = 0; i < n.rank(0); ++i)
    if (i != *axis && !knownEqual(dims[i], data[i]))
      check(n, compare(b, arith::CmpIPredicate::sle, dims[i], data[i]), "indices have a larger dim than the data");
  return Values{generate(b, dims, n.element(), [&](Builder &nested, ValueRange at) {
    Values places(at.begin(), at.end());
    places[*axis] = checkedIndex(n, nested, graph::at(nested, n.in(1), at), data[*axis], "an index");
    return graph::at(nested, n.in(0), places);
  })};
}

llvm::Expected<Values> lowerGatherNd(NodeLowering &n) {
  Builder &b = n.b;
  int64_t batch = n.intAttr("batch_dims", 0), rank = n.rank(1);
  Sizes data = dimsOf(b, n.in(0)), indices = dimsOf(b, n.in(1));
  std::optional<int64_t> depth = rank ? known(indices.back()) : std::nullopt;
  if (!depth) return refuse("the last dim of the indices is not known while compiling");
  if (batch < 0 || batch >= rank || batch + *depth > n.rank(0))
    return refuse("indices of " + llvm::Twine(*depth) + " axes do not fit the data");
  for (int64_t i = 0; i < batch; ++i) checkEqual(n, indices[i], data[i], "batch dims differ");
  Sizes dims(indices.begin(), indices.end() - 1);
  dims.append(data.begin() + batch + *depth, data.end());
  return Values{generate(b, dims, n.element(), [&](Builder &nested, ValueRange at) {
    ValueRange outer = at.take_front(rank - 1), batches = at.take_front(batch);
    Values row(outer.begin(), outer.end()), places(batches.begin(), batches.end());
    row.push_back(Value());
    for (int64_t i = 0; i < *depth; ++i) {
      row.back() = indexConstant(nested, i);
      places.push_back(checkedIndex(n, nested, graph::at(nested, n.in(1), row), data[batch + i], "an index"));
    }
    ValueRange rest = at.drop_front(rank - 1);
    places.append(rest.begin(), rest.end());
    return graph::at(nested, n.in(0), places);
  })};
}

constexpr Lowering kRows[] = {
    {"", "Gather", lowerGather}, {"", "GatherElements", lowerGatherElements}, {"", "GatherND", lowerGatherNd}};

} // namespace

llvm::ArrayRef<Lowering> gatherLowerings() { return kRows; }

} // namespace llmc::graph
