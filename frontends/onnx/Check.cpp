#include "frontends/onnx/Check.h"
#include "dialects/llm/Llm.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/MathExtras.h"

using llvm::ArrayRef;
using llvm::StringRef;
using llvm::Twine;
using namespace mlir;

namespace llmc::onnx {

//===- Nodes ----------------------------------------------------------------===//
int64_t Node::dim(unsigned i, int64_t axis) const {
  if (!ranked(i)) return kUnknown;
  if (axis < 0) axis += rank(i);
  return axis < 0 || axis >= rank(i) ? kUnknown : type(i).getDimSize(axis);
}
int64_t Node::intAttr(StringRef name, int64_t absent) const {
  auto attr = attributes.getAs<IntegerAttr>(name);
  return attr ? attr.getInt() : absent;
}
double Node::floatAttr(StringRef name, double absent) const {
  auto attr = attributes.getAs<FloatAttr>(name);
  return attr ? attr.getValueAsDouble() : absent;
}
StringRef Node::stringAttr(StringRef name, StringRef absent) const {
  auto attr = attributes.getAs<StringAttr>(name);
  return attr ? attr.getValue() : absent;
}
std::optional<SmallVector<int64_t>> Node::intsAttr(StringRef name) const {
  auto attr = attributes.getAs<DenseI64ArrayAttr>(name);
  if (!attr) return std::nullopt;
  return SmallVector<int64_t>(attr.asArrayRef());
}
std::optional<SmallVector<int64_t>> Node::constant(unsigned i) const {
  if (!has(i)) return std::nullopt;
  SmallVector<int64_t> out;
  if (auto op = operands[i].getDefiningOp<llm::OnnxConstantOp>()) {
    auto values = dyn_cast<DenseIntElementsAttr>(op.getValue());
    if (!values) return std::nullopt;
    bool isUnsigned = values.getElementType().isUnsignedInteger() || values.getElementType().isInteger(1);
    for (const APInt &value : values) out.push_back(isUnsigned ? value.getZExtValue() : value.getSExtValue());
    return out;
  }
  auto found = known ? known->find(operands[i]) : KnownElements::const_iterator();
  if (!known || found == known->end()) return std::nullopt;
  for (std::optional<int64_t> element : found->second) {
    if (!element) return std::nullopt;
    out.push_back(*element);
  }
  return out;
}
std::optional<Elements> Node::elements(unsigned i) const {
  if (!has(i) || !ranked(i) || rank(i) > 1) return std::nullopt;
  if (known)
    if (auto found = known->find(operands[i]); found != known->end()) return found->second;
  std::optional<SmallVector<int64_t>> all = constant(i);
  if (!all) return std::nullopt;
  return Elements(all->begin(), all->end());
}
std::optional<SmallVector<int64_t>> Node::list(StringRef name, unsigned i) const {
  if (std::optional<SmallVector<int64_t>> attr = intsAttr(name)) return attr;
  return constant(i);
}
std::optional<SmallVector<int64_t>> Node::sizes(unsigned i) const {
  if (!has(i)) return std::nullopt;
  if (std::optional<Elements> elements = this->elements(i)) {
    SmallVector<int64_t> out;
    for (std::optional<int64_t> element : *elements) out.push_back(element.value_or(kUnknown));
    return out;
  }
  int64_t count = ranked(i) && rank(i) == 1 ? dim(i, 0) : kUnknown;
  if (!onnx::known(count) || count > 64) return std::nullopt;
  return SmallVector<int64_t>(count, kUnknown);
}

//===- Shapes ---------------------------------------------------------------===//
llvm::Error refuse(const Twine &reason) { return llvm::createStringError(reason); }
llvm::Error refuseOperand(const Node &n, unsigned i, const Twine &reason) {
  return refuse("operand '" + n.names[i] + "' " + reason);
}

llvm::Expected<int64_t> normalAxis(int64_t axis, int64_t rank, StringRef what) {
  if (axis < -rank || axis >= rank)
    return refuse(what + ": found " + Twine(axis) + ", expected one of a tensor of rank " + Twine(rank));
  return axis < 0 ? axis + rank : axis;
}
llvm::Expected<SmallVector<int64_t>> normalAxes(ArrayRef<int64_t> axes, int64_t rank, StringRef what) {
  SmallVector<int64_t> out;
  for (int64_t axis : axes) {
    llvm::Expected<int64_t> normal = normalAxis(axis, rank, what);
    if (!normal) return normal.takeError();
    if (llvm::is_contained(out, *normal))
      return refuse(what + ": found " + Twine(axis) + " twice, expected different ones");
    out.push_back(*normal);
  }
  return out;
}

int64_t addDims(int64_t a, int64_t b) {
  int64_t sum = 0;
  if (!known(a) || !known(b)) return kUnknown;
  return llvm::AddOverflow(a, b, sum) ? INT64_MAX : sum;
}
int64_t mulDims(int64_t a, int64_t b) {
  int64_t product = 0;
  if (a == 0 || b == 0) return 0;
  if (!known(a) || !known(b)) return kUnknown;
  return llvm::MulOverflow(a, b, product) ? INT64_MAX : product;
}

llvm::Expected<SmallVector<int64_t>> broadcastShapes(ArrayRef<int64_t> a, ArrayRef<int64_t> b) {
  if (a.size() < b.size()) std::swap(a, b);
  SmallVector<int64_t> shape(a);
  for (size_t i = 0; i < b.size(); ++i) {
    int64_t dim = b[i], &out = shape[a.size() - b.size() + i];
    if (dim == 1 || dim == out) continue;
    // An unknown size is 1 or the other one.
    if (out == 1 || !known(out))
      out = dim;
    else if (known(dim))
      return refuse("found sizes of " + Twine(dim) + " and " + Twine(out) + ", expected equal ones or 1");
  }
  return shape;
}

Types ranked(const Node &n, ArrayRef<int64_t> shape) { return {RankedTensorType::get(shape, n.element(0))}; }
Types unranked(const Node &n) { return {UnrankedTensorType::get(n.element(0))}; }

//===- Signatures -----------------------------------------------------------===//
namespace {

/// One letter of a signature with what follows it.
struct Letter {
  char letter = 0, suffix = 0; // suffix: 0, ? or *
};
struct Signature {
  SmallVector<Letter, 8> operands, results;
};
Signature parseSignature(StringRef text) {
  Signature signature;
  auto *list = &signature.operands;
  for (char c : text) {
    if (c == '>')
      list = &signature.results;
    else if (c == '?' || c == '*')
      list->back().suffix = c;
    else
      list->push_back({c, 0});
  }
  return signature;
}
/// The letter of operand or result i; {0, 0} if there is none.
Letter at(ArrayRef<Letter> letters, unsigned i) {
  if (i < letters.size()) return letters[i];
  return !letters.empty() && letters.back().suffix == '*' ? letters.back() : Letter();
}

Type fixedElement(char letter, MLIRContext *context) {
  switch (letter) {
  case 'B': return IntegerType::get(context, 1);
  case 'L': return IntegerType::get(context, 64);
  case 'W': return IntegerType::get(context, 32);
  case 'F': return Float32Type::get(context);
  case 'U': return IntegerType::get(context, 8, IntegerType::Unsigned);
  default: return Type();
  }
}
/// What a small letter stands for, if `type` is none of it.
const char *classRefusal(char letter, Type type) {
  bool isBool = type.isInteger(1), isInteger = isa<IntegerType>(type) && !isBool;
  if (StringRef("nmk").contains(letter) && isBool) return "numbers";
  if (StringRef("fgh").contains(letter) && !isa<FloatType>(type)) return "a float type";
  if (StringRef("ijl").contains(letter) && !isInteger) return "an integer type";
  if (StringRef("xy").contains(letter) && !type.isSignlessInteger(32) && !type.isSignlessInteger(64))
    return "INT32 or INT64";
  return nullptr;
}
std::string text(Type type) {
  std::string out;
  llvm::raw_string_ostream(out) << type;
  return out;
}

/// Binds small letters to the operands' element types.
llvm::Error bindElements(const Signature &signature, const Node &n, Type (&bound)[128]) {
  unsigned firstOf[128] = {};
  for (unsigned i = 0; i < n.operands.size(); ++i) {
    if (!n.has(i)) continue;
    char letter = at(signature.operands, i).letter;
    Type type = n.element(i);
    if (Type fixed = fixedElement(letter, n.context())) {
      if (type != fixed) return refuseOperand(n, i, "has elements of type " + text(type) + ", expected " + text(fixed));
      continue;
    }
    if (letter == '_') continue;
    if (const char *expected = classRefusal(letter, type))
      return refuseOperand(n, i, "has elements of type " + text(type) + ", expected " + expected);
    Type &first = bound[unsigned(letter) & 127];
    if (first && first != type)
      return refuse("operands '" + n.names[firstOf[unsigned(letter) & 127]] + "' and '" + n.names[i] +
                    "' differ in element type: found " + text(first) + " and " + text(type) + ", expected one type");
    if (!first) firstOf[unsigned(letter) & 127] = i;
    first = type;
  }
  return llvm::Error::success();
}

llvm::Error checkDims(Type type) {
  auto ranked = dyn_cast<RankedTensorType>(type);
  if (!ranked) return llvm::Error::success();
  if (ranked.getRank() > 64) return refuse("a result has " + Twine(ranked.getRank()) + " dims, expected 64 at most");
  int64_t elements = 1;
  for (int64_t dim : ranked.getShape())
    if (known(dim)) {
      if (dim < 0 || dim > kMostDim) return refuse("a result has a dim of " + Twine(dim) + ", expected 0 to 2^42");
      elements = mulDims(elements, dim);
    }
  if (elements > kMostDim) return refuse("a result has more than 2^42 elements");
  return llvm::Error::success();
}

//===- Rows -----------------------------------------------------------------===//
/// Operators that are known and will not be: what they work on.
constexpr std::pair<const char *, const char *> kOtherKinds[] = {
    {"Sequence", "sequences are not supported"},
    {"SplitToSequence", "sequences are not supported"},
    {"ConcatFromSequence", "sequences are not supported"},
    {"Optional", "optional values are not supported"},
    {"String", "strings are not supported"},
    {"RegexFullMatch", "strings are not supported"},
};

using Rows = llvm::StringMap<SmallVector<const Operator *, 2>>; // by domain/name, in the order of versions
const Rows &allRows() {
  static const Rows kRows = [] {
    Rows rows;
    for (auto [domain, operators] : {std::pair(StringRef(), mathOperators()),
                                     {"", shapeOperators()},
                                     {"", layerOperators()},
                                     {"com.microsoft", microsoftOperators()},
                                     {"ai.onnx.preview.training", trainingOperators()}})
      for (const Operator &op : operators) rows[(domain + "/" + op.name).str()].push_back(&op);
    return rows;
  }();
  return kRows;
}
} // namespace

llvm::Expected<const Operator *> findOperator(StringRef domain, StringRef name, int64_t opset) {
  StringRef shown = domain.empty() ? "ai.onnx" : domain;
  auto found = allRows().find((domain + "/" + name).str());
  if (found == allRows().end()) {
    if (domain.empty())
      for (auto [start, reason] : kOtherKinds)
        if (name.starts_with(start)) return refuse(reason);
    bool knownDomain = domain.empty() || domain == "com.microsoft" || domain == "ai.onnx.preview.training";
    return refuse("found an " + Twine(knownDomain ? "operator that is not known" : "operator of an unknown domain") +
                  " (domain '" + shown + "')");
  }
  const Operator *row = nullptr;
  for (const Operator *candidate : found->second)
    if (candidate->since <= opset) row = candidate;
  if (!row)
    return refuse("found version " + Twine(opset) + " of domain '" + shown + "', expected at least " +
                  Twine(found->second.front()->since) + " for this operator");
  return row;
}

char attributeKind(const Operator &op, StringRef name) {
  for (StringRef rest = op.attributes; !rest.empty();) {
    auto [entry, tail] = rest.split(' ');
    auto [key, kind] = entry.split(':');
    if (key == name) return kind.front();
    rest = tail;
  }
  return 0;
}

StringRef missingAttribute(const Operator &op, ArrayRef<StringRef> present) {
  for (StringRef rest = op.attributes; !rest.empty();) {
    auto [entry, tail] = rest.split(' ');
    auto [key, kind] = entry.split(':');
    if (kind.ends_with("!") && !llvm::is_contained(present, key)) return key;
    rest = tail;
  }
  return {};
}

Presence operandPresence(const Operator &op, unsigned i) {
  Signature signature = parseSignature(op.signature);
  Letter letter = at(signature.operands, i);
  if (!letter.letter) return Presence::None;
  bool optional = letter.suffix == '?' || i >= signature.operands.size() || (letter.letter == '_' && letter.suffix);
  return optional ? Presence::Optional : Presence::Required;
}

unsigned leastOperands(const Operator &op) {
  Signature signature = parseSignature(op.signature);
  unsigned least = 0;
  for (unsigned i = 0; i < signature.operands.size(); ++i)
    if (operandPresence(op, i) == Presence::Required) least = i + 1;
  return least;
}

std::pair<unsigned, unsigned> resultCounts(const Operator &op) {
  Signature signature = parseSignature(op.signature);
  unsigned least = 0;
  for (auto [i, letter] : llvm::enumerate(signature.results))
    if (letter.suffix != '?') least = i + 1;
  bool many = !signature.results.empty() && signature.results.back().suffix == '*';
  return {least, many ? UINT_MAX : unsigned(signature.results.size())};
}

llvm::Expected<Types> inferTypes(const Operator &op, const Node &n) {
  Signature signature = parseSignature(op.signature);
  Type bound[128] = {};
  if (auto error = bindElements(signature, n, bound)) return error;
  llvm::Expected<Types> types = op.infer ? op.infer(n) : Types(n.results, n.operands[0].getType());
  if (!types) return types.takeError();
  types->resize(n.results, UnrankedTensorType::get(Float32Type::get(n.context())));
  for (auto [i, type] : llvm::enumerate(*types)) {
    char letter = at(signature.results, i).letter;
    Type element = fixedElement(letter, n.context());
    if (!element) element = bound[unsigned(letter) & 127];
    if (element) type = cast<ShapedType>(type).clone(element);
    if (auto error = checkDims(type)) return error;
  }
  return types;
}

} // namespace llmc::onnx
