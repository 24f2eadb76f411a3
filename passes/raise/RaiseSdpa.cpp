#include "passes/raise/Raise.h"
#include "passes/raise/Sdpa.h"
#include "passes/support/Rewrite.h"
#include <cmath>

namespace llmc {
#define GEN_PASS_DEF_RAISESDPA
#include "passes/raise/RaisePasses.h.inc"

using namespace mlir;
using namespace raise;

namespace {

bool isCandidate(llm::OnnxNodeOp node) { return isNode(node, "Softmax") || isNode(node, "Attention"); }

/// The scale, or 1 / sqrt(head size) where it is that but for the roundings of a graph that computes it in parts: then
/// the kernel is that of the same model from other files.
double usualScale(double scale, int64_t size) {
  double usual = 1 / std::sqrt(double(size));
  return std::abs(scale / usual - 1) < 1e-6 ? usual : scale;
}

class Raiser {
public:
  Raiser(func::FuncOp step, StringRef pass)
      : step(step), pass(pass), rewriter(step.getContext()), elements(hasCache(step)), variables(elements.pool()) {}

  void run() {
    layer = llvm::range_size(step.getOps<llm::AttentionOp>());
    SmallVector<llm::OnnxNodeOp> nodes(step.getOps<llm::OnnxNodeOp>());
    for (llm::OnnxNodeOp node : nodes) {
      std::string reason;
      if (isNode(node, "Gather") && !raisePositions(node, reason)) refuse(node, reason);
      if (!isCandidate(node)) continue;
      if (std::optional<Sdpa> sdpa = matchSdpa(node, elements, variables, reason))
        replace(node, *sdpa);
      else
        refuse(node, reason);
    }
  }

private:
  void refuse(llm::OnnxNodeOp node, StringRef reason) {
    if (reason.empty()) return;
    reportRefusal(node.getLoc(), pass, reason);
    node->setAttr(kRefusal, rewriter.getStringAttr(reason));
  }

  /// Nothing is erased: what is not read any more goes with llmc-finish-raise, and `elements` stays true.
  void replace(llm::OnnxNodeOp node, const Sdpa &sdpa) {
    auto i64 = [&](int64_t value) { return rewriter.getI64IntegerAttr(value); };
    auto f32 = [&](double value) { return rewriter.getF32FloatAttr(float(value)); };
    Value positions = step.getArgument(1);
    auto at = sdpa.y.getDefiningOp<llm::OnnxNodeOp>(); // after q, k and v
    Value q = emitHeadRows(rewriter, at, sdpa.q, positions, "q"),
          k = emitHeadRows(rewriter, at, sdpa.k, positions, "k"),
          v = emitHeadRows(rewriter, at, sdpa.v, positions, "v");
    for (const HeadRows *rows : {&sdpa.q, &sdpa.k})
      if (rows->table) boundContext(cast<RankedTensorType>(rows->table.getType()).getDimSize(0));
    rewriter.setInsertionPoint(at);
    Value y = llm::AttentionOp::create(rewriter, node.getLoc(), q.getType(), q, k, v, positions, Value(), i64(layer++),
                                       i64(sdpa.q.heads), i64(sdpa.k.heads), i64(sdpa.q.size),
                                       f32(usualScale(sdpa.scale, sdpa.q.size)), i64(sdpa.window),
                                       sdpa.alibi ? rewriter.getUnitAttr() : UnitAttr(), f32(sdpa.softcap));
    replaceByRows(rewriter, sdpa.y, y);
    // The cache is not a value any more: the outputs that it was become the inputs that it was.
    auto terminator = cast<func::ReturnOp>(step.getBody().front().getTerminator());
    for (const SdpaCache &cache : sdpa.cache) {
      Value present = terminator.getOperand(cache.output);
      auto cast = UnrealizedConversionCastOp::create(rewriter, node.getLoc(), present.getType(), cache.past);
      terminator.setOperand(cache.output, cast.getResult(0));
    }
  }

  void boundContext(int64_t rows) {
    auto module = step->getParentOfType<ModuleOp>();
    auto known = module->getAttrOfType<IntegerAttr>(llm::kMaxContext);
    if (!known || known.getInt() > rows) module->setAttr(llm::kMaxContext, rewriter.getI64IntegerAttr(rows));
  }

  /// Gather(table, positions + offset): false if it gathers by position and is refused.
  bool raisePositions(llm::OnnxNodeOp gather, std::string &reason) {
    llm::OnnxTensorOp table = floatTensor(gather.getInputs()[0], 2);
    if (!table || intAttr(gather, "axis", 0) != 0) return true;
    ScalarPool &s = elements.pool();
    int64_t rows = table.getType().getDimSize(0), columns = table.getType().getDimSize(1);
    Scalar i = variables.index('i', elements.newTokens()), column = variables.index('c', s.integer(columns));
    Scalar element = nullptr;
    auto isRows = [&](Value value) {
      const std::optional<Scalars> &sizes = elements.shape(value);
      if (!sizes || sizes->size() != 3 || !sizes->back() || sizes->back()->integer() != columns) return false;
      element = elements.at(value, {s.integer(0), i, column});
      return element->form == Form::Element && element->tensor == table.getY() && element->operands[1] == column;
    };
    Value y = findView(gather.getResult(0), isRows);
    std::optional<int64_t> first;
    if (y) first = s.subtract(element->operands[0], s.add(elements.pastTokens(), i))->integer();
    if (!first) return true; // by tokens, or by what is known as neither
    if (*first < 0 || *first >= rows) return reason = "positions begin at row " + std::to_string(*first), false;
    WeightSpec spec;
    spec.name = weightName(table.getName(), "");
    spec.type = RankedTensorType::get({rows - *first, columns}, table.getType().getElementType());
    spec.storage = {table.getStorage()};
    if (*first) spec.storedRows = rows, spec.rowBegin = *first;
    Value weight = makeWeight(rewriter, gather, spec);
    rewriter.setInsertionPoint(gather);
    replaceByRows(rewriter, y,
                  llm::EmbedOp::create(rewriter, gather.getLoc(), rowsType(rewriter.getContext(), columns),
                                       step.getArgument(1), weight, rewriter.getF32FloatAttr(1.0f)));
    boundContext(rows - *first);
    return true;
  }

  func::FuncOp step;
  StringRef pass;
  PatternRewriter rewriter;
  Elements elements;
  SdpaVariables variables;
  int64_t layer = 0;
};

struct RaiseSdpa : impl::RaiseSdpaBase<RaiseSdpa> {
  void runOnOperation() override {
    auto step = getOperation().lookupSymbol<func::FuncOp>(llm::kStep);
    if (!step || step.isExternal() || !isImportedGraph(step)) return;
    Raiser(step, getArgument()).run();
  }
};

} // namespace
} // namespace llmc
