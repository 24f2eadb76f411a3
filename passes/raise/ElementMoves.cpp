#include "passes/raise/ElementNode.h"
#include <algorithm>

using namespace mlir;

namespace llmc::raise {

//===- Movement: elements -----------------------------------------------------===//
Scalars NodeElements::aligned(unsigned i, ArrayRef<Scalar> at) {
  const Scalars &dims = sizes(i);
  if (dims.size() > at.size()) return Scalars(dims.size(), nullptr);
  Scalars out;
  for (size_t k = 0; k < dims.size(); ++k) {
    Scalar size = dims[k];
    out.push_back(size && size->integer() == 1 ? s.integer(0) : at[at.size() - dims.size() + k]);
  }
  return out;
}
Scalar NodeElements::unsqueeze(ArrayRef<Scalar> at) {
  std::optional<SmallVector<int64_t>> gone = axes(1, int64_t(at.size()));
  if (!gone) return nullptr;
  Scalars out;
  for (auto [axis, index] : llvm::enumerate(at))
    if (!llvm::is_contained(*gone, int64_t(axis))) out.push_back(index);
  return of.at(in(0), out);
}
Scalar NodeElements::squeeze(ArrayRef<Scalar> at) {
  std::optional<SmallVector<int64_t>> gone = squeezed();
  if (!gone) return nullptr;
  Scalars out;
  size_t next = 0;
  for (size_t axis = 0; axis < sizes(0).size(); ++axis) {
    bool one = llvm::is_contained(*gone, int64_t(axis));
    if (!one && next >= at.size()) return nullptr;
    out.push_back(one ? s.integer(0) : at[next++]);
  }
  return of.at(in(0), out);
}
Scalar NodeElements::transpose(ArrayRef<Scalar> at) {
  auto perm = node.getOnnxAttributes().getAs<DenseI64ArrayAttr>("perm");
  if (perm && perm.size() != int64_t(at.size())) return nullptr;
  Scalars out(at.size());
  for (size_t i = 0; i < at.size(); ++i) {
    size_t from = perm ? size_t(perm[i]) : at.size() - 1 - i;
    if (from >= at.size()) return nullptr;
    out[from] = at[i];
  }
  return of.at(in(0), out);
}
/// Which part an index falls in must be certain; else the element stands for itself.
Scalar NodeElements::concat(ArrayRef<Scalar> at) {
  int64_t axis = front(intAttr(node, "axis", 0), int64_t(at.size()));
  if (node.getInputs().size() == 1) return of.at(in(0), at);
  if (axis < 0 || axis >= int64_t(at.size())) return nullptr;
  Scalar index = at[axis];
  for (unsigned i = 0; i < node.getInputs().size(); ++i) {
    if (sizes(i).size() != at.size() || !sizes(i)[axis]) return nullptr;
    Scalar size = sizes(i)[axis];
    if (s.isAtLeast0(index) && s.isBelow(index, size)) {
      Scalars out(at);
      out[axis] = index;
      return of.at(in(i), out);
    }
    index = s.subtract(index, size);
    if (!s.isAtLeast0(index)) return nullptr;
  }
  return nullptr;
}
Scalar NodeElements::slice(ArrayRef<Scalar> at) {
  std::optional<SmallVector<Cut>> where = cuts(nullptr);
  if (!where) return nullptr;
  Scalars out(at);
  for (auto [index, cut] : llvm::zip(out, *where))
    if (cut.step) index = s.add(s.multiply(index, s.integer(cut.step)), cut.start);
  return of.at(in(0), out);
}
Scalar NodeElements::split(ArrayRef<Scalar> at) {
  std::optional<SmallVector<int64_t>> parts = splitSizes();
  if (!parts) return nullptr;
  int64_t axis = front(intAttr(node, "axis", 0), rank(0)), before = 0;
  if (result >= parts->size()) return nullptr;
  for (unsigned i = 0; i < result; ++i) before += (*parts)[i];
  Scalars out(at);
  out[axis] = s.add(out[axis], s.integer(before));
  return of.at(in(0), out);
}

/// Axes of both shapes are grouped so that each group has as many elements in one as in the other; within a group an
/// element keeps its place in row-major order. Only the first axis of a group may have an unknown size.
Scalar NodeElements::reshape(ArrayRef<Scalar> at) {
  const std::optional<Scalars> &result_ = of.shape(node.getResult(result));
  if (!result_ || result_->size() != at.size()) return nullptr;
  const Scalars &from = sizes(0), &to = *result_;
  Scalars out(from.size(), s.integer(0));
  auto isOne = [](Scalar size) { return size && size->integer() == 1; };
  size_t i = 0, j = 0;
  while (true) {
    while (i < from.size() && isOne(from[i])) ++i;
    while (j < to.size() && isOne(to[j])) ++j;
    if (i == from.size() || j == to.size()) break;
    size_t firstFrom = i, firstTo = j;
    Extent a, b;
    if (!a.multiply(from[i++]) || !b.multiply(to[j++])) return nullptr;
    while (a.sort(), b.sort(), !(a == b)) {
      bool takeFrom =
          a.unknown.size() < b.unknown.size() || (a.unknown.size() == b.unknown.size() && a.number < b.number);
      if (takeFrom ? i == from.size() || !a.multiply(from[i++]) : j == to.size() || !b.multiply(to[j++]))
        return nullptr;
    }
    if (i == firstFrom + 1 && j == firstTo + 1) {
      out[firstFrom] = at[firstTo];
      continue;
    }
    Scalar place = at[firstTo];
    for (size_t k = firstTo + 1; k < j; ++k) {
      if (!to[k]->integer()) return nullptr;
      place = s.add(s.multiply(place, to[k]), at[k]);
    }
    for (size_t k = i; k-- > firstFrom;) {
      if (k == firstFrom) {
        out[k] = place;
        break;
      }
      if (!from[k]->integer() || *from[k]->integer() < 1) return nullptr;
      out[k] = s.mod(place, *from[k]->integer());
      place = s.floorDiv(place, *from[k]->integer());
    }
  }
  return of.at(in(0), out);
}
Scalar NodeElements::tile(ArrayRef<Scalar> at) {
  Scalars out;
  for (auto [index, size] : llvm::zip(at, sizes(0))) {
    if (!size || !size->integer()) {
      if (!size || !s.isBelow(index, size)) return nullptr;
      out.push_back(index);
    } else {
      out.push_back(s.mod(index, *size->integer()));
    }
  }
  return of.at(in(0), out);
}
/// A negative index counts from the back; the sign must be certain.
Scalar NodeElements::gather(ArrayRef<Scalar> at) {
  int64_t axis = front(intAttr(node, "axis", 0), rank(0)), depth = rank(1);
  if (axis < 0 || axis >= rank(0) || int64_t(at.size()) != rank(0) - 1 + depth) return nullptr;
  Scalar index = signless(of.at(in(1), at.slice(axis, depth)), sizes(0)[axis]);
  if (!index) return nullptr;
  Scalars out(at.take_front(axis));
  out.push_back(index);
  out.append(at.begin() + axis + depth, at.end());
  return of.at(in(0), out);
}
Scalar NodeElements::signless(Scalar index, Scalar size) {
  if (!index || !index->isInteger()) return nullptr;
  if (s.isAtLeast0(index)) return index;
  return s.isAtLeast0(s.subtract(s.integer(-1), index)) ? s.add(index, size) : nullptr;
}
Scalar NodeElements::gatherNd(ArrayRef<Scalar> at) {
  if (!gatherNdShape()) return nullptr;
  size_t lead = size_t(rank(1)) - 1;
  int64_t depth = *sizes(1).back()->integer();
  Scalars out;
  for (int64_t k = 0; k < depth; ++k) {
    Scalars where(at.take_front(lead));
    where.push_back(s.integer(k));
    out.push_back(signless(of.at(in(1), where), sizes(0)[k]));
    if (!out.back()) return nullptr;
  }
  out.append(at.begin() + lead, at.end());
  return of.at(in(0), out);
}
/// Where indices are those of all elements in order, each is replaced.
Scalar NodeElements::scatterNd(ArrayRef<Scalar> at) {
  auto reduction = node.getOnnxAttributes().getAs<StringAttr>("reduction");
  if ((reduction && reduction != "none") || rank(1) != int64_t(at.size()) + 1) return nullptr;
  for (size_t axis = 0; axis < at.size(); ++axis) {
    Scalars where(at);
    where.push_back(s.integer(int64_t(axis)));
    if (!sizes(0)[axis] || sizes(1)[axis] != sizes(0)[axis] || of.at(in(1), where) != at[axis]) return nullptr;
  }
  return sizes(1).back() == s.integer(int64_t(at.size())) ? of.at(in(2), at) : nullptr;
}
Scalar NodeElements::range(ArrayRef<Scalar> at) {
  Scalar start = s.whole(of.at(in(0), {})), step = s.whole(of.at(in(2), {}));
  if (!start || !step) return nullptr;
  Scalar value = s.add(start, s.multiply(step, at[0]));
  return isa<FloatType>(elementType(0)) ? s.toReal(value) : value;
}
Scalar NodeElements::filled(ArrayRef<Scalar>) {
  auto value = node.getOnnxAttributes().getAs<DenseElementsAttr>("value");
  if (!value) return s.real(0);
  if (!value.getNumElements()) return nullptr;
  if (auto floats = dyn_cast<DenseFPElementsAttr>(value)) return s.real((*floats.begin()).convertToDouble());
  auto number = dyn_cast<DenseIntElementsAttr>(value);
  if (!number) return nullptr;
  if (value.getElementType().isInteger(1)) return s.truth(!(*number.begin()).isZero());
  return s.integer((*number.begin()).getSExtValue());
}
Scalar NodeElements::shapeElement(ArrayRef<Scalar> at) {
  int64_t all = rank(0), start = std::clamp<int64_t>(front(intAttr(node, "start", 0), all), 0, all);
  if (!at[0]->integer() || sizes(0).empty()) return nullptr;
  return sizes(0)[start + *at[0]->integer()];
}

} // namespace llmc::raise
