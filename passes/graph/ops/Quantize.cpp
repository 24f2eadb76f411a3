// QuantizeLinear, DequantizeLinear (whole, along an axis, in blocks) and DynamicQuantizeLinear.
#include "passes/graph/Building.h"
#include "passes/graph/Lowerings.h"
#include "passes/graph/Scalar.h"
#include <cmath>

using namespace mlir;

namespace llmc::graph {
namespace {

/// Where the scale or zero point of element `i` is: the only one, that of the axis, or that of the block.
struct Granularity {
  int64_t axis = 0, block = 0;

  static llvm::Expected<Granularity> of(NodeLowering &n) {
    Granularity g;
    g.block = n.intAttr("block_size", 0);
    int64_t rank = n.rank(0);
    if (g.block < 0) return refuse("block_size: found " + Twine(g.block) + ", expected 0 or more");
    if (n.rank(1) == 0 || (n.rank(1) == 1 && n.type(1).getDimSize(0) == 1 && !g.block)) return g;
    auto axis = n.axis("axis", 1, rank);
    if (!axis) return axis.takeError();
    g.axis = *axis;
    if (n.rank(1) != (g.block ? rank : 1))
      return refuse("scale of rank " + Twine(n.rank(1)) + ", expected " + Twine(g.block ? rank : 1));
    return g;
  }
  Scalar at(Array parameter, ScalarRef i) const {
    if (parameter.rank() == 0) return parameter({});
    if (parameter.rank() == 1 && !block) {
      bool only = parameter.type().getDimSize(0) == 1;
      return parameter({only ? index(*parameter.b, 0) : i[axis]});
    }
    Scalars own(i);
    own[axis] = own[axis] / double(block);
    return parameter(own);
  }
};

Scalar fileToF32(NodeLowering &n, Scalar x, Type from) {
  return {&n.b, convertScalar(n.b, x.value, from, n.b.getF32Type())};
}

llvm::Expected<Values> lowerDequantize(NodeLowering &n) {
  auto granularity = Granularity::of(n);
  if (!granularity) return granularity.takeError();
  Array x = array(n, 0);
  Type f32 = n.b.getF32Type(), i32 = n.b.getI32Type(), element = n.element();
  bool isInteger = isa<IntegerType>(n.inType(0));
  Value y = tabulate(n.b, x.sizes(), element, [&](ScalarRef i) {
    Scalar real;
    if (isInteger && n.has(2)) {
      Scalar zero = granularity->at(array(n, 2), i);
      real = convert(convert(x(i), i32) - convert(zero, i32), f32);
    } else {
      real = fileToF32(n, x(i), n.inType(0));
    }
    return convert(real * toF32(granularity->at(array(n, 1), i)), element);
  });
  return Values{y};
}

/// Least and greatest number of an integer type of the file.
std::pair<double, double> rangeOf(Type type) {
  unsigned bits = type.getIntOrFloatBitWidth();
  if (type.isUnsignedInteger()) return {0, std::ldexp(1.0, bits) - 1};
  return {-std::ldexp(1.0, bits - 1), std::ldexp(1.0, bits - 1) - 1};
}

/// The type that x / scale is rounded to: `precision`, or that of the operands.
llvm::Expected<Type> divisionType(NodeLowering &n) {
  Builder &b = n.b;
  switch (n.intAttr("precision", 0)) {
  case 0: {
    Type x = n.inType(0), scale = n.inType(1);
    return x == scale && isa<FloatType>(x) ? x : Type(b.getF32Type());
  }
  case 1: return Type(b.getF32Type());
  case 10: return Type(b.getF16Type());
  case 16: return Type(b.getBF16Type());
  default: return refuse("precision: found type " + Twine(n.intAttr("precision", 0)) + ", expected a float type");
  }
}

llvm::Expected<Values> lowerQuantize(NodeLowering &n) {
  Builder &b = n.b;
  auto granularity = Granularity::of(n);
  if (!granularity) return granularity.takeError();
  auto division = divisionType(n);
  if (!division) return division.takeError();
  Array x = array(n, 0);
  Type f32 = b.getF32Type(), to = n.outType();
  bool saturate = n.intAttr("saturate", 1);
  Value y = tabulate(b, x.sizes(), n.element(), [&](ScalarRef i) {
    Scalar quotient = toF32(x(i)) / toF32(granularity->at(array(n, 1), i));
    quotient = toF32(convert(convert(quotient, *division), f32));
    if (!isa<IntegerType>(to)) return Scalar{&b, convertScalar(b, quotient.value, f32, to, saturate)};
    Scalar rounded = roundEven(quotient);
    if (n.has(2)) rounded = rounded + convert(convert(granularity->at(array(n, 2), i), b.getI32Type()), f32);
    auto [low, high] = rangeOf(to);
    Scalar clamped = minimum(maximum(rounded, constant(b, f32, low)), constant(b, f32, high));
    return convert(convert(clamped, b.getI32Type()), n.element());
  });
  return Values{y};
}

Value onlyElement(Scalar value) {
  return tabulate(*value.b, {}, value.type(), [&](ScalarRef) { return value; });
}

/// To u8, over the range of x and zero. The quotient is a division: a product with the inverse rounds otherwise.
llvm::Expected<Values> lowerDynamicQuantize(NodeLowering &n) {
  Builder &b = n.b;
  Array x = array(n, 0);
  Type f32 = b.getF32Type();
  Scalar zero = constant(b, f32, 0);
  Scalar low = foldOver(x.sizes(), zero, [&](ScalarRef i, Scalar least) { return minimum(least, x(i)); });
  Scalar high = foldOver(x.sizes(), zero, [&](ScalarRef i, Scalar most) { return maximum(most, x(i)); });
  Scalar scale = select(equal(low, high), constant(b, f32, 1), high - low) / 255;
  Scalar point = roundEven(minimum(maximum(zero - low / scale, zero), constant(b, f32, 255)));
  Value y = tabulate(b, x.sizes(), b.getI8Type(), [&](ScalarRef i) {
    Scalar rounded = roundEven(x(i) / scale) + point;
    return convert(convert(minimum(maximum(rounded, zero), constant(b, f32, 255)), b.getI32Type()), b.getI8Type());
  });
  Scalar byte = convert(convert(point, b.getI32Type()), b.getI8Type());
  return Values{y, onlyElement(scale), onlyElement(byte)};
}

constexpr Lowering kRows[] = {
    {"", "DequantizeLinear", lowerDequantize},
    {"", "DynamicQuantizeLinear", lowerDynamicQuantize},
    {"", "QuantizeLinear", lowerQuantize},
};
} // namespace

llvm::ArrayRef<Lowering> quantizeLowerings() { return kRows; }

} // namespace llmc::graph
