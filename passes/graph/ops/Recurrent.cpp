// RNN, GRU, LSTM: the recurrence in f32 (or f64), step by step; gates as ONNX orders them.
#include "passes/graph/Building.h"
#include "passes/graph/Lowerings.h"
#include "passes/graph/Scalar.h"
#include "passes/graph/Window.h"

using namespace mlir;

namespace llmc::graph {
namespace {

using Activation = std::function<Scalar(Scalar)>;

llvm::Expected<Activation> activationOf(StringRef name, double alpha, double beta, bool hasAlpha, bool hasBeta) {
  auto or_ = [](bool has, double value, double absent) { return has ? value : absent; };
  double a, c;
  if (name.equals_insensitive("Sigmoid")) return Activation(sigmoid);
  if (name.equals_insensitive("Tanh")) return Activation([](Scalar x) { return tanh(x); });
  if (name.equals_insensitive("Relu")) return Activation([](Scalar x) { return maximum(x, constantLike(x, 0)); });
  if (name.equals_insensitive("Affine"))
    return a = or_(hasAlpha, alpha, 1), c = or_(hasBeta, beta, 0), Activation([=](Scalar x) { return x * a + c; });
  if (name.equals_insensitive("LeakyRelu"))
    return a = or_(hasAlpha, alpha, 0.01), Activation([=](Scalar x) { return select(x < 0, x * a, x); });
  if (name.equals_insensitive("HardSigmoid"))
    return a = or_(hasAlpha, alpha, 0.2), c = or_(hasBeta, beta, 0.5),
           Activation([=](Scalar x) { return maximum(minimum(x * a + c, constantLike(x, 1)), constantLike(x, 0)); });
  if (name.equals_insensitive("Elu"))
    return a = or_(hasAlpha, alpha, 1), Activation([=](Scalar x) { return select(x < 0, (exp(x) - 1) * a, x); });
  if (name.equals_insensitive("Softsign")) return Activation([](Scalar x) { return x / (abs(x) + 1); });
  if (name.equals_insensitive("Softplus")) return Activation([](Scalar x) { return log(exp(x) + 1); });
  return refuse("activations: found '" + name + "', expected one of ONNX's");
}

/// What the three operators share: x [steps, batch, input], w [directions, gates * hidden, input], r [directions,
/// gates * hidden, hidden], b [directions, 2 * gates * hidden], lengths [batch], initial h and c [directions, batch,
/// hidden]. With layout 1 the batch comes first everywhere.
struct Recurrence {
  NodeLowering &n;
  Builder &b;
  Array x, w, r;
  int64_t gates, directions;
  bool batchFirst, firstIsReverse;
  Scalar steps, batch, hidden, inputs;
  Type type;
  SmallVector<Activation> activations; // of all directions

  Scalar input(Scalar step, Scalar row, Scalar column) const {
    return convert(batchFirst ? x({row, step, column}) : x({step, row, column}), type);
  }
  Scalar initial(unsigned operand, Scalar direction, Scalar row, Scalar unit) const {
    if (!n.has(operand)) return constant(b, type, 0);
    Array start = array(n, operand);
    return convert(batchFirst ? start({row, direction, unit}) : start({direction, row, unit}), type);
  }
  Scalar length(Scalar row) const { return n.has(4) ? toIndex(array(n, 4)(row)) : steps; }
  Scalar bias(Scalar direction, Scalar place) const {
    return n.has(3) ? convert(array(n, 3)({direction, place}), type) : constant(b, type, 0);
  }
  /// w x + its bias, and r h + its bias, of a gate's unit.
  Scalar fromInput(Scalar direction, int64_t gate, Scalar unit, Scalar step, Scalar row) const {
    Scalar place = hidden * double(gate) + unit;
    return fold(index(b, 0), inputs, bias(direction, place), [&](Scalar k, Scalar sum) {
      return sum + input(step, row, k) * convert(w({direction, place, k}), type);
    });
  }
  Scalar fromState(Scalar direction, int64_t gate, Scalar unit, llvm::function_ref<Scalar(Scalar)> state) const {
    Scalar place = hidden * double(gate) + unit;
    return fold(index(b, 0), hidden, bias(direction, place + hidden * double(gates)),
                [&](Scalar k, Scalar sum) { return sum + state(k) * convert(r({direction, place, k}), type); });
  }
};

/// The operands agree, and the lengths are in 0..steps.
llvm::Error checkOperands(const Recurrence &p) {
  NodeLowering &n = p.n;
  Builder &b = p.b;
  Scalar directions = index(b, p.directions), rows = p.hidden * double(p.gates);
  Scalars start = {directions, p.batch, p.hidden};
  if (p.batchFirst) start = {p.batch, directions, p.hidden};
  if (llvm::Error error = require(n, {{1, "W", {directions, rows, p.inputs}},
                                      {2, "R", {directions, rows, p.hidden}},
                                      {3, "B", {directions, rows * 2}},
                                      {4, "sequence_lens", {p.batch}},
                                      {5, "initial_h", start},
                                      {6, "initial_c", start},
                                      {7, "P", {directions, p.hidden * 3}}}))
    return error;
  int64_t asked = n.intAttr("hidden_size", 0);
  if (asked)
    if (llvm::Error error = require(n, {{2, "R against hidden_size", {directions, rows, index(b, asked)}}}))
      return error;
  if (!n.has(4)) return llvm::Error::success();
  Scalar fit = fold(index(b, 0), p.batch, always(b, true), [&](Scalar row, Scalar fit) {
    Scalar length = p.length(row);
    return fit & (length >= 0) & (length <= p.steps);
  });
  check(n, fit.value, "sequence_lens: a length is not in 0..steps");
  return llvm::Error::success();
}

llvm::Expected<Recurrence> recurrenceOf(NodeLowering &n, int64_t gates, ArrayRef<StringRef> defaults) {
  Builder &b = n.b;
  StringRef direction = n.stringAttr("direction", "forward");
  int64_t directions = direction == "bidirectional" ? 2 : 1;
  bool batchFirst = n.intAttr("layout", 0);
  Array x = array(n, 0), w = array(n, 1), r = array(n, 2);
  if (x.rank() != 3 || w.rank() != 3 || r.rank() != 3) return refuse("an operand whose rank is not 3");
  if (n.node.getOnnxAttributes().contains("clip")) return refuse("clip is not supported");
  Recurrence made = {n,
                     b,
                     x,
                     w,
                     r,
                     gates,
                     directions,
                     batchFirst,
                     direction == "reverse",
                     x.size(batchFirst ? 1 : 0),
                     x.size(batchFirst ? 0 : 1),
                     r.size(2),
                     x.size(2),
                     sumType(x.element()),
                     {}};
  SmallVector<StringRef> names;
  for (int64_t i = 0; i < directions; ++i) names.append(defaults.begin(), defaults.end());
  if (auto given = n.node.getOnnxAttributes().getAs<ArrayAttr>("activations")) {
    if (given.size() != names.size())
      return refuse("activations: found " + Twine(given.size()) + ", expected " + Twine(names.size()));
    for (auto [name, attr] : llvm::zip_equal(names, given.getAsRange<StringAttr>())) name = attr.getValue();
  }
  auto alphas = n.floatsAttr("activation_alpha"), betas = n.floatsAttr("activation_beta");
  for (auto [i, name] : llvm::enumerate(names)) {
    bool hasAlpha = alphas && i < alphas->size(), hasBeta = betas && i < betas->size();
    auto activation = activationOf(name, hasAlpha ? (*alphas)[i] : 0, hasBeta ? (*betas)[i] : 0, hasAlpha, hasBeta);
    if (!activation) return activation.takeError();
    made.activations.push_back(*activation);
  }
  if (llvm::Error error = checkOperands(made)) return error;
  return made;
}

/// The state of a unit after a step, from those before: (h', c') or (h').
using Cell =
    llvm::function_ref<Scalars(int64_t direction, Scalar step, Scalar row, Scalar unit, ArrayRef<Array> before)>;

/// Runs the cell over all steps. `states` tensors [batch, hidden] are carried; results y, y_h and y_c.
llvm::Expected<Values> recur(const Recurrence &p, unsigned states, ArrayRef<unsigned> initialOperands, Cell cell) {
  Builder &b = p.b;
  Scalar directions = index(b, p.directions), zero = index(b, 0);
  Scalars ySizes = {p.steps, directions, p.batch, p.hidden}, hSizes = {directions, p.batch, p.hidden};
  if (p.batchFirst) ySizes = {p.batch, p.steps, directions, p.hidden}, hSizes = {p.batch, directions, p.hidden};
  Value y = filled(ySizes, constant(b, p.x.element(), 0));
  SmallVector<Value> last(states, empty(b, hSizes, p.x.element()));
  for (int64_t d = 0; d < p.directions; ++d) {
    bool reverse = p.firstIsReverse || d == 1;
    Scalar direction = index(b, d);
    Values carried = {y};
    for (unsigned s = 0; s < states; ++s)
      carried.push_back(tabulate(b, {p.batch, p.hidden}, p.type,
                                 [&](ScalarRef i) { return p.initial(initialOperands[s], direction, i[0], i[1]); }));
    carried = loop(zero, p.steps, carried, [&](Scalar t, ValueRange state) {
      SmallVector<Array> before;
      for (Value tensor : state.drop_front()) before.push_back(array(b, tensor));
      auto stepOf = [&](Scalar row) { return reverse ? p.length(row) - 1 - t : t; };
      Values next = {state[0]};
      for (unsigned s = 0; s < states; ++s)
        next.push_back(tabulate(b, {p.batch, p.hidden}, p.type, [&](ScalarRef i) {
          return when(
              t < p.length(i[0]), [&] { return cell(d, stepOf(i[0]), i[0], i[1], before)[s]; },
              [&] { return before[s](i); });
        }));
      Array h = array(b, next[1]);
      next[0] = forEach({p.batch, p.hidden}, state[0], [&](ScalarRef i, Value y) {
        Scalar live = t < p.length(i[0]), step = select(live, stepOf(i[0]), t);
        Scalar value = select(live, convert(h(i), p.x.element()), constant(b, p.x.element(), 0));
        Scalars at = {step, direction, i[0], i[1]};
        if (p.batchFirst) at = {i[0], step, direction, i[1]};
        return store(y, at, value);
      });
      return next;
    });
    y = carried[0];
    for (unsigned s = 0; s < states; ++s)
      last[s] = forEach({p.batch, p.hidden}, last[s], [&](ScalarRef i, Value tensor) {
        Scalars at = {direction, i[0], i[1]};
        if (p.batchFirst) at = {i[0], direction, i[1]};
        return store(tensor, at, convert(array(b, carried[s + 1])(i), p.x.element()));
      });
  }
  Values results(p.n.node.getNumResults());
  results[0] = y;
  for (unsigned s = 0; s < states && s + 1 < results.size(); ++s) results[s + 1] = last[s];
  return results;
}

llvm::Expected<Values> lowerRnn(NodeLowering &n) {
  auto p = recurrenceOf(n, 1, {"Tanh"});
  if (!p) return p.takeError();
  return recur(*p, 1, {5}, [&](int64_t d, Scalar step, Scalar row, Scalar unit, ArrayRef<Array> before) {
    Scalar direction = index(n.b, d);
    auto h = [&](Scalar k) { return before[0]({row, k}); };
    return Scalars{
        p->activations[d](p->fromInput(direction, 0, unit, step, row) + p->fromState(direction, 0, unit, h))};
  });
}

/// Gates z, r, h. The reset gate is applied to h before its product, or after with linear_before_reset.
llvm::Expected<Values> lowerGru(NodeLowering &n) {
  auto p = recurrenceOf(n, 3, {"Sigmoid", "Tanh"});
  if (!p) return p.takeError();
  bool after = n.intAttr("linear_before_reset", 0);
  return recur(*p, 1, {5}, [&](int64_t d, Scalar step, Scalar row, Scalar unit, ArrayRef<Array> before) {
    Scalar direction = index(n.b, d);
    auto f = p->activations[2 * d], g = p->activations[2 * d + 1];
    auto h = [&](Scalar k) { return before[0]({row, k}); };
    auto gate = [&](int64_t which, Scalar u) {
      return f(p->fromInput(direction, which, u, step, row) + p->fromState(direction, which, u, h));
    };
    Scalar z = gate(0, unit), fresh = p->fromInput(direction, 2, unit, step, row);
    if (after)
      fresh = g(fresh + gate(1, unit) * p->fromState(direction, 2, unit, h));
    else
      fresh = g(fresh + p->fromState(direction, 2, unit, [&](Scalar k) { return gate(1, k) * h(k); }));
    return Scalars{(constantLike(z, 1) - z) * fresh + z * h(unit)};
  });
}

/// Gates i, o, f, c; peepholes [directions, 3 * hidden] for i, o, f.
llvm::Expected<Values> lowerLstm(NodeLowering &n) {
  auto p = recurrenceOf(n, 4, {"Sigmoid", "Tanh", "Tanh"});
  if (!p) return p.takeError();
  bool coupled = n.intAttr("input_forget", 0);
  return recur(*p, 2, {5, 6}, [&](int64_t d, Scalar step, Scalar row, Scalar unit, ArrayRef<Array> before) {
    Scalar direction = index(n.b, d);
    auto f = p->activations[3 * d], g = p->activations[3 * d + 1], out = p->activations[3 * d + 2];
    auto h = [&](Scalar k) { return before[0]({row, k}); };
    Scalar old = before[1]({row, unit});
    auto linear = [&](int64_t gate) {
      return p->fromInput(direction, gate, unit, step, row) + p->fromState(direction, gate, unit, h);
    };
    auto peep = [&](int64_t gate, Scalar cell) {
      if (!n.has(7)) return constant(n.b, p->type, 0);
      return convert(array(n, 7)({direction, p->hidden * double(gate) + unit}), p->type) * cell;
    };
    Scalar input = f(linear(0) + peep(0, old));
    Scalar forget = coupled ? constantLike(input, 1) - input : f(linear(2) + peep(2, old));
    Scalar cell = forget * old + input * g(linear(3));
    Scalar output = f(linear(1) + peep(1, cell));
    return Scalars{output * out(cell), cell};
  });
}

constexpr Lowering kRows[] = {{"", "GRU", lowerGru}, {"", "LSTM", lowerLstm}, {"", "RNN", lowerRnn}};
} // namespace

llvm::ArrayRef<Lowering> recurrentLowerings() { return kRows; }

} // namespace llmc::graph
