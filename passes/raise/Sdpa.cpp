#include "passes/raise/Sdpa.h"
#include "dialects/llm/eval/Ops.h"
#include <cmath>

using namespace mlir;

namespace llmc::raise {
namespace {

class Matcher {
public:
  Matcher(llm::OnnxNodeOp node, Elements &e, SdpaVariables &variables, std::string &reason)
      : node(node), e(e), s(e.pool()), variables(variables), reason(reason) {}

  std::optional<Sdpa> run() {
    i = variables.index('i', e.newTokens());
    j = variables.index('j', s.add(e.pastTokens(), e.newTokens()));
    bool found = nodeOf(node.getResult(0), "Softmax") ? readSoftmax() : readOperator();
    if (!found || !readScores() || !readHeads() || !readKeys() || !readValues()) return std::nullopt;
    return sdpa;
  }

private:
  bool refuse(const Twine &why) {
    if (reason.empty()) reason = why.str();
    return false;
  }

  //===- What an element is ---------------------------------------------------===//
  /// Indices of [..., rows, columns] of which all leading axes together are heads.
  std::optional<Scalars> headIndices(Value value, Scalar head, Scalar row, Scalar column);
  bool readSoftmax();
  bool readOperator();
  bool findOutput();
  Scalar key(Scalar head, Scalar position, Scalar channel);
  Scalar query(Scalar channel);
  Scalar value(Scalar head, Scalar position, Scalar channel);

  //===- What it means ---------------------------------------------------------===//
  bool readScores();
  Scalar withoutAlibi(Scalar seen);
  bool readHeads();
  bool readKeys();
  bool readValues();
  using ByPosition = llvm::function_ref<Scalar(Scalar position, Scalar channel)>;
  bool readCache(ByPosition at, ArrayRef<Scalar> probes, StringRef what);
  bool readRows(ByPosition at, HeadRows &rows, Scalars &probes);

  llm::OnnxNodeOp node;
  Elements &e;
  ScalarPool &s;
  SdpaVariables &variables;
  std::string &reason;
  Sdpa sdpa;

  int64_t heads = 0, kvHeads = 0, size = 0, shared = 1; // shared: query heads of one key head of Attention
  Scalar h = nullptr, i = nullptr, j = nullptr;         // of scores
  Scalar head = nullptr, group = nullptr;               // head of k and v: the query head that stands for its group
  Scalar old = nullptr, added = nullptr;                // positions: cached, and p + new
  Scalar score = nullptr, dot = nullptr;                // dot: q . k of h, i, j
  Scalar probabilities = nullptr;                       // of h, i, j
  Scalar product = nullptr;                             // an element of `out`, by h, i and the last variable
  Value out;                                            // probabilities * values
  Scalar channel = nullptr;
};

std::optional<Scalars> Matcher::headIndices(Value value, Scalar head, Scalar row, Scalar column) {
  const std::optional<Scalars> &sizes = e.shape(value);
  if (!sizes || sizes->size() < 3) return std::nullopt;
  Scalars out(sizes->size(), s.integer(0));
  int64_t count = 1;
  SmallVector<size_t> axes;
  for (size_t axis = 0; axis + 2 < sizes->size(); ++axis) {
    if (!(*sizes)[axis] || !(*sizes)[axis]->integer()) return std::nullopt;
    count *= *(*sizes)[axis]->integer();
    if ((*sizes)[axis]->integer() != 1) axes.push_back(axis);
  }
  if (!heads) heads = count;
  if (count != heads || count < 1) return std::nullopt;
  if (!head) head = h = variables.index('h', s.integer(heads));
  for (size_t axis : llvm::reverse(axes)) {
    int64_t axisSize = *(*sizes)[axis]->integer();
    out[axis] = axis == axes.front() ? head : s.mod(head, axisSize);
    head = s.floorDiv(head, axisSize);
  }
  out[out.size() - 2] = row, out.back() = column;
  return out;
}

bool Matcher::readSoftmax() {
  Value scores = node.getInputs()[0];
  const std::optional<Scalars> &sizes = e.shape(scores);
  if (!sizes || sizes->size() < 3) return false; // not one of heads
  int64_t rank = int64_t(sizes->size()), axis = intAttr(node, "axis", node.getOpset() < 13 ? 1 : -1);
  if (axis != -1 && axis != rank - 1) return false;
  std::optional<Scalars> at = headIndices(scores, nullptr, i, j);
  if (!at) return refuse("the number of heads is not known");
  score = e.at(scores, *at);
  probabilities = e.at(node.getResult(0), *at);

  SmallVector<Scalar> dots;
  visit(score, [&](Scalar part) {
    if (part->form != Form::Element || !occurs(i, part) || !occurs(j, part)) return;
    if (e.factors(part, s.integer(0))) dots.push_back(part);
  });
  if (dots.size() != 1) return refuse("a score is not made of one product of a query and a key: " + print(score));
  dot = dots.front();
  return findOutput();
}

/// The MatMul of what is the probabilities, through casts and guards against NaN.
bool Matcher::findOutput() {
  SmallVector<Value> work = {node.getResult(0)};
  for (size_t next = 0; next < work.size() && next < 16; ++next)
    for (Operation *user : work[next].getUsers()) {
      auto op = dyn_cast<llm::OnnxNodeOp>(user);
      if (!op) continue;
      Value result = op.getResult(0);
      if (op.getOpType().contains("MatMul")) {
        const std::optional<Scalars> &sizes = e.shape(result);
        if (!sizes || sizes->size() < 3 || !sizes->back() || !sizes->back()->integer()) continue;
        channel = variables.index('d', sizes->back());
        std::optional<Scalars> at = headIndices(result, h, i, channel);
        if (!at) continue;
        Scalar element = s.element(result, *at);
        auto both = e.at(result, *at) == element ? e.factors(element, j) : std::nullopt;
        if (!both || both->first != probabilities) continue;
        size = *sizes->back()->integer(), out = result, product = element;
        return true;
      }
      std::optional<Scalars> at = headIndices(result, h, i, j);
      if (at && e.at(result, *at) == probabilities && !llvm::is_contained(work, result)) work.push_back(result);
    }
  return refuse("its probabilities are not multiplied with values");
}

/// Attention of opset 23: q, k, v of [batch, heads, tokens, D] or [batch, tokens, heads * D], mask, past key and value.
bool Matcher::readOperator() {
  for (auto [at, name] : {std::pair(4u, "past_key"), {5u, "past_value"}, {6u, "nonpad_kv_seqlen"}})
    if (operand(node, at)) return refuse(Twine("operand ") + name + " is not supported, only a Concat of the cache");
  for (unsigned result = 1; result < node.getNumResults(); ++result)
    if (!node.getResult(result).use_empty()) return refuse("a second result is used");
  if (floatAttr(node, "softcap", 0) != 0) return refuse("softcap, whose order with the mask differs between versions");
  Value q = node.getInputs()[0], k = node.getInputs()[1], mask = operand(node, 3);
  out = node.getResult(0);
  const std::optional<Scalars> &sizes = e.shape(q), &keySizes = e.shape(k), &outSizes = e.shape(out);
  if (!sizes || !keySizes || !outSizes || sizes->size() != keySizes->size() || !sizes->back() ||
      !sizes->back()->integer())
    return refuse("the sizes of q and k are not known");
  bool side = sizes->size() == 3; // heads side by side
  auto count = [&](const Scalars &of, StringRef attribute) {
    Scalar axis = side ? nullptr : of[1];
    return side ? intAttr(node, attribute, 0) : axis && axis->integer() ? *axis->integer() : 0;
  };
  heads = count(*sizes, "q_num_heads");
  int64_t keyHeads = count(*keySizes, "kv_num_heads");
  if (heads < 1 || keyHeads < 1 || heads % keyHeads) return refuse("the number of heads is not known");
  shared = heads / keyHeads;
  size = *sizes->back()->integer() / (side ? heads : 1);
  Scalar width = outSizes->back();
  if (!width || !width->integer() || *width->integer() != (side ? heads * size : size))
    return refuse("values of another size than keys");
  h = variables.index('h', s.integer(heads)), channel = variables.index('d', s.integer(size));
  dot = s.element(out, {h, i, j}); // stands for it: the result has more axes or other indices
  if (side) dot = s.element(out, {h, i, j, j});
  double scale = floatAttr(node, "scale", 1 / std::sqrt(double(size)));
  score = s.multiplyReal(s.real(scale), dot);
  if (mask) {
    const std::optional<Scalars> &maskSizes = e.shape(mask);
    if (!maskSizes || maskSizes->size() > 4) return refuse("the shape of the mask is not known");
    Scalar all[] = {s.integer(0), h, i, j};
    Scalars at;
    for (auto [axis, axisSize] : llvm::enumerate(*maskSizes))
      at.push_back(axisSize && axisSize->integer() == 1 ? s.integer(0) : all[4 - maskSizes->size() + axis]);
    Scalar element = e.at(mask, at);
    bool isFloat = isa<FloatType>(cast<ShapedType>(mask.getType()).getElementType());
    score = isFloat ? s.addReal(score, element) : s.select(element, score, s.real(-INFINITY));
  }
  if (intAttr(node, "is_causal", 0)) // aligned at the first key
    score = s.select(s.atLeast0(s.subtract(i, j)), score, s.real(-INFINITY));
  Scalars at = side ? Scalars{s.integer(0), i, s.add(s.multiply(h, s.integer(size)), channel)}
                    : Scalars{s.integer(0), h, i, channel};
  product = e.at(out, at);
  return true;
}

Scalar Matcher::query(Scalar d) {
  if (node.getOpType() == "Softmax") {
    auto both = e.factors(dot, d);
    return both ? both->first : nullptr;
  }
  Value q = node.getInputs()[0];
  if (e.shape(q)->size() == 3) return e.at(q, {s.integer(0), i, s.add(s.multiply(h, s.integer(size)), d)});
  return e.at(q, {s.integer(0), h, i, d});
}
Scalar Matcher::key(Scalar at, Scalar position, Scalar d) {
  if (node.getOpType() == "Softmax") {
    Scalar there = s.transform(dot, [&](Scalar part) { return part == j ? position : part == h ? at : nullptr; });
    auto both = there ? e.factors(there, d) : std::nullopt;
    return both ? both->second : nullptr;
  }
  Scalar kv = s.floorDiv(at, shared);
  Value k = node.getInputs()[1];
  if (e.shape(k)->size() == 3) return e.at(k, {s.integer(0), position, s.add(s.multiply(kv, s.integer(size)), d)});
  return e.at(k, {s.integer(0), kv, position, d});
}
Scalar Matcher::value(Scalar at, Scalar position, Scalar d) {
  if (node.getOpType() == "Softmax") {
    std::optional<Scalars> where = headIndices(out, at, i, d);
    auto both = where ? e.factors(s.element(out, *where), position) : std::nullopt;
    return both ? both->second : nullptr;
  }
  Scalar kv = s.floorDiv(at, shared);
  Value v = node.getInputs()[2];
  if (e.shape(v)->size() == 3) return e.at(v, {s.integer(0), position, s.add(s.multiply(kv, s.integer(size)), d)});
  return e.at(v, {s.integer(0), kv, position, d});
}

/// Without a term slope[h] * (j + what is the same for all positions), if its slopes are those of llm.attention.
Scalar Matcher::withoutAlibi(Scalar seen) {
  if (seen->form != Form::Real || seen->operands.size() != 2 || seen->reals[0] != 0) return seen;
  unsigned own = occurs(dot, seen->operands[0]) ? 0 : 1;
  Scalar bias = seen->operands[1 - own], slope = s.real(seen->reals[2 - own]), position = nullptr;
  for (Scalar factor : bias->form == Form::Product ? ArrayRef<Scalar>(bias->operands) : ArrayRef<Scalar>(bias)) {
    bool isPosition = factor->form == Form::ToReal && !position && !occurs(j, s.subtract(factor->operands[0], j));
    isPosition ? position = factor->operands[0] : slope = s.multiplyReal(slope, factor);
  }
  if (!position || !slope) return seen;
  for (int64_t k = 0; k < heads; ++k) {
    std::optional<double> number = e.number(heads > 1 ? s.substitute(slope, h, s.integer(k)) : slope);
    double expected = llm::eval::alibiSlope(heads, k);
    if (!number || !(std::abs(*number - expected) <= 1e-5 * expected)) return seen;
  }
  sdpa.alibi = true;
  return s.multiplyReal(s.real(seen->reals[1 + own]), seen->operands[own]);
}

bool Matcher::readScores() {
  std::optional<SdpaMask> mask = matchMask(e, score, i, j, reason);
  if (!mask) return false;
  sdpa.window = mask->window;
  Scalar seen = withoutAlibi(mask->seen);
  if (!matchScale(s, seen, dot, sdpa.scale, sdpa.softcap))
    return refuse("a score is not a number times the product of a query and a key: " + print(seen));
  // [batch, tokens, heads * D] or [tokens, heads * D]
  Scalar column = s.add(s.multiply(h, s.integer(size)), channel);
  sdpa.y = findView(out, [&](Value view) {
    const std::optional<Scalars> &sizes = e.shape(view);
    if (!sizes || sizes->size() < 2 || sizes->size() > 3 || !sizes->back() || sizes->back()->integer() != heads * size)
      return false;
    Scalars at = {s.integer(0), i, column};
    return e.at(view, ArrayRef<Scalar>(at).take_back(sizes->size())) == product;
  });
  return sdpa.y || refuse("its heads are not brought together to [batch, tokens, heads * head size]");
}

/// Heads that share keys and values are neighbours: k and v depend on h / n only.
bool Matcher::readHeads() {
  added = s.add(e.pastTokens(), variables.index('t', e.newTokens()));
  bool cached = !e.pastTokens()->integer();
  old = cached ? variables.index('o', e.pastTokens()) : nullptr;
  int64_t repeat = heads;
  for (Scalar x : {key(h, added, s.integer(0)), value(h, added, channel)}) {
    if (!x) return refuse("a key or value is not known");
    int64_t found = heads;
    bool plain = false;
    visit(x, [&](Scalar part) {
      if (part->form == Form::FloorDiv && part->operands[0] == h) found = std::min(found, part->numbers[0]);
      plain |= (part->form == Form::Affine || part->form == Form::Element) && llvm::is_contained(part->operands, h);
    });
    repeat = std::min(repeat, plain ? 1 : found);
  }
  if (repeat < 1 || heads % repeat) return refuse("heads do not share keys and values evenly");
  kvHeads = heads / repeat;
  group = variables.index('g', s.integer(kvHeads));
  head = s.add(s.multiply(group, s.integer(repeat)), variables.index('r', s.integer(repeat)));
  return true;
}

bool Matcher::readRows(ByPosition at, HeadRows &rows, Scalars &probes) {
  auto channelAt = [&](Scalar d) { return at(added, d); };
  HeadQuery query{channelAt, group, kvHeads, size, s.subtract(added, e.pastTokens()), added};
  std::optional<HeadRows> found = readHeadRows(e, query, probes, reason);
  if (!found) return false;
  rows = *found;
  return true;
}

bool Matcher::readKeys() {
  auto queryAt = [&](Scalar d) { return query(d); };
  HeadQuery asked{queryAt, h, heads, size, i, s.add(e.pastTokens(), i)};
  Scalars probes;
  std::optional<HeadRows> q = readHeadRows(e, asked, probes, reason);
  if (!q) return reason = "q: " + reason, false;
  sdpa.q = *q;
  auto at = [&](Scalar position, Scalar d) { return key(head, position, d); };
  probes.clear();
  if (!readRows(at, sdpa.k, probes)) return reason = "k: " + reason, false;
  sdpa.scale *= sdpa.q.factor * sdpa.k.factor;
  return !old || readCache(at, probes, "key");
}

bool Matcher::readValues() {
  auto at = [&](Scalar position, Scalar d) { return value(head, position, d); };
  Scalars probes;
  if (!readRows(at, sdpa.v, probes)) return reason = "v: " + reason, false;
  if (sdpa.v.factor != 1) return refuse("values are scaled");
  if (old && !readCache(at, probes, "value")) return false;
  for (auto [rows, name] : {std::pair(&sdpa.q, "q"), {&sdpa.k, "k"}, {&sdpa.v, "v"}})
    if (std::string why = refuseHeadRows(*rows); !why.empty()) return refuse(Twine(name) + ": " + why);
  return true;
}

/// What names of a past and its present have in common: past_key_values.3.key and present.3.key both "3.key.".
std::string placeOf(StringRef name) {
  SmallVector<StringRef> words;
  name.split(words, '.', -1, false);
  SmallVector<StringRef> parts;
  for (StringRef word : words) word.split(parts, '_', -1, false);
  std::string place;
  for (size_t at = 0; at < parts.size(); ++at) {
    bool both = parts[at] == "key" && at + 1 < parts.size() && parts[at + 1] == "values";
    at += both;
    if (!both && parts[at] != "past" && parts[at] != "present") place += (parts[at] + ".").str();
  }
  return place;
}

/// What is read of cached positions is a graph input, what is read of new ones is behind it in the graph output that
/// will be that input.
bool Matcher::readCache(ByPosition at, ArrayRef<Scalar> probes, StringRef what) {
  Scalar d = variables.index('d', s.integer(size)), oldElement = at(old, d), place = oldElement;
  double factor = 1;
  if (place && place->form == Form::Real && place->operands.size() == 1 && place->reals[0] == 0)
    factor = place->reals[1], place = place->operands[0];
  Value past = place && place->form == Form::Element ? place->tensor : Value();
  if (!past || inputName(past).empty())
    return refuse("the " + what + " of a cached position is not a graph input: " + print(oldElement));
  Scalar zero = s.integer(0);
  unsigned olds = 0, channels = 0, groups = 0;
  for (Scalar index : place->operands) {
    // A cache may hold a head's keys once for each query head that shares them.
    olds += index == old, channels += index == d, groups += (index == group || index == head) && index != zero;
    if (index != old && index != d && index != group && index != head && index != zero)
      return refuse("the cache is read at other places than it is written: " + print(place));
  }
  if (olds != 1 || channels != (size > 1) || groups > 1 || groups < (kvHeads > 1))
    return refuse("the cache is not one of heads, positions and channels: " + print(place));

  auto function = node->getParentOfType<func::FuncOp>();
  auto terminator = cast<func::ReturnOp>(function.getBody().front().getTerminator());
  for (auto [number, output] : llvm::enumerate(terminator.getOperands())) {
    auto name = function.getResultAttrOfType<StringAttr>(number, kNameAttr);
    const std::optional<Scalars> &sizes = e.shape(output);
    if (!name || placeOf(name.getValue()) != placeOf(inputName(past)) || !sizes ||
        sizes->size() != place->operands.size() || e.at(output, place->operands) != place)
      continue;
    for (Scalar probe : probes) {
      Scalars where;
      for (Scalar index : place->operands) where.push_back(index == old ? added : index == d ? probe : index);
      if (s.multiplyReal(s.real(factor), e.at(output, where)) != at(added, probe))
        return refuse("the new " + what + " is not what output '" + name.getValue() + "' keeps of it");
    }
    sdpa.cache.push_back({past, unsigned(number)});
    return true;
  }
  return refuse("no graph output is '" + inputName(past) + "' with the new " + what + " behind it");
}

} // namespace

/// An element of a view is an element of its operand; which, Elements say.
Value findView(Value value, llvm::function_ref<bool(Value)> isWanted) {
  static constexpr StringLiteral kViews[] = {"Transpose", "Reshape",   "Cast",    "Identity", "Flatten",
                                             "Squeeze",   "Unsqueeze", "Dropout", "Expand"};
  SmallVector<Value> work = {value};
  for (size_t next = 0; next < work.size() && next < 16; ++next) {
    if (isWanted(work[next])) return work[next];
    for (Operation *user : work[next].getUsers()) {
      auto op = dyn_cast<llm::OnnxNodeOp>(user);
      if (op && op.getDomain().empty() && llvm::is_contained(kViews, op.getOpType()) &&
          op.getInputs()[0] == work[next] && !llvm::is_contained(work, op.getResult(0)))
        work.push_back(op.getResult(0));
    }
  }
  return {};
}

std::optional<Sdpa> matchSdpa(llm::OnnxNodeOp node, Elements &elements, SdpaVariables &variables, std::string &reason) {
  return Matcher(node, elements, variables, reason).run();
}

} // namespace llmc::raise
