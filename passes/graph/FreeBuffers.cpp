#include "mlir/Dialect/Bufferization/Transforms/BufferViewFlowAnalysis.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "passes/graph/Graph.h"

namespace llmc {
#define GEN_PASS_DEF_FREEBUFFERS
#include "passes/graph/GraphPasses.h.inc"

using namespace mlir;

namespace {

/// The last operation of the buffer's block that may read or write it; null if the buffer leaves the block.
Operation *lastUse(memref::AllocOp alloc, const BufferViewFlowAnalysis &views) {
  Block *block = alloc->getBlock();
  Operation *last = alloc;
  for (Value view : views.resolve(alloc.getResult()))
    for (Operation *user : view.getUsers()) {
      Operation *at = block->findAncestorOpInBlock(*user);
      if (!at || at->hasTrait<OpTrait::IsTerminator>()) return nullptr;
      if (last->isBeforeInBlock(at)) last = at;
    }
  return last;
}

struct FreeBuffers : impl::FreeBuffersBase<FreeBuffers> {
  void runOnOperation() override {
    BufferViewFlowAnalysis views(getOperation());
    SmallVector<std::pair<memref::AllocOp, Operation *>> ends;
    getOperation().walk([&](memref::AllocOp alloc) {
      if (Operation *last = lastUse(alloc, views)) ends.emplace_back(alloc, last);
    });
    OpBuilder builder(getOperation());
    for (auto [alloc, last] : ends) {
      builder.setInsertionPointAfter(last);
      memref::DeallocOp::create(builder, alloc.getLoc(), alloc);
    }
  }
};

} // namespace
} // namespace llmc
