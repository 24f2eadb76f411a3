#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/FuncToLLVM/ConvertFuncToLLVM.h"
#include "mlir/Conversion/LLVMCommon/ConversionTarget.h"
#include "mlir/Conversion/LLVMCommon/MemRefBuilder.h"
#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Conversion/MathToLLVM/MathToLLVM.h"
#include "mlir/Conversion/MemRefToLLVM/MemRefToLLVM.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/Transforms/DialectConversion.h"
#include "passes/graph/Graph.h"

namespace llmc {
#define GEN_PASS_DEF_LOWERGRAPH
#include "passes/graph/GraphPasses.h.inc"

using namespace mlir;

namespace {

using Builder = ImplicitLocOpBuilder;
constexpr int kDims = 8; // parameters of llmc_graph_alloc

/// Operations of math that LLVM has no intrinsic for, or one that is less exact: functions of libm (f32 with an f).
constexpr std::pair<StringLiteral, StringLiteral> kLibm[] = {
    {"math.acos", "acos"},   {"math.acosh", "acosh"}, {"math.asin", "asin"},   {"math.asinh", "asinh"},
    {"math.atan", "atan"},   {"math.atan2", "atan2"}, {"math.atanh", "atanh"}, {"math.cbrt", "cbrt"},
    {"math.cosh", "cosh"},   {"math.erf", "erf"},     {"math.erfc", "erfc"},   {"math.expm1", "expm1"},
    {"math.log1p", "log1p"}, {"math.sinh", "sinh"},   {"math.tan", "tan"},     {"math.tanh", "tanh"},
};

class Lowering {
public:
  Lowering(ModuleOp module, StringRef target)
      : module(module), b(module.getLoc(), module.getContext()), types(module.getContext()) {
    entryName = kGraphEntry.str();
    if (!target.empty()) entryName += "_" + target.str();
    std::replace_if(entryName.begin(), entryName.end(), [](unsigned char c) { return !isalnum(c); }, '_');
    ptr = LLVM::LLVMPointerType::get(b.getContext());
    i64 = b.getI64Type();
  }

  /// What the patterns of the core dialects do not do: the runtime's part.
  LogicalResult lowerRuntimeCalls() {
    SmallVector<Operation *> found;
    module.walk([&](Operation *op) {
      if (isa<memref::AllocOp, memref::DeallocOp, cf::AssertOp>(op) || isa<math::MathDialect>(op->getDialect()))
        found.push_back(op);
    });
    for (Operation *op : found) {
      b.setLoc(op->getLoc());
      b.setInsertionPoint(op);
      if (auto alloc = dyn_cast<memref::AllocOp>(op)) {
        if (failed(lowerAlloc(alloc))) return failure();
      } else if (auto dealloc = dyn_cast<memref::DeallocOp>(op)) {
        lowerDealloc(dealloc);
      } else if (auto check = dyn_cast<cf::AssertOp>(op)) {
        lowerAssert(check);
      } else {
        lowerMath(op);
      }
    }
    return success();
  }

  /// void llmc_graph_entry(run, weights, weightBytes, inputs, outputs): inputs are the fields of all descriptors, 8
  /// bytes each; so are outputs.
  LogicalResult addEntry() {
    auto graph = module.lookupSymbol<LLVM::LLVMFuncOp>(kGraph);
    if (!graph) return module.emitError("expects @llmc_graph");
    b.setLoc(graph.getLoc());
    b.setInsertionPointToEnd(module.getBody());
    auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(b.getContext()), {ptr, ptr, i64, ptr, ptr});
    auto entry = LLVM::LLVMFuncOp::create(b, entryName, type);
    entry->setAttr("llmc.step", b.getUnitAttr());
    graph.setLinkage(LLVM::Linkage::Internal);
    graph.setOptimizeNone(true); // sizes and calls: not worth the time that LLVM takes for a function of this length
    graph.setNoInline(true);
    for (auto function : module.getOps<LLVM::LLVMFuncOp>()) // LLVM would make one large function of them again
      if (!function.isExternal() && function != graph && function != entry) function.setNoInline(true);
    Block *body = entry.addEntryBlock(b);
    b.setInsertionPointToStart(body);
    Value zero = LLVM::ConstantOp::create(b, i64, 0), one = LLVM::ConstantOp::create(b, i64, 1);
    Value run = body->getArgument(0), weights = body->getArgument(1), bytes = body->getArgument(2);
    SmallVector<Value> operands{run, weights, weights, zero, bytes, one};
    ArrayRef<Type> parameters = graph.getFunctionType().getParams();
    for (auto [i, parameter] : llvm::enumerate(parameters.drop_front(operands.size()))) {
      Value place = LLVM::GEPOp::create(b, ptr, i64, body->getArgument(3), ArrayRef<LLVM::GEPArg>{int32_t(i)});
      operands.push_back(LLVM::LoadOp::create(b, parameter, place));
    }
    auto call = LLVM::CallOp::create(b, graph, operands);
    if (call.getNumResults()) LLVM::StoreOp::create(b, call.getResult(), body->getArgument(4));
    LLVM::ReturnOp::create(b, ValueRange());
    return success();
  }

private:
  LLVM::LLVMFuncOp function(StringRef name, Type result, ArrayRef<Type> parameters) {
    if (auto known = module.lookupSymbol<LLVM::LLVMFuncOp>(name)) return known;
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(module.getBody());
    return LLVM::LLVMFuncOp::create(b, name, LLVM::LLVMFunctionType::get(result, parameters));
  }
  Value runOf(Operation *op) { return op->getParentOfType<func::FuncOp>().getArgument(0); }

  LogicalResult lowerAlloc(memref::AllocOp op) {
    MemRefType type = op.getType();
    if (type.getRank() > kDims)
      return op.emitError("a tensor of " + llvm::Twine(type.getRank()) + " dims, expected at most " +
                          llvm::Twine(kDims));
    SmallVector<Value> sizes, arguments{runOf(op)};
    auto dynamic = op.getDynamicSizes().begin();
    for (int64_t dim : type.getShape())
      sizes.push_back(ShapedType::isDynamic(dim) ? Value(arith::IndexCastOp::create(b, i64, *dynamic++))
                                                 : Value(LLVM::ConstantOp::create(b, i64, dim)));
    Value one = LLVM::ConstantOp::create(b, i64, 1);
    Type element = type.getElementType();
    int64_t bits = element.isIndex() ? 64 : element.getIntOrFloatBitWidth();
    arguments.push_back(LLVM::ConstantOp::create(b, i64, int64_t(llvm::divideCeil(bits, 8))));
    arguments.append(sizes);
    arguments.resize(2 + kDims, one);
    SmallVector<Type> parameters(2 + kDims, i64);
    parameters[0] = ptr;
    Value memory = LLVM::CallOp::create(b, function("llmc_graph_alloc", ptr, parameters), arguments).getResult();
    auto descriptor = MemRefDescriptor::poison(b, b.getLoc(), types.convertType(type));
    descriptor.setAllocatedPtr(b, b.getLoc(), memory);
    descriptor.setAlignedPtr(b, b.getLoc(), memory);
    descriptor.setOffset(b, b.getLoc(), LLVM::ConstantOp::create(b, i64, 0));
    Value stride = one;
    for (int64_t i = type.getRank() - 1; i >= 0; --i) {
      descriptor.setSize(b, b.getLoc(), i, sizes[i]);
      descriptor.setStride(b, b.getLoc(), i, stride);
      stride = LLVM::MulOp::create(b, stride, sizes[i]);
    }
    op.replaceAllUsesWith(UnrealizedConversionCastOp::create(b, type, Value(descriptor)).getResult(0));
    op.erase();
    return success();
  }

  void lowerDealloc(memref::DeallocOp op) {
    Type type = types.convertType(op.getMemref().getType());
    MemRefDescriptor descriptor(UnrealizedConversionCastOp::create(b, type, op.getMemref()).getResult(0));
    LLVM::CallOp::create(b, function("llmc_graph_free", LLVM::LLVMVoidType::get(b.getContext()), {ptr, ptr}),
                         ValueRange{runOf(op), descriptor.allocatedPtr(b, b.getLoc())});
    op.erase();
  }

  void lowerAssert(cf::AssertOp op) {
    auto fail = function("llmc_graph_fail", LLVM::LLVMVoidType::get(b.getContext()), {ptr, ptr});
    fail.setPassthroughAttr(b.getArrayAttr({b.getStringAttr("noreturn"), b.getStringAttr("cold")}));
    Value run = runOf(op);
    Block *before = op->getBlock(), *after = before->splitBlock(op);
    Block *failed = b.createBlock(before->getParent());
    LLVM::CallOp::create(b, fail, ValueRange{run, text(op.getMsg())});
    LLVM::UnreachableOp::create(b);
    b.setInsertionPointToEnd(before);
    cf::CondBranchOp::create(b, op.getArg(), after, ValueRange(), failed, ValueRange());
    op.erase();
  }

  Value text(StringRef message) {
    auto [name, isNew] = texts.try_emplace(message, "");
    if (isNew) {
      name->second = ("llmc_graph_text_" + llvm::Twine(texts.size())).str();
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(module.getBody());
      std::string bytes = message.str() + '\0';
      LLVM::GlobalOp::create(b, LLVM::LLVMArrayType::get(b.getI8Type(), bytes.size()), /*isConstant=*/true,
                             LLVM::Linkage::Internal, name->second, b.getStringAttr(bytes));
    }
    return LLVM::AddressOfOp::create(b, ptr, name->second);
  }

  void lowerMath(Operation *op) {
    const auto *row = llvm::find_if(kLibm, [&](const auto &r) { return r.first == op->getName().getStringRef(); });
    Type type = op->getResult(0).getType();
    if (row == std::end(kLibm) || !(type.isF32() || type.isF64())) return;
    std::string name = row->second.str() + (type.isF32() ? "f" : "");
    SmallVector<Type> parameters(op->getNumOperands(), type);
    auto call = LLVM::CallOp::create(b, function(name, type, parameters), op->getOperands());
    op->replaceAllUsesWith(call->getResults());
    op->erase();
  }

  ModuleOp module;
  Builder b;
  std::string entryName;
  LLVMTypeConverter types;
  Type ptr, i64;
  llvm::StringMap<std::string> texts;
};

struct LowerGraph : impl::LowerGraphBase<LowerGraph> {
  using LowerGraphBase::LowerGraphBase;
  void runOnOperation() override {
    Lowering lowering(getOperation(), target);
    if (failed(lowering.lowerRuntimeCalls()) || failed(convert()) || failed(lowering.addEntry()))
      return signalPassFailure();
  }

  LogicalResult convert() {
    LLVMTypeConverter types(&getContext());
    RewritePatternSet patterns(&getContext());
    arith::populateArithToLLVMConversionPatterns(types, patterns);
    cf::populateControlFlowToLLVMConversionPatterns(types, patterns);
    populateFuncToLLVMConversionPatterns(types, patterns);
    populateMathToLLVMConversionPatterns(types, patterns);
    populateFinalizeMemRefToLLVMConversionPatterns(types, patterns);
    LLVMConversionTarget target(getContext());
    target.addLegalOp<ModuleOp, UnrealizedConversionCastOp>();
    return applyFullConversion(getOperation(), target, std::move(patterns));
  }
};

} // namespace
} // namespace llmc
