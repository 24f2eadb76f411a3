#include "passes/raise/ElementNode.h"
#include <algorithm>

using namespace mlir;

namespace llmc::raise {

//===- Movement: shapes -----------------------------------------------------===//
std::optional<Scalars> NodeElements::broadcastShape() {
  Scalars out;
  for (unsigned i = 0; i < node.getInputs().size(); ++i) {
    const Scalars &dims = sizes(i);
    while (out.size() < dims.size()) out.insert(out.begin(), s.integer(1));
    for (size_t k = 1; k <= dims.size(); ++k) {
      Scalar &slot = out[out.size() - k], dim = dims[dims.size() - k];
      if (slot && slot->integer() == 1)
        slot = dim;
      else if (dim && dim->integer() == 1)
        continue;
      else if (!slot || (dim && dim->integer()))
        slot = dim;
    }
  }
  return out;
}
std::optional<Scalars> NodeElements::unsqueezeShape() {
  Scalars out = sizes(0);
  std::optional<SmallVector<int64_t>> at = axes(1, 0); // as they are: the rank that they count from is the result's
  if (!at || at->size() + out.size() > 16) return std::nullopt;
  int64_t rank = int64_t(out.size() + at->size());
  for (int64_t &axis : *at) axis = front(axis, rank);
  llvm::sort(*at);
  for (int64_t axis : *at) {
    if (axis < 0 || axis > int64_t(out.size())) return std::nullopt;
    out.insert(out.begin() + axis, s.integer(1));
  }
  return out;
}
std::optional<SmallVector<int64_t>> NodeElements::squeezed() {
  std::optional<SmallVector<int64_t>> at = axes(1, rank(0));
  if (at || in(1)) return at;
  at.emplace();
  for (auto [axis, size] : llvm::enumerate(sizes(0))) {
    if (!size || !size->integer()) return std::nullopt; // it may be 1 when the graph runs
    if (*size->integer() == 1) at->push_back(int64_t(axis));
  }
  return at;
}
std::optional<Scalars> NodeElements::squeezeShape() {
  std::optional<SmallVector<int64_t>> at = squeezed();
  if (!at) return std::nullopt;
  Scalars out;
  for (auto [axis, size] : llvm::enumerate(sizes(0)))
    if (!llvm::is_contained(*at, int64_t(axis))) out.push_back(size);
  return out;
}
std::optional<Scalars> NodeElements::transposeShape() {
  Scalars dims = sizes(0), out;
  auto perm = node.getOnnxAttributes().getAs<DenseI64ArrayAttr>("perm");
  if (perm && perm.size() != int64_t(dims.size())) return std::nullopt;
  for (size_t i = 0; i < dims.size(); ++i) {
    size_t from = perm ? size_t(perm[i]) : dims.size() - 1 - i;
    if (from >= dims.size()) return std::nullopt;
    out.push_back(dims[from]);
  }
  return out;
}
std::optional<Scalars> NodeElements::concatShape() {
  int64_t axis = front(intAttr(node, "axis", 0), rank(0));
  Scalars out = sizes(0);
  if (axis < 0 || axis >= int64_t(out.size())) return std::nullopt;
  for (unsigned i = 1; i < node.getInputs().size(); ++i) {
    const Scalars &dims = sizes(i);
    if (dims.size() != out.size()) return std::nullopt;
    out[axis] = s.add(out[axis], dims[axis]);
    for (size_t k = 0; k < dims.size(); ++k)
      if (int64_t(k) != axis && (!out[k] || (dims[k] && dims[k]->integer()))) out[k] = dims[k];
  }
  return out;
}

/// Where a bound of Slice lies in 0 .. size; nothing if it is not certain.
std::optional<Scalar> NodeElements::bounded(Scalar at, Scalar size) {
  if (!at || !size) return std::nullopt;
  Scalar below = s.subtract(s.integer(-1), at);
  if (at->integer() && *at->integer() < 0 && size->integer()) // far below means the first
    return s.integer(std::max<int64_t>(*at->integer() + *size->integer(), 0));
  if (at->integer() && *at->integer() < -(int64_t(1) << 30)) return s.integer(0);
  if (at->integer() && *at->integer() > (int64_t(1) << 30)) return size;
  if (s.isAtLeast0(below)) at = s.add(at, size);
  if (!s.isAtLeast0(at)) return std::nullopt;
  if (s.isAtLeast0(s.subtract(at, size))) return size;
  return s.isAtLeast0(s.subtract(size, at)) ? std::optional(at) : std::nullopt;
}
std::optional<SmallVector<NodeElements::Cut>> NodeElements::cuts(Scalars *lengths) {
  Scalars dims = sizes(0);
  SmallVector<Cut> out(dims.size(), Cut{nullptr, 0});
  std::optional<Scalars> starts, ends;
  std::optional<SmallVector<int64_t>> which, steps;
  if (auto attr = node.getOnnxAttributes().getAs<DenseI64ArrayAttr>("starts")) { // opset 9 and before
    auto end = node.getOnnxAttributes().getAs<DenseI64ArrayAttr>("ends");
    if (!end) return std::nullopt;
    starts.emplace(), ends.emplace();
    for (int64_t number : attr.asArrayRef()) starts->push_back(s.integer(number));
    for (int64_t number : end.asArrayRef()) ends->push_back(s.integer(number));
  } else {
    starts = list(1), ends = list(2), steps = numbers(4);
    if (in(4) && !steps) return std::nullopt;
  }
  which = axes(3, int64_t(dims.size()));
  if (!starts || !ends || starts->size() != ends->size() || (!which && in(3))) return std::nullopt;
  if (!which) {
    which.emplace();
    for (size_t i = 0; i < starts->size(); ++i) which->push_back(int64_t(i));
  }
  if (which->size() != starts->size() || (steps && steps->size() != starts->size())) return std::nullopt;
  for (auto [i, axis] : llvm::enumerate(*which)) {
    int64_t step = steps ? (*steps)[i] : 1;
    if (axis < 0 || axis >= int64_t(dims.size()) || step < 1 || out[axis].step) return std::nullopt;
    std::optional<Scalar> start = bounded((*starts)[i], dims[axis]), end = bounded((*ends)[i], dims[axis]);
    if (!start || !end) return std::nullopt;
    out[axis] = {*start, step};
    if (!lengths) continue;
    Scalar length = s.subtract(*end, *start);
    if (!s.isAtLeast0(length)) return std::nullopt;
    (*lengths)[axis] = s.floorDiv(s.add(length, s.integer(step - 1)), step);
  }
  return out;
}
std::optional<Scalars> NodeElements::sliceShape() {
  Scalars out = sizes(0);
  return cuts(&out) ? std::optional(out) : std::nullopt;
}
std::optional<SmallVector<int64_t>> NodeElements::splitSizes() {
  int64_t axis = front(intAttr(node, "axis", 0), rank(0));
  if (axis < 0 || axis >= rank(0)) return std::nullopt;
  if (auto attr = node.getOnnxAttributes().getAs<DenseI64ArrayAttr>("split"))
    return SmallVector<int64_t>(attr.asArrayRef());
  if (in(1)) return numbers(1);
  Scalar size = sizes(0)[axis];
  if (!size || !size->integer()) return std::nullopt;
  int64_t parts = node.getNumResults(), part = (*size->integer() + parts - 1) / parts;
  SmallVector<int64_t> out(parts, part);
  out.back() = *size->integer() - part * (parts - 1);
  return out;
}
std::optional<Scalars> NodeElements::splitShape() {
  std::optional<SmallVector<int64_t>> parts = splitSizes();
  if (!parts || result >= parts->size()) return std::nullopt;
  Scalars out = sizes(0);
  out[front(intAttr(node, "axis", 0), rank(0))] = s.integer((*parts)[result]);
  return out;
}

std::optional<Scalars> NodeElements::reshapeShape() {
  std::optional<Scalars> asked = list(1);
  const Scalars &dims = sizes(0);
  if (!asked) return std::nullopt;
  Extent all, rest;
  bool known = llvm::all_of(dims, [&](Scalar size) { return all.multiply(size); });
  std::optional<size_t> open;
  for (auto [i, size] : llvm::enumerate(*asked)) {
    if (!size) return std::nullopt;
    if (size->integer() == 0 && !intAttr(node, "allowzero", 0)) size = i < dims.size() ? dims[i] : nullptr;
    if (!size) return std::nullopt;
    if (size->integer() == -1)
      open = i; // there is one
    else
      rest.multiply(size);
  }
  if (!open) return *asked;
  if (!known) {
    (*asked)[*open] = nullptr;
    return *asked;
  }
  for (Scalar size : rest.unknown) {
    auto *at = llvm::find(all.unknown, size);
    if (at == all.unknown.end()) return std::nullopt;
    all.unknown.erase(at);
  }
  if (!rest.number || all.number % rest.number || all.unknown.size() > 1) return std::nullopt;
  int64_t number = all.number / rest.number;
  (*asked)[*open] = all.unknown.empty() ? s.integer(number) : s.multiply(all.unknown[0], s.integer(number));
  return *asked;
}
std::optional<Scalars> NodeElements::flattenShape() {
  int64_t axis = intAttr(node, "axis", 1);
  if (axis < 0) axis += rank(0);
  Scalar out[2] = {s.integer(1), s.integer(1)};
  for (auto [i, size] : llvm::enumerate(sizes(0))) {
    Scalar &slot = out[int64_t(i) >= axis];
    slot = slot->integer() == 1 ? size : size && size->integer() == 1 ? slot : s.multiply(slot, size);
  }
  return Scalars{out[0], out[1]};
}
std::optional<Scalars> NodeElements::expandShape() {
  std::optional<Scalars> asked = list(1);
  if (!asked) return std::nullopt;
  Scalars out = *asked;
  const Scalars &dims = sizes(0);
  while (out.size() < dims.size()) out.insert(out.begin(), s.integer(1));
  for (size_t k = 1; k <= dims.size(); ++k) {
    Scalar &slot = out[out.size() - k];
    Scalar dim = dims[dims.size() - k];
    if (slot && slot->integer() == 1)
      slot = dim;
    else if (!slot && dim && dim->integer() != 1) // else it may be repeated
      slot = dim;
  }
  return out;
}
std::optional<Scalars> NodeElements::tileShape() {
  std::optional<Scalars> repeats = list(1);
  Scalars out = sizes(0);
  if (!repeats || repeats->size() != out.size()) return std::nullopt;
  for (auto [size, times] : llvm::zip(out, *repeats)) size = s.multiply(size, times);
  return out;
}
std::optional<Scalars> NodeElements::gatherShape() {
  int64_t axis = front(intAttr(node, "axis", 0), rank(0));
  Scalars out(sizes(0));
  if (axis < 0 || axis >= int64_t(out.size())) return std::nullopt;
  out.erase(out.begin() + axis);
  out.insert(out.begin() + axis, sizes(1).begin(), sizes(1).end());
  return out;
}
std::optional<Scalars> NodeElements::gatherNdShape() {
  Scalars out = sizes(1);
  if (out.empty() || intAttr(node, "batch_dims", 0) || !out.back() || !out.back()->integer()) return std::nullopt;
  int64_t depth = *out.back()->integer();
  if (depth > rank(0)) return std::nullopt;
  out.pop_back();
  out.append(sizes(0).begin() + depth, sizes(0).end());
  return out;
}
std::optional<Scalars> NodeElements::rangeShape() {
  Scalar start = s.whole(of.at(in(0), {})), end = s.whole(of.at(in(1), {})), step = s.whole(of.at(in(2), {}));
  if (!start || !end || !step || step->integer() != 1) return Scalars{nullptr};
  Scalar length = s.subtract(end, start);
  return Scalars{s.isAtLeast0(length) ? length : nullptr};
}
std::optional<Scalars> NodeElements::filledShape() {
  std::optional<Scalars> asked = list(0);
  return asked;
}
std::optional<Scalars> NodeElements::shapeShape() {
  int64_t all = rank(0), start = std::clamp<int64_t>(front(intAttr(node, "start", 0), all), 0, all),
          end = std::clamp<int64_t>(front(intAttr(node, "end", all), all), 0, all);
  return Scalars{s.integer(std::max<int64_t>(end - start, 0))};
}
std::optional<Scalars> NodeElements::reduceShape() {
  std::optional<SmallVector<int64_t>> at = axes(1, rank(0));
  if (!at && in(1)) return std::nullopt;
  bool keep = intAttr(node, "keepdims", 1), all = !intAttr(node, "noop_with_empty_axes", 0);
  Scalars out;
  for (auto [axis, size] : llvm::enumerate(sizes(0))) {
    bool gone = at && !at->empty() ? llvm::is_contained(*at, int64_t(axis)) : all;
    if (!gone)
      out.push_back(size);
    else if (keep)
      out.push_back(s.integer(1));
  }
  return out;
}
std::optional<Scalars> NodeElements::matMulShape() {
  if (rank(0) < 2 || rank(1) < 2) return std::nullopt;
  Scalars a = sizes(0), b = sizes(1);
  if (intAttr(node, "transA", 0)) std::swap(a[a.size() - 1], a[a.size() - 2]);
  if (intAttr(node, "transB", 0)) std::swap(b[b.size() - 1], b[b.size() - 2]);
  if (intAttr(node, "transBatchA", 0) || intAttr(node, "transBatchB", 0)) return std::nullopt;
  Scalars &longer = a.size() >= b.size() ? a : b;
  Scalars out(longer.begin(), longer.end() - 2);
  for (size_t k = 3; k <= std::min(a.size(), b.size()); ++k) {
    Scalar x = a[a.size() - k], y = b[b.size() - k];
    out[out.size() + 2 - k] = x && x->integer() == 1 ? y : x;
  }
  out.push_back(a[a.size() - 2]);
  out.push_back(b.back());
  return out;
}
std::optional<Scalars> NodeElements::gemmShape() {
  if (rank(0) != 2 || rank(1) != 2) return std::nullopt;
  return Scalars{sizes(0)[intAttr(node, "transA", 0) ? 1 : 0], sizes(1)[intAttr(node, "transB", 0) ? 0 : 1]};
}
std::optional<Scalars> NodeElements::matMulNBitsShape() {
  Scalars out = sizes(0);
  if (out.empty()) return std::nullopt;
  out.back() = s.integer(intAttr(node, "N", 0));
  return out;
}
/// The first result only.
std::optional<Scalars> NodeElements::attentionShape() {
  Scalars q = sizes(0), v = sizes(2);
  if (q.size() == 4 && v.size() == 4) return Scalars{q[0], q[1], q[2], v[3]};
  int64_t heads = intAttr(node, "q_num_heads", 0), kvHeads = intAttr(node, "kv_num_heads", 0);
  if (q.size() != 3 || v.size() != 3 || !kvHeads || !v[2] || !v[2]->integer()) return std::nullopt;
  return Scalars{q[0], q[1], s.integer(*v[2]->integer() / kvHeads * heads)};
}

} // namespace llmc::raise
