#include "mlir/IR/Location.h"
#include "passes/raise/Scalar.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;

namespace llmc::raise {
namespace {

/// Writes a tree that may be far larger than the expression that it is: only its beginning.
class Printer {
public:
  std::string text;
  void print(Scalar s);

private:
  static constexpr size_t kMostText = 400;
  void list(StringRef before, Scalar s, StringRef between, StringRef after = ")") {
    text += before.str();
    for (auto [i, operand] : llvm::enumerate(s->operands)) {
      if (i) text += between.str();
      print(operand);
    }
    text += after.str();
  }
  /// What a tensor is called in the graph: its node.
  static std::string name(Value tensor) {
    auto loc = tensor ? dyn_cast<NameLoc>(tensor.getLoc()) : NameLoc();
    return loc ? loc.getName().str() : "t";
  }
  template <typename Number> void number(Number value) { llvm::raw_string_ostream(text) << value; }
  template <typename Numbers> void sum(Scalar s, const Numbers &numbers) {
    bool first = numbers[0] == 0 && !s->operands.empty();
    if (!first) number(numbers[0]);
    for (auto [i, operand] : llvm::enumerate(s->operands)) {
      auto times = numbers[i + 1];
      if (!first) text += times < 0 ? " - " : " + ";
      if (first && times < 0) text += "-";
      if (times != 1 && times != -1) number(times < 0 ? -times : times), text += "*";
      print(operand);
      first = false;
    }
  }
};

void Printer::print(Scalar s) {
  if (text.size() > kMostText) {
    if (!StringRef(text).ends_with("...")) text += "...";
    return;
  }
  if (!s) {
    text += "?";
    return;
  }
  switch (s->form) {
  case Form::Index: text += (s->numbers[0] < 0 ? "m" : "i") + std::to_string(std::abs(s->numbers[0])); break;
  case Form::Size: text += "n" + std::to_string(s->numbers[0]); break;
  case Form::Affine: sum(s, s->numbers); break;
  case Form::Real:
    text += "(";
    sum(s, s->reals);
    text += ")";
    break;
  case Form::FloorDiv: list("(", s, "", " / " + std::to_string(s->numbers[0]) + ")"); break;
  case Form::Count: list("count(", s, ""); break;
  case Form::AtLeast0: list("", s, "", " >= 0"); break;
  case Form::IsZero: list("", s, "", " == 0"); break;
  case Form::Not: list("not(", s, ""); break;
  case Form::And: s->operands.empty() ? void(text += "true") : list("(", s, " and "); break;
  case Form::Or: s->operands.empty() ? void(text += "false") : list("(", s, " or "); break;
  case Form::Product: list("", s, "*", ""); break;
  case Form::Function: list(s->name + "(", s, ""); break;
  case Form::Reciprocal: list("1/", s, "", ""); break;
  case Form::ToReal: list("real(", s, ""); break;
  case Form::Mean:
    text += "mean(";
    print(s->operands[0]);
    text += ")";
    break;
  case Form::Select: list("select(", s, ", "); break;
  case Form::Element: list(name(s->tensor) + "[", s, ", ", "]"); break;
  }
}
} // namespace

std::string print(Scalar s) {
  Printer printer;
  printer.print(s);
  return printer.text;
}

} // namespace llmc::raise
