// Cast of one scalar between any two element types of a file.
#include "passes/graph/Building.h"

using namespace mlir;

namespace llmc::graph {
namespace {

bool isSmallFloat(Type type) { return isa<FloatType>(type) && type.getIntOrFloatBitWidth() <= 8; }
bool isUnsignedType(Type type) { return type.isUnsignedInteger() || type.isInteger(1); }

//===- Floats of 8 and 4 bits: patterns in i8 -------------------------------------===//
/// Pattern -> f32, from a table.
Value decodeSmall(Builder &b, Value pattern, Type type) {
  const llvm::fltSemantics &semantics = cast<FloatType>(type).getFloatSemantics();
  unsigned bits = type.getIntOrFloatBitWidth();
  SmallVector<float> table;
  for (unsigned i = 0; i < 256; ++i) {
    APFloat value(semantics, APInt(8, i).trunc(bits));
    bool lossy;
    value.convert(APFloat::IEEEsingle(), APFloat::rmNearestTiesToEven, &lossy);
    table.push_back(value.convertToFloat());
  }
  Value all = arith::ConstantOp::create(
      b, DenseElementsAttr::get(RankedTensorType::get({256}, b.getF32Type()), ArrayRef(table)));
  return at(b, all, ValueRange{arith::IndexCastUIOp::create(b, b.getIndexType(), pattern)});
}

/// f32 -> the power of two that is next above it in magnitude, as its exponent.
Value encodeScale(Builder &b, Value x) {
  Type i32 = b.getI32Type();
  Value bits = arith::AndIOp::create(b, arith::BitcastOp::create(b, i32, x), integer(b, i32, 0x7fffffff));
  Value isNan = arith::CmpIOp::create(b, arith::CmpIPredicate::ugt, bits, integer(b, i32, 0x7f800000));
  Value up = arith::AddIOp::create(b, bits, integer(b, i32, 0x7fffff));
  Value code = arith::ShRUIOp::create(b, up, integer(b, i32, 23));
  code = arith::MinUIOp::create(b, code, integer(b, i32, 254));
  return arith::SelectOp::create(b, isNan, integer(b, i32, 255), code);
}

/// f32 -> pattern, to nearest, ties to even. A code counts quanta: (exponent - least) * 2^m + quanta of that exponent.
Value encodeSmall(Builder &b, Value x, Type type, bool saturate) {
  const llvm::fltSemantics &semantics = cast<FloatType>(type).getFloatSemantics();
  Type i32 = b.getI32Type(), i8 = b.getIntegerType(8);
  if (isa<Float8E8M0FNUType>(type)) return arith::TruncIOp::create(b, i8, encodeScale(b, x));
  int bits = type.getIntOrFloatBitWidth(), mantissa = int(APFloat::semanticsPrecision(semantics)) - 1;
  int least = APFloat::semanticsMinExponent(semantics);
  auto patternOf = [&](const APFloat &value) { return int64_t(value.bitcastToAPInt().getZExtValue()); };
  int64_t most = patternOf(APFloat::getLargest(semantics));
  bool hasNan = !isa<Float4E2M1FNType>(type), hasInf = isa<Float8E5M2Type>(type);
  bool oneZero = isa<Float8E4M3FNUZType, Float8E5M2FNUZType>(type);
  int64_t nan = hasNan ? patternOf(APFloat::getNaN(semantics)) & ((1 << bits) - 1) : 0;
  int64_t beyond = saturate || !hasNan ? most : hasInf ? patternOf(APFloat::getInf(semantics)) : nan;

  auto constant = [&](int64_t v) { return integer(b, i32, v); };
  Value raw = arith::BitcastOp::create(b, i32, x);
  Value magnitude = arith::AndIOp::create(b, raw, constant(0x7fffffff));
  Value isNan = arith::CmpIOp::create(b, arith::CmpIPredicate::ugt, magnitude, constant(0x7f800000));
  Value exponent = arith::SubIOp::create(b, arith::ShRUIOp::create(b, magnitude, constant(23)), constant(127));
  exponent = arith::MaxSIOp::create(b, exponent, constant(least));
  exponent = arith::MinSIOp::create(b, exponent, constant(126));
  Value scaleBits = arith::SubIOp::create(b, constant(127 + mantissa), exponent);
  Value scale = arith::BitcastOp::create(b, b.getF32Type(), arith::ShLIOp::create(b, scaleBits, constant(23)));
  Value quanta = math::RoundEvenOp::create(
      b, arith::MulFOp::create(b, arith::BitcastOp::create(b, b.getF32Type(), magnitude), scale));
  quanta = arith::MinNumFOp::create(b, quanta, number(b, b.getF32Type(), 1024)); // infinity and NaN convert to a number
  Value code = arith::AddIOp::create(
      b, arith::MulIOp::create(b, arith::SubIOp::create(b, exponent, constant(least)), constant(1 << mantissa)),
      arith::FPToSIOp::create(b, i32, quanta));
  Value isBeyond = arith::CmpIOp::create(b, arith::CmpIPredicate::sgt, code, constant(most));
  code = arith::SelectOp::create(b, isBeyond, constant(beyond), code);
  Value sign = arith::ShLIOp::create(b, arith::ShRUIOp::create(b, raw, constant(31)), constant(bits - 1));
  if (oneZero) {
    Value isZero = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, code, constant(0));
    sign = arith::SelectOp::create(b, isZero, constant(0), sign);
  }
  code = arith::OrIOp::create(b, code, sign);
  code = arith::SelectOp::create(b, isNan, constant(nan), code);
  return arith::TruncIOp::create(b, i8, code);
}

//===- Integers ---------------------------------------------------------------------===//
Value resize(Builder &b, Value x, Type to, bool isUnsigned) {
  unsigned from = x.getType().getIntOrFloatBitWidth(), bits = to.getIntOrFloatBitWidth();
  if (from == bits) return x;
  if (from > bits) return arith::TruncIOp::create(b, to, x);
  return isUnsigned ? Value(arith::ExtUIOp::create(b, to, x)) : Value(arith::ExtSIOp::create(b, to, x));
}

/// An integer of the file's type `to` from bits that are at least as many: 4-bit ones are extended to i8 again.
Value fitInteger(Builder &b, Value x, Type to) {
  unsigned bits = to.getIntOrFloatBitWidth();
  Value fitted = resize(b, x, IntegerType::get(b.getContext(), bits), isUnsignedType(to));
  return resize(b, fitted, loweredElement(to), isUnsignedType(to));
}

Value notZero(Builder &b, Value x) {
  if (isa<FloatType>(x.getType())) return arith::CmpFOp::create(b, arith::CmpFPredicate::UNE, x, zero(b, x.getType()));
  return arith::CmpIOp::create(b, arith::CmpIPredicate::ne, x, zero(b, x.getType()));
}

/// Truncates towards zero. Saturates to 64 bits and then drops the upper ones; NaN gives 0.
Value floatToInteger(Builder &b, Value x, Type to) {
  Type type = x.getType(), i64 = b.getI64Type();
  const double limit = 9223372036854775808.0;
  Value top = number(b, type, limit);
  Value isNan = arith::CmpFOp::create(b, arith::CmpFPredicate::UNO, x, x);
  Value fits = arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, math::AbsFOp::create(b, x), top);
  Value whole = arith::FPToSIOp::create(b, i64, arith::SelectOp::create(b, fits, x, zero(b, type)));
  Value isNegative = arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, x, zero(b, type));
  Value beyond = arith::SelectOp::create(b, isNegative, integer(b, i64, INT64_MIN), integer(b, i64, INT64_MAX));
  if (to.isUnsignedInteger(64)) {
    Value isHuge = arith::CmpFOp::create(b, arith::CmpFPredicate::OGE, x, number(b, type, 2 * limit));
    Value inUpper =
        arith::AndIOp::create(b, arith::CmpFOp::create(b, arith::CmpFPredicate::OGE, x, top),
                              arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, x, number(b, type, 2 * limit)));
    Value rest = arith::SelectOp::create(b, inUpper, arith::SubFOp::create(b, x, top), zero(b, type));
    Value upper = arith::XOrIOp::create(b, arith::FPToSIOp::create(b, i64, rest), integer(b, i64, INT64_MIN));
    beyond = arith::SelectOp::create(b, inUpper, upper, beyond);
    beyond = arith::SelectOp::create(b, isHuge, integer(b, i64, -1), beyond);
  }
  whole = arith::SelectOp::create(b, fits, whole, beyond);
  whole = arith::SelectOp::create(b, isNan, integer(b, i64, 0), whole);
  return fitInteger(b, whole, to);
}

Value floatToFloat(Builder &b, Value x, Type to) {
  unsigned from = x.getType().getIntOrFloatBitWidth(), bits = to.getIntOrFloatBitWidth();
  if (from == bits) return x;
  return from < bits ? Value(arith::ExtFOp::create(b, to, x)) : Value(arith::TruncFOp::create(b, to, x));
}

} // namespace

Value convertScalar(Builder &b, Value x, Type from, Type to, bool saturate) {
  if (isSmallFloat(from)) x = decodeSmall(b, x, from);
  bool isFloat = isa<FloatType>(x.getType());
  if (to.isInteger(1)) return x.getType().isInteger(1) ? x : notZero(b, x);
  if (isa<IntegerType>(to)) {
    if (isFloat) return floatToInteger(b, x, to);
    unsigned bits = std::max(x.getType().getIntOrFloatBitWidth(), to.getIntOrFloatBitWidth());
    return fitInteger(b, resize(b, x, IntegerType::get(b.getContext(), bits), isUnsignedType(from)), to);
  }
  Type compute = isSmallFloat(to) ? Type(b.getF32Type()) : computeType(to);
  if (isFloat)
    x = floatToFloat(b, x, compute);
  else
    x = isUnsignedType(from) ? Value(arith::UIToFPOp::create(b, compute, x))
                             : Value(arith::SIToFPOp::create(b, compute, x));
  return isSmallFloat(to) ? encodeSmall(b, x, to, saturate) : x;
}

llvm::Expected<Value> convertTensor(NodeLowering &n, Value x, Type from, Type to, bool saturate) {
  if (from == to) return x;
  return elementwise(n, x, loweredElement(to),
                     [&](Builder &b, ValueRange v) { return convertScalar(b, v[0], from, to, saturate); });
}

} // namespace llmc::graph
