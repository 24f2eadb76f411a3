#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Linalg/Utils/Utils.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/Transforms/RegionUtils.h"
#include "passes/graph/Graph.h"
#include "llvm/ADT/StringMap.h"

namespace llmc {
#define GEN_PASS_DEF_OUTLINELOOPS
#include "passes/graph/GraphPasses.h.inc"

using namespace mlir;

namespace {

/// Cloned into the function rather than passed to it.
bool isCheapConstant(Value value) {
  Operation *op = value.getDefiningOp();
  return op && (op->hasTrait<OpTrait::ConstantLike>() || isa<memref::GetGlobalOp>(op));
}

/// A loop that only reads and writes buffers which are there.
bool isWholeLoop(Operation *op) {
  if (!isa<scf::ForOp>(op) || op->getNumResults()) return false;
  WalkResult walked = op->walk([](Operation *inner) {
    bool owns = isa<memref::AllocOp, memref::DeallocOp, CallOpInterface>(inner);
    return owns ? WalkResult::interrupt() : WalkResult::advance();
  });
  return !walked.wasInterrupted();
}

class Outliner {
public:
  explicit Outliner(func::FuncOp graph) : graph(graph), builder(graph) {}

  void run() {
    graph.walk([&](memref::ExpandShapeOp op) { expandByStrides(op); });
    copiesToLinalg();
    SmallVector<Operation *> found;
    graph.walk<WalkOrder::PreOrder>([&](Operation *op) {
      if (!isa<linalg::LinalgOp>(op) && !isWholeLoop(op)) return WalkResult::advance();
      found.push_back(op);
      return WalkResult::skip();
    });
    for (Operation *op : found) outline(op);
  }

private:
  /// Sizes and strides written out: expand-strided-metadata expects one dynamic size in each group at most.
  void expandByStrides(memref::ExpandShapeOp op) {
    ImplicitLocOpBuilder b(op.getLoc(), op);
    MemRefType type = op.getResultType();
    auto [strides, offset] = type.getStridesAndOffset();
    auto metadata = memref::ExtractStridedMetadataOp::create(b, op.getSrc());
    SmallVector<OpFoldResult> sizes = op.getMixedOutputShape(), steps(sizes.size(), b.getIndexAttr(1));
    auto index = [&](OpFoldResult value) -> Value {
      if (auto known = getConstantIntValue(value)) return arith::ConstantIndexOp::create(b, *known);
      return cast<Value>(value);
    };
    for (auto [axis, group] : llvm::enumerate(op.getReassociationIndices())) {
      Value step = metadata.getStrides()[axis];
      for (int64_t i : llvm::reverse(group)) {
        steps[i] = ShapedType::isDynamic(strides[i]) ? OpFoldResult(step) : OpFoldResult(b.getIndexAttr(strides[i]));
        step = arith::MulIOp::create(b, step, index(sizes[i]));
      }
    }
    OpFoldResult start = ShapedType::isDynamic(offset) ? OpFoldResult(metadata.getOffset()) : b.getIndexAttr(offset);
    op.replaceAllUsesWith(
        memref::ReinterpretCastOp::create(b, type, metadata.getBaseBuffer(), start, sizes, steps).getResult());
    op.erase();
  }

  /// What is not one piece of memory on both sides cannot be a memcpy.
  void copiesToLinalg() {
    SmallVector<memref::CopyOp> copies;
    graph.walk([&](memref::CopyOp copy) {
      auto contiguous = [](Value buffer) { return cast<MemRefType>(buffer.getType()).getLayout().isIdentity(); };
      if (!contiguous(copy.getSource()) || !contiguous(copy.getTarget())) copies.push_back(copy);
    });
    for (memref::CopyOp copy : copies) {
      builder.setInsertionPoint(copy);
      linalg::makeMemRefCopyOp(builder, copy.getLoc(), copy.getSource(), copy.getTarget());
      copy.erase();
    }
  }

  void outline(Operation *op) {
    llvm::SetVector<Value> used(op->operand_begin(), op->operand_end());
    getUsedValuesDefinedAbove(op->getRegions(), used);
    SmallVector<Value> arguments{graph.getArgument(0)}, constants;
    for (Value value : used) (isCheapConstant(value) ? constants : arguments).push_back(value);
    llvm::SmallSetVector<Value, 8> unique(arguments.begin(), arguments.end());
    arguments.assign(unique.begin(), unique.end());

    builder.setInsertionPoint(graph);
    SmallVector<Type> types;
    for (Value argument : arguments) types.push_back(argument.getType());
    auto function = func::FuncOp::create(builder, op->getLoc(), "loops", builder.getFunctionType(types, {}));
    function.setPrivate();
    Block *body = function.addEntryBlock();
    builder.setInsertionPointToStart(body);
    IRMapping mapping;
    for (auto [outer, inner] : llvm::zip(arguments, body->getArguments())) mapping.map(outer, inner);
    for (Value constant : constants) builder.clone(*constant.getDefiningOp(), mapping);
    builder.clone(*op, mapping);
    func::ReturnOp::create(builder, op->getLoc());

    builder.setInsertionPoint(op);
    func::CallOp::create(builder, op->getLoc(), TypeRange(), shared(function), arguments);
    op->erase();
  }

  /// The name of an equal function that is there, or of this one.
  StringRef shared(func::FuncOp function) {
    std::string text;
    llvm::raw_string_ostream os(text);
    function->print(os, OpPrintingFlags().useLocalScope().assumeVerified());
    auto [known, isNew] = names.try_emplace(text, "");
    if (!isNew) {
      function.erase();
      return known->second;
    }
    known->second = ("llmc_graph_loops_" + llvm::Twine(names.size())).str();
    function.setName(known->second);
    function->setAttr("llvm.linkage", LLVM::LinkageAttr::get(function.getContext(), LLVM::Linkage::Internal));
    return known->second;
  }

  func::FuncOp graph;
  OpBuilder builder;
  llvm::StringMap<std::string> names;
};

struct OutlineLoops : impl::OutlineLoopsBase<OutlineLoops> {
  void runOnOperation() override {
    auto graph = getOperation().lookupSymbol<func::FuncOp>(kGraph);
    if (!graph) {
      getOperation().emitError("expects @llmc_graph");
      return signalPassFailure();
    }
    Outliner(graph).run();
  }
};

} // namespace
} // namespace llmc
