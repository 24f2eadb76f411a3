#include "passes/raise/Sdpa.h"

using namespace mlir;

namespace llmc::raise {

namespace {
constexpr double kMasked = -1e4; // its exponential is 0, whatever the score

/// Whether what is added to a score hides it: a number of at most -1e4, with the score or without.
bool isHidden(Scalar value, Scalar seen) {
  if (!value) return false;
  if (value->real()) return *value->real() <= kMasked;
  if (value->form != Form::Real || !(value->reals[0] <= kMasked)) return false;
  // What is left must be the score itself: nothing else is known to be small.
  auto isScore = [&](Scalar term) {
    return term == seen || (seen->form == Form::Real && llvm::is_contained(seen->operands, term));
  };
  return llvm::all_of(value->operands, isScore);
}
} // namespace

std::optional<SdpaMask> matchMask(Elements &e, Scalar score, Scalar i, Scalar j, std::string &reason) {
  ScalarPool &s = e.pool();
  Scalar position = s.add(e.pastTokens(), i), ahead = s.subtract(j, position);
  // Windows that comparisons of the mask may mean: j - p - i + w - 1 >= 0.
  SmallVector<int64_t> windows = {0};
  visit(score, [&](Scalar part) {
    if (part->form != Form::AtLeast0) return;
    for (Scalar side : {part->operands[0], s.subtract(s.integer(-1), part->operands[0])})
      if (std::optional<int64_t> off = s.subtract(side, ahead)->integer(); off && *off >= 0)
        if (!llvm::is_contained(windows, *off + 1)) windows.push_back(*off + 1);
  });
  auto notAbove = [&](Scalar a, Scalar b) { return s.atLeast0(s.subtract(b, a)); }; // a <= b
  Scalar causal = notAbove(j, position);
  if (causal->form != Form::AtLeast0) return std::nullopt;
  std::string seenText;
  for (int64_t window : windows) {
    SmallVector<Scalar> facts = {causal};
    Scalar inside = window ? s.atLeast0(s.add(ahead, s.integer(window - 1))) : nullptr;
    if (inside && inside->form == Form::AtLeast0) facts.push_back(inside);
    Scalar seen = s.assume(score, facts);
    bool decided = true;
    if (seen) visit(seen, [&](Scalar part) { decided &= part->form != Form::Select && !part->isTruth(); });
    if (!seen || !decided) continue;
    Scalar after = s.assume(score, {s.negate(causal)});
    Scalar before = window ? s.assume(score, {causal, s.negate(inside)}) : nullptr;
    if (!isHidden(after, seen) || (window && !isHidden(before, seen))) continue;
    return SdpaMask{window, seen};
  }
  reason = "its mask is not proved to be causal: with i = " + print(i) + ", j = " + print(j) + " and " +
           print(e.pastTokens()) + " cached positions a score is " + print(score);
  return std::nullopt;
}

bool matchScale(ScalarPool &s, Scalar score, Scalar dot, double &scale, double &softcap) {
  auto times = [&](Scalar x, Scalar of) -> std::optional<double> {
    if (x == of) return 1.0;
    if (x->form != Form::Real || x->reals[0] != 0 || x->operands.size() != 1 || x->operands[0] != of)
      return std::nullopt;
    return x->reals[1];
  };
  if (std::optional<double> number = times(score, dot)) {
    scale = *number, softcap = 0;
    return true;
  }
  Scalar inner = nullptr;
  visit(score, [&](Scalar part) {
    if (part->form == Form::Function && part->name == "tanh") inner = part;
  });
  std::optional<double> cap = inner ? times(score, inner) : std::nullopt;
  std::optional<double> number = inner ? times(inner->operands[0], dot) : std::nullopt;
  if (!cap || !number || !(*cap > 0)) return false;
  scale = *cap * *number, softcap = *cap;
  return true;
}

} // namespace llmc::raise
