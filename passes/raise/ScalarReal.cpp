#include "passes/raise/Scalar.h"
#include "passes/raise/ScalarSum.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/DenseSet.h"
#include <cmath>

using namespace mlir;

namespace llmc::raise {

//===- Numbers --------------------------------------------------------------===//
Scalar ScalarPool::real(double value) { return intern({.form = Form::Real, .reals = {value + 0.0}}); } // no -0
Scalar ScalarPool::toReal(Scalar a) {
  if (!a) return nullptr;
  if (a->integer()) return real(double(*a->integer()));
  if (a->form == Form::Count) return select(a->operands[0], real(1), real(0));
  return intern({.form = Form::ToReal, .operands = {a}});
}
Scalar ScalarPool::whole(Scalar a) {
  if (!a || a->isInteger()) return a;
  if (a->form == Form::ToReal) return a->operands[0];
  double number = a->real().value_or(0.5);
  return std::abs(number) < 1e15 && number == std::floor(number) ? integer(int64_t(number)) : nullptr;
}
Scalar ScalarPool::addReal(Scalar a, Scalar b) {
  if (!a || !b) return nullptr;
  Sum<double> sum;
  accumulate(sum, a, 1), accumulate(sum, b, 1);
  if (sum.terms.size() > kMostParts) return nullptr;
  Scalar atom = atomOf(sum);
  return atom ? atom : intern(nodeOf(sum));
}
/// Numbers come out in front; factors by id, a factor and its reciprocal vanish.
Scalar ScalarPool::multiplyReal(Scalar a, Scalar b) {
  if (!a || !b) return nullptr;
  // A choice with a 0 takes the other factor in: (c ? x : 0) * y.
  for (auto [choice, other] : {std::pair(a, b), std::pair(b, a)})
    if (choice->form == Form::Select && (!other->real() || std::isfinite(*other->real()))) // 0 * infinity is no 0
      for (unsigned i : {1u, 2u})
        if (choice->operands[i]->real() == 0.0) {
          Scalar product = multiplyReal(choice->operands[3 - i], other);
          return i == 1 ? select(choice->operands[0], real(0), product) : select(choice->operands[0], product, real(0));
        }
  double number = 1;
  Scalars factors;
  for (Scalar one : {a, b}) {
    if (one->form == Form::Real && one->operands.size() < 2 && (one->operands.empty() || one->reals[0] == 0)) {
      number *= one->operands.empty() ? one->reals[0] : one->reals[1];
      if (one->operands.empty()) continue;
      one = one->operands[0];
    }
    if (one->form == Form::Product)
      factors.append(one->operands);
    else
      factors.push_back(one);
  }
  if (number == 0) return real(0);
  for (Scalar &factor : factors) {
    if (!factor || factor->form != Form::Reciprocal) continue;
    auto *same = llvm::find(factors, factor->operands[0]);
    if (same == factors.end()) continue;
    *same = nullptr, factor = nullptr;
  }
  llvm::erase(factors, nullptr);
  if (factors.size() > kMostParts) return nullptr;
  llvm::sort(factors, byId);
  if (factors.empty()) return real(number);
  Scalar product = factors.size() == 1 ? factors[0] : intern({.form = Form::Product, .operands = factors});
  if (number == 1) return product;
  Sum<double> sum;
  accumulate(sum, product, number);
  return intern(nodeOf(sum));
}
Scalar ScalarPool::reciprocal(Scalar a) {
  if (!a) return nullptr;
  if (a->real()) return real(1 / *a->real());
  if (a->form == Form::Reciprocal) return a->operands[0];
  if (a->form == Form::Real && a->operands.size() == 1 && a->reals[0] == 0)
    return multiplyReal(real(1 / a->reals[1]), reciprocal(a->operands[0]));
  if (a->form == Form::Product) {
    Scalar all = real(1);
    for (Scalar factor : a->operands) all = multiplyReal(all, reciprocal(factor));
    return all;
  }
  return intern({.form = Form::Reciprocal, .operands = {a}});
}
Scalar ScalarPool::function(StringRef name, Scalar a) {
  if (!a) return nullptr;
  if (name == "sqrt" && a->real()) return real(std::sqrt(*a->real()));
  if (name == "exp" && a->real()) return real(std::exp(*a->real()));
  return intern({.form = Form::Function, .operands = {a}, .name = name.str()});
}
/// The bound variable is named by its extent alone, so that equal means are equal; means in means keep theirs apart by
/// what they hold.
Scalar ScalarPool::mean(Scalar body, Scalar index) {
  if (!body || !index) return nullptr;
  if (body->real()) return body;
  Scalar variable =
      intern({.form = Form::Index, .numbers = {-1 - int64_t(body->means)}, .operands = {index->operands[0]}});
  Scalar bound = substitute(body, index, variable);
  return bound ? intern({.form = Form::Mean, .operands = {bound, variable}}) : nullptr;
}

//===- Any --------------------------------------------------------------------===//
Scalar ScalarPool::select(Scalar condition, Scalar yes, Scalar no) {
  if (!condition || !yes || !no) return nullptr;
  if (condition == truth(true) || yes == no) return yes;
  if (condition == truth(false)) return no;
  if (yes->isTruth() && no->isTruth()) return either(both(condition, yes), both(negate(condition), no));
  // The outer condition decides an inner one that follows from it.
  auto decide = [&](Scalar known, Scalar &branch) {
    if (branch->form != Form::Select) return;
    if (both(known, branch->operands[0]) == known)
      branch = branch->operands[1];
    else if (both(known, negate(branch->operands[0])) == known)
      branch = branch->operands[2];
  };
  decide(condition, yes), decide(negate(condition), no);
  if (yes->integer() == 1 && no->integer() == 0) return count(condition);
  if (yes->integer() == 0 && no->integer() == 1) return count(negate(condition));
  return intern({.form = Form::Select, .operands = {condition, yes, no}});
}
Scalar ScalarPool::element(Value tensor, ArrayRef<Scalar> indices) {
  if (llvm::is_contained(indices, nullptr)) return nullptr;
  return intern({.form = Form::Element, .operands = Scalars(indices), .tensor = tensor});
}

Scalar ScalarPool::rebuild(Scalar like, ArrayRef<Scalar> o) {
  switch (like->form) {
  case Form::Affine: {
    Scalar sum = integer(like->numbers[0]);
    for (auto [i, operand] : llvm::enumerate(o)) sum = add(sum, multiply(integer(like->numbers[i + 1]), operand));
    return sum;
  }
  case Form::Real: {
    Scalar sum = real(like->reals[0]);
    for (auto [i, operand] : llvm::enumerate(o)) sum = addReal(sum, multiplyReal(real(like->reals[i + 1]), operand));
    return sum;
  }
  case Form::Product: {
    Scalar all = real(1);
    for (Scalar operand : o) all = multiplyReal(all, operand);
    return all;
  }
  case Form::And:
  case Form::Or: {
    Scalar all = truth(like->form == Form::And);
    for (Scalar operand : o) all = like->form == Form::And ? both(all, operand) : either(all, operand);
    return all;
  }
  case Form::FloorDiv: return floorDiv(o[0], like->numbers[0]);
  case Form::Count: return count(o[0]);
  case Form::AtLeast0: return atLeast0(o[0]);
  case Form::IsZero: return isZero(o[0]);
  case Form::Not: return negate(o[0]);
  case Form::Function: return function(like->name, o[0]);
  case Form::Reciprocal: return reciprocal(o[0]);
  case Form::ToReal: return toReal(o[0]);
  case Form::Mean: return mean(o[0], o[1]);
  case Form::Select: return select(o[0], o[1], o[2]);
  case Form::Element: return element(like->tensor, o);
  case Form::Index:
  case Form::Size: return like;
  }
  return like;
}

Scalar ScalarPool::transform(Scalar in, llvm::function_ref<Scalar(Scalar)> replace) {
  if (!in) return nullptr;
  llvm::DenseMap<Scalar, Scalar> done; // lookup only
  auto visit = [&](auto &&self, Scalar s) -> Scalar {
    auto found = done.find(s);
    if (found != done.end()) return found->second;
    if (Scalar by = replace(s)) return done[s] = by;
    if (s->operands.empty() || s->form == Form::Index) return s;
    Scalars operands;
    bool changed = false;
    for (Scalar operand : s->operands) {
      operands.push_back(self(self, operand));
      if (!operands.back()) return nullptr;
      changed |= operands.back() != operand;
    }
    Scalar made = changed ? rebuild(s, operands) : s;
    done[s] = made;
    return made;
  };
  return visit(visit, in);
}
Scalar ScalarPool::substitute(Scalar in, Scalar index, Scalar by) {
  return transform(in, [&](Scalar s) { return s == index ? by : nullptr; });
}
Scalar ScalarPool::assume(Scalar in, ArrayRef<Scalar> facts) {
  Scalar yes = truth(true), no = truth(false);
  return transform(in, [&](Scalar s) -> Scalar {
    if (s->form != Form::AtLeast0 && s->form != Form::IsZero) return nullptr;
    Scalar a = s->operands[0], below = subtract(integer(-1), a); // below >= 0: a < 0
    for (Scalar fact : facts) {
      Scalar known = fact->operands[0];
      auto follows = [&](Scalar b) { return isAtLeast0(subtract(b, known)); };
      if (s->form == Form::AtLeast0) {
        if (follows(a)) return yes;
        if (follows(below)) return no;
      } else if (follows(add(a, integer(-1))) || follows(below)) {
        return no;
      }
    }
    return nullptr;
  });
}

bool occurs(Scalar part, Scalar in) {
  bool found = false;
  visit(in, [&](Scalar s) { found |= s == part; });
  return found;
}
void visit(Scalar scalar, llvm::function_ref<void(Scalar)> each) {
  llvm::DenseSet<Scalar> seen;
  SmallVector<Scalar> work;
  auto add = [&](Scalar s) {
    if (s && seen.insert(s).second) work.push_back(s);
  };
  for (add(scalar); !work.empty();) {
    Scalar s = work.pop_back_val();
    each(s);
    if (s->form == Form::Index) continue; // its extent is no part
    for (Scalar operand : s->operands) add(operand);
  }
}

} // namespace llmc::raise
