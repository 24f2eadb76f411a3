// From ops to calls of catalogue kernels. Each lowering below says what the op needs; `KernelPicker` finds the rows.
#include "dialects/llm/Llm.h"
#include "llmc_kernel.h"
#include "passes/Passes.h"
#include "passes/select/KernelPicker.h"
#include "passes/select/SelectExperts.h"
#include "passes/support/Formats.h"
#include "passes/support/Schemes.h"
#include "llvm/ADT/TypeSwitch.h"

namespace llmc {
#define GEN_PASS_DEF_SELECTKERNELS
#include "passes/Passes.h.inc"

using namespace mlir;

namespace {

RankedTensorType rowsOf(Value v) { return cast<RankedTensorType>(v.getType()); }
int64_t columnsOf(Value v) { return rowsOf(v).getDimSize(1); }

struct SelectKernels : impl::SelectKernelsBase<SelectKernels> {
  using SelectKernelsBase::SelectKernelsBase;

  void runOnOperation() override {
    step = getOperation().lookupSymbol<func::FuncOp>(llm::kStep);
    if (!step) {
      getOperation().emitError("expects @step");
      return signalPassFailure();
    }
    llvm::Expected<Target> found = findTarget(target);
    if (!found) {
      getOperation().emitError(llvm::toString(found.takeError()));
      return signalPassFailure();
    }
    kv = kvTypeOf(kvType);
    if (!kv) {
      getOperation().emitError("kv-type: found '") << kvType << "', expected f32, f16, bf16 or int8";
      return signalPassFailure();
    }
    KernelPicker picker(step, *found, getArgument());
    pick = &picker;
    planPages();
    OpBuilder b(&getContext());
    builder = &b;
    for (Operation &op : llvm::make_early_inc_range(step.getOps())) {
      b.setInsertionPoint(&op);
      if (failed(lower(&op))) return signalPassFailure();
    }
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(step.front())))
      if (isa<llm::LlmDialect>(op.getDialect()) || isa<wq::LinearOp, wq::QuantizeRowsOp>(op)) op.erase();
    getOperation()->setAttr(kTarget, b.getStringAttr(target));
    getOperation()->setAttr(kKvBits, b.getI64IntegerAttr(8 * KvLayout{*kv, 1}.elementBytes()));
    getOperation()->setAttr(kPageBytes, b.getI64IntegerAttr(pageBytes));
    getOperation()->setAttr(kPartialBytes, b.getI64IntegerAttr(partialBytes));
  }

private:
  /// The place of each layer in a KV page.
  void planPages() {
    step.walk([&](llm::AttentionKvOp op) {
      layerOffsets[op] = pageBytes;
      AttentionDesc d{.heads = int64_t(op.getHeads()),
                      .kvHeads = int64_t(op.getKvHeads()),
                      .headDim = int64_t(op.getHeadDim()),
                      .kv = *kv};
      pageBytes = roundUp(pageBytes + d.kvLayerBytes(), kAlign);
      partialBytes = std::max(partialBytes, d.partialBytes());
    });
  }

  LogicalResult lower(Operation *op) {
    return TypeSwitch<Operation *, LogicalResult>(op)
        .Case<llm::QkNormOp, llm::EmbedOp, llm::RopeTableOp, llm::RmsNormOp, llm::LayerNormOp, llm::ActivateOp,
              llm::GluOp, llm::AddOp, llm::ScaleOp, llm::SelectRowsOp, wq::QuantizeRowsOp, wq::LinearOp,
              llm::GluLinearOp, llm::AttentionKvOp, llm::ConcatColumnsOp, llm::ExpertsOp>(
            [&](auto typed) { return lowerOp(typed); })
        .Case<wq::GetPackedOp, func::ReturnOp, kernel::CallOp, kernel::AllocOp, kernel::ByRowsOp>(
            [](auto) { return success(); })
        .Default([](Operation *other) { return other->emitError("no kernel computes ") << other->getName(); });
  }

  //===- Rowwise ---------------------------------------------------------------===//
  struct Rowwise {
    RowwiseOp op;
    float epsilon = 0, scale = 1;
    int64_t activation = 0;
    wq::SchemeAttr w;
    llm::RopeAttr rope;
    bool bias = false;
    float softcap = 0;
    bool byPosition = false;
  };

  LogicalResult rowwise(Operation *op, Rowwise r, SmallVector<Value> inputs, SmallVector<StringRef> roles,
                        bool logitRows) {
    auto type = cast<RankedTensorType>(op->getResult(0).getType());
    int64_t xStride = !roles.empty() && roles[0] == "x" ? strideOf(rowsOf(inputs[0])) : 0;
    bool dynamic = r.rope && r.rope.getDynamicMax();
    bool isLong = r.rope && !r.rope.getLongInvFreq().empty(); // which a base of 0 stands for
    auto attr = kernel::RowwiseAttr::get(&getContext(), rowwiseOpName(r.op), type.getDimSize(1), fewOf(type),
                                         manyOf(type), xStride, strideOf(type), r.epsilon, r.activation, r.w, r.scale,
                                         dynamic ? r.rope.getDynamicMax() : 0,
                                         dynamic && !isLong ? r.rope.getDynamicBase() : F32(0),
                                         isLong    ? r.rope.getLongScale()
                                         : dynamic ? r.rope.getDynamicFactor()
                                                   : F32(1),
                                         r.bias, kernel::RoutingAttr(), 0, 0, r.softcap, r.byPosition);
    FailureOr<ArrayAttr> callees = pick->rowwise(op->getLoc(), attr);
    if (failed(callees)) return failure();
    replace(op, call(op->getLoc(), type, inputs, roles, *callees, kernel::Partition::Rows, 1, logitRows));
    return success();
  }

  LogicalResult lowerOp(llm::EmbedOp op) {
    Rowwise embed = {.op = RowwiseOp::Embed,
                     .scale = op.getScale().convertToFloat(),
                     .w = schemeOf(op.getTable()),
                     .byPosition = op.getTokens() == step.getArgument(1)};
    if (!embed.byPosition && op.getTokens() != step.getArgument(0))
      return op.emitError("no kernel reads rows of a table by other than tokens or positions");
    return rowwise(op, embed, {op.getTable()}, {"w"}, false);
  }
  LogicalResult lowerOp(llm::RopeTableOp op) {
    return rowwise(op, {.op = RowwiseOp::RopeTable, .scale = op.getRope().getScale(), .rope = op.getRope()},
                   {op.getInvFreq()}, {"w"}, false);
  }
  LogicalResult lowerOp(llm::RmsNormOp op) {
    return rowwise(op, {.op = RowwiseOp::RmsNorm, .epsilon = op.getEpsilon().convertToFloat()},
                   {op.getX(), op.getWeight()}, {"x", "w"}, onLogitRows(op.getX()));
  }
  LogicalResult lowerOp(llm::LayerNormOp op) {
    SmallVector<Value> inputs = {op.getX(), op.getWeight()};
    SmallVector<StringRef> roles = {"x", "w"};
    if (op.getBias()) inputs.push_back(op.getBias()), roles.push_back("b");
    Rowwise norm = {
        .op = RowwiseOp::LayerNorm, .epsilon = op.getEpsilon().convertToFloat(), .bias = bool(op.getBias())};
    return rowwise(op, norm, inputs, roles, onLogitRows(op.getX()));
  }
  LogicalResult lowerOp(llm::ActivateOp op) {
    return rowwise(op, {.op = RowwiseOp::Activate, .activation = int64_t(op.getActivation())}, {op.getX()}, {"x"},
                   onLogitRows(op.getX()));
  }
  LogicalResult lowerOp(llm::GluOp op) {
    return rowwise(op, {.op = RowwiseOp::Glu, .activation = int64_t(op.getActivation())}, {op.getX()}, {"x"},
                   onLogitRows(op.getX()));
  }
  LogicalResult lowerOp(llm::AddOp op) {
    return rowwise(op, {.op = RowwiseOp::Add}, {op.getA(), op.getB()}, {"x", "w"}, onLogitRows(op.getA()));
  }
  LogicalResult lowerOp(llm::ScaleOp op) {
    Rowwise scale = {
        .op = RowwiseOp::Scale, .scale = op.getScale().convertToFloat(), .softcap = op.getSoftcap().convertToFloat()};
    return rowwise(op, scale, {op.getX()}, {"x"}, onLogitRows(op.getX()));
  }
  LogicalResult lowerOp(llm::SelectRowsOp op) {
    return rowwise(op, {.op = RowwiseOp::GatherRows}, {op.getX()}, {"x"}, true);
  }
  LogicalResult lowerOp(wq::QuantizeRowsOp op) {
    if (fewRows(rowsOf(op.getX())) != RowFormat::F32) return quantizeMany(op);
    return rowwise(op, {.op = RowwiseOp::Quantize}, {op.getX()}, {"x"}, onLogitRows(op.getX()));
  }

  /// Of rows that are already as they should be in steps of few rows.
  LogicalResult quantizeMany(wq::QuantizeRowsOp op) {
    auto type = rowsOf(op.getX()), wanted = cast<RankedTensorType>(op.getType());
    if (fewRows(type) != fewRows(wanted) || manyRows(type) != RowFormat::F32 || onLogitRows(op.getX()))
      return op.emitError("expects rows that are f32, or in the wanted format in steps of few rows");
    int64_t columns = wanted.getDimSize(1);
    auto attr =
        kernel::RowwiseAttr::get(&getContext(), rowwiseOpName(RowwiseOp::Quantize), columns, manyOf(wanted),
                                 manyOf(wanted), rowStride(RowFormat::F32, roundUp(columns, kPanel)), strideOf(wanted),
                                 F32(0), 0, {}, F32(1), 0, F32(0), F32(1), false, kernel::RoutingAttr(), 0, 0);
    FailureOr<ArrayAttr> callees = pick->rowwise(op.getLoc(), attr);
    if (failed(callees)) return failure();
    kernel::CallOp many = call(op.getLoc(), wanted, {op.getX()}, {"x"}, *callees, kernel::Partition::Rows, 1, false);
    many.setMany(true);
    op.getY().replaceAllUsesWith(
        kernel::ByRowsOp::create(*builder, op.getLoc(), wanted, op.getX(), many.getY()).getY());
    return success();
  }

  //===- Matmul ------------------------------------------------------------------===//
  LogicalResult lowerOp(llm::GluLinearOp op) {
    auto type = cast<RankedTensorType>(op.getType()), x = rowsOf(op.getX());
    auto attr =
        kernel::MatmulAttr::get(&getContext(), 2 * type.getDimSize(1), x.getDimSize(1), schemeOf(op.getW()), fewOf(x),
                                manyOf(x), bool(op.getBias()), false, int64_t(op.getActivation()), true,
                                op->hasAttr(kRequantiseAttr), fewOf(type), manyOf(type), strideOf(x), strideOf(type));
    FailureOr<ArrayAttr> callees = pick->matmul(op.getLoc(), attr);
    if (failed(callees)) return failure();
    SmallVector<Value> inputs = {op.getX(), op.getW()};
    SmallVector<StringRef> roles = {"x", "w"};
    if (op.getBias()) inputs.push_back(op.getBias()), roles.push_back("bias");
    replace(op, call(op.getLoc(), type, inputs, roles, *callees, kernel::Partition::Panels,
                     roundUp(2 * type.getDimSize(1), kPanel) / kPanel, onLogitRows(op.getX())));
    return success();
  }

  LogicalResult lowerOp(wq::LinearOp op) {
    auto type = cast<RankedTensorType>(op.getType());
    Value destination = op.getResidual();
    int64_t columnOffset = 0, yStride = strideOf(type);
    llm::ConcatColumnsOp concat;
    if (op->hasOneUse()) concat = dyn_cast<llm::ConcatColumnsOp>(*op->user_begin());
    if (concat) {
      std::tie(destination, columnOffset) = partOf(concat, op.getY());
      yStride = joinedStride(concat);
    }
    auto attr = kernel::MatmulAttr::get(&getContext(), type.getDimSize(1), columnsOf(op.getX()), schemeOf(op.getW()),
                                        fewOf(rowsOf(op.getX())), manyOf(rowsOf(op.getX())), bool(op.getBias()),
                                        bool(op.getResidual()), 0, false, op->hasAttr(kRequantiseAttr), {}, {},
                                        strideOf(rowsOf(op.getX())), yStride);
    FailureOr<ArrayAttr> callees = pick->matmul(op.getLoc(), attr);
    if (failed(callees)) return failure();
    SmallVector<Value> inputs = {op.getX(), op.getW()};
    SmallVector<StringRef> roles = {"x", "w"};
    if (op.getBias()) inputs.push_back(op.getBias()), roles.push_back("bias");
    if (destination) inputs.push_back(destination), roles.push_back("y");
    auto result = concat ? cast<RankedTensorType>(destination.getType()) : type;
    kernel::CallOp c = call(op.getLoc(), result, inputs, roles, *callees, kernel::Partition::Panels,
                            roundUp(type.getDimSize(1), kPanel) / kPanel, onLogitRows(op.getX()));
    c.setRowBytes(yStride);
    c.setColumnOffset(columnOffset);
    if (destination) c.setTied(int64_t(inputs.size()) - 1);
    if (concat)
      joined[concat] = c.getY();
    else
      replace(op, c);
    return success();
  }

  /// Row stride of a buffer whose parts are written one after the other: the last may overhang by part of a panel.
  int64_t joinedStride(llm::ConcatColumnsOp concat) {
    int64_t last = columnsOf(concat.getParts().back());
    return rowStride(RowFormat::F32, columnsOf(concat.getY()) - last + roundUp(last, kPanel));
  }

  /// The buffer that the parts of `concat` are written to, and where `part` goes in each row. Parts are written in
  /// order: a part's last panel may spill into the next part, which is then written over it.
  std::pair<Value, int64_t> partOf(llm::ConcatColumnsOp concat, Value part) {
    Value &buffer = joined[concat];
    if (!buffer)
      buffer =
          kernel::AllocOp::create(*builder, concat.getLoc(), concat.getType(), joinedStride(concat), IntegerAttr());
    int64_t offset = 0;
    for (Value p : concat.getParts()) {
      if (p == part) break;
      offset += columnsOf(p) * 4;
    }
    return {buffer, offset};
  }

  LogicalResult lowerOp(llm::ConcatColumnsOp op) {
    for (Value part : op.getParts())
      if (!part.getDefiningOp<wq::LinearOp>())
        return op.emitError("no kernel copies columns: expected every part to be a linear with one use");
    op.replaceAllUsesWith(joined[op]);
    return success();
  }

  LogicalResult lowerOp(llm::ExpertsOp op) {
    FailureOr<Value> y = selectExperts(op, *builder, *pick);
    if (failed(y)) return failure();
    op.getY().replaceAllUsesWith(*y);
    return success();
  }

  //===- Attention ------------------------------------------------------------------===//
  /// In place: v stays where it is.
  LogicalResult lowerOp(llm::QkNormOp op) {
    auto type = cast<RankedTensorType>(op.getType());
    auto definition = op.getX().getDefiningOp<kernel::CallOp>();
    if (!definition) return op.emitError("expects rows that a call computed");
    int64_t stride = definition.getRowBytes();
    auto attr =
        kernel::RowwiseAttr::get(&getContext(), rowwiseOpName(RowwiseOp::QkNorm), rowsOf(op.getQ()).getDimSize(0), {},
                                 {}, stride, stride, op.getEpsilon().convertToFloat(), 0, {}, F32(1), 0, F32(0), F32(1),
                                 false, kernel::RoutingAttr(), op.getHeads(), op.getKvHeads());
    FailureOr<ArrayAttr> callees = pick->rowwise(op.getLoc(), attr);
    if (failed(callees)) return failure();
    kernel::CallOp c = call(op.getLoc(), type, {op.getX(), op.getQ(), op.getK()}, {"x", "w", "b"}, *callees,
                            kernel::Partition::Rows, 1, false);
    c.setRowBytes(stride);
    c.setTied(0);
    replace(op, c);
    return success();
  }

  LogicalResult lowerOp(llm::AttentionKvOp op) {
    auto type = cast<RankedTensorType>(op.getType());
    auto definition = op.getQkv().getDefiningOp<kernel::CallOp>();
    int64_t qkvStride = definition ? definition.getRowBytes() : strideOf(rowsOf(op.getQkv()));
    llm::RopeAttr rope = op.getRopeAttr();
    auto attr = kernel::AttentionAttr::get(
        &getContext(), op.getHeads(), op.getKvHeads(), op.getHeadDim(), kvType, F32(op.getScale().convertToFloat()),
        rope ? rope.getDim() : 0, rope && rope.getStyle() == llm::RopeStyle::Interleaved, pageBytes, qkvStride,
        op.getTable() ? strideOf(rowsOf(op.getTable())) : 0, strideOf(type), op.getWindow(), op.getAlibi(),
        F32(op.getSoftcap().convertToFloat()), bool(op.getSinks()), fewRows(type) == RowFormat::Q8,
        roundsActivations(computeMode()));
    FailureOr<ArrayAttr> append = pick->kvAppend(op.getLoc(), attr), attend = pick->attention(op.getLoc(), attr);
    if (failed(append) || failed(attend)) return failure();
    SmallVector<Value> inputs = {op.getQkv()};
    SmallVector<StringRef> roles = {"qkv"};
    if (op.getTable()) inputs.push_back(op.getTable()), roles.push_back("rope");
    if (op.getSinks()) inputs.push_back(op.getSinks()), roles.push_back("sinks");
    kernel::CallOp c =
        call(op.getLoc(), type, inputs, roles, *attend, kernel::Partition::Blocks, op.getKvHeads(), false);
    c.setAppendAttr(cast<FlatSymbolRefAttr>((*append)[0]));
    c.setLayerOffset(layerOffsets.lookup(op));
    replace(op, c);
    return success();
  }

  //===- Building -------------------------------------------------------------------===//
  kernel::CallOp call(Location loc, RankedTensorType type, ValueRange inputs, ArrayRef<StringRef> roles,
                      ArrayAttr callees, kernel::Partition partition, int64_t units, bool logitRows) {
    auto c = kernel::CallOp::create(*builder, loc, type, inputs, callees, builder->getStrArrayAttr(roles), partition,
                                    units, logitRows,
                                    /*replicated=*/false, /*many=*/false, /*private_offset=*/IntegerAttr(),
                                    /*tied=*/IntegerAttr(), /*column_offset=*/0, /*layer_offset=*/0,
                                    /*append=*/FlatSymbolRefAttr(), /*rows_each=*/1,
                                    /*experts=*/0, /*few_callees=*/0, strideOf(type), /*offset=*/IntegerAttr());
    return c;
  }
  StringRef computeMode() {
    auto mode = getOperation()->getAttrOfType<StringAttr>(kComputeAttr);
    return mode ? mode.getValue() : "f32";
  }
  void replace(Operation *op, kernel::CallOp c) { op->getResult(0).replaceAllUsesWith(c.getY()); }

  /// Whether the rows of v are the wanted logits' rows.
  static bool onLogitRows(Value v) {
    auto c = v.getDefiningOp<kernel::CallOp>();
    return c && c.getLogitRows();
  }

  func::FuncOp step;
  KernelPicker *pick = nullptr;
  OpBuilder *builder = nullptr;
  std::optional<KvType> kv;
  int64_t pageBytes = 0, partialBytes = 0;
  DenseMap<Operation *, int64_t> layerOffsets; // lookup only
  DenseMap<Operation *, Value> joined;         // concat_columns -> its buffer after the last part; lookup only
};

} // namespace
} // namespace llmc
