// SPMD: where bytes cross threads, all threads meet.
#include "dialects/kernel/Kernel.h"
#include "passes/Passes.h"

namespace llmc {
#define GEN_PASS_DEF_INSERTBARRIERS
#include "passes/Passes.h.inc"

using namespace mlir;

namespace {

/// Bytes per row that a call touches. `byRows`: row r is the same thread's in all such calls.
struct Access {
  int64_t begin, end, rowBytes, rowsEach;
  bool logitRows, write, byRows;

  bool overlaps(const Access &o) const { return logitRows == o.logitRows && begin < o.end && o.begin < end; }
  /// Both calls give row r to the same thread, and r is at the same place in both.
  bool sameThread(const Access &o) const {
    return byRows && o.byRows && begin == o.begin && rowBytes == o.rowBytes && rowsEach == o.rowsEach;
  }
  bool conflicts(const Access &o) const { return (write || o.write) && overlaps(o) && !sameThread(o); }
};

struct Place {
  int64_t offset, rowBytes;
  bool logitRows, replicated;
};

/// What has been touched since the last barrier in steps of one mode.
struct Since {
  kernel::Mode mode;
  SmallVector<Access> accesses;

  /// Adds what a call touches; true if a barrier is needed before it.
  bool add(ArrayRef<Access> more) {
    bool conflict = llvm::any_of(
        more, [&](const Access &a) { return llvm::any_of(accesses, [&](const Access &b) { return a.conflicts(b); }); });
    if (conflict) accesses.clear();
    accesses.append(more.begin(), more.end());
    return conflict;
  }
};

struct InsertBarriers : impl::InsertBarriersBase<InsertBarriers> {
  void runOnOperation() override {
    OpBuilder builder(&getContext());
    Since modes[] = {{kernel::Mode::Few, {}}, {kernel::Mode::Tiles, {}}, {kernel::Mode::Rows, {}}};
    for (Operation &op : getOperation().front()) {
      if (auto alloc = dyn_cast<kernel::AllocOp>(op)) {
        if (!alloc.getOffset()) return fail(&op);
        places[alloc.getY()] = {int64_t(*alloc.getOffset()), int64_t(alloc.getRowBytes()), false, false};
      }
      auto call = dyn_cast<kernel::CallOp>(op);
      if (!call) continue;
      if (!call.getOffset()) return fail(&op);
      places[call.getY()] = {int64_t(*call.getOffset()), int64_t(call.getRowBytes()), call.getLogitRows(),
                             call.getReplicated()};
      auto needed = kernel::Mode(0);
      for (Since &since : modes)
        if (since.add(accessesOf(call, since.mode))) needed = needed | since.mode;
      if (needed == kernel::Mode(0)) continue;
      builder.setInsertionPoint(&op);
      kernel::BarrierOp::create(builder, op.getLoc(), needed);
    }
  }

private:
  SmallVector<Access> accessesOf(kernel::CallOp call, kernel::Mode mode) {
    SmallVector<Access> accesses;
    bool few = mode == kernel::Mode::Few;
    if (few && call.getMany()) return accesses;
    auto access = [&](Value value, bool write) {
      if (auto pick = value.getDefiningOp<kernel::ByRowsOp>()) value = few ? pick.getFew() : pick.getMany();
      auto place = places.find(value);
      if (place == places.end()) return;
      const Place &p = place->second;
      if (few && p.replicated) return; // each thread has its own
      bool byRows =
          call.getPartition() == kernel::Partition::Rows ||
          (call.getPartition() == kernel::Partition::Panels && mode == kernel::Mode::Rows && !call.getLogitRows());
      // A gather of rows reads rows that other threads own, and every thread reads all rows of what it replicates.
      if (p.logitRows != call.getLogitRows() || (few && call.getReplicated())) byRows = false;
      // Units that are no rows of the value: a call that makes several of each row reads them for several threads.
      if (call.getRowsEach() > 1 && !write) byRows = false;
      accesses.push_back(
          {p.offset, p.offset + p.rowBytes, p.rowBytes, int64_t(call.getRowsEach()), p.logitRows, write, byRows});
    };
    for (Value input : call.getInputs()) access(input, false);
    access(call.getY(), true);
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
