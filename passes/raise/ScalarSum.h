// Sums of expressions under construction. For Scalar*.cpp only.
#pragma once
#include "passes/raise/Scalar.h"
#include "llvm/ADT/STLExtras.h"

namespace llmc::raise {

inline bool byId(Scalar a, Scalar b) { return a->id < b->id; }

/// constant + sum of coefficient * atom, atoms by id.
template <typename Number> struct Sum {
  Number constant = 0;
  std::map<Scalar, Number, bool (*)(Scalar, Scalar)> terms{byId};

  void add(Scalar atom, Number coefficient) {
    Number &slot = terms[atom];
    slot += coefficient;
    if (slot == 0) terms.erase(atom);
  }
};

/// `sum` += times * s.
inline void accumulate(Sum<int64_t> &sum, Scalar s, int64_t times) {
  if (s->form != Form::Affine) return sum.add(s, times);
  sum.constant += times * s->numbers[0];
  for (auto [i, atom] : llvm::enumerate(s->operands)) sum.add(atom, times * s->numbers[i + 1]);
}
inline void accumulate(Sum<double> &sum, Scalar s, double times) {
  if (s->form != Form::Real) return sum.add(s, times);
  sum.constant += times * s->reals[0];
  for (auto [i, atom] : llvm::enumerate(s->operands)) sum.add(atom, times * s->reals[i + 1]);
}

inline ScalarNode nodeOf(const Sum<int64_t> &sum) {
  ScalarNode node{.form = Form::Affine, .numbers = {sum.constant}};
  for (auto [atom, number] : sum.terms) node.numbers.push_back(number), node.operands.push_back(atom);
  return node;
}
inline ScalarNode nodeOf(const Sum<double> &sum) {
  ScalarNode node{.form = Form::Real, .reals = {sum.constant}};
  for (auto [atom, number] : sum.terms) node.reals.push_back(number), node.operands.push_back(atom);
  return node;
}
/// A sum that is one atom is that atom.
template <typename Number> Scalar atomOf(const Sum<Number> &sum) {
  return sum.constant == 0 && sum.terms.size() == 1 && sum.terms.begin()->second == 1 ? sum.terms.begin()->first
                                                                                      : nullptr;
}

} // namespace llmc::raise
