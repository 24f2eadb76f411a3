// One arena for the values of a step: first fit over live ranges, in bytes per row of capacity.
#include "codegen/Descriptor.h"
#include "dialects/kernel/Kernel.h"
#include "dialects/llm/Llm.h"
#include "llmc_kernel.h"
#include "passes/Passes.h"
#include "passes/support/Schemes.h"
#include <deque>

namespace llmc {
#define GEN_PASS_DEF_PLANMEMORY
#include "passes/Passes.h.inc"

using namespace mlir;

namespace {

/// A buffer and the calls between which its bytes matter, by position in the block.
struct Buffer {
  int64_t rowBytes = 0, first = 0, last = 0, offset = -1;
  bool logitRows = false, replicated = false;
  int64_t privateOffset = -1;
  SmallVector<Operation *> writers; // allocs and calls whose results live here
};

struct PlanMemory : impl::PlanMemoryBase<PlanMemory> {
  void runOnOperation() override {
    buffers.clear();
    bufferOf.clear();
    if (getOperation().getSymName() != llm::kStep) return; // the weight program has no arena
    if (failed(collect())) return signalPassFailure();
    OpBuilder b(&getContext());
    int64_t rowBytes = 0, logitRowBytes = 0, privateRowBytes = 0;
    for (size_t i = 0; i < buffers.size(); ++i) {
      Buffer &buffer = buffers[i];
      auto lives = [&](Buffer &other) { return other.logitRows == buffer.logitRows; };
      buffer.offset = place(i, &Buffer::offset, lives);
      int64_t &size = buffer.logitRows ? logitRowBytes : rowBytes;
      size = std::max(size, buffer.offset + buffer.rowBytes);
      for (Operation *writer : buffer.writers) writer->setAttr("offset", b.getI64IntegerAttr(buffer.offset));
      if (!buffer.replicated) continue;
      buffer.privateOffset = place(i, &Buffer::privateOffset, [](Buffer &other) { return other.replicated; });
      privateRowBytes = std::max(privateRowBytes, buffer.privateOffset + buffer.rowBytes);
      for (Operation *writer : buffer.writers)
        writer->setAttr("private_offset", b.getI64IntegerAttr(buffer.privateOffset));
    }
    getOperation()->setAttr(kPrivateBytes, b.getI64IntegerAttr(privateRowBytes * LLMC_FEW_ROWS));
    getOperation()->setAttr(kArenaRowBytes, b.getI64IntegerAttr(rowBytes));
    getOperation()->setAttr(kLogitArenaRowBytes, b.getI64IntegerAttr(logitRowBytes));
    noteLogits(b);
  }

private:
  LogicalResult collect() {
    int64_t position = 0;
    DenseMap<Value, int64_t> overwritten; // value -> where a tied call replaced it
    for (Operation &op : getOperation().front()) {
      ++position;
      if (isa<kernel::ByRowsOp>(op)) continue; // reads nothing; its readers do
      for (Value operand : readBy(op)) {
        if (auto at = overwritten.find(operand); at != overwritten.end())
          return op.emitError("reads a value that an earlier call overwrote in place");
        if (Buffer *buffer = bufferOf.lookup(operand)) buffer->last = position;
      }
      if (auto alloc = dyn_cast<kernel::AllocOp>(op)) add(&op, alloc.getY(), alloc.getRowBytes(), false, position);
      auto call = dyn_cast<kernel::CallOp>(op);
      if (!call) continue;
      if (!call.getTied()) {
        add(&op, call.getY(), call.getRowBytes(), call.getLogitRows(), position);
        buffers.back().replicated = call.getReplicated();
        continue;
      }
      Value input = call.getInputs()[*call.getTied()];
      Buffer *buffer = bufferOf.lookup(input);
      if (!buffer) return op.emitError("is tied to a value that is not in the arena");
      buffer->rowBytes = std::max<int64_t>(buffer->rowBytes, call.getRowBytes());
      buffer->writers.push_back(&op);
      bufferOf[call.getY()] = buffer;
      overwritten[input] = position;
    }
    return success();
  }

  /// Operands, and both of a kernel.by_rows.
  static SmallVector<Value> readBy(Operation &op) {
    SmallVector<Value> values;
    for (Value operand : op.getOperands())
      if (auto pick = operand.getDefiningOp<kernel::ByRowsOp>())
        values.append({pick.getFew(), pick.getMany()});
      else
        values.push_back(operand);
    return values;
  }

  void add(Operation *op, Value value, int64_t rowBytes, bool logitRows, int64_t position) {
    Buffer &buffer = buffers.emplace_back();
    buffer.rowBytes = roundUp(rowBytes, kAlign);
    buffer.first = buffer.last = position;
    buffer.logitRows = logitRows;
    buffer.writers.push_back(op);
    bufferOf[value] = &buffer;
  }

  /// The lowest offset at which none of the buffers before `index` that are in the same arena and live at the same time
  /// lies.
  int64_t place(size_t index, int64_t Buffer::*at, llvm::function_ref<bool(Buffer &)> sameArena) {
    Buffer &buffer = buffers[index];
    SmallVector<std::pair<int64_t, int64_t>> taken;
    for (size_t i = 0; i < index; ++i) {
      Buffer &other = buffers[i];
      if (sameArena(other) && other.first <= buffer.last && buffer.first <= other.last)
        taken.push_back({other.*at, other.*at + other.rowBytes});
    }
    llvm::sort(taken);
    int64_t offset = 0;
    for (auto [begin, end] : taken)
      if (begin < offset + buffer.rowBytes) offset = std::max(offset, end);
    return offset;
  }

  void noteLogits(OpBuilder &b) {
    auto ret = cast<func::ReturnOp>(getOperation().front().getTerminator());
    if (ret.getNumOperands() != 1) return;
    Buffer *logits = bufferOf.lookup(ret.getOperand(0));
    if (!logits) return;
    getOperation()->setAttr(kLogitsOffset, b.getI64IntegerAttr(logits->offset));
    getOperation()->setAttr(kLogitsStride, b.getI64IntegerAttr(logits->rowBytes));
  }

  std::deque<Buffer> buffers;         // in order of first write
  DenseMap<Value, Buffer *> bufferOf; // lookup only
};

} // namespace
} // namespace llmc
