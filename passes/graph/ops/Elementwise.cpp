// Arithmetic, comparisons and logic, element by element with broadcasting.
#include "passes/graph/Building.h"
#include "passes/graph/Lowerings.h"

using namespace mlir;
using arith::CmpFPredicate, arith::CmpIPredicate;

namespace llmc::graph {
namespace {

llvm::Expected<Values> single(llvm::Expected<Value> value) {
  if (!value) return value.takeError();
  return Values{*value};
}
bool isFloat(Value v) { return isa<FloatType>(v.getType()); }

//===- One operand -------------------------------------------------------------===//
template <typename Op> Value unary(Builder &b, Value x) { return Op::create(b, x); }
Value negate(Builder &b, Value x) {
  return isFloat(x) ? Value(arith::NegFOp::create(b, x)) : Value(arith::SubIOp::create(b, zero(b, x.getType()), x));
}
Value absolute(Builder &b, Value x) {
  return isFloat(x) ? Value(math::AbsFOp::create(b, x))
                    : Value(arith::MaxSIOp::create(b, x, arith::SubIOp::create(b, zero(b, x.getType()), x)));
}
Value sign(Builder &b, Value x) {
  Value none = zero(b, x.getType()), plus = one(b, x.getType());
  Value minus = arith::SelectOp::create(b,
                                        isFloat(x) ? Value(arith::CmpFOp::create(b, CmpFPredicate::OLT, x, none))
                                                   : Value(arith::CmpIOp::create(b, CmpIPredicate::slt, x, none)),
                                        isFloat(x) ? number(b, x.getType(), -1) : integer(b, x.getType(), -1),
                                        isFloat(x) ? x : none);
  Value isPlus = isFloat(x) ? Value(arith::CmpFOp::create(b, CmpFPredicate::OGT, x, none))
                            : Value(arith::CmpIOp::create(b, CmpIPredicate::sgt, x, none));
  return arith::SelectOp::create(b, isPlus, plus, minus); // of floats zeros and NaN are themselves
}
Value reciprocal(Builder &b, Value x) { return arith::DivFOp::create(b, one(b, x.getType()), x); }
Value invert(Builder &b, Value x) { return arith::XOrIOp::create(b, x, integer(b, x.getType(), -1)); }
Value isNan(Builder &b, Value x) { return arith::CmpFOp::create(b, CmpFPredicate::UNO, x, x); }

struct UnaryRow {
  const char *name;
  Value (*emit)(Builder &, Value);
};
constexpr UnaryRow kUnary[] = {
    {"Abs", absolute},
    {"Acos", unary<math::AcosOp>},
    {"Acosh", unary<math::AcoshOp>},
    {"Asin", unary<math::AsinOp>},
    {"Asinh", unary<math::AsinhOp>},
    {"Atan", unary<math::AtanOp>},
    {"Atanh", unary<math::AtanhOp>},
    {"BitwiseNot", invert},
    {"Ceil", unary<math::CeilOp>},
    {"Cos", unary<math::CosOp>},
    {"Cosh", unary<math::CoshOp>},
    {"Erf", unary<math::ErfOp>},
    {"Exp", unary<math::ExpOp>},
    {"Floor", unary<math::FloorOp>},
    {"IsNaN", isNan},
    {"Log", unary<math::LogOp>},
    {"Neg", negate},
    {"Not", invert},
    {"Reciprocal", reciprocal},
    {"Round", unary<math::RoundEvenOp>},
    {"Sign", sign},
    {"Sin", unary<math::SinOp>},
    {"Sinh", unary<math::SinhOp>},
    {"Sqrt", unary<math::SqrtOp>},
    {"Tan", unary<math::TanOp>},
    {"Tanh", unary<math::TanhOp>},
};

llvm::Expected<Values> lowerUnary(NodeLowering &n) {
  const UnaryRow *row = llvm::find_if(kUnary, [&](const UnaryRow &r) { return n.node.getOpType() == r.name; });
  bool same = n.isUnsigned(0) && (n.node.getOpType() == "Abs");
  if (same) return Values{n.in(0)};
  bool positive = n.isUnsigned(0) && n.node.getOpType() == "Sign";
  return single(elementwise(n, n.in(0), n.element(), [&](Builder &b, ValueRange v) {
    if (!positive) return row->emit(b, v[0]);
    Value isZero = arith::CmpIOp::create(b, CmpIPredicate::eq, v[0], zero(b, v[0].getType()));
    return Value(arith::SelectOp::create(b, isZero, v[0], one(b, v[0].getType())));
  }));
}

llvm::Expected<Values> lowerIsInf(NodeLowering &n) {
  bool negative = n.intAttr("detect_negative", 1) != 0, positive = n.intAttr("detect_positive", 1) != 0;
  return single(elementwise(n, n.in(0), n.element(), [&](Builder &b, ValueRange v) -> Value {
    double infinity = std::numeric_limits<double>::infinity();
    auto equals = [&](bool wanted, double value) -> Value {
      if (!wanted) return integer(b, b.getI1Type(), 0);
      return arith::CmpFOp::create(b, CmpFPredicate::OEQ, v[0], number(b, v[0].getType(), value));
    };
    return arith::OrIOp::create(b, equals(negative, -infinity), equals(positive, infinity));
  }));
}

//===- Two operands, or any number one after the other -----------------------------===//
struct Pair {
  NodeLowering &n;
  Builder &b;
  Value x, y;
  bool isUnsigned;

  bool isFloat() const { return graph::isFloat(x); }
  template <typename OfFloats, typename OfIntegers> Value either() const {
    return isFloat() ? Value(OfFloats::create(b, x, y)) : Value(OfIntegers::create(b, x, y));
  }
};

Value divide(const Pair &p) {
  if (p.isFloat()) return arith::DivFOp::create(p.b, p.x, p.y);
  Builder &b = p.b;
  Type type = p.x.getType();
  check(p.n, b, b.createOrFold<arith::CmpIOp>(CmpIPredicate::ne, p.y, zero(b, type)), "division by zero");
  if (p.isUnsigned) return arith::DivUIOp::create(b, p.x, p.y);
  // The least number divided by -1 traps.
  Value isMinus = arith::CmpIOp::create(b, CmpIPredicate::eq, p.y, integer(b, type, -1));
  Value safe = arith::SelectOp::create(b, isMinus, integer(b, type, 1), p.y);
  return arith::SelectOp::create(b, isMinus, negate(b, p.x), arith::DivSIOp::create(b, p.x, safe));
}

/// The remainder's sign is the divisor's, or with `fmod` the dividend's.
Value modulo(const Pair &p) {
  Builder &b = p.b;
  Type type = p.x.getType();
  bool fmod = p.n.intAttr("fmod", 0) != 0;
  Value none = zero(b, type), rest, differs, isZero;
  if (p.isFloat()) {
    rest = arith::RemFOp::create(b, p.x, p.y);
    if (fmod) return rest;
    differs = arith::XOrIOp::create(b, arith::CmpFOp::create(b, CmpFPredicate::OLT, rest, none),
                                    arith::CmpFOp::create(b, CmpFPredicate::OLT, p.y, none));
    isZero = arith::CmpFOp::create(b, CmpFPredicate::OEQ, rest, none);
    return arith::SelectOp::create(b, isZero, rest,
                                   arith::SelectOp::create(b, differs, arith::AddFOp::create(b, rest, p.y), rest));
  }
  check(p.n, b, b.createOrFold<arith::CmpIOp>(CmpIPredicate::ne, p.y, none), "division by zero");
  if (p.isUnsigned) return arith::RemUIOp::create(b, p.x, p.y);
  Value isMinus = arith::CmpIOp::create(b, CmpIPredicate::eq, p.y, integer(b, type, -1));
  rest = arith::RemSIOp::create(b, p.x, arith::SelectOp::create(b, isMinus, integer(b, type, 1), p.y));
  if (fmod) return rest;
  differs = arith::CmpIOp::create(b, CmpIPredicate::slt, arith::XOrIOp::create(b, rest, p.y), none);
  isZero = arith::CmpIOp::create(b, CmpIPredicate::eq, rest, none);
  return arith::SelectOp::create(b, isZero, rest,
                                 arith::SelectOp::create(b, differs, arith::AddIOp::create(b, rest, p.y), rest));
}

Value sum(const Pair &p) { return p.either<arith::AddFOp, arith::AddIOp>(); }
Value difference(const Pair &p) { return p.either<arith::SubFOp, arith::SubIOp>(); }
Value productOf(const Pair &p) { return p.either<arith::MulFOp, arith::MulIOp>(); }
Value most(const Pair &p) {
  return p.isUnsigned ? p.either<arith::MaximumFOp, arith::MaxUIOp>() : p.either<arith::MaximumFOp, arith::MaxSIOp>();
}
Value least(const Pair &p) {
  return p.isUnsigned ? p.either<arith::MinimumFOp, arith::MinUIOp>() : p.either<arith::MinimumFOp, arith::MinSIOp>();
}
Value conjunction(const Pair &p) { return arith::AndIOp::create(p.b, p.x, p.y); }
Value disjunction(const Pair &p) { return arith::OrIOp::create(p.b, p.x, p.y); }
Value exclusion(const Pair &p) { return arith::XOrIOp::create(p.b, p.x, p.y); }
Value slope(const Pair &p) {
  Value isNegative = p.isFloat() ? Value(arith::CmpFOp::create(p.b, CmpFPredicate::OLT, p.x, zero(p.b, p.x.getType())))
                     : p.isUnsigned
                         ? integer(p.b, p.b.getI1Type(), 0)
                         : Value(arith::CmpIOp::create(p.b, CmpIPredicate::slt, p.x, zero(p.b, p.x.getType())));
  return arith::SelectOp::create(p.b, isNegative, productOf(p), p.x);
}
template <CmpFPredicate OfFloats, CmpIPredicate OfSigned, CmpIPredicate OfUnsigned> Value compareBy(const Pair &p) {
  if (p.isFloat()) return arith::CmpFOp::create(p.b, OfFloats, p.x, p.y);
  return arith::CmpIOp::create(p.b, p.isUnsigned ? OfUnsigned : OfSigned, p.x, p.y);
}
/// Left or right, by any number of bits.
Value shift(const Pair &p) {
  Builder &b = p.b;
  Type type = p.x.getType();
  Value all = integer(b, type, type.getIntOrFloatBitWidth());
  Value fits = arith::CmpIOp::create(b, CmpIPredicate::ult, p.y, all);
  Value by = arith::SelectOp::create(b, fits, p.y, zero(b, type));
  Value moved = p.n.stringAttr("direction", "") == "LEFT" ? Value(arith::ShLIOp::create(b, p.x, by))
                                                          : Value(arith::ShRUIOp::create(b, p.x, by));
  return arith::SelectOp::create(b, fits, moved, zero(b, type));
}

struct BinaryRow {
  const char *name;
  Value (*emit)(const Pair &);
};
constexpr BinaryRow kBinary[] = {
    {"Add", sum},
    {"And", conjunction},
    {"BitShift", shift},
    {"BitwiseAnd", conjunction},
    {"BitwiseOr", disjunction},
    {"BitwiseXor", exclusion},
    {"Div", divide},
    {"Equal", compareBy<CmpFPredicate::OEQ, CmpIPredicate::eq, CmpIPredicate::eq>},
    {"Greater", compareBy<CmpFPredicate::OGT, CmpIPredicate::sgt, CmpIPredicate::ugt>},
    {"GreaterOrEqual", compareBy<CmpFPredicate::OGE, CmpIPredicate::sge, CmpIPredicate::uge>},
    {"Less", compareBy<CmpFPredicate::OLT, CmpIPredicate::slt, CmpIPredicate::ult>},
    {"LessOrEqual", compareBy<CmpFPredicate::OLE, CmpIPredicate::sle, CmpIPredicate::ule>},
    {"Max", most},
    {"Mean", sum},
    {"Min", least},
    {"Mod", modulo},
    {"Mul", productOf},
    {"Or", disjunction},
    {"PRelu", slope},
    {"Sub", difference},
    {"Sum", sum},
    {"Xor", exclusion},
};

llvm::Expected<Values> lowerBinary(NodeLowering &n) {
  const BinaryRow *row = llvm::find_if(kBinary, [&](const BinaryRow &r) { return n.node.getOpType() == r.name; });
  if (n.operands.empty()) return refuse("found no operands, expected at least one");
  bool isUnsigned = n.isUnsigned(0), mean = n.node.getOpType() == "Mean";
  double count = double(n.operands.size());
  return single(elementwise(n, n.operands, n.element(), [&](Builder &b, ValueRange v) {
    Value result = v[0];
    for (Value next : v.drop_front()) result = row->emit(Pair{n, b, result, next, isUnsigned});
    return mean ? Value(arith::DivFOp::create(b, result, number(b, result.getType(), count))) : result;
  }));
}

/// The base's type is the result's. Integers through f64: exact below 2^53.
llvm::Expected<Values> lowerPow(NodeLowering &n) {
  Type base = n.inType(0), exponent = n.inType(1);
  return single(elementwise(n, {n.in(0), n.in(1)}, n.element(), [&](Builder &b, ValueRange v) -> Value {
    Type in = isa<FloatType>(base) ? computeType(base) : Type(b.getF64Type());
    Value power = math::PowFOp::create(b, convertScalar(b, v[0], base, in), convertScalar(b, v[1], exponent, in));
    return convertScalar(b, power, in, base);
  }));
}

llvm::Expected<Values> lowerWhere(NodeLowering &n) {
  return single(elementwise(n, {n.in(0), n.in(1), n.in(2)}, n.element(), [](Builder &b, ValueRange v) -> Value {
    return arith::SelectOp::create(b, v[0], v[1], v[2]);
  }));
}

/// min(max(x, low), high); limits are operands from opset 11 on, attributes before.
llvm::Expected<Values> lowerClip(NodeLowering &n) {
  bool isUnsigned = n.isUnsigned(0), low = n.has(1), high = n.has(2);
  Values operands{n.in(0)};
  for (unsigned i : {1u, 2u}) {
    if (!n.has(i)) continue;
    if (n.rank(i) > n.rank(0)) return refuse("a limit has more dims than the tensor, expected a scalar");
    operands.push_back(n.in(i));
  }
  auto attribute = [&](const char *name) { return n.node.getOnnxAttributes().getAs<FloatAttr>(name); };
  return single(elementwise(n, operands, n.element(), [&](Builder &b, ValueRange v) {
    Value x = v[0];
    unsigned next = 1;
    if (low) x = most(Pair{n, b, x, v[next++], isUnsigned});
    if (high) x = least(Pair{n, b, x, v[next++], isUnsigned});
    if (FloatAttr limit = attribute("min"))
      x = most(Pair{n, b, x, number(b, x.getType(), limit.getValueAsDouble()), false});
    if (FloatAttr limit = attribute("max"))
      x = least(Pair{n, b, x, number(b, x.getType(), limit.getValueAsDouble()), false});
    return x;
  }));
}

std::vector<Lowering> rows() {
  std::vector<Lowering> all = {
      {"", "Clip", lowerClip}, {"", "IsInf", lowerIsInf}, {"", "Pow", lowerPow}, {"", "Where", lowerWhere}};
  for (const UnaryRow &row : kUnary) all.push_back({"", row.name, lowerUnary});
  for (const BinaryRow &row : kBinary) all.push_back({"", row.name, lowerBinary});
  return all;
}

} // namespace

llvm::ArrayRef<Lowering> elementwiseLowerings() {
  static const std::vector<Lowering> all = rows();
  return all;
}

} // namespace llmc::graph
