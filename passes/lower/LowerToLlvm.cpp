// The step as a function: for each call, this thread's units, an argument structure, and the kernel for the row count.
#include "codegen/Descriptor.h"
#include "dialects/kernel/Kernel.h"
#include "dialects/llm/Llm.h"
#include "llmc_kernel.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "passes/Passes.h"
#include "passes/lower/ArgumentFields.h"
#include "passes/support/Formats.h"
#include "passes/support/Schemes.h"

namespace llmc {
#define GEN_PASS_DEF_LOWERTOLLVM
#include "passes/Passes.h.inc"

using namespace mlir;

namespace {

constexpr uint32_t kAllModes = uint32_t(kernel::Mode::Few | kernel::Mode::Tiles | kernel::Mode::Rows);
static_assert(uint32_t(kernel::Mode::Few) == 1 << LLMC_MODE_FEW && uint32_t(kernel::Mode::Rows) == 1 << LLMC_MODE_ROWS);

/// A target's name as part of a symbol.
std::string symbolName(std::string target) {
  for (char &c : target)
    if (!isalnum(static_cast<unsigned char>(c))) c = '_';
  return target;
}

struct LowerToLlvm : impl::LowerToLlvmBase<LowerToLlvm> {
  using LowerToLlvmBase::LowerToLlvmBase;

  void getDependentDialects(DialectRegistry &registry) const override { registry.insert<LLVM::LLVMDialect>(); }

  void runOnOperation() override {
    auto step = getOperation().lookupSymbol<func::FuncOp>(llm::kStep);
    if (!step) {
      getOperation().emitError("expects @step");
      return signalPassFailure();
    }
    SymbolTable table(getOperation());
    symbols = &table;
    OpBuilder builder(step);
    b = &builder;
    beginStep(step.getLoc());
    for (Operation &op : step.front()) {
      loc = op.getLoc();
      if (auto call = dyn_cast<kernel::CallOp>(op)) {
        if (failed(call.getAppend() ? lowerAttention(call) : lowerCall(call))) return signalPassFailure();
      } else if (auto meet = dyn_cast<kernel::BarrierOp>(op)) {
        lowerBarrier(meet);
      } else if (!isa<wq::GetPackedOp, kernel::AllocOp, kernel::ByRowsOp, func::ReturnOp>(op)) {
        op.emitError("expects kernel calls only: run select-kernels first");
        return signalPassFailure();
      }
    }
    LLVM::ReturnOp::create(*b, step.getLoc(), ValueRange());
    step->setAttr(kMatmulCalls, builder.getI64IntegerAttr(matmulCalls));
    for (StringRef name :
         {kArenaRowBytes, kLogitArenaRowBytes, kLogitsOffset, kLogitsStride, kPrivateBytes, kMatmulCalls})
      if (Attribute value = step->getAttr(name)) getOperation()->setAttr(name, value);
    step.erase();
  }

private:
  //===- The function ------------------------------------------------------------===//
  void beginStep(Location at) {
    loc = at;
    MLIRContext *context = &getContext();
    ptr = LLVM::LLVMPointerType::get(context);
    i64 = IntegerType::get(context, 64);
    auto voidType = LLVM::LLVMVoidType::get(context);
    auto type = LLVM::LLVMFunctionType::get(voidType, {ptr, i64, i64});
    barrier = LLVM::LLVMFuncOp::create(*b, *loc, "llmc_step_barrier", type);
    panels = LLVM::LLVMFuncOp::create(*b, *loc, "llmc_step_panels",
                                      LLVM::LLVMFunctionType::get(voidType, {ptr, i64, i64, i64}));
    experts = LLVM::LLVMFuncOp::create(*b, *loc, "llmc_step_experts", type);
    kernelType = LLVM::LLVMFunctionType::get(voidType, {ptr});
    auto function = LLVM::LLVMFuncOp::create(*b, *loc, "llmc_step_" + symbolName(target), type);
    function->setAttr("llmc.step", b->getUnitAttr());
    Block *entry = function.addEntryBlock(*b);
    b->setInsertionPointToStart(entry);
    batch = entry->getArgument(0), thread = entry->getArgument(1), threads = entry->getArgument(2);
    constexpr size_t size = std::max({sizeof(llmc_panels), sizeof(llmc_experts), sizeof(llmc_rowwise_args),
                                      sizeof(llmc_kv_append_args), sizeof(llmc_attention_args)});
    auto bytes = LLVM::LLVMArrayType::get(IntegerType::get(context, 8), size);
    arguments = LLVM::AllocaOp::create(*b, *loc, ptr, bytes, constant(1), /*alignment=*/16);
    rows = loadField(i64, offsetof(llmc_batch, rows));
    capacity = loadField(i64, offsetof(llmc_batch, capacity));
    logitCount = loadField(i64, offsetof(llmc_batch, logit_count));
    logitCapacity = loadField(i64, offsetof(llmc_batch, logit_capacity));
    arena = loadField(ptr, offsetof(llmc_batch, arena));
    logitArena = loadField(ptr, offsetof(llmc_batch, logit_arena));
    weights = loadField(ptr, offsetof(llmc_batch, weights));
    mode = loadField(i64, offsetof(llmc_batch, mode));
    logitMode = loadField(i64, offsetof(llmc_batch, logit_mode));
    claims = loadField(ptr, offsetof(llmc_batch, claims));
    best = loadField(ptr, offsetof(llmc_batch, best));
    few = LLVM::ICmpOp::create(*b, *loc, LLVM::ICmpPredicate::eq, mode, constant(LLMC_MODE_FEW));
    Value own = LLVM::MulOp::create(*b, *loc, thread, loadField(i64, offsetof(llmc_batch, private_bytes)));
    privateArena = this->at(loadField(ptr, offsetof(llmc_batch, private_arena)), own);
  }

  void lowerBarrier(kernel::BarrierOp op) {
    Block *done = nullptr;
    if (uint32_t modes = uint32_t(op.getModes()); modes != kAllModes) {
      Value bit = LLVM::ShlOp::create(*b, *loc, constant(1), mode);
      Value meets = LLVM::ICmpOp::create(*b, *loc, LLVM::ICmpPredicate::ne,
                                         LLVM::AndOp::create(*b, *loc, bit, constant(modes)), constant(0));
      Block *meet = newBlock();
      done = newBlock();
      LLVM::CondBrOp::create(*b, *loc, meets, meet, done);
      b->setInsertionPointToStart(meet);
    }
    callBarrier();
    if (!done) return;
    LLVM::BrOp::create(*b, *loc, ValueRange(), done);
    b->setInsertionPointToStart(done);
  }

  //===- A call --------------------------------------------------------------------===//
  LogicalResult lowerCall(kernel::CallOp call) {
    SmallVector<kernel::FuncOp> callees;
    for (auto symbol : call.getCallees().getAsRange<FlatSymbolRefAttr>()) {
      auto func = symbols->lookup<kernel::FuncOp>(symbol.getValue());
      if (!func) return call.emitError("names an unknown kernel ") << symbol;
      callees.push_back(func);
    }
    kernel::Family family = callees[0].getFamily();
    Value count = call.getLogitRows() ? logitCount : rows;
    if (call.getPartition() == kernel::Partition::Experts) return lowerExperts(call, callees);
    if (family == kernel::Family::Matmul) return lowerMatmul(call, count, callees);
    Value units = unitsOf(call, count);
    Value begin = share(units, thread), end = share(units, LLVM::AddOp::create(*b, *loc, thread, constant(1)));
    if (call.getReplicated()) {
      begin = LLVM::SelectOp::create(*b, *loc, few, constant(0), begin);
      end = LLVM::SelectOp::create(*b, *loc, few, units, end);
    }

    Block *work = newBlock(), *done = newBlock();
    Value any = LLVM::ICmpOp::create(*b, *loc, LLVM::ICmpPredicate::slt, begin, end);
    if (call.getMany()) any = LLVM::SelectOp::create(*b, *loc, few, falseBit(), any);
    LLVM::CondBrOp::create(*b, *loc, any, work, done);
    b->setInsertionPointToStart(work);
    store(begin, 0), store(end, 8);
    if (failed(storeArguments(call, family, count))) return failure();
    callByRows(callees, count, done);
    b->setInsertionPointToStart(done);
    return success();
  }

  /// The runtime deals panels and rows to the threads (llmc_step_panels).
  LogicalResult lowerMatmul(kernel::CallOp call, Value count, ArrayRef<kernel::FuncOp> callees) {
    if (failed(storeArguments(call, kernel::Family::Matmul, count))) return failure();
    auto attr = [](kernel::FuncOp callee) { return cast<kernel::MatmulAttr>(callee.getDescriptor()); };
    auto byRows = [&](llvm::function_ref<Value(kernel::FuncOp)> value) {
      Value chosen = value(callees.back());
      for (kernel::FuncOp callee : llvm::reverse(callees.drop_back()))
        chosen = LLVM::SelectOp::create(*b, *loc, atMost(count, callee.getMaxRows()), value(callee), chosen);
      return chosen;
    };
    store(byRows([&](kernel::FuncOp callee) -> Value {
            return LLVM::AddressOfOp::create(*b, *loc, ptr, declare(callee).getSymName());
          }),
          offsetof(llmc_panels, kernel));
    store(byRows([&](kernel::FuncOp callee) { return constant(xStride(attr(callee), callee.getMaxRows())); }),
          offsetof(llmc_panels, x_stride));
    kernel::MatmulAttr first = attr(callees[0]);
    store(byRows([&](kernel::FuncOp callee) { return constant(yStride(attr(callee), callee.getMaxRows())); }),
          offsetof(llmc_panels, y_stride));
    store(constant(call.getUnits()), offsetof(llmc_panels, panels));
    store(constant(toWeightFormat(first.getW()).panelBytes(first.getK())), offsetof(llmc_panels, panel_bytes));
    store(at(claims, constant(matmulCalls++ * kAlign)), offsetof(llmc_panels, claimed));
    bool makesLogits = llvm::any_of(call.getY().getUsers(), llvm::IsaPred<func::ReturnOp>);
    store(makesLogits ? best : LLVM::ZeroOp::create(*b, *loc, ptr), offsetof(llmc_panels, best));
    LLVM::CallOp::create(*b, *loc, panels,
                         ValueRange{arguments, call.getLogitRows() ? logitMode : mode, thread, threads});
    return success();
  }

  /// The runtime deals the panels of experts with rows to the threads (llmc_step_experts).
  LogicalResult lowerExperts(kernel::CallOp call, ArrayRef<kernel::FuncOp> callees) {
    if (failed(storeArguments(call, kernel::Family::Matmul, constant(0)))) return failure();
    auto less = callees.take_front(call.getFewCallees()), more = callees.drop_front(call.getFewCallees());
    if (less.size() > LLMC_ROW_CLASSES || more.size() > LLMC_ROW_CLASSES)
      return call.emitError("has more kernels for rows of an expert than llmc_experts has room for");
    auto byRows = [&](Value ofFew, Value ofMany) { return LLVM::SelectOp::create(*b, *loc, few, ofFew, ofMany); };
    auto address = [&](kernel::FuncOp callee) {
      return LLVM::AddressOfOp::create(*b, *loc, ptr, declare(callee).getSymName());
    };
    for (size_t i = 0; i < LLMC_ROW_CLASSES; ++i) {
      kernel::FuncOp one = less[std::min(i, less.size() - 1)], other = more[std::min(i, more.size() - 1)];
      store(byRows(address(one), address(other)), offsetof(llmc_experts, kernels) + i * sizeof(llmc_kernel_fn));
      store(byRows(constant(one.getMaxRows()), constant(other.getMaxRows())),
            offsetof(llmc_experts, most_rows) + i * sizeof(int64_t));
    }
    auto stride = [&](llvm::function_ref<int64_t(kernel::MatmulAttr, int64_t)> of) {
      auto ofLast = [&](ArrayRef<kernel::FuncOp> list) {
        kernel::FuncOp last = list.back();
        return constant(of(cast<kernel::MatmulAttr>(last.getDescriptor()), last.getMaxRows()));
      };
      return byRows(ofLast(less), ofLast(more));
    };
    store(stride(xStride), offsetof(llmc_experts, x_stride));
    store(stride(yStride), offsetof(llmc_experts, y_stride));
    kernel::FuncOp first = less[0];
    auto attr = cast<kernel::MatmulAttr>(first.getDescriptor());
    store(constant(call.getExperts()), offsetof(llmc_experts, experts));
    store(constant(call.getUnits()), offsetof(llmc_experts, panels));
    store(constant(toWeightFormat(attr.getW()).panelBytes(attr.getK())), offsetof(llmc_experts, panel_bytes));
    store(at(claims, constant(matmulCalls++ * kAlign)), offsetof(llmc_experts, claimed));
    LLVM::CallOp::create(*b, *loc, experts, ValueRange{arguments, thread, threads});
    return success();
  }

  /// Units of the whole call.
  Value unitsOf(kernel::CallOp call, Value count) {
    if (call.getPartition() != kernel::Partition::Rows) return constant(call.getUnits());
    if (call.getRowsEach() == 1) return count;
    return LLVM::MulOp::create(*b, *loc, count, constant(call.getRowsEach()));
  }

  //===- Attention ---------------------------------------------------------------------===//
  /// Stores k and v where a step has several rows of a sequence; then units of whole rows, or, where few rows are long,
  /// of chunks, and what merges them.
  LogicalResult lowerAttention(kernel::CallOp call) {
    SmallVector<kernel::FuncOp> callees;
    for (auto callee : call.getCallees().getAsRange<FlatSymbolRefAttr>())
      callees.push_back(symbols->lookup<kernel::FuncOp>(callee.getValue()));
    auto append = symbols->lookup<kernel::FuncOp>(*call.getAppend());
    if (llvm::is_contained(callees, nullptr) || !append) return call.emitError("names an unknown kernel");
    kernel::FuncOp attend = callees.front(); // of few rows, if there is another one
    Value lone = compare(LLVM::ICmpPredicate::ne, loadField(i64, offsetof(llmc_batch, lone_rows)), constant(0));
    if (failed(appendRows(call, append, lone)) || failed(storeArguments(call, kernel::Family::Attention, rows)))
      return failure();
    Value kvHeads = constant(call.getUnits());
    Value rowHeads = LLVM::MulOp::create(*b, *loc, rows, kvHeads);
    Value rowBlock = LLVM::SelectOp::create(*b, *loc, few, constant(1), blockOf(callees.back(), rowHeads));
    Value units = LLVM::MulOp::create(*b, *loc, divideUp(rows, rowBlock), kvHeads);
    // A window that is no longer than a chunk is not worth a barrier.
    int64_t window = cast<kernel::AttentionAttr>(attend.getDescriptor()).getWindow();
    Value isSplit;
    if (!window || window > LLMC_CHUNK_POSITIONS) {
      Value longest = loadField(i64, offsetof(llmc_batch, longest));
      Value chunks = divideUp(longest, constant(LLMC_CHUNK_POSITIONS));
      isSplit = LLVM::AndOp::create(*b, *loc, few, compare(LLVM::ICmpPredicate::sgt, chunks, constant(1)));
      units = LLVM::SelectOp::create(*b, *loc, isSplit, LLVM::MulOp::create(*b, *loc, rowHeads, chunks), units);
      store(chunks, offsetof(llmc_attention_args, chunks));
    }
    static_assert(LLMC_ATTENTION_ROWS == 0 && LLMC_ATTENTION_CHUNKS == 1);
    Value phase = isSplit ? LLVM::ZExtOp::create(*b, *loc, i64, isSplit).getResult() : constant(LLMC_ATTENTION_ROWS);
    setRange(thread, units);
    store(threads, offsetof(llmc_attention_args, step));
    store(rowBlock, offsetof(llmc_attention_args, row_block));
    store(LLVM::ZExtOp::create(*b, *loc, i64, lone), offsetof(llmc_attention_args, append));
    store(phase, offsetof(llmc_attention_args, phase));
    if (callees.size() == 1) {
      callKernel(attend, nullptr);
    } else {
      Block *attended = newBlock();
      callByRows(callees, rows, attended);
      b->setInsertionPointToStart(attended);
    }
    if (isSplit) mergeChunks(attend, isSplit, rowHeads);
    return success();
  }

  /// Rows of a block: as many as the kernel likes, but so few that each thread has some units.
  Value blockOf(kernel::FuncOp attend, Value rowHeads) {
    constexpr int64_t kUnitsPerThread = 4;
    Value units = LLVM::MulOp::create(*b, *loc, threads, constant(kUnitsPerThread));
    Value most =
        LLVM::UMinOp::create(*b, *loc, LLVM::UDivOp::create(*b, *loc, rowHeads, units), constant(attend.getRowBlock()));
    return LLVM::UMaxOp::create(*b, *loc, most, constant(1));
  }

  LogicalResult appendRows(kernel::CallOp call, kernel::FuncOp append, Value lone) {
    Block *work = newBlock(), *done = newBlock();
    LLVM::CondBrOp::create(*b, *loc, lone, done, work);
    b->setInsertionPointToStart(work);
    if (failed(storeArguments(call, kernel::Family::KvAppend, rows))) return failure();
    setRange(share(rows, thread), share(rows, LLVM::AddOp::create(*b, *loc, thread, constant(1))));
    callKernel(append, nullptr); // of no rows it returns
    callBarrier();
    LLVM::BrOp::create(*b, *loc, ValueRange(), done);
    b->setInsertionPointToStart(done);
    return success();
  }

  void mergeChunks(kernel::FuncOp attend, Value isSplit, Value rowHeads) {
    Block *merge = newBlock(), *done = newBlock();
    LLVM::CondBrOp::create(*b, *loc, isSplit, merge, done);
    b->setInsertionPointToStart(merge);
    callBarrier();
    setRange(thread, rowHeads);
    store(constant(LLMC_ATTENTION_MERGE), offsetof(llmc_attention_args, phase));
    callKernel(attend, done);
    b->setInsertionPointToStart(done);
  }

  void setRange(Value begin, Value end) { store(begin, 0), store(end, 8); }
  void callBarrier() { LLVM::CallOp::create(*b, *loc, barrier, ValueRange{batch, thread, threads}); }
  Value divideUp(Value x, Value by) {
    Value up = LLVM::SubOp::create(*b, *loc, LLVM::AddOp::create(*b, *loc, x, by), constant(1));
    return LLVM::UDivOp::create(*b, *loc, up, by);
  }

  /// Where the share of thread t begins: units * t / threads.
  Value share(Value units, Value t) {
    return LLVM::UDivOp::create(*b, *loc, LLVM::MulOp::create(*b, *loc, units, t), threads);
  }

  LogicalResult storeArguments(kernel::CallOp call, kernel::Family family, Value count) {
    if (family == kernel::Family::Matmul) {
      store(count, offsetof(llmc_matmul_args, rows));
      store(LLVM::ZeroOp::create(*b, *loc, ptr), offsetof(llmc_matmul_args, bias));
    } else {
      store(batch, offsetof(llmc_rowwise_args, batch)); // the same place in all families but matmul
      static_assert(offsetof(llmc_rowwise_args, batch) == offsetof(llmc_kv_append_args, batch) &&
                    offsetof(llmc_rowwise_args, batch) == offsetof(llmc_attention_args, batch));
    }
    if (family == kernel::Family::KvAppend) {
      store(constant(call.getLayerOffset()), offsetof(llmc_kv_append_args, layer_offset));
      store(LLVM::ZeroOp::create(*b, *loc, ptr), offsetof(llmc_kv_append_args, rope));
    }
    if (family == kernel::Family::Attention) {
      store(constant(call.getLayerOffset()), offsetof(llmc_attention_args, layer_offset));
      store(LLVM::ZeroOp::create(*b, *loc, ptr), offsetof(llmc_attention_args, rope));
      store(LLVM::ZeroOp::create(*b, *loc, ptr), offsetof(llmc_attention_args, sinks));
    }
    for (auto [input, role] : llvm::zip(call.getInputs(), call.getOperandRoles().getAsRange<StringAttr>())) {
      if (role.getValue() == "y") continue; // the buffer of a tied result
      if (role.getValue() == "sinks" && family == kernel::Family::KvAppend) continue;
      int64_t field = fieldOf(family, role.getValue());
      if (field < 0) return call.emitError("has an input of unknown role ") << role;
      FailureOr<Value> address = addressOf(input);
      if (failed(address)) return call.emitError("reads a value that is neither packed nor planned");
      store(*address, field);
    }
    if (int64_t field = resultField(family); field >= 0) store(addressOfResult(call, call.getColumnOffset()), field);
    return success();
  }

  void callByRows(MutableArrayRef<kernel::FuncOp> callees, Value count, Block *done) {
    for (kernel::FuncOp callee : callees.drop_back()) {
      Block *take = newBlock(), *next = newBlock();
      LLVM::CondBrOp::create(*b, *loc, atMost(count, callee.getMaxRows()), take, next);
      b->setInsertionPointToStart(take);
      callKernel(callee, done);
      b->setInsertionPointToStart(next);
    }
    callKernel(callees.back(), done);
  }

  /// Goes on at `done`, if it is not null.
  void callKernel(kernel::FuncOp callee, Block *done) {
    LLVM::CallOp::create(*b, *loc, declare(callee), ValueRange{arguments});
    if (done) LLVM::BrOp::create(*b, *loc, ValueRange(), done);
  }

  LLVM::LLVMFuncOp declare(kernel::FuncOp callee) {
    LLVM::LLVMFuncOp &declaration = declared[callee];
    if (!declaration) {
      OpBuilder::InsertionGuard guard(*b);
      b->setInsertionPoint(barrier);
      declaration = LLVM::LLVMFuncOp::create(*b, callee.getLoc(), ("kernel_" + callee.getSymName()).str(), kernelType);
    }
    return declaration;
  }

  //===- Values ----------------------------------------------------------------------===//
  FailureOr<Value> addressOf(Value v) {
    Operation *op = v.getDefiningOp();
    if (auto get = dyn_cast_or_null<wq::GetPackedOp>(op))
      if (auto packed = symbols->lookup<wq::PackedOp>(get.getPacked()))
        return at(weights, constant(packed.getOffset()));
    if (auto call = dyn_cast_or_null<kernel::CallOp>(op); call && call.getOffset()) return addressOfResult(call, 0);
    if (auto pick = dyn_cast_or_null<kernel::ByRowsOp>(op)) {
      FailureOr<Value> less = addressOf(pick.getFew()), more = addressOf(pick.getMany());
      if (succeeded(less) && succeeded(more)) return LLVM::SelectOp::create(*b, *loc, few, *less, *more).getResult();
    }
    if (auto alloc = dyn_cast_or_null<kernel::AllocOp>(op); alloc && alloc.getOffset())
      return address(false, *alloc.getOffset(), 0);
    return failure();
  }
  Value addressOfResult(kernel::CallOp call, int64_t column) {
    Value shared = address(call.getLogitRows(), *call.getOffset(), column);
    if (!call.getReplicated()) return shared;
    Value own = LLVM::MulOp::create(*b, *loc, rows, constant(*call.getPrivateOffset()));
    return LLVM::SelectOp::create(*b, *loc, few, at(privateArena, own), shared);
  }
  Value address(bool logitRows, int64_t offset, int64_t column) {
    Value scaled = LLVM::MulOp::create(*b, *loc, logitRows ? logitCapacity : capacity, constant(offset));
    if (column) scaled = LLVM::AddOp::create(*b, *loc, scaled, constant(column));
    return at(logitRows ? logitArena : arena, scaled);
  }
  Value at(Value base, Value offset) {
    return LLVM::GEPOp::create(*b, *loc, ptr, IntegerType::get(&getContext(), 8), base, ArrayRef<LLVM::GEPArg>{offset});
  }
  Value falseBit() { return LLVM::ConstantOp::create(*b, *loc, b->getI1Type(), b->getBoolAttr(false)); }
  Value constant(int64_t value) { return LLVM::ConstantOp::create(*b, *loc, i64, b->getI64IntegerAttr(value)); }
  Value loadField(Type type, int64_t offset) {
    return LLVM::LoadOp::create(*b, *loc, type, at(batch, constant(offset)));
  }
  void store(Value value, int64_t offset) { LLVM::StoreOp::create(*b, *loc, value, at(arguments, constant(offset))); }
  Value compare(LLVM::ICmpPredicate predicate, Value x, Value y) {
    return LLVM::ICmpOp::create(*b, *loc, predicate, x, y);
  }
  Value atMost(Value count, int64_t limit) { return compare(LLVM::ICmpPredicate::sle, count, constant(limit)); }
  Block *newBlock() {
    OpBuilder::InsertionGuard guard(*b);
    return b->createBlock(b->getInsertionBlock()->getParent());
  }

  SymbolTable *symbols = nullptr;
  OpBuilder *b = nullptr;
  std::optional<Location> loc; // of the op being lowered
  Type ptr, i64;
  LLVM::LLVMFunctionType kernelType;
  LLVM::LLVMFuncOp barrier, panels, experts;
  int64_t matmulCalls = 0;
  Value batch, thread, threads, arguments, rows, capacity, logitCount, logitCapacity, arena, logitArena, weights;
  Value mode, logitMode, few, privateArena, claims, best;
  DenseMap<Operation *, LLVM::LLVMFuncOp> declared; // lookup only
};

} // namespace
} // namespace llmc
