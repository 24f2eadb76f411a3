#include "passes/raise/ShapeValues.h"

using namespace mlir;

namespace llmc::raise {
namespace {

using Result = std::optional<Sizes>;

/// One query. A graph can name a value often, so the number of looks is bounded.
class Reader {
public:
  Result read(Value value);

private:
  Result shape(llm::OnnxNodeOp node);
  Result gather(llm::OnnxNodeOp node);
  Result slice(llm::OnnxNodeOp node);
  Result view(llm::OnnxNodeOp node) { return read(node.getInputs()[0]); }
  Result concat(llm::OnnxNodeOp node);
  Result compute(llm::OnnxNodeOp node);
  Result fill(llm::OnnxNodeOp node);
  Result equal(llm::OnnxNodeOp node);
  Result where(llm::OnnxNodeOp node);
  std::optional<int64_t> number(Value value);
  /// Both operands, one of one element repeated.
  std::optional<std::pair<Sizes, Sizes>> pair(llm::OnnxNodeOp node);

  static constexpr size_t kMostElements = 8; // the most axes of a tensor
  unsigned looks = 200;
};

Result Reader::read(Value value) {
  auto type = value ? dyn_cast<RankedTensorType>(value.getType()) : RankedTensorType();
  if (!type || type.getRank() > 1 || !isa<IntegerType>(type.getElementType()) || !looks) return {};
  --looks;
  if (auto constant = integers(value)) {
    Sizes sizes;
    for (int64_t number : *constant) sizes.push_back({number, {}});
    return sizes.size() <= kMostElements ? Result(sizes) : Result();
  }
  auto node = value.getDefiningOp<llm::OnnxNodeOp>();
  if (!node || !node.getDomain().empty()) return {};
  struct Row {
    StringLiteral name;
    Result (Reader::*read)(llm::OnnxNodeOp);
  };
  static constexpr Row kRows[] = {{"Shape", &Reader::shape},
                                  {"Gather", &Reader::gather},
                                  {"Slice", &Reader::slice},
                                  {"Unsqueeze", &Reader::view},
                                  {"Squeeze", &Reader::view},
                                  {"Reshape", &Reader::view},
                                  {"Cast", &Reader::view},
                                  {"Concat", &Reader::concat},
                                  {"Mul", &Reader::compute},
                                  {"Add", &Reader::compute},
                                  {"Sub", &Reader::compute},
                                  {"Div", &Reader::compute},
                                  {"ConstantOfShape", &Reader::fill},
                                  {"Equal", &Reader::equal},
                                  {"Where", &Reader::where}};
  for (const Row &row : kRows)
    if (row.name == node.getOpType()) {
      Result result = (this->*row.read)(node);
      return result && result->size() <= kMostElements ? result : Result();
    }
  return {};
}

Result Reader::shape(llm::OnnxNodeOp node) {
  Value of = node.getInputs()[0];
  Result all;
  if (llm::OnnxNodeOp made = nodeOf(of, "ConstantOfShape"))
    all = read(made.getInputs()[0]);
  else if (isa<RankedTensorType>(of.getType()))
    all = shapeOf(of);
  if (!all) return {};
  int64_t rank = all->size(), start = intAttr(node, "start", 0), end = intAttr(node, "end", rank);
  auto bounded = [&](int64_t at) { return std::clamp<int64_t>(at < 0 ? at + rank : at, 0, rank); };
  int64_t first = bounded(start), last = std::max(first, bounded(end));
  return Sizes(all->begin() + first, all->begin() + last);
}

std::optional<int64_t> Reader::number(Value value) {
  Result sizes = read(value);
  return sizes && sizes->size() == 1 && !sizes->front().of ? std::optional(sizes->front().number) : std::nullopt;
}

Result Reader::gather(llm::OnnxNodeOp node) {
  Result data = read(node.getInputs()[0]);
  std::optional<int64_t> index = number(node.getInputs()[1]);
  if (!data || !index || intAttr(node, "axis", 0)) return {};
  int64_t count = data->size(), at = *index < 0 ? *index + count : *index;
  return at >= 0 && at < count ? Result(Sizes{(*data)[at]}) : Result();
}

Result Reader::slice(llm::OnnxNodeOp node) {
  Result data = read(node.getInputs()[0]);
  std::optional<int64_t> begin = number(operand(node, 1)), end = number(operand(node, 2));
  if (!data || !begin || !end || (operand(node, 4) && number(operand(node, 4)) != 1)) return {};
  int64_t count = data->size();
  auto bounded = [&](int64_t at) { return std::clamp<int64_t>(at < 0 ? at + count : at, 0, count); };
  int64_t first = bounded(*begin), last = std::max(first, bounded(*end));
  return Sizes(data->begin() + first, data->begin() + last);
}

Result Reader::concat(llm::OnnxNodeOp node) {
  Sizes all;
  for (Value input : node.getInputs()) {
    Result part = read(input);
    if (!part || all.size() + part->size() > kMostElements) return {};
    all.append(part->begin(), part->end());
  }
  return all;
}

std::optional<std::pair<Sizes, Sizes>> Reader::pair(llm::OnnxNodeOp node) {
  Result a = read(node.getInputs()[0]), b = read(node.getInputs()[1]);
  if (!a || !b || a->empty() || b->empty()) return {};
  if (a->size() == 1) a->resize(b->size(), a->front());
  if (b->size() == 1) b->resize(a->size(), b->front());
  return a->size() == b->size() ? std::optional(std::pair(*a, *b)) : std::nullopt;
}

/// Mul, Add, Sub and Div of numbers; of sizes, what leaves them as they are.
Result Reader::compute(llm::OnnxNodeOp node) {
  auto operands = pair(node);
  if (!operands) return {};
  auto &[a, b] = *operands;
  StringRef type = node.getOpType();
  for (auto [x, y] : llvm::zip(a, b)) {
    bool isProduct = type == "Mul", isQuotient = type == "Div";
    if (!y.of && y.number == (isProduct || isQuotient ? 1 : 0)) continue;
    bool failed = x.of || y.of;
    if (isProduct)
      failed |= llvm::MulOverflow(x.number, y.number, x.number);
    else if (type == "Add")
      failed |= llvm::AddOverflow(x.number, y.number, x.number);
    else if (type == "Sub")
      failed |= llvm::SubOverflow(x.number, y.number, x.number);
    else if (failed |= y.number <= 0 || x.number < 0; !failed)
      x.number /= y.number;
    if (failed) return {};
  }
  return a;
}

Result Reader::fill(llm::OnnxNodeOp node) {
  std::optional<int64_t> count = number(node.getInputs()[0]);
  auto value = node.getOnnxAttributes().getAs<DenseIntElementsAttr>("value");
  if (!count || *count < 0 || *count > int64_t(kMostElements) || !value || value.getNumElements() != 1) return {};
  return Sizes(*count, Size{(*value.begin()).getSExtValue(), {}});
}

/// 1 or 0 each: sizes are never negative.
Result Reader::equal(llm::OnnxNodeOp node) {
  auto operands = pair(node);
  if (!operands) return {};
  auto &[a, b] = *operands;
  for (auto [x, y] : llvm::zip(a, b)) {
    bool same = x == y,
         differ = (!x.of && !y.of && !same) || (x.of && !y.of && y.number < 0) || (y.of && !x.of && x.number < 0);
    if (!same && !differ) return {};
    x = {same, {}};
  }
  return a;
}

Result Reader::where(llm::OnnxNodeOp node) {
  Result flags = read(node.getInputs()[0]), yes = read(node.getInputs()[1]), no = read(node.getInputs()[2]);
  if (!flags || !yes || !no || flags->size() != yes->size() || yes->size() != no->size()) return {};
  for (auto [i, flag] : llvm::enumerate(*flags)) {
    if (flag.of) return {};
    flag = flag.number ? (*yes)[i] : (*no)[i];
  }
  return flags;
}

} // namespace

Sizes shapeOf(Value value) {
  Sizes sizes;
  auto type = cast<RankedTensorType>(value.getType());
  for (int64_t axis = 0; axis < type.getRank(); ++axis)
    sizes.push_back(type.isDynamicDim(axis) ? Size{axis, underRows(value)} : Size{type.getDimSize(axis), {}});
  // Rows may know what the value that they stand for does not.
  auto rows = dyn_cast<RankedTensorType>(underRows(value).getType());
  if (!sizes.empty() && sizes.back().of && rows && rows.getRank() && !rows.isDynamicDim(rows.getRank() - 1))
    sizes.back() = {rows.getShape().back(), {}};
  return sizes;
}

Result sizesIn(Value value) { return Reader().read(value); }

std::optional<SmallVector<int64_t>> numbersIn(Value value) {
  Result sizes = sizesIn(value);
  if (!sizes || llvm::any_of(*sizes, [](const Size &size) { return bool(size.of); })) return std::nullopt;
  SmallVector<int64_t> numbers;
  for (const Size &size : *sizes) numbers.push_back(size.number);
  return numbers;
}

} // namespace llmc::raise
