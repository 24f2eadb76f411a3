// Two times: what depends on weights alone moves to @pack, and the step reads packed weights by symbol.
#include "codegen/Descriptor.h"
#include "dialects/llm/Llm.h"
#include "mlir/IR/IRMapping.h"
#include "passes/Passes.h"
#include "passes/support/Formats.h"
#include "passes/support/Schemes.h"

namespace llmc {
#define GEN_PASS_DEF_SPLITWEIGHTPROGRAM
#include "passes/Passes.h.inc"

using namespace mlir;

namespace {

constexpr int64_t kTensorAlign = 4096; // of a tensor in the weights blob: a page of its own

bool isWeightOp(Operation *op) {
  return isa_and_present<llm::GetWeightOp, wq::QuantizeOp, wq::RecodeOp, wq::DecodeOp, wq::ConcatOp, wq::ConstantOp>(
      op);
}

struct SplitWeightProgram : impl::SplitWeightProgramBase<SplitWeightProgram> {
  void runOnOperation() override {
    module = getOperation();
    step = module.lookupSymbol<func::FuncOp>(llm::kStep);
    if (!step) {
      module.emitError("expects @step");
      return signalPassFailure();
    }
    OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
    auto pack = func::FuncOp::create(builder, module.getLoc(), kPack, builder.getFunctionType({}, {}));
    body = pack.addEntryBlock();
    func::ReturnOp::create(builder = OpBuilder::atBlockEnd(body), module.getLoc());

    SmallVector<Operation *> ops;
    for (Operation &op : step.getOps()) ops.push_back(&op);
    for (Operation *op : ops) {
      if (isWeightOp(op)) continue;
      for (OpOperand &operand : op->getOpOperands())
        if (isWeightOp(operand.get().getDefiningOp())) operand.set(packed(operand.get()));
    }
    for (Operation *op : llvm::reverse(ops))
      if (isWeightOp(op) && op->use_empty()) op->erase();
    module->setAttr(kWeightBytes, builder.getI64IntegerAttr(nextOffset));
  }

private:
  /// The step's value for the end of a weight chain: packs it in @pack the first time.
  Value packed(Value value) {
    Value &known = packedValues[value];
    if (known) return known;
    Location loc = value.getLoc();
    OpBuilder at(body->getTerminator());
    for (Operation *op : chainOf(value))
      if (!moved.contains(op->getResult(0))) at.clone(*op, moved);
    auto type = cast<RankedTensorType>(value.getType());
    auto quant = dyn_cast<wq::QuantType>(type.getElementType());
    wq::SchemeAttr scheme = quant ? quant.getScheme() : wq::floatScheme(type.getElementType());
    auto packedType = type.clone(wq::PackedType::get(&getContext(), scheme));
    int64_t bytes = packedBytes(packedType), offset = nextOffset;
    nextOffset = roundUp(offset + bytes, kTensorAlign);

    OpBuilder symbols(step);
    std::string name = "packed_" + std::to_string(packedCount++);
    auto symbol = wq::PackedOp::create(symbols, loc, name, packedType, offset, bytes);
    if (llvm::all_of(value.getUsers(), [](Operation *user) { return isa<llm::EmbedOp>(user) || isWeightOp(user); }))
      symbol->setAttr(kGatheredAttr, symbols.getUnitAttr());
    Value packedChain = wq::PackOp::create(at, loc, packedType, moved.lookup(value));
    wq::StoreOp::create(at, loc, packedChain, name);
    OpBuilder inStep = OpBuilder::atBlockBegin(&step.front());
    if (lastGet) inStep.setInsertionPointAfter(lastGet);
    auto get = wq::GetPackedOp::create(inStep, loc, packedType, name);
    lastGet = get;
    return known = get;
  }

  /// The weight ops that `value` is computed from, operands first.
  static SmallVector<Operation *> chainOf(Value value) {
    SmallVector<Operation *> chain;
    std::function<void(Value)> visit = [&](Value v) {
      for (Value operand : v.getDefiningOp()->getOperands()) visit(operand);
      chain.push_back(v.getDefiningOp());
    };
    visit(value);
    return chain;
  }

  ModuleOp module;
  func::FuncOp step;
  Block *body = nullptr;
  Operation *lastGet = nullptr;
  IRMapping moved;
  DenseMap<Value, Value> packedValues; // lookup only
  int64_t nextOffset = 0, packedCount = 0;
};

} // namespace
} // namespace llmc
