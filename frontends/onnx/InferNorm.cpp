// Operands and result types of normalisations and of quantisation.
#include "frontends/onnx/Check.h"
#include "frontends/onnx/Tensors.h"
#include <cmath>

using llvm::ArrayRef;
using llvm::StringRef;
using llvm::Twine;
using namespace mlir;

namespace llmc::onnx {
namespace {

llvm::Error checkEpsilon(const Node &n) {
  double epsilon = n.floatAttr("epsilon", 0);
  if (!std::isfinite(epsilon) || epsilon < 0)
    return refuse("attribute epsilon: found " + std::to_string(epsilon) + ", expected a small positive number");
  return llvm::Error::success();
}
/// Operand i must be a vector with an element for each column of operand 0.
llvm::Error checkVector(const Node &n, unsigned i) {
  if (!n.has(i)) return llvm::Error::success();
  if (!isa<FloatType>(n.element(i))) return refuseOperand(n, i, "is not of a float type");
  if (n.ranked(i) && n.rank(i) != 1) return refuseOperand(n, i, "has rank " + Twine(n.rank(i)) + ", expected a vector");
  int64_t found = n.dim(i, -1), columns = n.dim(0, -1);
  if (known(found) && known(columns) && found != columns)
    return refuseOperand(n, i, "has " + Twine(found) + " elements, expected " + Twine(columns));
  return llvm::Error::success();
}
/// Operand i must broadcast to the shape of operand 0 without changing it.
llvm::Error checkScale(const Node &n, unsigned i) {
  if (!n.ranked(0) || !n.ranked(i)) return llvm::Error::success();
  auto joined = broadcastShapes(n.type(0).getShape(), n.type(i).getShape());
  bool fits = bool(joined) && n.rank(i) <= n.rank(0);
  if (!joined) llvm::consumeError(joined.takeError());
  for (int64_t axis = 1; fits && axis <= n.rank(i); ++axis) {
    int64_t dim = n.dim(i, -axis), of = n.dim(0, -axis);
    fits = !known(dim) || dim == 1 || !known(of) || dim == of;
  }
  if (fits) return llvm::Error::success();
  std::string text;
  llvm::raw_string_ostream(text) << "has type " << n.operands[i].getType() << ", expected one that broadcasts to "
                                 << n.operands[0].getType();
  return refuseOperand(n, i, text);
}

/// The type of statistics: a number for each row from `axis` on.
llvm::Expected<Type> statistics(const Node &n) {
  int64_t stash = n.intAttr("stash_type", 1);
  Type element = elementType(n.context(), stash);
  if (!element || !isa<FloatType>(element))
    return refuse("attribute stash_type: found " + elementName(stash) + ", expected a float type");
  if (!n.ranked(0)) return Type(UnrankedTensorType::get(element));
  if (n.rank(0) == 0) return refuseOperand(n, 0, "is a scalar");
  llvm::Expected<int64_t> axis = normalAxis(n.intAttr("axis", -1), n.rank(0), "attribute axis");
  if (!axis) return axis.takeError();
  SmallVector<int64_t> shape(n.type(0).getShape());
  for (int64_t &dim : llvm::MutableArrayRef(shape).drop_front(*axis)) dim = 1;
  return Type(RankedTensorType::get(shape, element));
}

/// Scales: one, one for each slice of `axis`, or one for each block of it.
llvm::Error checkScales(const Node &n, unsigned i) {
  if (!n.ranked(0) || !n.ranked(i) || n.rank(i) == 0) return llvm::Error::success();
  int64_t block = n.intAttr("block_size", 0), rank = n.rank(0), axisAttr = n.intAttr("axis", 1);
  if (n.rank(i) == 1 && block == 0) {
    int64_t count = n.dim(i, 0);
    if (count == 1 || n.opset < 13) return llvm::Error::success();
    llvm::Expected<int64_t> axis = normalAxis(axisAttr, std::max<int64_t>(rank, 1), "attribute axis");
    if (!axis) {
      if (rank != 1) return axis.takeError();
      llvm::consumeError(axis.takeError());
      axis = 0; // the only axis of a vector
    }
    if (int64_t dim = n.dim(0, *axis); known(dim) && known(count) && dim != count)
      return refuseOperand(n, i, "has " + Twine(count) + " elements, expected " + Twine(dim));
    return llvm::Error::success();
  }
  if (n.rank(i) != rank) return refuseOperand(n, i, "has rank " + Twine(n.rank(i)) + ", expected " + Twine(rank));
  llvm::Expected<int64_t> axis = normalAxis(axisAttr, rank, "attribute axis");
  if (!axis) return axis.takeError();
  for (int64_t d = 0; d < rank; ++d) {
    int64_t dim = n.dim(0, d), found = n.dim(i, d);
    if (d == *axis && block > 0 && known(dim)) dim = (dim + block - 1) / block;
    if (d == *axis && block == 0) continue;
    if (known(dim) && known(found) && dim != found)
      return refuseOperand(n, i, "has " + Twine(found) + " elements on axis " + Twine(d) + ", expected " + Twine(dim));
  }
  return llvm::Error::success();
}
llvm::Error checkQuantization(const Node &n) {
  int64_t block = n.intAttr("block_size", 0);
  if (block < 0 || block > kMostDim)
    return refuse("attribute block_size: found " + Twine(block) + ", expected 0 or more");
  for (unsigned i : {1u, 2u})
    if (n.has(i))
      if (auto error = checkScales(n, i)) return error;
  return llvm::Error::success();
}
} // namespace

llvm::Expected<Types> inferLayerNorm(const Node &n) {
  if (auto error = checkEpsilon(n)) return error;
  llvm::Expected<Type> rows = statistics(n);
  if (!rows) return rows.takeError();
  for (unsigned i : {1u, 2u})
    if (n.has(i))
      if (auto error = checkScale(n, i)) return error;
  Types types(n.results, *rows);
  types[0] = n.operands[0].getType();
  return types;
}

/// The same without a bias; ONNX's own and ONNX Runtime's simplified form.
llvm::Expected<Types> inferRmsNorm(const Node &n) { return inferLayerNorm(n); }

llvm::Expected<Types> inferSkipNorm(const Node &n) {
  if (auto error = checkEpsilon(n)) return error;
  if (auto error = checkScale(n, 1)) return error;
  for (unsigned i = 2; i < n.operands.size(); ++i)
    if (auto error = checkVector(n, i)) return error;
  Types types(n.results, n.operands[0].getType());
  if (n.results > 1) {
    llvm::Expected<Type> rows = statistics(n); // mean and inverse deviation
    if (!rows) return rows.takeError();
    for (unsigned i = 1; i < std::min(n.results, 3u); ++i) types[i] = *rows;
  }
  return types;
}

/// input_ids [batch, tokens] and tables [rows, hidden]: [batch, tokens, hidden], a mask [batch], and the sum.
llvm::Expected<Types> inferEmbedNorm(const Node &n) {
  if (auto error = checkEpsilon(n)) return error;
  for (unsigned i : {2u, 3u, 4u})
    if (n.ranked(i) && n.rank(i) != 2)
      return refuseOperand(n, i, "has rank " + Twine(n.rank(i)) + ", expected a table");
  Type table = RankedTensorType::get({n.dim(0, 0), n.dim(0, 1), n.dim(2, 1)}, n.element(2));
  return Types{table, RankedTensorType::get({n.dim(0, 0)}, n.element(0)), table};
}

llvm::Expected<Types> inferQuantize(const Node &n) {
  if (auto error = checkQuantization(n)) return error;
  int64_t number = n.intAttr("output_dtype", 0);
  Type element = n.has(2) ? n.element(2) : Type(IntegerType::get(n.context(), 8, IntegerType::Unsigned));
  if (number) {
    Type given = elementType(n.context(), number);
    if (!given) return refuse("attribute output_dtype: found " + elementName(number) + ", expected a type of numbers");
    if (n.has(2) && given != element) return refuse("attribute output_dtype: differs from the type of the zero point");
    element = given;
  }
  return Types{n.type(0).clone(element)};
}

llvm::Expected<Types> inferDequantize(const Node &n) {
  if (auto error = checkQuantization(n)) return error;
  Type element = n.element(1);
  if (int64_t number = n.intAttr("output_dtype", 0)) {
    element = elementType(n.context(), number);
    if (!element || !isa<FloatType>(element))
      return refuse("attribute output_dtype: found " + elementName(number) + ", expected a float type");
  }
  return Types{n.type(0).clone(element)};
}

llvm::Expected<Types> inferDynamicQuantize(const Node &n) {
  Type scalar = RankedTensorType::get({}, n.element(0));
  return Types{n.operands[0].getType(), scalar, scalar};
}

} // namespace llmc::onnx
