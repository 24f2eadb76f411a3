// Einsum: each letter is an index; those that the result does not have are summed over.
#include "passes/graph/Lowerings.h"
#include "passes/graph/Scalar.h"
#include "llvm/ADT/StringExtras.h"
#include <map>

using namespace mlir;

namespace llmc::graph {
namespace {

/// One operand's or the result's indices, a letter each; the axes of an ellipsis are '0' (the last), '1', ...
using Labels = SmallVector<char, 8>;

struct Equation {
  SmallVector<Labels> operands;
  Labels result;
};

llvm::Expected<Labels> parseLabels(StringRef text, int64_t ellipsisRank) {
  Labels labels;
  while (!text.empty()) {
    if (text.consume_front("...")) {
      for (int64_t axis = ellipsisRank; axis-- > 0;) labels.push_back(char('0' + axis));
      continue;
    }
    if (!llvm::isAlpha(text.front()))
      return refuse("equation: found '" + text.take_front(1) + "', expected letters and one ...");
    labels.push_back(text.front());
    text = text.drop_front();
  }
  return labels;
}

/// Without "->": the ellipsis, and then the letters that stand once, by alphabet.
Labels impliedResult(ArrayRef<Labels> operands, int64_t ellipsisRank) {
  std::map<char, int> uses;
  for (const Labels &labels : operands)
    for (char label : labels) ++uses[label];
  Labels result;
  for (int64_t axis = ellipsisRank; axis-- > 0;) result.push_back(char('0' + axis));
  for (auto [label, count] : uses)
    if (count == 1 && llvm::isAlpha(label)) result.push_back(label);
  return result;
}

llvm::Expected<Equation> parseEquation(NodeLowering &n) {
  std::string text = n.stringAttr("equation", "").str();
  llvm::erase(text, ' ');
  auto [inputs, result] = StringRef(text).split("->");
  SmallVector<StringRef> terms;
  inputs.split(terms, ',');
  if (terms.size() != n.operands.size())
    return refuse("equation: found " + Twine(terms.size()) + " terms for " + Twine(n.operands.size()) + " operands");
  int64_t widest = 0;
  SmallVector<int64_t> ellipses;
  for (auto [i, term] : llvm::enumerate(terms)) {
    bool has = term.contains("...");
    ellipses.push_back(has ? n.rank(i) - int64_t(llvm::count_if(term, [](char c) { return c != '.'; })) : 0);
    widest = std::max(widest, ellipses.back());
  }
  Equation equation;
  for (auto [i, term] : llvm::enumerate(terms)) {
    auto labels = parseLabels(term, ellipses[i]);
    if (!labels) return labels.takeError();
    if (int64_t(labels->size()) != n.rank(i))
      return refuse("equation: found " + Twine(labels->size()) + " indices for rank " + Twine(n.rank(i)));
    equation.operands.push_back(*labels);
  }
  if (!StringRef(text).contains("->")) {
    equation.result = impliedResult(equation.operands, widest);
    return equation;
  }
  auto labels = parseLabels(result, widest);
  if (!labels) return labels.takeError();
  equation.result = *labels;
  return equation;
}

llvm::Expected<Values> lowerEinsum(NodeLowering &n) {
  Builder &b = n.b;
  auto equation = parseEquation(n);
  if (!equation) return equation.takeError();
  std::map<char, Scalar> sizes;
  for (auto [i, labels] : llvm::enumerate(equation->operands))
    for (auto [axis, label] : llvm::enumerate(labels)) {
      Scalar size = array(n, i).size(axis);
      auto [place, isNew] = sizes.try_emplace(label, size);
      if (!isNew) place->second = select(equal(place->second, 1), size, place->second);
    }
  Scalars resultSizes, summedSizes;
  Labels summed;
  for (char label : equation->result) {
    if (!sizes.count(label)) return refuse("equation: the result has an index that no operand has");
    resultSizes.push_back(sizes[label]);
  }
  for (auto &[label, size] : sizes)
    if (!llvm::is_contained(equation->result, label)) summed.push_back(label), summedSizes.push_back(size);
  Type element = array(n, 0).element(), type = sumType(element);
  Value y = tabulate(b, resultSizes, element, [&](ScalarRef i) {
    std::map<char, Scalar> at;
    for (auto [label, place] : llvm::zip_equal(equation->result, i)) at[label] = place;
    Scalar sum = foldOver(summedSizes, constant(b, type, 0), [&](ScalarRef k, Scalar sum) {
      for (auto [label, place] : llvm::zip_equal(summed, k)) at[label] = place;
      Scalar product = constant(b, type, 1);
      for (auto [operand, labels] : llvm::enumerate(equation->operands)) {
        Array x = array(n, operand);
        Scalars own;
        for (char label : labels) own.push_back(at[label]);
        product = product * convert(x(broadcastIndices(x.sizes(), own)), type, x.isUnsigned);
      }
      return sum + product;
    });
    return convert(sum, element);
  });
  return Values{y};
}

constexpr Lowering kRows[] = {{"", "Einsum", lowerEinsum}};
} // namespace

llvm::ArrayRef<Lowering> einsumLowerings() { return kRows; }

} // namespace llmc::graph
