#include "passes/raise/HeadRows.h"
#include <cmath>

using namespace mlir;

namespace llmc::raise {
namespace {

/// number * the rest.
std::pair<double, Scalar> numberOf(ScalarPool &s, Scalar x) {
  if (x->form == Form::Real && x->operands.size() == 1 && x->reals[0] == 0) return {x->reals[1], x->operands[0]};
  if (x->real()) return {*x->real(), s.real(1)};
  return {1, x};
}
ArrayRef<Scalar> factorsOf(const Scalar &x) {
  return x->form == Form::Product ? ArrayRef<Scalar>(x->operands) : ArrayRef<Scalar>(x);
}
/// Whether it is an element of a row of this token: of what is no node any more.
bool isRow(Scalar x, Scalar token) {
  return x->form == Form::Element && x->operands.size() == 2 && x->operands[0] == token &&
         !x->tensor.getDefiningOp<llm::OnnxNodeOp>();
}
/// Such elements in sums and products.
void rowElements(Scalar x, Scalar token, SmallVectorImpl<Scalar> &out) {
  if (isRow(x, token)) {
    if (!llvm::is_contained(out, x)) out.push_back(x);
  } else if (x->form == Form::Real || x->form == Form::Product) {
    for (Scalar operand : x->operands) rowElements(operand, token, out);
  }
}

class Reader {
public:
  Reader(Elements &e, const HeadQuery &q, std::string &reason) : e(e), s(e.pool()), q(q), reason(reason) {}
  std::optional<HeadRows> read(Scalars &probes);

private:
  /// The expression of channel `d` as `rows` has it.
  Scalar express(Scalar d);
  /// Sets what does not depend on the channel from channel `d`.
  bool take(Scalar x, Scalar d);
  bool matchPlain(Scalar first, Scalar count, double &factor, Scalars &probes);
  bool matchRope(int64_t pairs, bool interleaved, double &factor, Scalars &probes);
  bool readFrequencies(Scalar angle, Scalar pair, int64_t pairs, llm::RopeStyle style);
  bool readColumns();
  bool refuse(const Twine &why) {
    if (reason.empty()) reason = why.str();
    return false;
  }

  Elements &e;
  ScalarPool &s;
  const HeadQuery &q;
  std::string &reason;
  HeadRows rows;
  Scalar base = nullptr; // the column of channel 0
};

bool Reader::take(Scalar x, Scalar d) {
  if (!isRow(x, q.token)) return refuse("a channel is not one of rows: " + print(x));
  rows.rows = x->tensor;
  base = s.subtract(x->operands[1], d);
  return true;
}

Scalar Reader::express(Scalar d) { return s.element(rows.rows, {q.token, s.add(base, d)}); }

/// Channels first .. first + count: factor * x.
bool Reader::matchPlain(Scalar first, Scalar count, double &factor, Scalars &probes) {
  Scalar at = s.index(count), d = s.add(first, at), x = q.channel(d);
  if (!x) return refuse("a channel that is not known");
  auto [number, rest] = numberOf(s, x);
  if (!rows.rows && !take(rest, d)) return false;
  if (rest != express(d)) return refuse("its channels are not columns of one linear in order: " + print(x));
  factor = number;
  probes.push_back(d);
  return true;
}

/// A sum of x1 cos and x2 sin, each times a number.
struct Rotated {
  Scalar x[2] = {}, angle[2] = {};
  double factor[2] = {};
};
std::optional<Rotated> rotated(ScalarPool &s, Scalar sum) {
  if (!sum || sum->form != Form::Real || sum->operands.size() != 2 || sum->reals[0] != 0) return std::nullopt;
  Rotated out;
  for (unsigned term = 0; term < 2; ++term) {
    Scalar rest = s.real(1), turn = nullptr;
    for (Scalar factor : factorsOf(sum->operands[term])) {
      bool isTurn = factor->form == Form::Function && (factor->name == "cos" || factor->name == "sin");
      if (isTurn && turn) return std::nullopt;
      isTurn ? turn = factor : rest = s.multiplyReal(rest, factor);
    }
    if (!turn) return std::nullopt;
    unsigned side = turn->name == "sin";
    if (out.angle[side]) return std::nullopt;
    out.x[side] = rest, out.angle[side] = turn->operands[0], out.factor[side] = sum->reals[term + 1];
  }
  return out;
}

/// Channels 0 .. 2 * pairs.
bool Reader::matchRope(int64_t pairs, bool interleaved, double &factor, Scalars &probes) {
  Scalar pair = s.index(s.integer(pairs));
  Scalar first = interleaved ? s.multiply(pair, s.integer(2)) : pair,
         second = s.add(first, s.integer(interleaved ? 1 : pairs));
  Scalar a = q.channel(first), b = q.channel(second);
  std::optional<Rotated> turn = rotated(s, a);
  if (!turn) return refuse("a channel is no sum of a cosine and a sine: " + print(a));
  if (turn->angle[0] != turn->angle[1] || turn->factor[1] != -turn->factor[0] || !take(turn->x[0], first))
    return refuse("its channels are not rotated as a rotary embedding does: " + print(a));
  factor = turn->factor[0];
  Scalar x = express(first), y = express(second), cos = s.function("cos", turn->angle[0]),
         sin = s.function("sin", turn->angle[0]), times = s.real(factor);
  auto sum = [&](Scalar p, Scalar q, double sign) {
    return s.addReal(s.multiplyReal(times, s.multiplyReal(p, cos)),
                     s.multiplyReal(s.multiplyReal(s.real(sign), times), s.multiplyReal(q, sin)));
  };
  if (a != sum(x, y, -1)) return refuse("its channels are not rotated as a rotary embedding does: " + print(a));
  if (b != sum(y, x, 1)) return refuse("its channels are not rotated as a rotary embedding does: " + print(b));
  probes.push_back(first), probes.push_back(second);
  return readFrequencies(turn->angle[0], pair, pairs, interleaved ? llm::RopeStyle::Interleaved : llm::RopeStyle::Half);
}

/// angle = position * frequency(pair).
bool Reader::readFrequencies(Scalar angle, Scalar pair, int64_t pairs, llm::RopeStyle style) {
  auto [number, rest] = numberOf(s, angle);
  Scalar position = s.toReal(q.position), frequency = s.real(number);
  unsigned positions = 0;
  for (Scalar factor : factorsOf(rest)) {
    if (factor == position)
      ++positions;
    else
      frequency = s.multiplyReal(frequency, factor);
  }
  if (positions != 1) return refuse("the angle is not the position times a frequency: " + print(angle));
  visit(frequency, [&](Scalar part) {
    auto tensor = part->form == Form::Element ? part->tensor.getDefiningOp<llm::OnnxTensorOp>() : llm::OnnxTensorOp();
    if (tensor && tensor.getRopeAttr()) rows.table = tensor.getY();
  });
  SmallVector<F32> frequencies;
  for (int64_t k = 0; k < pairs; ++k) {
    std::optional<double> value = e.number(s.substitute(frequency, pair, s.integer(k)));
    if (!value || !std::isfinite(*value)) return refuse("a frequency is not a number: " + print(frequency));
    frequencies.push_back(float(*value));
  }
  rows.rope = llm::RopeAttr::get(rows.rows.getContext(), 2 * pairs, style, frequencies, 1.0f, 0, 0.0f, 1.0f);
  return true;
}

/// base: begin + head * size, + head * stride, or head / group * stride + head % group * size.
bool Reader::readColumns() {
  if (q.heads == 1) {
    rows.group = 1, rows.stride = q.size;
    rows.begin = base->integer().value_or(-1);
    return rows.begin >= 0 || refuse("the first column is not a number: " + print(base));
  }
  auto at = [&](int64_t head) { return s.substitute(base, q.head, s.integer(head)); };
  Scalar begin = at(0);
  if (!begin->integer()) return refuse("the first column is not a number: " + print(base));
  rows.begin = *begin->integer();
  int64_t group = q.heads;
  visit(base, [&](Scalar part) {
    if (part->form == Form::FloorDiv && part->operands[0] == q.head) group = part->numbers[0];
  });
  Scalar size = s.integer(q.size);
  for (int64_t tried : {group, int64_t(1)}) {
    if (tried < 1 || q.heads % tried) continue;
    Scalar step = tried < q.heads ? s.subtract(at(tried), begin) : s.integer(q.heads * q.size);
    if (!step->integer()) continue;
    Scalar expected =
        s.add(begin, s.add(s.multiply(s.floorDiv(q.head, tried), step), s.multiply(s.mod(q.head, tried), size)));
    if (expected != base) continue;
    rows.group = tried, rows.stride = *step->integer();
    return true;
  }
  return refuse("its heads are not columns at equal distances: " + print(base));
}

std::optional<HeadRows> Reader::read(Scalars &probes) {
  rows.heads = q.heads, rows.size = q.size;
  auto elementsOf = [&](int64_t channel) {
    SmallVector<Scalar> found;
    if (Scalar x = q.channel(s.integer(channel))) rowElements(x, q.token, found);
    return found;
  };
  SmallVector<Scalar> zero = elementsOf(0);
  int64_t pairs = 0;
  bool interleaved = false;
  if (zero.size() == 2) {
    Scalar apart = s.subtract(zero[1]->operands[1], zero[0]->operands[1]);
    int64_t distance = std::abs(apart->integer().value_or(0));
    interleaved = distance == 1 && q.size > 2;
    pairs = distance;
    if (interleaved)
      for (pairs = q.size / 2; pairs > 1 && elementsOf(2 * pairs - 2).size() != 2;) --pairs;
    if (pairs < 1 || 2 * pairs > q.size)
      return refuse("it mixes channels, but not as a rotary embedding"), std::nullopt;
  }
  double factor = 1, tail = 1;
  if (pairs && !matchRope(pairs, interleaved, factor, probes)) return std::nullopt;
  int64_t left = q.size - 2 * pairs;
  if (left && !matchPlain(s.integer(2 * pairs), s.integer(left), tail, probes)) return std::nullopt;
  rows.factor = left ? tail : factor;
  if (pairs && left && tail != factor) {
    if (!(factor / tail > 0)) return refuse("what rotates and what does not have different signs"), std::nullopt;
    rows.rope = llm::RopeAttr::get(rows.rope.getContext(), rows.rope.getDim(), rows.rope.getStyle(),
                                   rows.rope.getInvFreq(), float(factor / tail), 0, 0.0f, 1.0f);
  }
  return readColumns() ? std::optional(rows) : std::nullopt;
}

int64_t columnsOf(Value rows) {
  auto type = dyn_cast<RankedTensorType>(rows.getType());
  return type && type.getRank() == 2 && !type.isDynamicDim(1) && type.getElementType().isF32() ? type.getDimSize(1)
                                                                                               : -1;
}
bool isWhole(const HeadRows &r) { return r.begin == 0 && r.group == r.heads && columnsOf(r.rows) == r.heads * r.size; }

WeightRows rowsOf(const HeadRows &r) {
  WeightRows rows{r.begin, r.heads * r.size};
  if (r.group < r.heads && r.stride != r.group * r.size) rows.run = r.group * r.size, rows.runStep = r.stride;
  return rows;
}

} // namespace

std::optional<HeadRows> readHeadRows(Elements &elements, const HeadQuery &query, Scalars &probes, std::string &reason) {
  return Reader(elements, query, reason).read(probes);
}

std::string refuseHeadRows(const HeadRows &r) {
  int64_t columns = columnsOf(r.rows), groups = r.group ? r.heads / r.group : 0;
  if (columns < 0 || r.begin < 0 || r.stride < 0 || !groups ||
      r.begin + (groups - 1) * r.stride + r.group * r.size > columns)
    return "its columns are not those of rows";
  if (isWhole(r)) return "";
  auto linear = r.rows.getDefiningOp<llm::LinearOp>();
  llm::WeightOp weight = linear ? weightOf(linear.getW()) : llm::WeightOp();
  if (!weight || (linear.getBias() && !weightOf(linear.getBias())))
    return "it is a part of rows that no linear with a weight makes";
  if (linear.getBias() && weightOf(linear.getBias()).getRun()) return "it is a part of a part of a bias";
  if (weight.getInterleavedHeads() || weight.getRun()) return "it is a part of a part of a weight";
  if (groups > 1 && r.stride < r.group * r.size) return "its heads lie in each other or in turn";
  return "";
}

Value emitHeadRows(PatternRewriter &rewriter, llm::OnnxNodeOp at, const HeadRows &r, Value positions, StringRef part) {
  Value x = r.rows;
  rewriter.setInsertionPoint(at);
  if (!isWhole(r)) {
    auto linear = x.getDefiningOp<llm::LinearOp>();
    Value w = sliceWeight(rewriter, at, linear.getW(), rowsOf(r), part);
    Value bias = linear.getBias() ? sliceWeight(rewriter, at, linear.getBias(), rowsOf(r), part) : Value();
    x = llm::LinearOp::create(rewriter, linear.getLoc(), rowsType(rewriter.getContext(), r.heads * r.size),
                              linear.getX(), w, bias);
  }
  if (r.rope)
    x = llm::RopeOp::create(rewriter, at.getLoc(), x.getType(), x, positions, rewriter.getI64IntegerAttr(r.heads),
                            r.rope);
  return x;
}

} // namespace llmc::raise
