// How the rows that linears read are stored: by compute mode, weight and what the target's kernels take.
#include "dialects/llm/Llm.h"
#include "dialects/wq/Wq.h"
#include "llmc_kernel.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "passes/Passes.h"
#include "passes/select/Descriptors.h"
#include "passes/support/Formats.h"
#include "passes/support/Rewrite.h"
#include "passes/support/Schemes.h"

namespace llmc {
#define GEN_PASS_DEF_CHOOSEROWFORMATS
#include "passes/Passes.h.inc"

using namespace mlir;

namespace {

/// Rows of a typical step of many rows, for costs.
constexpr int64_t kManyRows = 512;

/// wq.linear, llm.glu_linear or llm.experts: x, w, then what else there is.
bool isLinear(Operation *op) { return isa<wq::LinearOp, llm::GluLinearOp, llm::ExpertsOp>(op); }

std::optional<WeightFormat> formatOf(Value weight) {
  Type element = cast<RankedTensorType>(weight.getType()).getElementType();
  if (auto quant = dyn_cast<wq::QuantType>(element)) return toWeightFormat(quant.getScheme());
  if (auto packed = dyn_cast<wq::PackedType>(element)) return toWeightFormat(packed.getScheme());
  return std::nullopt;
}

/// The output head: a rounding error there reaches the logits as it is.
bool isHead(Operation *linear) {
  return llvm::any_of(linear->getUsers(), [](Operation *user) {
    return isa<func::ReturnOp>(user) || (isa<llm::ScaleOp>(user) && isHead(user)); // scaled or bounded logits
  });
}

/// A router: a rounding error there chooses another expert.
bool isRouter(Operation *linear) {
  return llvm::any_of(linear->getUses(), [](OpOperand &use) {
    auto experts = dyn_cast<llm::ExpertsOp>(use.getOwner());
    return experts && experts.getLogits() == use.get();
  });
}

/// What `linear` computes of its first input, but for the rows.
MatmulDesc describe(Operation *linear) {
  MatmulDesc d;
  auto shape = cast<RankedTensorType>(linear->getOperand(1).getType());
  d.n = shape.getDimSize(0), d.k = shape.getDimSize(1), d.w = *formatOf(linear->getOperand(1));
  if (auto glu = dyn_cast<llm::GluLinearOp>(linear)) d.glu = true, d.activation = Activation(glu.getActivation());
  if (auto experts = dyn_cast<llm::ExpertsOp>(linear))
    d.glu = true, d.activation = Activation(experts.getActivation()), d.n /= experts.numExperts();
  return d;
}

/// What the experts compute of the rows between their two matrices.
MatmulDesc describeDown(llm::ExpertsOp experts) {
  MatmulDesc d;
  auto shape = cast<RankedTensorType>(experts.getDown().getType());
  d.n = shape.getDimSize(0) / experts.numExperts(), d.k = shape.getDimSize(1), d.w = *formatOf(experts.getDown());
  return d;
}

constexpr llvm::StringLiteral kRequantised = "int8-requantised";

/// How a linear may compute in steps of few or of many rows.
struct Choice {
  RowFormat x = RowFormat::F32;
  bool requantise = false;
};

/// What the mode allows, the least exact first. 16-bit rows are more exact than q8 ones, so int8 allows them. A head in
/// int8 takes q8 rows in steps of many rows only, where it was a third of the time: SmolLM2, KL divergence from f32,
/// 0.0031 with q8 rows in its head, 0.0022 with f32 or bf16 ones.
SmallVector<Choice> candidates(StringRef compute, const WeightFormat &w, bool few, bool head) {
  using Kind = RowFormat::Kind;
  auto halves = [&](Kind kind) { return RowFormat{kind, 0, w.kind}; };
  if (compute.starts_with("int8") && head) {
    SmallVector<Choice> choices = {{halves(Kind::BF16)}, {halves(Kind::F16)}, {RowFormat::F32}};
    if (!few && w.isInteger()) choices.push_back({RowFormat::Q8});
    return choices;
  }
  if (compute == "bf16") return {{halves(Kind::BF16)}};
  if (compute == "bf16-pair") return {{halves(Kind::BF16Pair)}};
  if (compute == "f16") return {{halves(Kind::F16)}};
  if (!compute.starts_with("int8") || !w.isInteger()) return {};
  if (few) return {{RowFormat::Q8}};
  // A scale per group, at most 128 k of them: what a scale costs grows faster than what wider blocks lose in accuracy.
  int64_t block = w.group % 128 == 0 ? 128 : w.group % 64 == 0 ? 64 : kActivationBlock;
  SmallVector<Choice> choices;
  // SmolLM2, KL divergence from f32: 0.011 with rows in blocks of 128, 0.015 of 256, 0.024 of 512.
  if (compute == kRequantised) choices = {{RowFormat::q8(256), true}, {RowFormat::q8(128), true}};
  choices.append({{RowFormat::q8(block)}, {halves(Kind::F16)}, {halves(Kind::BF16)}, {RowFormat::Q8}});
  return choices;
}

struct ChooseRowFormats : impl::ChooseRowFormatsBase<ChooseRowFormats> {
  using ChooseRowFormatsBase::ChooseRowFormatsBase;

  void runOnOperation() override {
    auto mode = getOperation()->getParentOfType<ModuleOp>()->getAttrOfType<StringAttr>(kComputeAttr);
    if (!mode || mode.getValue() == "f32") return;
    llvm::Expected<Target> found = findTarget(target);
    if (!found) {
      getOperation().emitError(llvm::toString(found.takeError()));
      return signalPassFailure();
    }
    OpBuilder builder(&getContext());
    DenseMap<std::pair<Value, Type>, Value> stored; // lookup only
    getOperation().walk([&](Operation *linear) {
      if (!isLinear(linear)) return;
      auto experts = dyn_cast<llm::ExpertsOp>(linear);
      if (experts && formatOf(experts.getDown())) // requantised weights pay off where a weight meets many rows
        if (Type rows = rowsType(linear, describeDown(experts), exactScales(mode.getValue()), *found).first)
          experts.setHidden(rows);
      Value x = linear->getOperand(0);
      auto type = cast<RankedTensorType>(x.getType());
      if (!formatOf(linear->getOperand(1)) || isRouter(linear) || !type.getElementType().isF32()) return;
      StringRef allowed = experts ? exactScales(mode.getValue()) : mode.getValue();
      auto [rowsType, requantise] = this->rowsType(linear, describe(linear), allowed, *found);
      if (requantise) linear->setAttr(kRequantiseAttr, builder.getUnitAttr());
      if (!rowsType) return;
      Value &rows = stored[{x, rowsType}];
      if (!rows) {
        builder.setInsertionPoint(linear);
        rows = wq::QuantizeRowsOp::create(builder, linear->getLoc(), type.clone(rowsType), x);
      }
      linear->setOperand(0, rows);
    });
  }

private:
  wq::RowFormatAttr format(RowFormat f) {
    wq::RowFormatAttr attr = toAttr(&getContext(), f);
    return attr ? attr : wq::RowFormatAttr::get(&getContext(), wq::RowKind::F32);
  }

  static StringRef exactScales(StringRef mode) { return mode == kRequantised ? "int8" : mode; }

  /// The rows of a linear, null for f32; and whether steps of many rows requantise its weights.
  std::pair<Type, bool> rowsType(Operation *linear, const MatmulDesc &d, StringRef mode, const Target &t) {
    RowFormat few = choose(linear, d, mode, true, t).x;
    auto [many, requantise] = choose(linear, d, mode, false, t);
    if (few == RowFormat::F32 && many == RowFormat::F32) return {Type(), requantise};
    return {wq::RowsType::get(&getContext(), format(few), format(many)), requantise};
  }

  /// The format whose best kernel costs least; f32 where none of the mode's has a kernel of its own.
  Choice choose(Operation *linear, MatmulDesc d, StringRef mode, bool few, const Target &t) {
    d.minRows = few ? 1 : kManyRows, d.maxRows = few ? 1 : INT64_MAX;
    d.yStride = rowStride(RowFormat::F32, roundUp(d.n, kPanel));
    std::optional<Choice> best;
    double bestCost = 0;
    SmallVector<Choice> choices = candidates(mode, d.w, few, isHead(linear));
    for (const Choice &choice : choices) {
      d.x = choice.x, d.xStride = rowStride(choice.x, d.k), d.requantise = choice.requantise;
      const Kernel<MatmulDesc> *kernel = select(d, t);
      // The portable kernel of 16-bit rows converts them: worth nothing where it is the only one.
      bool converts = choice.x != RowFormat::Q8 && choice.x != RowFormat::F32;
      if (!kernel || (kernel->anyArch && converts)) continue;
      double cost = kernel->cost(d, t);
      if (!best || cost < bestCost) best = choice, bestCost = cost;
    }
    if (!best && !choices.empty())
      reportRefusal(linear->getLoc(), getArgument(),
                    "no kernel of " + t.name + " takes " + choices.front().x.name() + " rows with " + d.w.name() +
                        " weights; f32 rows are used");
    bool exact = best && best->x != RowFormat::F32 && !best->requantise && d.w.group < d.k;
    if (!few && mode == kRequantised && exact && !isHead(linear))
      reportRefusal(linear->getLoc(), getArgument(),
                    "no kernel of " + t.name + " requantises " + d.w.name() +
                        " weights at a gain; their exact group scales are used");
    return best.value_or(Choice{});
  }
};

} // namespace
} // namespace llmc
