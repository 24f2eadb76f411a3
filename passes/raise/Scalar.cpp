#include "passes/raise/Scalar.h"
#include "passes/raise/ScalarSum.h"

using namespace mlir;

namespace llmc::raise {

std::optional<int64_t> ScalarNode::integer() const {
  if (form != Form::Affine || !operands.empty()) return std::nullopt;
  return numbers[0];
}
std::optional<double> ScalarNode::real() const {
  if (form != Form::Real || !operands.empty()) return std::nullopt;
  return reals[0];
}

Scalar ScalarPool::intern(ScalarNode node) {
  std::string key;
  auto append = [&](const auto &value) { key.append(reinterpret_cast<const char *>(&value), sizeof value); };
  key.reserve(64);
  append(node.form);
  append(uint32_t(node.operands.size()));
  for (int64_t number : node.numbers) append(number);
  for (double number : node.reals) append(number);
  for (Scalar operand : node.operands) append(operand->id);
  append(node.tensor);
  key += node.name;
  std::unique_ptr<ScalarNode> &slot = nodes[key];
  if (!slot) {
    node.id = unsigned(nodes.size());
    for (Scalar operand : node.operands) node.means = std::max(node.means, operand->means);
    node.means += node.form == Form::Mean;
    slot = std::make_unique<ScalarNode>(std::move(node));
  }
  return slot.get();
}

//===- Integers -----------------------------------------------------------===//
Scalar ScalarPool::integer(int64_t value) { return intern({.form = Form::Affine, .numbers = {value}}); }
Scalar ScalarPool::index(Scalar extent) {
  return intern({.form = Form::Index, .numbers = {variables++}, .operands = {extent}});
}
Scalar ScalarPool::size(int64_t least) { return intern({.form = Form::Size, .numbers = {variables++, least}}); }

Scalar ScalarPool::add(Scalar a, Scalar b) {
  if (!a || !b) return nullptr;
  Sum<int64_t> sum;
  accumulate(sum, a, 1), accumulate(sum, b, 1);
  Scalar atom = atomOf(sum);
  return atom ? atom : intern(nodeOf(sum));
}
Scalar ScalarPool::subtract(Scalar a, Scalar b) { return add(a, multiply(b, integer(-1))); }
Scalar ScalarPool::multiply(Scalar a, Scalar b) {
  if (!a || !b) return nullptr;
  if (!a->integer()) std::swap(a, b);
  if (!a->integer()) return nullptr;
  Sum<int64_t> sum;
  accumulate(sum, b, *a->integer());
  Scalar atom = atomOf(sum);
  return atom ? atom : intern(nodeOf(sum));
}

Scalar ScalarPool::floorDiv(Scalar a, int64_t by) {
  if (!a || by < 1) return nullptr;
  Sum<int64_t> sum, quotient, rest;
  accumulate(sum, a, 1);
  auto split = [&](int64_t number, int64_t &whole, int64_t &left) {
    whole = number >= 0 ? number / by : -((-number + by - 1) / by);
    left = number - whole * by;
  };
  split(sum.constant, quotient.constant, rest.constant);
  for (auto [atom, number] : sum.terms)
    if (number % by == 0)
      quotient.add(atom, number / by);
    else
      rest.add(atom, number);
  Scalar whole = intern(nodeOf(quotient)), left = intern(nodeOf(rest));
  if (Scalar atom = atomOf(quotient)) whole = atom;
  if (Scalar atom = atomOf(rest)) left = atom;
  if (isAtLeast0(left) && isBelow(left, integer(by))) return whole;
  return add(whole, intern({.form = Form::FloorDiv, .numbers = {by}, .operands = {left}}));
}

Scalar ScalarPool::mod(Scalar a, int64_t by) {
  Scalar quotient = floorDiv(a, by);
  return quotient ? subtract(a, multiply(quotient, integer(by))) : nullptr;
}

/// Adds to `sum` something that is not more than number * quotient, of x >= 0 by c: x - c < c * floor(x / c) <= x.
static void boundQuotient(Sum<int64_t> &sum, Scalar quotient, int64_t number) {
  Scalar x = quotient->operands[0];
  int64_t by = quotient->numbers[0];
  if (number < 0) return accumulate(sum, x, number % by ? number : number / by);
  // The other bound, 0, is better unless it cancels something.
  bool cancels = llvm::any_of(sum.terms, [&](auto &term) { return term.second < 0 && occurs(term.first, x); });
  if (number % by || !cancels) return;
  accumulate(sum, x, number / by);
  sum.constant -= number / by * (by - 1);
}
/// Each part is replaced by what makes the sum least, until only a number is left: quotients first, for they hold
/// indices, then indices, whose extents hold sizes.
bool ScalarPool::isAtLeast0(Scalar a) {
  if (!a) return false;
  Sum<int64_t> sum;
  accumulate(sum, a, 1);
  for (unsigned rounds = 0; !sum.terms.empty() && rounds < 16; ++rounds) {
    auto at = llvm::find_if(sum.terms, [](auto &term) { return term.first->form == Form::FloorDiv; });
    if (at == sum.terms.end())
      at = llvm::find_if(sum.terms, [](auto &term) { return term.first->form == Form::Index; });
    if (at == sum.terms.end()) at = sum.terms.begin();
    auto [atom, number] = *at;
    sum.terms.erase(at);
    bool most = number < 0;
    switch (atom->form) {
    case Form::Index:
      if (most) accumulate(sum, add(atom->operands[0], integer(-1)), number);
      break;
    case Form::Size:
      if (most) return false;
      sum.constant += number * atom->numbers[1];
      break;
    case Form::Count:
      if (most) sum.constant += number;
      break;
    case Form::FloorDiv:
      if (!isAtLeast0(atom->operands[0])) return false;
      boundQuotient(sum, atom, number);
      break;
    default: return false;
    }
  }
  return sum.terms.empty() && sum.constant >= 0;
}

//===- Truth --------------------------------------------------------------===//
Scalar ScalarPool::truth(bool value) { return intern({.form = value ? Form::And : Form::Or}); }
Scalar ScalarPool::atLeast0(Scalar a) {
  if (!a) return nullptr;
  if (isAtLeast0(a)) return truth(true);
  if (isAtLeast0(subtract(integer(-1), a))) return truth(false);
  return intern({.form = Form::AtLeast0, .operands = {a}});
}
Scalar ScalarPool::isZero(Scalar a) {
  if (!a) return nullptr;
  if (a->form == Form::Count) return negate(a->operands[0]);
  Scalar negative = subtract(integer(0), a);
  bool notBelow = isAtLeast0(a), notAbove = isAtLeast0(negative);
  if (notBelow && notAbove) return truth(true);
  if (isAtLeast0(add(a, integer(-1))) || isAtLeast0(add(negative, integer(-1)))) return truth(false);
  if (notBelow) return atLeast0(negative);
  if (notAbove) return atLeast0(a);
  return intern({.form = Form::IsZero, .operands = {a->id < negative->id ? a : negative}});
}
Scalar ScalarPool::negate(Scalar a) {
  if (!a) return nullptr;
  switch (a->form) {
  case Form::AtLeast0: return atLeast0(subtract(integer(-1), a->operands[0]));
  case Form::Not: return a->operands[0];
  case Form::And:
  case Form::Or: {
    Scalars parts;
    for (Scalar part : a->operands) parts.push_back(negate(part));
    if (llvm::is_contained(parts, nullptr)) return nullptr;
    llvm::sort(parts, byId);
    return intern({.form = a->form == Form::And ? Form::Or : Form::And, .operands = parts});
  }
  default: return intern({.form = Form::Not, .operands = {a}});
  }
}
Scalar ScalarPool::both(Scalar a, Scalar b) {
  if (!a || !b) return nullptr;
  Scalars parts;
  for (Scalar one : {a, b})
    if (one->form == Form::And)
      parts.append(one->operands);
    else
      parts.push_back(one);
  llvm::sort(parts, byId);
  parts.erase(llvm::unique(parts), parts.end());
  if (parts.size() > kMostParts) return nullptr;
  // Of two comparisons that differ by a number the stronger one stays; a part that contradicts another makes it false.
  for (Scalar &one : parts)
    for (Scalar other : parts) {
      if (!one || !other || one == other) continue;
      if (one->form != Form::AtLeast0 || other->form != Form::AtLeast0) {
        if (one == negate(other)) return truth(false);
        continue;
      }
      if (isAtLeast0(subtract(integer(-1), add(one->operands[0], other->operands[0])))) return truth(false);
      if (isAtLeast0(subtract(one->operands[0], other->operands[0]))) one = nullptr;
    }
  llvm::erase(parts, nullptr);
  Scalar never = truth(false);
  if (llvm::is_contained(parts, never)) return never;
  return parts.size() == 1 ? parts[0] : intern({.form = Form::And, .operands = parts});
}
Scalar ScalarPool::count(Scalar a) {
  if (!a) return nullptr;
  if (a == truth(true)) return integer(1);
  if (a == truth(false)) return integer(0);
  return intern({.form = Form::Count, .operands = {a}});
}

} // namespace llmc::raise
