// SPMD: where bytes cross threads, all threads meet.
#include "dialects/kernel/Kernel.h"
#include "passes/Passes.h"

namespace llmc {
#define GEN_PASS_DEF_INSERTBARRIERS
#include "passes/Passes.h.inc"

using namespace mlir;

namespace {

/// Bytes per row that a call touches.
struct Access {
  int64_t begin, end, rowBytes;
  bool logitRows, write;
  kernel::Partition partition;

  bool overlaps(const Access &o) const { return logitRows == o.logitRows && begin < o.end && o.begin < end; }
  /// Both calls give row r to the same thread, and r is at the same place in both.
  bool sameThread(const Access &o) const {
    return partition == kernel::Partition::Rows && o.partition == kernel::Partition::Rows && begin == o.begin &&
           rowBytes == o.rowBytes;
  }
  bool conflicts(const Access &o) const { return (write || o.write) && overlaps(o) && !sameThread(o); }
};

struct Place {
  int64_t offset, rowBytes;
  bool logitRows;
};

struct InsertBarriers : impl::InsertBarriersBase<InsertBarriers> {
  void runOnOperation() override {
    OpBuilder builder(&getContext());
    SmallVector<Access> sinceBarrier;
    for (Operation &op : getOperation().front()) {
      if (auto alloc = dyn_cast<kernel::AllocOp>(op)) {
        if (!alloc.getOffset()) return fail(&op);
        places[alloc.getY()] = {int64_t(*alloc.getOffset()), int64_t(alloc.getRowBytes()), false};
      }
      auto call = dyn_cast<kernel::CallOp>(op);
      if (!call) continue;
      if (!call.getOffset()) return fail(&op);
      places[call.getY()] = {int64_t(*call.getOffset()), int64_t(call.getRowBytes()), call.getLogitRows()};
      SmallVector<Access> accesses = accessesOf(call);
      bool conflict = llvm::any_of(accesses, [&](const Access &a) {
        return llvm::any_of(sinceBarrier, [&](const Access &b) { return a.conflicts(b); });
      });
      if (conflict) {
        builder.setInsertionPoint(&op);
        kernel::BarrierOp::create(builder, op.getLoc());
        sinceBarrier.clear();
      }
      sinceBarrier.append(accesses);
    }
  }

private:
  SmallVector<Access> accessesOf(kernel::CallOp call) {
    SmallVector<Access> accesses;
    // A gather of rows reads rows that other threads own, whatever its own split.
    bool gathers = false;
    for (Value input : call.getInputs()) {
      auto place = places.find(input);
      if (place == places.end()) continue;
      const Place &p = place->second;
      gathers = p.logitRows != call.getLogitRows();
      accesses.push_back({p.offset, p.offset + p.rowBytes, p.rowBytes, p.logitRows, false,
                          gathers ? kernel::Partition::Blocks : call.getPartition()});
    }
    const Place &p = places[call.getY()];
    accesses.push_back({p.offset, p.offset + p.rowBytes, p.rowBytes, p.logitRows, true, call.getPartition()});
    return accesses;
  }

  void fail(Operation *op) {
    op->emitError("has no offset: run plan-memory first");
    signalPassFailure();
  }

  DenseMap<Value, Place> places; // lookup only
};

} // namespace
} // namespace llmc
