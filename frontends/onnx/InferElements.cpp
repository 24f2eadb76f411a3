// Shape arithmetic: what is known of the elements of small integer tensors, so that the ranks and sizes that Reshape,
// Expand and others take from operands are known.
#include "frontends/onnx/Check.h"
#include <algorithm>

using llvm::StringRef;
using namespace mlir;

namespace llmc::onnx {
namespace {

using Element = std::optional<int64_t>;
using Result = std::optional<Elements>;

constexpr int64_t kMostElements = 64; // shapes, axes and scalars; no data

Result shapeOf(const Node &n) {
  if (!n.ranked(0)) return std::nullopt;
  int64_t rank = n.rank(0), start = n.intAttr("start", 0), end = n.intAttr("end", rank);
  auto clamp = [&](int64_t v) { return std::clamp<int64_t>(v < 0 ? v + rank : v, 0, rank); };
  Elements out;
  for (int64_t i = clamp(start); i < clamp(end); ++i)
    out.push_back(known(n.dim(0, i)) ? Element(n.dim(0, i)) : std::nullopt);
  return out;
}

Result sizeOf(const Node &n) {
  int64_t product = 1;
  if (!n.ranked(0)) return std::nullopt;
  for (int64_t dim : n.type(0).getShape()) product = mulDims(product, dim);
  return Elements{known(product) && product <= kMostDim ? Element(product) : std::nullopt};
}

/// The same elements: Identity, Cast between integers, and views.
Result same(const Node &n) { return n.elements(0); }

Result gather(const Node &n) {
  Result data = n.elements(0), indices = n.elements(1);
  if (!data || !indices || !n.ranked(0) || n.rank(0) != 1) return std::nullopt;
  Elements out;
  for (Element index : *indices) {
    int64_t count = data->size();
    if (!index) {
      out.push_back(std::nullopt);
      continue;
    }
    int64_t at = *index < 0 ? *index + count : *index;
    if (at < 0 || at >= count) return std::nullopt;
    out.push_back((*data)[at]);
  }
  return out;
}

Result concat(const Node &n) {
  Elements out;
  for (unsigned i = 0; i < n.operands.size(); ++i) {
    Result part = n.elements(i);
    if (!part) { // as many unknown ones, if their number is known
      int64_t count = n.ranked(i) && n.rank(i) == 1 ? n.dim(i, 0) : kUnknown;
      if (!known(count) || count > kMostElements) return std::nullopt;
      part.emplace(count, std::nullopt);
    }
    if (int64_t(out.size() + part->size()) > kMostElements) return std::nullopt;
    llvm::append_range(out, *part);
  }
  return out;
}

Result slice(const Node &n) {
  Result data = n.elements(0);
  auto starts = n.list("starts", 1), ends = n.list("ends", 2), steps = n.constant(4);
  if (!data || !n.ranked(0) || n.rank(0) != 1 || !starts || !ends || starts->size() != 1 || ends->size() != 1)
    return std::nullopt;
  int64_t step = 1, count = data->size();
  if (n.has(4)) {
    if (!steps || steps->size() != 1 || (steps->front() != 1 && steps->front() != -1)) return std::nullopt;
    step = steps->front();
  }
  auto from = [&](int64_t v, int64_t least, int64_t most) {
    return std::clamp<int64_t>(v < 0 ? std::max(v, -count - 1) + count : v, least, most);
  };
  Elements out;
  if (count == 0) return out;
  int64_t begin = from(starts->front(), 0, step > 0 ? count : count - 1);
  int64_t end = from(ends->front(), step > 0 ? 0 : -1, step > 0 ? count : count - 1);
  for (int64_t i = begin; step > 0 ? i < end : i > end; i += step) out.push_back((*data)[i]);
  return out;
}

Result fill(const Node &n) {
  auto shape = n.constant(0);
  auto value = n.attributes.getAs<DenseIntElementsAttr>("value");
  if (!shape || shape->size() > 1 || !value || value.getNumElements() != 1) return std::nullopt;
  int64_t count = shape->empty() ? 1 : shape->front();
  if (count < 0 || count > kMostElements) return std::nullopt;
  return Elements(count, Element((*value.begin()).getSExtValue()));
}

Result expand(const Node &n) {
  Result data = n.elements(0);
  auto shape = n.constant(1);
  if (!data || !shape || shape->size() > 1 || data->size() != 1) return std::nullopt;
  int64_t count = shape->empty() ? 1 : std::max<int64_t>(shape->front(), 1);
  if (count > kMostElements) return std::nullopt;
  return Elements(count, data->front());
}

Result range(const Node &n) {
  auto start = n.constant(0), limit = n.constant(1), delta = n.constant(2);
  if (!start || !limit || !delta || start->size() != 1 || limit->size() != 1 || delta->size() != 1 || !delta->front())
    return std::nullopt;
  Elements out;
  int64_t step = delta->front();
  for (int64_t v = start->front(); step > 0 ? v < limit->front() : v > limit->front();) {
    out.push_back(v);
    if (int64_t(out.size()) > kMostElements || llvm::AddOverflow(v, step, v)) return std::nullopt;
  }
  return out;
}

Result where(const Node &n) {
  Result condition = n.elements(0), a = n.elements(1), b = n.elements(2);
  if (!condition || !a || !b) return std::nullopt;
  size_t count = std::max({condition->size(), a->size(), b->size()});
  for (Elements *list : {&*condition, &*a, &*b}) {
    if (list->size() != 1 && list->size() != count) return std::nullopt;
    if (list->size() != count) list->resize(count, list->front());
  }
  Elements out;
  for (auto [c, x, y] : llvm::zip(*condition, *a, *b)) out.push_back(c ? (*c ? x : y) : x == y ? x : std::nullopt);
  return out;
}

Result product(const Node &n) {
  Result data = n.elements(0);
  if (!data || n.operands.size() > 1 || (n.attributes.contains("axes") && n.rank(0) != 1)) return std::nullopt;
  int64_t all = 1;
  for (Element element : *data)
    if (!element || llvm::MulOverflow(all, *element, all)) return std::nullopt;
  return Elements{all};
}

/// a OP b, or none where it is not a number.
using Binary = Element (*)(int64_t, int64_t);
struct BinaryRow {
  StringRef name;
  Binary apply;
};
template <bool (*overflows)(int64_t, int64_t, int64_t &)> Element checked(int64_t a, int64_t b) {
  int64_t result = 0;
  return overflows(a, b, result) ? Element() : result;
}
bool addOverflows(int64_t a, int64_t b, int64_t &to) { return llvm::AddOverflow(a, b, to); }
bool subOverflows(int64_t a, int64_t b, int64_t &to) { return llvm::SubOverflow(a, b, to); }
bool mulOverflows(int64_t a, int64_t b, int64_t &to) { return llvm::MulOverflow(a, b, to); }
constexpr BinaryRow kBinary[] = {
    {"Add", checked<addOverflows>},
    {"Sub", checked<subOverflows>},
    {"Mul", checked<mulOverflows>},
    {"Div", [](int64_t a, int64_t b) { return b == 0 || (a == INT64_MIN && b == -1) ? Element() : a / b; }},
    {"Max", [](int64_t a, int64_t b) { return Element(std::max(a, b)); }},
    {"Min", [](int64_t a, int64_t b) { return Element(std::min(a, b)); }},
    {"Equal", [](int64_t a, int64_t b) { return Element(a == b); }},
    {"Less", [](int64_t a, int64_t b) { return Element(a < b); }},
    {"LessOrEqual", [](int64_t a, int64_t b) { return Element(a <= b); }},
    {"Greater", [](int64_t a, int64_t b) { return Element(a > b); }},
    {"GreaterOrEqual", [](int64_t a, int64_t b) { return Element(a >= b); }},
    {"And", [](int64_t a, int64_t b) { return Element(a && b); }},
    {"Or", [](int64_t a, int64_t b) { return Element(a || b); }},
};
Result binary(const Node &n, Binary apply) {
  if (n.operands.size() != 2) return std::nullopt;
  Result a = n.elements(0), b = n.elements(1);
  if (!a || !b) return std::nullopt;
  if (a->size() == 1) a->resize(b->size(), a->front());
  if (b->size() == 1) b->resize(a->size(), b->front());
  if (a->size() != b->size()) return std::nullopt;
  Elements out;
  for (auto [x, y] : llvm::zip(*a, *b)) out.push_back(x && y ? apply(*x, *y) : Element());
  return out;
}

Result negate(const Node &n) {
  Result data = n.elements(0);
  if (!data) return std::nullopt;
  for (Element &element : *data)
    if (element) element = n.opType == "Not" ? Element(!*element) : *element == INT64_MIN ? Element() : -*element;
  return data;
}

struct Row {
  StringRef name;
  Result (*infer)(const Node &);
};
constexpr Row kRows[] = {
    {"Cast", same},      {"Concat", concat}, {"ConstantOfShape", fill}, {"Expand", expand}, {"Gather", gather},
    {"Identity", same},  {"Neg", negate},    {"Not", negate},           {"Range", range},   {"ReduceProd", product},
    {"Reshape", same},   {"Shape", shapeOf}, {"Size", sizeOf},          {"Slice", slice},   {"Squeeze", same},
    {"Unsqueeze", same}, {"Where", where},
};
} // namespace

std::optional<Elements> inferElements(const Node &n, Type result) {
  auto type = dyn_cast<RankedTensorType>(result);
  // Arithmetic of 64 bits that stays in range is that of INT32 too; unsigned types do not hold shapes.
  bool wide = type && (type.getElementType().isSignlessInteger(64) || type.getElementType().isSignlessInteger(32) ||
                       type.getElementType().isInteger(1));
  if (!wide || type.getRank() > 1 || !type.hasStaticShape() || type.getNumElements() > kMostElements)
    return std::nullopt;
  Result out;
  for (const Row &row : kRows)
    if (row.name == n.opType) out = row.infer(n);
  for (const BinaryRow &row : kBinary)
    if (row.name == n.opType) out = binary(n, row.apply);
  if (!out || int64_t(out->size()) != type.getNumElements()) return std::nullopt;
  // Not a wrapped INT32, and a Cast to BOOL is not the same number.
  for (Element &element : *out)
    if (element && type.getElementType().isInteger(32) && *element != int32_t(*element))
      element.reset();
    else if (element && type.getElementType().isInteger(1))
      element = *element != 0;
  if (llvm::none_of(*out, [](Element element) { return element.has_value(); })) return std::nullopt;
  return out;
}

} // namespace llmc::onnx
