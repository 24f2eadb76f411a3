// Which scheme each weight gets. Rules now; the measured choice replaces `schemeFor` and nothing else.
#include "dialects/llm/Llm.h"
#include "passes/Passes.h"
#include "passes/support/Rewrite.h"
#include "passes/support/Schemes.h"

namespace llmc {
#define GEN_PASS_DEF_WQASSIGN
#include "passes/Passes.h.inc"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using wq::SchemeAttr;

namespace {

/// Narrower models compute with 16-bit activations by default, where the target has kernels for them, else with f32.
/// SmolLM2-135M (hidden 576): int8 rows change the next-token distribution by a mean KLD of 0.002 and turn near-ties,
/// so that a greedy answer differs; bf16 rows change it by 1e-4.
constexpr int64_t kInt8Hidden = 1024;

/// Of the option.
constexpr int64_t kDefaultGroupSize = 32;

/// What a weight is used for in @step.
struct Use {
  bool linear = false, embed = false, head = false, router = false;
};

struct WqAssign : impl::WqAssignBase<WqAssign> {
  using WqAssignBase::WqAssignBase;

  void runOnOperation() override {
    if (failed(checkOptions())) return signalPassFailure();
    SymbolTable symbols(getOperation());
    llvm::MapVector<llm::WeightOp, Use> uses = collectUses(symbols);
    std::string mode = quantize;
    if (mode == "auto") {
      bool encoded = llvm::any_of(uses, [](auto &entry) { return isEncoded(entry.first); });
      mode = encoded ? "keep" : "int4";
    }
    if (mode == "keep" && (groupSize != kDefaultGroupSize || asymmetric))
      reportRefusal(
          getOperation().getLoc(), getArgument(),
          "the weights are kept as the file has them: the group size or zero points asked for have no effect; "
          "quantize=int4 or int8 makes new ones");
    bool integers = false;
    for (auto &[weight, use] : uses) {
      SchemeAttr scheme = schemeFor(weight, use, mode);
      weight->setAttr(kSchemeAttr, scheme);
      integers |= use.linear && scheme.isInteger();
    }
    auto hidden = getOperation()->getAttrOfType<IntegerAttr>(llm::kHidden);
    bool robust = !hidden || hidden.getInt() >= kInt8Hidden;
    std::string mathMode = compute == "auto" ? (!integers ? "f32" : robust ? "int8" : "bf16") : std::string(compute);
    getOperation()->setAttr(kComputeAttr, StringAttr::get(&getContext(), mathMode));
  }

private:
  /// The logits, or what is scaled to be them.
  static bool makesLogits(Operation *op) {
    return llvm::any_of(op->getUsers(), [](Operation *user) {
      return isa<func::ReturnOp>(user) || (isa<llm::ScaleOp>(user) && makesLogits(user));
    });
  }
  static bool isEncoded(llm::WeightOp weight) { return isa<wq::EncodedType>(weight.getTensorType().getElementType()); }

  LogicalResult checkOptions() {
    if (!llvm::is_contained({"auto", "keep", "int8", "int4"}, quantize.getValue()))
      return getOperation().emitError("quantize: found '")
             << quantize.getValue() << "', expected auto, keep, int8 or int4";
    if (compute != "auto" && !llvm::is_contained(kComputeModes, compute.getValue()))
      return getOperation().emitError("compute: found '")
             << compute.getValue() << "', expected auto or one of " << llvm::join(llvm::ArrayRef(kComputeModes), ", ");
    if (!llvm::is_contained({16, 32, 64, 128, 256}, groupSize.getValue()))
      return getOperation().emitError("group-size: found ")
             << groupSize.getValue() << ", expected 16, 32, 64, 128 or 256";
    return success();
  }

  llvm::MapVector<llm::WeightOp, Use> collectUses(SymbolTable &symbols) {
    llvm::MapVector<llm::WeightOp, Use> uses;
    getOperation().walk([&](llm::GetWeightOp get) {
      auto weight = symbols.lookup<llm::WeightOp>(get.getWeight());
      if (!weight || weight.getTensorType().getRank() != 2) return;
      Use &use = uses[weight];
      for (Operation *user : get->getUsers()) {
        use.embed |= isa<llm::EmbedOp>(user);
        use.linear |= isa<llm::MoeOp>(user);
        if (auto linear = dyn_cast<llm::LinearOp>(user)) {
          use.linear = true;
          use.head |= makesLogits(linear);
          use.router |= llvm::any_of(linear->getUsers(), [](Operation *u) { return isa<llm::MoeOp>(u); });
        }
      }
    });
    return uses;
  }

  SchemeAttr schemeFor(llm::WeightOp weight, Use use, StringRef mode) {
    Type element = weight.getTensorType().getElementType();
    // A router is small, and an error there chooses another expert.
    if (mode == "keep" || use.router)
      return isEncoded(weight) ? wq::exactScheme(cast<wq::EncodedType>(element)) : wq::floatScheme(element);
    bool sensitive = use.head || use.embed;
    wq::Kind kind = mode == "int8" || sensitive ? wq::Kind::I8 : wq::Kind::I4;
    int64_t group = sensitive && mode == "int4" ? std::min<int64_t>(groupSize, 32) : int64_t(groupSize);
    return SchemeAttr::get(&getContext(), kind, group, wq::ScaleType::F16,
                           asymmetric ? wq::Offset::ZeroPoint : wq::Offset::None);
  }
};

} // namespace
} // namespace llmc
