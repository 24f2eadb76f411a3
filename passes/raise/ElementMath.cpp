#include "passes/raise/ElementNode.h"
#include <algorithm>
#include <cmath>

using namespace mlir;

namespace llmc::raise {

//===- Computing ----------------------------------------------------------------===//
Scalar NodeElements::cast_(ArrayRef<Scalar> at) {
  Scalar x = of.at(in(0), at);
  Type to = cast<ShapedType>(node.getResult(0).getType()).getElementType();
  if (!x) return nullptr;
  if (isa<FloatType>(to)) return x->isInteger() ? s.toReal(x) : x->isTruth() ? s.select(x, s.real(1), s.real(0)) : x;
  if (to.isInteger(1)) {
    if (x->isTruth()) return x;
    if (x->isInteger()) return s.negate(s.isZero(x));
    return x->real() ? s.truth(*x->real() != 0) : nullptr;
  }
  if (x->isTruth()) return s.count(x);
  return isa<FloatType>(elementType(0)) ? s.whole(x) : x;
}
Scalar NodeElements::arithmetic(ArrayRef<Scalar> at) {
  Scalar a = broadcast(0, at), b = broadcast(1, at);
  if (!a || !b) return nullptr;
  StringRef name = node.getOpType();
  if (isa<FloatType>(elementType(0))) {
    if (name == "Add") return s.addReal(a, b);
    if (name == "Sub") return s.addReal(a, s.multiplyReal(s.real(-1), b));
    if (name == "Mod") return nullptr;
    return s.multiplyReal(a, name == "Mul" ? b : s.reciprocal(b));
  }
  if (a->isTruth() || b->isTruth()) return nullptr;
  if (name == "Add") return s.add(a, b);
  if (name == "Sub") return s.subtract(a, b);
  if (name == "Mul") return s.multiply(a, b);
  if (!b->integer() || *b->integer() < 1 || !s.isAtLeast0(a)) return nullptr; // rounding differs below 0
  return name == "Div" ? s.floorDiv(a, *b->integer()) : s.mod(a, *b->integer());
}
Scalar NodeElements::compare(ArrayRef<Scalar> at) {
  Scalar a = broadcast(0, at), b = broadcast(1, at);
  if (!a || !b) return nullptr;
  StringRef name = node.getOpType();
  if (isa<FloatType>(elementType(0))) {
    if (name == "Equal") return equalNumbers(a, b, 8);
    a = s.whole(a), b = s.whole(b);
    if (!a || !b) return nullptr;
  }
  if (elementType(0).isInteger(1)) {
    if (name != "Equal") return nullptr;
    return s.either(s.both(a, b), s.both(s.negate(a), s.negate(b)));
  }
  if (name == "Equal") return s.isZero(s.subtract(a, b));
  if (name.starts_with("Less")) std::swap(a, b); // a > b or a >= b
  Scalar difference = s.subtract(a, b);
  return s.atLeast0(name.ends_with("OrEqual") ? difference : s.add(difference, s.integer(-1)));
}
/// Of choices of numbers too: a mask that is looked for its zeros.
Scalar NodeElements::equalNumbers(Scalar a, Scalar b, unsigned depth) {
  if (!a || !b || !depth) return nullptr;
  if (a->real() && b->real()) return s.truth(*a->real() == *b->real());
  Scalar x = s.whole(a), y = s.whole(b);
  if (x && y) return s.isZero(s.subtract(x, y));
  Scalar difference = s.addReal(a, s.multiplyReal(s.real(-1), b)), choice = nullptr;
  if (!difference || difference->real()) return nullptr; // of infinities, it says nothing
  visit(difference, [&](Scalar part) {
    if (part->form == Form::Select) choice = part;
  });
  if (!choice) return nullptr;
  auto chosen = [&](unsigned i, Scalar of) {
    return s.transform(of, [&](Scalar part) { return part == choice ? choice->operands[i] : nullptr; });
  };
  return s.select(choice->operands[0], equalNumbers(chosen(1, a), chosen(1, b), depth - 1),
                  equalNumbers(chosen(2, a), chosen(2, b), depth - 1));
}
Scalar NodeElements::logic(ArrayRef<Scalar> at) {
  Scalar a = broadcast(0, at);
  if (node.getOpType() == "Not") return s.negate(a);
  Scalar b = broadcast(1, at);
  return node.getOpType() == "And" ? s.both(a, b) : a && b ? s.either(a, b) : nullptr;
}
/// A softmax of a causal row has no NaN: every token sees itself.
Scalar NodeElements::where(ArrayRef<Scalar> at) {
  Scalar condition = broadcast(0, at), yes = broadcast(1, at), no = broadcast(2, at);
  if (condition && condition->form == Form::Not && condition->operands[0]->name == "isnumber") return no;
  return s.select(condition, yes, no);
}
Scalar NodeElements::trilu(ArrayRef<Scalar> at) {
  Scalar x = of.at(in(0), at), k = in(1) ? of.at(in(1), {}) : s.integer(0);
  if (!x || !k || at.size() < 2) return nullptr;
  Scalar above = s.subtract(s.subtract(at[at.size() - 1], at[at.size() - 2]), k); // >= 0: on or above diagonal k
  Scalar stays = intAttr(node, "upper", 1) ? s.atLeast0(above) : s.atLeast0(s.subtract(s.integer(0), above));
  Scalar none = x->isTruth() ? s.truth(false) : x->isInteger() ? s.integer(0) : s.real(0);
  return s.select(stays, x, none);
}
Scalar NodeElements::unary(ArrayRef<Scalar> at) {
  Scalar x = of.at(in(0), at);
  StringRef name = node.getOpType();
  if (!x) return nullptr;
  if (name == "Neg")
    return isa<FloatType>(elementType(0)) ? s.multiplyReal(s.real(-1), x) : s.subtract(s.integer(0), x);
  if (name == "Reciprocal") return s.reciprocal(x);
  if (name == "Relu" || name == "Abs") return nullptr; // not needed by what is proved
  return s.function(name.lower(), x);
}
Scalar NodeElements::power(ArrayRef<Scalar> at) {
  Scalar x = broadcast(0, at), exponent = broadcast(1, at);
  if (!x || !exponent) return nullptr;
  std::optional<double> number = exponent->real();
  if (exponent->integer()) number = double(*exponent->integer());
  if (number == 2.0) return s.multiplyReal(x, x);
  if (number == 3.0) return s.multiplyReal(x, s.multiplyReal(x, x));
  if (number == 0.5) return s.function("sqrt", x);
  if (number == -0.5) return s.reciprocal(s.function("sqrt", x));
  std::optional<double> base = x->integer() ? double(*x->integer()) : x->real();
  if (!base || *base <= 0 || !isa<FloatType>(cast<ShapedType>(node.getResult(0).getType()).getElementType()))
    return nullptr;
  return s.function("exp", s.multiplyReal(s.real(std::log(*base)), exponent));
}
Scalar NodeElements::isNan(ArrayRef<Scalar> at) {
  Scalar x = of.at(in(0), at);
  bool ofSoftmax = x && x->form == Form::Element && nodeOf(x->tensor, "Softmax");
  return ofSoftmax ? s.negate(s.function("isnumber", x)) : nullptr;
}
/// Of ones: counts.
Scalar NodeElements::cumSum(ArrayRef<Scalar> at) {
  Scalar axis = of.at(in(1), {});
  if (rank(1) == 1) axis = of.at(in(1), {s.integer(0)});
  Scalar x = of.at(in(0), at);
  if (!axis || !axis->integer() || !x || x->integer() != 1 || intAttr(node, "exclusive", 0) ||
      intAttr(node, "reverse", 0))
    return nullptr;
  int64_t along = front(*axis->integer(), int64_t(at.size()));
  return along >= 0 && along < int64_t(at.size()) ? s.add(at[along], s.integer(1)) : nullptr;
}
Scalar NodeElements::reduceMean(ArrayRef<Scalar> at) {
  std::optional<int64_t> axis = reducedAxis();
  if (!axis) return nullptr;
  Scalar index = s.index(sizes(0)[*axis]);
  return s.mean(of.at(in(0), withAxis(at, *axis, index)), index);
}
/// Of ones, and over an axis of size 1.
Scalar NodeElements::reduceSum(ArrayRef<Scalar> at) {
  std::optional<int64_t> axis = reducedAxis();
  if (!axis) return nullptr;
  Scalar size = sizes(0)[*axis];
  bool one = size->integer() == 1;
  Scalar x = of.at(in(0), withAxis(at, *axis, one ? s.integer(0) : s.index(size)));
  if (one) return x;
  return x && x->integer() ? s.multiply(size, x) : nullptr;
}
/// Of an inner size of 1: a product. Of a FusedMatMul `alpha` comes out.
Scalar NodeElements::matMul(ArrayRef<Scalar> at) {
  Scalar inner = nullptr;
  if (rank(0) >= 2) inner = sizes(0)[rank(0) - (intAttr(node, "transA", 0) ? 2 : 1)];
  Scalar alpha = s.real(floatAttr(node, "alpha", 1.0));
  if (!inner || inner->integer() != 1)
    return alpha->real() == 1.0 ? nullptr : s.multiplyReal(alpha, s.element(node.getResult(0), at));
  auto both = factors(at, s.integer(0));
  return both ? s.multiplyReal(alpha, s.multiplyReal(both->first, both->second)) : nullptr;
}
std::optional<std::pair<Scalar, Scalar>> NodeElements::factors(ArrayRef<Scalar> at, Scalar inner) {
  const Row *found = row();
  if (!found || found->shape != &NodeElements::matMulShape || !ranked(0) || !ranked(1) || rank(0) < 2 || rank(1) < 2 ||
      intAttr(node, "transBatchA", 0) || intAttr(node, "transBatchB", 0) || at.size() < 2)
    return std::nullopt;
  Scalars left = aligned(0, at), right = aligned(1, at);
  left.back() = inner, left[left.size() - 2] = at[at.size() - 2];
  right.back() = at.back(), right[right.size() - 2] = inner;
  if (intAttr(node, "transA", 0)) std::swap(left.back(), left[left.size() - 2]);
  if (intAttr(node, "transB", 0)) std::swap(right.back(), right[right.size() - 2]);
  return std::pair(of.at(in(0), left), of.at(in(1), right));
}

/// Of numbers, and choices of numbers: a mask that is cut off at the least float.
Scalar NodeElements::extreme(ArrayRef<Scalar> at) {
  if (node.getInputs().size() != 2 || !isa<FloatType>(elementType(0))) return nullptr;
  return extremeOf(broadcast(0, at), broadcast(1, at), node.getOpType() == "Max", 8);
}
Scalar NodeElements::extremeOf(Scalar a, Scalar b, bool most, unsigned depth) {
  if (!a || !b || !depth) return nullptr;
  if (a->real() && b->real()) return s.real(most ? std::max(*a->real(), *b->real()) : std::min(*a->real(), *b->real()));
  if (a->form != Form::Select) std::swap(a, b);
  if (a->form != Form::Select) return nullptr;
  return s.select(a->operands[0], extremeOf(a->operands[1], b, most, depth - 1),
                  extremeOf(a->operands[2], b, most, depth - 1));
}

//===- Fused operators ----------------------------------------------------------===//
/// Over the last axis: x * weight / sqrt(mean(x^2) + epsilon).
Scalar NodeElements::rmsNorm(ArrayRef<Scalar> at) {
  int64_t axis = front(intAttr(node, "axis", -1), rank(0));
  Scalar size = axis == rank(0) - 1 && axis >= 0 ? sizes(0)[axis] : nullptr;
  if (!size || !in(1) || rank(1) > rank(0)) return nullptr;
  Scalar index = s.index(size);
  Scalars where(at);
  where.back() = index;
  Scalar other = of.at(in(0), where), square = s.mean(s.multiplyReal(other, other), index);
  double epsilon = floatAttr(node, "epsilon", 1e-5f);
  Scalar by = s.reciprocal(s.function("sqrt", s.addReal(square, s.real(epsilon))));
  return s.multiplyReal(s.multiplyReal(of.at(in(0), at), by), broadcast(1, at));
}

/// Operands x, cosines, sines, positions; of com.microsoft x, positions, cosines, sines. x is [batch, heads, tokens,
/// channels] or [batch, tokens, heads * channels]; tables [positions, pairs] or, without positions, [batch, tokens,
/// pairs].
Scalar NodeElements::rotary(ArrayRef<Scalar> at) {
  bool microsoft = !node.getDomain().empty();
  if (intAttr(node, "is_packed_batching", 0) || floatAttr(node, "scale", 1.0) != 1.0) return nullptr;
  unsigned cos = microsoft ? 2 : 1;
  if (!in(cos) || !in(cos + 1) || !sizes(cos).back() || !sizes(cos).back()->integer()) return nullptr;
  int64_t pairs = *sizes(cos).back()->integer(), dim = intAttr(node, "rotary_embedding_dim", 0);
  int64_t heads = intAttr(node, "num_heads", 0);
  if (pairs < 1 || (dim && dim != 2 * pairs)) return nullptr;
  Scalar channel = at.back(), before = s.integer(0);
  if (at.size() == 3) { // heads side by side
    Scalar width = sizes(0)[2];
    if (!width || !width->integer() || (microsoft && dim && !heads)) return nullptr;
    int64_t head = heads ? *width->integer() / heads : 2 * pairs;
    if (head < 2 * pairs || (heads && *width->integer() % heads)) return nullptr;
    channel = s.mod(channel, head);
    before = s.subtract(at.back(), channel);
  } else if (at.size() != 4) {
    return nullptr;
  }
  auto x = [&](Scalar where) {
    Scalars out(at);
    out.back() = s.add(before, where);
    return of.at(in(0), out);
  };
  if (s.isAtLeast0(s.subtract(channel, s.integer(2 * pairs)))) return x(channel);
  Scalar pair = nullptr, other = nullptr;
  bool first = false;
  if (intAttr(node, "interleaved", 0)) {
    Scalar side = s.mod(channel, 2);
    if (!side->integer() || !s.isBelow(channel, s.integer(2 * pairs))) return nullptr;
    first = *side->integer() == 0;
    pair = s.floorDiv(channel, 2), other = s.add(channel, s.integer(first ? 1 : -1));
  } else {
    first = s.isBelow(channel, s.integer(pairs));
    if (!first && !(s.isAtLeast0(s.subtract(channel, s.integer(pairs))) && s.isBelow(channel, s.integer(2 * pairs))))
      return nullptr;
    other = s.add(channel, s.integer(first ? pairs : -pairs)), pair = first ? channel : other;
  }
  Scalar rest = s.multiplyReal(x(other), rotaryTable(cos + 1, at, pair));
  return s.addReal(s.multiplyReal(x(channel), rotaryTable(cos, at, pair)),
                   first ? s.multiplyReal(s.real(-1), rest) : rest);
}
Scalar NodeElements::rotaryTable(unsigned i, ArrayRef<Scalar> at, Scalar pair) {
  bool microsoft = !node.getDomain().empty();
  Scalar token = at[at.size() == 4 ? 2 : 1];
  unsigned positions = microsoft ? 1 : 3;
  if (!in(positions)) return rank(i) == 3 ? of.at(in(i), {at[0], token, pair}) : nullptr;
  if (rank(i) != 2) return nullptr;
  Scalar position = nullptr;
  if (rank(positions) == 2)
    position = of.at(in(positions), {at[0], token});
  else if (rank(positions) == 1) // of the first token
    position = s.add(of.at(in(positions), {s.integer(0)}), token);
  return position && position->isInteger() ? of.at(in(i), {position, pair}) : nullptr;
}

} // namespace llmc::raise
