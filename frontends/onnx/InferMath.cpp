// Result types of operators that compute: elementwise, products of matrices, reductions, random numbers.
#include "frontends/onnx/Check.h"
#include "frontends/onnx/Tensors.h"
#include "llvm/ADT/SmallBitVector.h"
#include "llvm/ADT/StringExtras.h"
#include <algorithm>
#include <cmath>

using llvm::ArrayRef;
using llvm::StringRef;
using llvm::Twine;
using namespace mlir;

namespace llmc::onnx {
namespace {

llvm::Expected<Type> elementAttr(const Node &n, StringRef name, int64_t absent) {
  int64_t number = n.intAttr(name, absent);
  if (Type element = elementType(n.context(), number)) return element;
  return refuse("attribute " + name + ": found " + elementName(number) + ", expected a type of numbers");
}

/// The shape of a product of matrices, vectors being rows on the left and columns on the right.
llvm::Expected<Types> product(const Node &n, unsigned left, unsigned right) {
  if (!n.ranked(left) || !n.ranked(right)) return unranked(n);
  SmallVector<int64_t> a(n.type(left).getShape()), b(n.type(right).getShape());
  if (a.empty() || b.empty()) return refuseOperand(n, a.empty() ? left : right, "is a scalar, expected a matrix");
  bool row = a.size() == 1, column = b.size() == 1;
  if (row) a.insert(a.begin(), 1);
  if (column) b.push_back(1);
  int64_t ka = a.back(), kb = b[b.size() - 2];
  if (known(ka) && known(kb) && ka != kb)
    return refuse("operand '" + n.names[left] + "' has rows of " + Twine(ka) + ", '" + n.names[right] +
                  "' has K = " + Twine(kb));
  auto shape = broadcastShapes(ArrayRef(a).drop_back(2), ArrayRef(b).drop_back(2));
  if (!shape) return shape.takeError();
  if (!row) shape->push_back(a[a.size() - 2]);
  if (!column) shape->push_back(b.back());
  return ranked(n, *shape);
}

/// The shape that remains when `axes` are reduced.
SmallVector<int64_t> reduced(ArrayRef<int64_t> shape, ArrayRef<int64_t> axes, bool keep) {
  SmallVector<int64_t> out;
  for (auto [i, dim] : llvm::enumerate(shape))
    if (!llvm::is_contained(axes, int64_t(i)))
      out.push_back(dim);
    else if (keep)
      out.push_back(1);
  return out;
}
} // namespace

llvm::Expected<Types> inferBroadcast(const Node &n) {
  for (unsigned i = 0; i < n.operands.size(); ++i)
    if (n.has(i) && !n.ranked(i)) return unranked(n);
  SmallVector<int64_t> shape;
  for (unsigned i = 0; i < n.operands.size(); ++i) {
    if (!n.has(i)) continue;
    auto joined = broadcastShapes(shape, n.type(i).getShape());
    if (!joined) return refuseOperand(n, i, "does not fit the others: " + llvm::toString(joined.takeError()));
    shape = std::move(*joined);
  }
  return Types(n.results, RankedTensorType::get(shape, n.element(0)));
}

llvm::Expected<Types> inferCast(const Node &n) {
  llvm::Expected<Type> element = elementAttr(n, "to", 0);
  if (!element) return element.takeError();
  if (n.opType == "BitCast" && bitsOf(*element) != bitsOf(n.element(0)))
    return refuse("attribute to: found a type of another width, expected one of " + Twine(bitsOf(n.element(0))) +
                  " bits");
  return Types{n.type(0).clone(*element)};
}

llvm::Expected<Types> inferMatMul(const Node &n) { return product(n, 0, 1); }
llvm::Expected<Types> inferQLinearMatMul(const Node &n) { return product(n, 0, 3); }

llvm::Expected<Types> inferFusedMatMul(const Node &n) {
  bool plain = true;
  for (StringRef name : {"transA", "transB", "transBatchA", "transBatchB"}) plain &= n.intAttr(name, 0) == 0;
  if (plain) return product(n, 0, 1);
  if (!n.ranked(0) || !n.ranked(1) || n.intAttr("transBatchA", 0) || n.intAttr("transBatchB", 0)) return unranked(n);
  if (n.rank(0) < 2 || n.rank(1) < 2) return refuse("found a vector operand, expected matrices to transpose");
  bool ta = n.intAttr("transA", 0), tb = n.intAttr("transB", 0);
  int64_t ka = n.dim(0, ta ? -2 : -1), kb = n.dim(1, tb ? -1 : -2);
  if (known(ka) && known(kb) && ka != kb)
    return refuse("found K = " + Twine(ka) + " and " + Twine(kb) + ", expected equal ones");
  auto shape = broadcastShapes(n.type(0).getShape().drop_back(2), n.type(1).getShape().drop_back(2));
  if (!shape) return shape.takeError();
  shape->push_back(n.dim(0, ta ? -1 : -2));
  shape->push_back(n.dim(1, tb ? -2 : -1));
  return ranked(n, *shape);
}

llvm::Expected<Types> inferGemm(const Node &n) {
  for (unsigned i : {0u, 1u})
    if (n.ranked(i) && n.rank(i) != 2)
      return refuseOperand(n, i, "has rank " + Twine(n.rank(i)) + ", expected a matrix");
  bool ta = n.intAttr("transA", 0), tb = n.intAttr("transB", 0);
  int64_t ka = n.dim(0, ta ? 0 : 1), kb = n.dim(1, tb ? 1 : 0);
  if (known(ka) && known(kb) && ka != kb)
    return refuse("found K = " + Twine(ka) + " and " + Twine(kb) + ", expected equal ones");
  SmallVector<int64_t> shape{n.dim(0, ta ? 1 : 0), n.dim(1, tb ? 0 : 1)};
  if (!n.ranked(2)) return ranked(n, shape);
  auto fits = broadcastShapes(shape, n.type(2).getShape());
  if (!fits || fits->size() != 2) {
    llvm::consumeError(fits.takeError());
    return refuseOperand(n, 2, "cannot be added to the product");
  }
  return ranked(n, shape);
}

/// Softmax and others that look at one axis.
llvm::Expected<Types> inferAxis(const Node &n) {
  bool old = n.opset < 13 && n.opType != "LpNormalization"; // flattened to 2-D from the axis on
  if (n.ranked(0) && n.rank(0) > 0) {
    int64_t axis = n.intAttr("axis", old ? 1 : -1);
    if (!(old && axis == n.rank(0)))
      if (auto normal = normalAxis(axis, n.rank(0), "attribute axis"); !normal) return normal.takeError();
  }
  return Types{n.operands[0].getType()};
}

llvm::Expected<Types> inferReduce(const Node &n) {
  bool keep = n.intAttr("keepdims", 1);
  std::optional<SmallVector<int64_t>> axes = n.list("axes", 1);
  if (!n.ranked(0)) return unranked(n);
  if (!axes && n.has(1)) {
    // Not known which: if none are named, it may be all.
    if (keep) return ranked(n, SmallVector<int64_t>(n.rank(0), kUnknown));
    int64_t count = n.ranked(1) && n.rank(1) == 1 ? n.dim(1, 0) : kUnknown;
    if (!known(count) || count == 0 || count > n.rank(0)) return unranked(n);
    return ranked(n, SmallVector<int64_t>(n.rank(0) - count, kUnknown));
  }
  if (!axes || axes->empty()) {
    if (n.intAttr("noop_with_empty_axes", 0)) return Types{n.operands[0].getType()};
    axes = llvm::to_vector(llvm::seq<int64_t>(0, n.rank(0)));
  }
  auto normal = normalAxes(*axes, n.rank(0));
  if (!normal) return normal.takeError();
  return ranked(n, reduced(n.type(0).getShape(), *normal, keep));
}

llvm::Expected<Types> inferArg(const Node &n) {
  if (!n.ranked(0)) return unranked(n);
  llvm::Expected<int64_t> axis = normalAxis(n.intAttr("axis", 0), n.rank(0), "attribute axis");
  if (!axis) return axis.takeError();
  return ranked(n, reduced(n.type(0).getShape(), {*axis}, n.intAttr("keepdims", 1)));
}

llvm::Expected<Types> inferRange(const Node &n) {
  for (unsigned i : {0u, 1u, 2u})
    if (n.ranked(i) && (n.rank(i) > 1 || (n.rank(i) == 1 && known(n.dim(i, 0)) && n.dim(i, 0) != 1)))
      return refuseOperand(n, i, "is not a scalar");
  auto start = n.constant(0), limit = n.constant(1), delta = n.constant(2);
  if (delta && delta->size() == 1 && delta->front() == 0) return refuse("delta: found 0, expected another number");
  int64_t count = kUnknown;
  if (start && limit && delta && start->size() == 1 && limit->size() == 1 && delta->size() == 1) {
    double steps = std::ceil((double(limit->front()) - double(start->front())) / double(delta->front()));
    // Greater counts are for whoever runs it to refuse.
    if (steps < double(kMostDim)) count = std::max<int64_t>(int64_t(std::max(steps, 0.0)), 0);
  }
  return ranked(n, {count});
}

namespace {
/// The axes that an Einsum term names: letters, and '.' once for an ellipsis.
llvm::Expected<std::string> einsumTerm(StringRef term) {
  std::string out;
  for (size_t i = 0; i < term.size(); ++i) {
    if (term[i] == ' ') continue;
    if (term.substr(i).starts_with("...") && !StringRef(out).contains('.')) {
      out += '.';
      i += 2;
    } else if (llvm::isAlpha(term[i])) {
      out += term[i];
    } else {
      return refuse("attribute equation: found '" + term + "', expected letters and one ellipsis");
    }
  }
  return out;
}
/// Binds the letters of a term to an operand's sizes, and the ellipsis to the rest.
llvm::Error bindTerm(const Node &n, unsigned i, StringRef term, int64_t (&sizes)[128], SmallVector<int64_t> &rest) {
  int64_t letters = llvm::count_if(term, [](char c) { return c != '.'; }), more = n.rank(i) - letters;
  if (more < 0 || (more > 0 && !term.contains('.')))
    return refuseOperand(n, i, "has rank " + Twine(n.rank(i)) + ", the equation names " + Twine(letters) + " axes");
  ArrayRef<int64_t> shape = n.type(i).getShape();
  for (char c : term) {
    if (c == '.') {
      auto joined = broadcastShapes(rest, shape.take_front(more));
      if (!joined) return joined.takeError();
      rest = std::move(*joined);
      shape = shape.drop_front(more);
      continue;
    }
    int64_t &size = sizes[int(c)], dim = shape.front();
    shape = shape.drop_front();
    if (size == -1 || !known(size) || size == 1)
      size = dim;
    else if (known(dim) && dim != 1 && dim != size)
      return refuseOperand(n, i, "has " + Twine(dim) + " elements on axis " + Twine(c) + ", expected " + Twine(size));
  }
  return llvm::Error::success();
}
} // namespace

llvm::Expected<Types> inferEinsum(const Node &n) {
  auto [inputs, output] = n.stringAttr("equation", "").split("->");
  bool implicit = !n.stringAttr("equation", "").contains("->");
  SmallVector<StringRef> terms;
  inputs.split(terms, ',');
  if (terms.size() != n.operands.size())
    return refuse("attribute equation: found " + Twine(terms.size()) + " terms for " + Twine(n.operands.size()) +
                  " operands");
  int64_t sizes[128];
  std::fill(std::begin(sizes), std::end(sizes), int64_t(-1));
  SmallVector<int64_t> rest;
  std::string all;
  bool complete = true;
  for (auto [i, raw] : llvm::enumerate(terms)) {
    llvm::Expected<std::string> term = einsumTerm(raw);
    if (!term) return term.takeError();
    all += *term;
    if (!n.ranked(i)) {
      complete = false;
      continue;
    }
    if (auto error = bindTerm(n, i, *term, sizes, rest)) return error;
  }
  llvm::Expected<std::string> result = einsumTerm(output);
  if (!result) return result.takeError();
  if (implicit) { // letters that are there once, in order, after the ellipsis
    result->assign(StringRef(all).contains('.') ? "." : "");
    std::string sorted = all;
    llvm::sort(sorted);
    for (char c : sorted)
      if (c != '.' && llvm::count(all, c) == 1) *result += c;
  }
  for (char c : *result)
    if (!StringRef(all).contains(c)) return refuse("attribute equation: found '" + Twine(c) + "' in the result only");
  if (!complete) return unranked(n);
  SmallVector<int64_t> shape;
  for (char c : *result)
    if (c == '.')
      shape.append(rest);
    else
      shape.push_back(sizes[int(c)]);
  return ranked(n, shape);
}

/// RandomNormal and RandomUniform: shape and dtype are attributes.
llvm::Expected<Types> inferRandom(const Node &n) {
  llvm::Expected<Type> element = elementAttr(n, "dtype", 1);
  if (!element) return element.takeError();
  SmallVector<int64_t> shape = n.intsAttr("shape").value_or(SmallVector<int64_t>());
  for (int64_t dim : shape)
    if (dim < 0 || dim > kMostDim) return refuse("attribute shape: found " + Twine(dim) + ", expected sizes");
  return Types{RankedTensorType::get(shape, *element)};
}

/// The shape of operand 0 with elements of the type `dtype`, or operand 0's.
llvm::Expected<Types> inferDType(const Node &n) {
  if (!n.attributes.contains("dtype")) return Types{n.operands[0].getType()};
  llvm::Expected<Type> element = elementAttr(n, "dtype", 0);
  if (!element) return element.takeError();
  return Types{n.type(0).clone(*element)};
}

llvm::Expected<Types> inferWindow(const Node &n) {
  llvm::Expected<Type> element = elementAttr(n, "output_datatype", 1);
  if (!element) return element.takeError();
  auto size = n.constant(0);
  if (size && (size->size() != 1 || size->front() < 0)) return refuse("size: expected one number of 0 or more");
  return Types{RankedTensorType::get({size ? size->front() : kUnknown}, *element)};
}

llvm::Expected<Types> inferMel(const Node &n) {
  llvm::Expected<Type> element = elementAttr(n, "output_datatype", 1);
  if (!element) return element.takeError();
  auto bins = n.constant(0), length = n.constant(1);
  for (const auto &value : {bins, length})
    if (value && (value->size() != 1 || value->front() < 0 || value->front() > kMostDim))
      return refuse("found sizes that are not one positive number each");
  return Types{
      RankedTensorType::get({length ? length->front() / 2 + 1 : kUnknown, bins ? bins->front() : kUnknown}, *element)};
}

/// A loss: the shape of the labels, or a scalar; the second result is like the scores.
llvm::Expected<Types> inferLoss(const Node &n) {
  StringRef reduction = n.stringAttr("reduction", "mean");
  if (reduction != "none" && reduction != "mean" && reduction != "sum")
    return refuse("attribute reduction: found '" + reduction + "', expected none, mean or sum");
  Type loss = RankedTensorType::get({}, n.element(0));
  if (reduction == "none") loss = n.type(1).clone(n.element(0));
  return Types{loss, n.operands[0].getType()};
}

llvm::Expected<Types> inferDet(const Node &n) {
  if (!n.ranked(0)) return unranked(n);
  if (n.rank(0) < 2) return refuseOperand(n, 0, "has rank " + Twine(n.rank(0)) + ", expected matrices");
  return ranked(n, n.type(0).getShape().drop_back(2));
}

llvm::Expected<Types> inferMultinomial(const Node &n) {
  llvm::Expected<Type> element = elementAttr(n, "dtype", 6);
  if (!element) return element.takeError();
  int64_t samples = n.intAttr("sample_size", 1);
  if (samples < 0) return refuse("attribute sample_size: found " + Twine(samples));
  return Types{RankedTensorType::get({n.dim(0, 0), samples}, *element)};
}

/// Rate, step, then tensors, their gradients, and one or two states of each: the new tensors and states.
llvm::Expected<Types> inferOptimizer(const Node &n) {
  unsigned groups = n.opType == "Adam" ? 4 : 3, rest = n.operands.size() - 2, count = rest / groups;
  if (rest == 0 || rest % groups || n.results != count * (groups - 1))
    return refuse("found " + Twine(rest) + " tensors and " + Twine(n.results) + " results, expected " + Twine(groups) +
                  " and " + Twine(groups - 1) + " for each that is optimised");
  Types types;
  for (unsigned i = 0; i < n.results; ++i) {
    unsigned from = 2 + (i < count ? i : count + i);
    if (!n.has(from) || !isa<FloatType>(n.element(from))) return refuseOperand(n, from, "is not of a float type");
    types.push_back(n.operands[from].getType());
  }
  return types;
}

} // namespace llmc::onnx
