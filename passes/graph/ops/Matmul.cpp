// MatMul, Gemm and their integer forms: MatMulInteger, QLinearMatMul; com.microsoft's FusedMatMul.
#include "passes/graph/Building.h"
#include "passes/graph/Contract.h"
#include "passes/graph/Lowerings.h"

using namespace mlir;

namespace llmc::graph {
namespace {

/// y = the elements of x, changed and in another type.
Value mapped(Array x, Type element, llvm::function_ref<Scalar(Scalar, ScalarRef)> change) {
  return tabulate(*x.b, x.sizes(), element, [&](ScalarRef i) { return change(x(i), i); });
}

llvm::Expected<Values> lowerMatMul(NodeLowering &n) { return Values{matmul(array(n, 0), array(n, 1))}; }

Value swapLast(NodeLowering &n, Value x) {
  int64_t rank = cast<RankedTensorType>(x.getType()).getRank();
  auto perm = llvm::to_vector<6>(llvm::seq<int64_t>(rank));
  std::swap(perm[rank - 1], perm[rank - 2]);
  return transpose(n.b, x, perm);
}

llvm::Expected<Values> lowerFusedMatMul(NodeLowering &n) {
  if (n.intAttr("transBatchA", 0) || n.intAttr("transBatchB", 0))
    return refuse("transBatchA or transBatchB: found 1, expected 0");
  Array x = array(n, 0), y = array(n, 1);
  if (n.intAttr("transA", 0) && x.rank() > 1) x.tensor = swapLast(n, x.tensor);
  if (n.intAttr("transB", 0) && y.rank() > 1) y.tensor = swapLast(n, y.tensor);
  double alpha = n.floatAttr("alpha", 1);
  Array product = array(n.b, matmul(x, y));
  if (alpha == 1) return Values{product.tensor};
  return Values{mapped(product, product.element(),
                       [&](Scalar z, ScalarRef) { return convert(convert(z, sumType(z.type())) * alpha, z.type()); })};
}

/// alpha * A' * B' + beta * C; floats in f32 at least, integers with alpha and beta of 1 in their type.
llvm::Expected<Values> lowerGemm(NodeLowering &n) {
  Builder &b = n.b;
  Array x = array(n, 0), y = array(n, 1);
  if (x.rank() != 2 || y.rank() != 2)
    return refuse("operands of rank " + Twine(x.rank()) + " and " + Twine(y.rank()) + ", expected 2");
  bool turnX = n.intAttr("transA", 0), turnY = n.intAttr("transB", 0);
  double alpha = n.floatAttr("alpha", 1), beta = n.floatAttr("beta", 1);
  Type type = sumType(x.element());
  ProductSizes sizes = {{}, x.size(turnX), x.size(!turnX), y.size(!turnY)};
  checkEqual(n, getAsOpFoldResult(y.size(turnY).value), getAsOpFoldResult(sizes.k.value), "the inner sizes differ");
  auto element = [&](Array of, bool turned, Scalar row, Scalar column) {
    return convert(turned ? of({column, row}) : of({row, column}), type, of.isUnsigned);
  };
  Array product = array(b, multiply(
                               b, sizes, type, [&](ScalarRef, Scalar m, Scalar k) { return element(x, turnX, m, k); },
                               [&](ScalarRef, Scalar k, Scalar column) { return element(y, turnY, k, column); }));
  if (type == x.element() && alpha == 1 && !n.has(2)) return Values{product.tensor};
  auto scaled = [&](Scalar z, double factor) {
    if (factor == 1) return z;
    if (z.isFloat()) return z * factor;
    return convert(convert(z, b.getF64Type()) * factor, z.type(), x.isUnsigned);
  };
  return Values{mapped(product, x.element(), [&](Scalar z, ScalarRef i) {
    z = scaled(z, alpha);
    if (n.has(2)) {
      Array c = array(n, 2);
      z = z + scaled(convert(c(broadcastIndices(c.sizes(), i)), type, x.isUnsigned), beta);
    }
    return convert(z, x.element(), x.isUnsigned);
  })};
}

/// A parameter of operand `of` of a matmul at an element: one number, one for each row (of x) or column (of y), or one
/// for each of them in each batch.
Scalar parameterAt(Array p, ScalarRef batch, Scalar row, Scalar column, bool ofX) {
  if (p.rank() == 0) return p({});
  if (p.rank() == 1) return p({select(equal(p.size(0), 1), index(*p.b, 0), ofX ? row : column)});
  Scalars at(batch);
  at.append({row, column});
  return p(broadcastIndices(p.sizes(), at));
}

/// The i32 sums of (x - zero point) * (y - zero point); a zero point may be absent.
Value integerSums(NodeLowering &n, const MatmulShape &shape, unsigned zeroX, unsigned zeroY) {
  Type i32 = n.b.getI32Type();
  auto shifted = [&](Scalar element, unsigned zero, ScalarRef i, Scalar row, Scalar column, bool ofX) {
    Scalar wide = convert(element, i32);
    return n.has(zero) ? wide - convert(parameterAt(array(n, zero), i, row, column, ofX), i32) : wide;
  };
  return multiply(
      n.b, shape.sizes, i32,
      [&](ScalarRef i, Scalar m, Scalar k) { return shifted(shape.xAt(i, m, k), zeroX, i, m, k, true); },
      [&](ScalarRef i, Scalar k, Scalar c) { return shifted(shape.yAt(i, k, c), zeroY, i, k, c, false); });
}

llvm::Expected<Values> lowerMatMulInteger(NodeLowering &n) {
  MatmulShape shape = MatmulShape::of(array(n, 0), array(n, 1));
  return Values{reshape(array(n.b, integerSums(n, shape, 2, 3)), shape.result)};
}

/// Operands: x, scale, zero point; y, scale, zero point; scale and zero point of the result.
llvm::Expected<Values> lowerQLinearMatMul(NodeLowering &n) {
  Builder &b = n.b;
  MatmulShape shape = MatmulShape::of(array(n, 0), array(n, 3));
  Array sums = array(b, integerSums(n, shape, 2, 5));
  bool isUnsigned = n.isUnsigned(7);
  Value y = mapped(sums, n.element(), [&](Scalar sum, ScalarRef i) {
    ScalarRef batch = i.drop_back(2);
    auto parameter = [&](unsigned operand, bool ofX) {
      Scalar row = i[i.size() - 2], column = i.back();
      return toF32(parameterAt(array(n, operand), batch, ofX ? row : index(b, 0), ofX ? index(b, 0) : column, ofX));
    };
    Scalar scale = parameter(1, true) * parameter(4, false) / parameter(6, true);
    Scalar real = roundEven(toF32(sum) * scale + parameter(7, true));
    Scalar low = constant(b, b.getF32Type(), isUnsigned ? 0 : -128),
           high = constant(b, b.getF32Type(), isUnsigned ? 255 : 127);
    return convert(convert(minimum(maximum(real, low), high), b.getI32Type()), n.element());
  });
  return Values{reshape(array(b, y), shape.result)};
}

constexpr Lowering kRows[] = {
    {"", "Gemm", lowerGemm},
    {"", "MatMul", lowerMatMul},
    {"", "MatMulInteger", lowerMatMulInteger},
    {"", "QLinearMatMul", lowerQLinearMatMul},
    {"com.microsoft", "FusedMatMul", lowerFusedMatMul},
};
} // namespace

llvm::ArrayRef<Lowering> matmulLowerings() { return kRows; }

} // namespace llmc::graph
