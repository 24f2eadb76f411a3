#include "passes/graph/Scalar.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;

namespace llmc::graph {
namespace {

Scalar like(Scalar x, Value value) { return {x.b, value, x.isUnsigned}; }
Scalar bit(Scalar x, Value value) { return {x.b, value, true}; }

template <typename FloatOp, typename SignedOp, typename UnsignedOp> Scalar binary(Scalar x, Scalar y) {
  if (x.isFloat()) return like(x, x.b->createOrFold<FloatOp>(x.value, y.value));
  if (x.isUnsigned) return like(x, x.b->createOrFold<UnsignedOp>(x.value, y.value));
  return like(x, x.b->createOrFold<SignedOp>(x.value, y.value));
}
template <typename Op> Scalar unary(Scalar x) { return like(x, x.b->createOrFold<Op>(x.value)); }

Scalar compare(Scalar x, Scalar y, arith::CmpFPredicate floats, arith::CmpIPredicate integers,
               arith::CmpIPredicate unsignedIntegers) {
  if (x.isFloat()) return bit(x, x.b->createOrFold<arith::CmpFOp>(floats, x.value, y.value));
  return bit(x, x.b->createOrFold<arith::CmpIOp>(x.isUnsigned ? unsignedIntegers : integers, x.value, y.value));
}

Scalar convertInteger(Scalar x, Type type, bool isUnsigned) {
  Builder &b = *x.b;
  auto result = [&](Value value) { return Scalar{&b, value, isUnsigned}; };
  if (isa<FloatType>(type))
    return result(x.isUnsigned ? b.createOrFold<arith::UIToFPOp>(type, x.value)
                               : b.createOrFold<arith::SIToFPOp>(type, x.value));
  unsigned from = x.type().getIntOrFloatBitWidth(), to = type.getIntOrFloatBitWidth();
  if (from == to) return result(x.value);
  if (from > to) return result(b.createOrFold<arith::TruncIOp>(type, x.value));
  return result(x.isUnsigned ? b.createOrFold<arith::ExtUIOp>(type, x.value)
                             : b.createOrFold<arith::ExtSIOp>(type, x.value));
}
} // namespace

Scalar index(Builder &b, int64_t value) { return {&b, arith::ConstantIndexOp::create(b, value).getResult(), false}; }

Scalar constant(Builder &b, Type type, double value) {
  if (type.isIndex()) return index(b, int64_t(value));
  if (isa<FloatType>(type)) return {&b, arith::ConstantOp::create(b, b.getFloatAttr(type, value)), false};
  APInt bits(type.getIntOrFloatBitWidth(), uint64_t(int64_t(value)), true, true);
  return {&b, arith::ConstantOp::create(b, b.getIntegerAttr(type, bits)), false};
}

Scalar constantLike(Scalar like, double value) {
  Scalar made = constant(*like.b, like.type(), value);
  made.isUnsigned = like.isUnsigned;
  return made;
}

static Scalar extreme(Builder &b, Type type, bool isUnsigned, bool low) {
  if (auto floating = dyn_cast<FloatType>(type)) {
    const llvm::fltSemantics &semantics = floating.getFloatSemantics();
    bool infinite = llvm::APFloat::semanticsHasInf(semantics);
    APFloat value = infinite ? APFloat::getInf(semantics, low) : APFloat::getLargest(semantics, low);
    return {&b, arith::ConstantOp::create(b, FloatAttr::get(type, value)), false};
  }
  unsigned bits = type.getIntOrFloatBitWidth();
  APInt value = isUnsigned ? (low ? APInt::getMinValue(bits) : APInt::getMaxValue(bits))
                           : (low ? APInt::getSignedMinValue(bits) : APInt::getSignedMaxValue(bits));
  return {&b, arith::ConstantOp::create(b, b.getIntegerAttr(type, value)), isUnsigned};
}
Scalar lowest(Builder &b, Type type, bool isUnsigned) { return extreme(b, type, isUnsigned, true); }
Scalar highest(Builder &b, Type type, bool isUnsigned) { return extreme(b, type, isUnsigned, false); }

Scalar convert(Scalar x, Type type, bool isUnsigned) {
  Builder &b = *x.b;
  if (x.type() == type) return {&b, x.value, isUnsigned};
  if (x.type().isIndex())
    return convert({&b, b.createOrFold<arith::IndexCastOp>(b.getI64Type(), x.value)}, type, isUnsigned);
  if (type.isIndex()) {
    Scalar wide = convert(x, b.getI64Type());
    return {&b, b.createOrFold<arith::IndexCastOp>(type, wide.value), false};
  }
  if (!x.isFloat()) return convertInteger(x, type, isUnsigned);
  if (!isa<FloatType>(type)) {
    Value bits =
        isUnsigned ? b.createOrFold<arith::FPToUIOp>(type, x.value) : b.createOrFold<arith::FPToSIOp>(type, x.value);
    return {&b, bits, isUnsigned};
  }
  unsigned from = x.type().getIntOrFloatBitWidth(), to = type.getIntOrFloatBitWidth();
  if (from < to) return {&b, b.createOrFold<arith::ExtFOp>(type, x.value)};
  if (from > to) return {&b, b.createOrFold<arith::TruncFOp>(type, x.value)};
  return convert(convert(x, b.getF32Type()), type); // f16 and bf16
}
Scalar toIndex(Scalar x) { return convert(x, x.b->getIndexType()); }
Scalar toF32(Scalar x) { return convert(x, x.b->getF32Type()); }
Type sumType(Type element) {
  bool narrow = isa<FloatType>(element) && element.getIntOrFloatBitWidth() < 32;
  return narrow ? Float32Type::get(element.getContext()) : element;
}

Scalar operator+(Scalar x, Scalar y) { return binary<arith::AddFOp, arith::AddIOp, arith::AddIOp>(x, y); }
Scalar operator-(Scalar x, Scalar y) { return binary<arith::SubFOp, arith::SubIOp, arith::SubIOp>(x, y); }
Scalar operator*(Scalar x, Scalar y) { return binary<arith::MulFOp, arith::MulIOp, arith::MulIOp>(x, y); }
Scalar operator/(Scalar x, Scalar y) { return binary<arith::DivFOp, arith::DivSIOp, arith::DivUIOp>(x, y); }
Scalar operator%(Scalar x, Scalar y) { return binary<arith::RemFOp, arith::RemSIOp, arith::RemUIOp>(x, y); }
Scalar minimum(Scalar x, Scalar y) { return binary<arith::MinimumFOp, arith::MinSIOp, arith::MinUIOp>(x, y); }
Scalar maximum(Scalar x, Scalar y) { return binary<arith::MaximumFOp, arith::MaxSIOp, arith::MaxUIOp>(x, y); }
Scalar operator&(Scalar x, Scalar y) { return like(x, x.b->createOrFold<arith::AndIOp>(x.value, y.value)); }
Scalar operator|(Scalar x, Scalar y) { return like(x, x.b->createOrFold<arith::OrIOp>(x.value, y.value)); }
Scalar operator!(Scalar x) { return like(x, x.b->createOrFold<arith::XOrIOp>(x.value, constantLike(x, 1).value)); }
Scalar operator-(Scalar x) {
  if (x.isFloat()) return unary<arith::NegFOp>(x);
  return constantLike(x, 0) - x;
}
Scalar operator<(Scalar x, Scalar y) {
  return compare(x, y, arith::CmpFPredicate::OLT, arith::CmpIPredicate::slt, arith::CmpIPredicate::ult);
}
Scalar operator<=(Scalar x, Scalar y) {
  return compare(x, y, arith::CmpFPredicate::OLE, arith::CmpIPredicate::sle, arith::CmpIPredicate::ule);
}
Scalar operator>(Scalar x, Scalar y) { return y < x; }
Scalar operator>=(Scalar x, Scalar y) { return y <= x; }
Scalar equal(Scalar x, Scalar y) {
  return compare(x, y, arith::CmpFPredicate::OEQ, arith::CmpIPredicate::eq, arith::CmpIPredicate::eq);
}
Scalar select(Scalar condition, Scalar yes, Scalar no) {
  return like(yes, yes.b->createOrFold<arith::SelectOp>(condition.value, yes.value, no.value));
}

Scalar exp(Scalar x) { return unary<math::ExpOp>(x); }
Scalar log(Scalar x) { return unary<math::LogOp>(x); }
Scalar sqrt(Scalar x) { return unary<math::SqrtOp>(x); }
Scalar tanh(Scalar x) { return unary<math::TanhOp>(x); }
Scalar sin(Scalar x) { return unary<math::SinOp>(x); }
Scalar cos(Scalar x) { return unary<math::CosOp>(x); }
Scalar erf(Scalar x) { return unary<math::ErfOp>(x); }
Scalar floor(Scalar x) { return unary<math::FloorOp>(x); }
Scalar ceil(Scalar x) { return unary<math::CeilOp>(x); }
Scalar roundEven(Scalar x) { return unary<math::RoundEvenOp>(x); }
Scalar pow(Scalar x, Scalar y) { return like(x, x.b->createOrFold<math::PowFOp>(x.value, y.value)); }
Scalar isNan(Scalar x) { return bit(x, x.b->createOrFold<arith::CmpFOp>(arith::CmpFPredicate::UNO, x.value, x.value)); }
Scalar abs(Scalar x) {
  if (x.isFloat()) return unary<math::AbsFOp>(x);
  return x.isUnsigned ? x : maximum(x, -x);
}
Scalar sigmoid(Scalar x) { return constantLike(x, 1) / (exp(-x) + 1); }

} // namespace llmc::graph
