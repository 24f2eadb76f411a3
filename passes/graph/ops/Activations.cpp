// Activation functions of one tensor, with numbers as attributes.
#include "passes/graph/Building.h"
#include "passes/graph/Lowerings.h"

using namespace mlir;
using arith::CmpFPredicate;

namespace llmc::graph {
namespace {

/// Scalar code on one element.
struct Element {
  NodeLowering &n;
  Builder &b;
  Value x;

  Value constant(double v) const { return number(b, x.getType(), v); }
  double attr(const char *name, double absent) const { return n.floatAttr(name, absent); }
  Value add(Value p, Value q) const { return arith::AddFOp::create(b, p, q); }
  Value sub(Value p, Value q) const { return arith::SubFOp::create(b, p, q); }
  Value mul(Value p, Value q) const { return arith::MulFOp::create(b, p, q); }
  Value div(Value p, Value q) const { return arith::DivFOp::create(b, p, q); }
  Value most(Value p, Value q) const { return arith::MaximumFOp::create(b, p, q); }
  Value least(Value p, Value q) const { return arith::MinimumFOp::create(b, p, q); }
  Value exp(Value p) const { return math::ExpOp::create(b, p); }
  Value above(Value limit) const { return arith::CmpFOp::create(b, CmpFPredicate::OGT, x, limit); }
  Value below(Value limit) const { return arith::CmpFOp::create(b, CmpFPredicate::OLT, x, limit); }
  Value select(Value c, Value p, Value q) const { return arith::SelectOp::create(b, c, p, q); }
  Value sigmoid(Value p) const { return div(constant(1), add(constant(1), exp(arith::NegFOp::create(b, p)))); }
  /// log(1 + exp(x)), also where exp(x) overflows.
  Value softplus() const {
    Value rest = math::Log1pOp::create(b, exp(arith::NegFOp::create(b, math::AbsFOp::create(b, x))));
    return add(most(x, constant(0)), rest);
  }
};

Value elu(const Element &e) {
  Value negative = e.mul(e.constant(e.attr("alpha", 1)), math::ExpM1Op::create(e.b, e.x));
  return e.select(e.below(e.constant(0)), negative, e.x);
}
Value celu(const Element &e) {
  Value alpha = e.constant(e.attr("alpha", 1));
  Value negative = e.mul(alpha, math::ExpM1Op::create(e.b, e.div(e.x, alpha)));
  return e.add(e.most(e.x, e.constant(0)), e.least(e.constant(0), negative));
}
Value selu(const Element &e) {
  Value alpha = e.constant(e.attr("alpha", 1.67326319217681884765625)),
        gamma = e.constant(e.attr("gamma", 1.05070102214813232421875));
  Value negative = e.mul(alpha, math::ExpM1Op::create(e.b, e.x));
  return e.mul(gamma, e.select(e.above(e.constant(0)), e.x, negative));
}
Value gelu(const Element &e) {
  Value half = e.mul(e.constant(0.5), e.x);
  if (e.n.stringAttr("approximate", "none") != "tanh")
    return e.mul(half, e.add(e.constant(1), math::ErfOp::create(e.b, e.mul(e.x, e.constant(0.70710678118654752440)))));
  Value cube = e.mul(e.mul(e.x, e.x), e.x);
  Value inner = e.mul(e.constant(0.79788456080286535588), e.add(e.x, e.mul(e.constant(0.044715), cube)));
  return e.mul(half, e.add(e.constant(1), math::TanhOp::create(e.b, inner)));
}
Value hardSigmoid(const Element &e, double alpha, double beta) {
  Value line = e.add(e.mul(e.constant(alpha), e.x), e.constant(beta));
  return e.most(e.constant(0), e.least(e.constant(1), line));
}
Value hardSigmoidOf(const Element &e) { return hardSigmoid(e, e.attr("alpha", 0.2), e.attr("beta", 0.5)); }
Value hardSwish(const Element &e) { return e.mul(e.x, hardSigmoid(e, 1.0 / 6, 0.5)); }
Value leakyRelu(const Element &e) {
  return e.select(e.below(e.constant(0)), e.mul(e.constant(e.attr("alpha", 0.01)), e.x), e.x);
}
Value mish(const Element &e) { return e.mul(e.x, math::TanhOp::create(e.b, e.softplus())); }
Value shrink(const Element &e) {
  Value bias = e.constant(e.attr("bias", 0)),
        lambd = e.attr("lambd", 0.5) == 0 ? e.constant(0) : e.constant(e.attr("lambd", 0.5));
  Value upper = e.select(e.above(lambd), e.sub(e.x, bias), e.constant(0));
  return e.select(e.below(arith::NegFOp::create(e.b, lambd)), e.add(e.x, bias), upper);
}
Value sigmoidOf(const Element &e) { return e.sigmoid(e.x); }
Value softplusOf(const Element &e) { return e.softplus(); }
Value softsign(const Element &e) { return e.div(e.x, e.add(e.constant(1), math::AbsFOp::create(e.b, e.x))); }
Value swish(const Element &e) { return e.mul(e.x, e.sigmoid(e.mul(e.constant(e.attr("alpha", 1)), e.x))); }
Value thresholdedRelu(const Element &e) {
  return e.select(e.above(e.constant(e.attr("alpha", 1))), e.x, e.constant(0));
}

struct Row {
  const char *domain, *name;
  Value (*emit)(const Element &);
};
constexpr Row kRows[] = {
    {"", "Celu", celu},
    {"", "Elu", elu},
    {"", "Gelu", gelu},
    {"", "HardSigmoid", hardSigmoidOf},
    {"", "HardSwish", hardSwish},
    {"", "LeakyRelu", leakyRelu},
    {"", "Mish", mish},
    {"", "Selu", selu},
    {"", "Shrink", shrink},
    {"", "Sigmoid", sigmoidOf},
    {"", "Softplus", softplusOf},
    {"", "Softsign", softsign},
    {"", "Swish", swish},
    {"", "ThresholdedRelu", thresholdedRelu},
    {"com.microsoft", "Gelu", gelu},
};

llvm::Expected<Values> lowerActivation(NodeLowering &n) {
  const Row *row = llvm::find_if(
      kRows, [&](const Row &r) { return n.node.getOpType() == r.name && n.node.getDomain() == r.domain; });
  if (!isa<FloatType>(n.element())) return refuse("elements are not floats of 16 bits or more");
  auto value =
      elementwise(n, n.in(0), n.element(), [&](Builder &b, ValueRange v) { return row->emit(Element{n, b, v[0]}); });
  if (!value) return value.takeError();
  return Values{*value};
}

/// Of integers too.
llvm::Expected<Values> lowerRelu(NodeLowering &n) {
  auto value = elementwise(n, n.in(0), n.element(), [](Builder &b, ValueRange v) -> Value {
    Value none = zero(b, v[0].getType());
    if (isa<FloatType>(v[0].getType())) return arith::MaximumFOp::create(b, v[0], none);
    return arith::MaxSIOp::create(b, v[0], none);
  });
  if (!value) return value.takeError();
  return Values{*value};
}

std::vector<Lowering> rows() {
  std::vector<Lowering> all = {{"", "Relu", lowerRelu}};
  for (const Row &row : kRows) all.push_back({row.domain, row.name, lowerActivation});
  return all;
}

} // namespace

llvm::ArrayRef<Lowering> activationLowerings() {
  static const std::vector<Lowering> all = rows();
  return all;
}

} // namespace llmc::graph
