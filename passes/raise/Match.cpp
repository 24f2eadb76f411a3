#include "passes/raise/Match.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "passes/support/Rewrite.h"
#include <map>
#include <regex>

using namespace mlir;

namespace llmc::raise {

bool isImportedGraph(func::FuncOp step) {
  for (unsigned i = 0; i < step.getNumArguments(); ++i)
    if (step.getArgAttr(i, kNameAttr)) return true;
  return false;
}

//===- Nodes ------------------------------------------------------------------===//
bool isNode(llm::OnnxNodeOp op, StringRef opType, StringRef domain) {
  return op && op.getOpType() == opType && op.getDomain() == domain;
}
llm::OnnxNodeOp nodeOf(Value value, StringRef opType, StringRef domain) {
  auto op = value ? value.getDefiningOp<llm::OnnxNodeOp>() : llm::OnnxNodeOp();
  return isNode(op, opType, domain) ? op : llm::OnnxNodeOp();
}
Value exchanged(Value value) {
  llm::OnnxNodeOp node = nodeOf(value, "Transpose");
  auto type = dyn_cast_or_null<RankedTensorType>(value ? value.getType() : Type());
  if (!node || !type || type.getRank() != 2) return {};
  auto perm = node.getOnnxAttributes().getAs<DenseI64ArrayAttr>("perm");
  return !perm || perm.asArrayRef() == ArrayRef<int64_t>{1, 0} ? node.getInputs()[0] : Value();
}
Value operand(llm::OnnxNodeOp op, unsigned i) {
  if (!op || i >= op.getInputs().size() || isa<NoneType>(op.getInputs()[i].getType())) return {};
  return op.getInputs()[i];
}
int64_t intAttr(llm::OnnxNodeOp op, StringRef name, int64_t absent) {
  auto attr = op.getOnnxAttributes().getAs<IntegerAttr>(name);
  return attr ? attr.getInt() : absent;
}
double floatAttr(llm::OnnxNodeOp op, StringRef name, double absent) {
  auto attr = op.getOnnxAttributes().getAs<FloatAttr>(name);
  return attr ? attr.getValueAsDouble() : absent;
}
static DenseElementsAttr constantOf(Value value) {
  auto op = value ? value.getDefiningOp<llm::OnnxConstantOp>() : llm::OnnxConstantOp();
  return op ? dyn_cast<DenseElementsAttr>(op.getValue()) : DenseElementsAttr();
}
std::optional<double> scalar(Value value) {
  DenseElementsAttr dense = constantOf(value);
  if (!dense || dense.getNumElements() != 1) return std::nullopt;
  if (auto floats = dyn_cast<DenseFPElementsAttr>(dense)) {
    APFloat number = *floats.begin();
    bool lost;
    number.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven, &lost);
    return number.convertToDouble();
  }
  return double((*cast<DenseIntElementsAttr>(dense).begin()).getSExtValue());
}
std::optional<SmallVector<int64_t>> integers(Value value) {
  auto dense = dyn_cast_or_null<DenseIntElementsAttr>(constantOf(value));
  if (!dense) return std::nullopt;
  SmallVector<int64_t> out;
  for (const APInt &number : dense) out.push_back(number.getSExtValue());
  return out;
}
StringRef inputName(Value value) {
  auto argument = dyn_cast_or_null<BlockArgument>(value);
  auto function = argument ? dyn_cast<func::FuncOp>(argument.getOwner()->getParentOp()) : func::FuncOp();
  auto name = function ? function.getArgAttrOfType<StringAttr>(argument.getArgNumber(), kNameAttr) : StringAttr();
  return name ? name.getValue() : StringRef();
}

//===- Rows --------------------------------------------------------------------===//
bool isActivation(Value value) {
  auto type = value ? dyn_cast<RankedTensorType>(value.getType()) : RankedTensorType();
  return type && type.getRank() == 3 && !type.isDynamicDim(2) && type.getDimSize(2) > 0 &&
         isa<FloatType>(type.getElementType());
}
RankedTensorType rowsType(MLIRContext *context, int64_t columns) {
  return RankedTensorType::get({ShapedType::kDynamic, columns}, Float32Type::get(context));
}
Value toRows(PatternRewriter &rewriter, Value value) {
  auto type = cast<RankedTensorType>(value.getType());
  RankedTensorType rows = isa<FloatType>(type.getElementType())
                              ? rowsType(type.getContext(), type.getDimSize(type.getRank() - 1))
                              : RankedTensorType::get({ShapedType::kDynamic}, rewriter.getI32Type());
  if (Value under = underRows(value); under.getType() == rows) return under;
  return UnrealizedConversionCastOp::create(rewriter, value.getLoc(), rows, value).getResult(0);
}
void replaceByRows(PatternRewriter &rewriter, Value result, Value rows) {
  auto cast = UnrealizedConversionCastOp::create(rewriter, rows.getLoc(), result.getType(), rows);
  rewriter.replaceAllUsesWith(result, cast.getResult(0));
}
Value underRows(Value value) {
  while (auto cast = value.getDefiningOp<UnrealizedConversionCastOp>()) {
    if (cast.getNumOperands() != 1) break;
    value = cast.getOperand(0);
  }
  return value;
}

//===- Weights -------------------------------------------------------------------===//
std::string weightName(StringRef tensor, StringRef node) {
  // What builders and quantisers add to a layer's own name, and names that a PyTorch export invents.
  static const std::regex suffix("(\\.MatMul)?\\.weight(_(DQ_)?(Q[0-9]+(G[0-9]+)?|scales?|zero_points|zp))?$");
  static const std::regex invented("^onnx::|^val_|^_v_");
  static const std::regex finalNorm("^model\\.layers\\.[0-9]+\\.final_norm_layernorm\\b");
  static const std::regex attention("\\.attn\\.");
  std::string name = tensor.str();
  bool isBias = StringRef(name).consume_back(".bias") || StringRef(name).ends_with(".bias");
  if (name.empty() || std::regex_search(name, invented)) { // a module's path: /model/layers.0/mlp/up_proj/MatMul
    name = node.ltrim('/').rsplit('/').first.str();
    std::replace(name.begin(), name.end(), '/', '.');
    name += ".weight";
  }
  if (!isBias) name = std::regex_replace(name, suffix, ".weight");
  name = std::regex_replace(name, attention, ".self_attn.");
  return std::regex_replace(name, finalNorm, "model.norm");
}

Value makeWeight(PatternRewriter &rewriter, Operation *at, const WeightSpec &spec) {
  OpBuilder::InsertionGuard guard(rewriter);
  auto function = at->getParentOfType<func::FuncOp>();
  auto module = function->getParentOfType<ModuleOp>();
  auto optional = [&](int64_t value) { return value ? rewriter.getI64IntegerAttr(value) : IntegerAttr(); };
  rewriter.setInsertionPoint(function);
  Location loc = NameLoc::get(rewriter.getStringAttr(StringRef(spec.name).rsplit('.').first));
  auto made = llm::WeightOp::create(rewriter, loc, rewriter.getStringAttr(spec.name), TypeAttr::get(spec.type),
                                    rewriter.getArrayAttr(spec.storage), optional(spec.storedRows),
                                    optional(spec.rowBegin), spec.transposed ? rewriter.getUnitAttr() : UnitAttr(),
                                    IntegerAttr(), optional(spec.rowBlock), optional(spec.rowStride));
  llm::WeightOp weight = made;
  for (unsigned copy = 0;; ++copy) {
    std::string name = copy ? spec.name + "." + std::to_string(copy) : spec.name;
    made.setSymName(name);
    llm::WeightOp other;
    for (auto op : module.getOps<llm::WeightOp>())
      if (op != made && op.getSymName() == name) other = op;
    if (!other) break;
    if (other->getAttrDictionary() == made->getAttrDictionary()) {
      rewriter.eraseOp(made);
      weight = other;
      break;
    }
  }
  rewriter.setInsertionPoint(at);
  return llm::GetWeightOp::create(rewriter, loc, spec.type, FlatSymbolRefAttr::get(weight.getSymNameAttr()));
}

llm::WeightOp weightOf(Value value) {
  auto get = value ? value.getDefiningOp<llm::GetWeightOp>() : llm::GetWeightOp();
  return get ? SymbolTable::lookupNearestSymbolFrom<llm::WeightOp>(get, get.getWeightAttr()) : llm::WeightOp();
}

wq::ScaleType scaleTypeOf(Type element) {
  return element.isF16() ? wq::ScaleType::F16 : element.isBF16() ? wq::ScaleType::BF16 : wq::ScaleType::F32;
}

llm::OnnxTensorOp floatTensor(Value value, int64_t rank) {
  auto tensor = value ? value.getDefiningOp<llm::OnnxTensorOp>() : llm::OnnxTensorOp();
  if (!tensor) return {};
  auto type = cast<RankedTensorType>(tensor.getType());
  Type element = type.getElementType();
  return type.getRank() == rank && (element.isF32() || element.isF16() || element.isBF16()) ? tensor
                                                                                            : llm::OnnxTensorOp();
}

Value makeVector(PatternRewriter &rewriter, llm::OnnxNodeOp node, llm::OnnxTensorOp tensor) {
  std::string nodeName;
  if (auto loc = dyn_cast<NameLoc>(node.getLoc())) nodeName = loc.getName().str();
  WeightSpec spec;
  spec.name = weightName(tensor.getName(), nodeName);
  spec.type = cast<RankedTensorType>(tensor.getType());
  spec.storage = {tensor.getStorage()};
  return makeWeight(rewriter, node, spec);
}

//===- Driver --------------------------------------------------------------------===//
namespace {
struct ReasonListener : RewriterBase::Listener {
  explicit ReasonListener(StringRef pass) : pass(pass) {}
  void notifyMatchFailure(Location loc, function_ref<void(Diagnostic &)> callback) override {
    Diagnostic diagnostic(loc, DiagnosticSeverity::Remark);
    callback(diagnostic);
    std::string &reason = reasons[loc.getAsOpaquePointer()];
    if (reason == diagnostic.str()) return;
    reason = diagnostic.str();
    reportRefusal(loc, pass, reason);
  }
  StringRef pass;
  std::map<const void *, std::string> reasons; // lookup only
};
} // namespace

LogicalResult applyRaise(ModuleOp module, StringRef pass, RewritePatternSet &&patterns) {
  ReasonListener listener(pass);
  GreedyRewriteConfig config;
  config.setListener(&listener);
  // Symbols are made before they are used, and are not the driver's to remove.
  config.setRegionSimplificationLevel(GreedySimplifyRegionLevel::Disabled);
  if (failed(applyPatternsGreedily(module, std::move(patterns), config))) return failure();
  module.walk([&](llm::OnnxNodeOp op) {
    auto found = listener.reasons.find(op.getLoc().getAsOpaquePointer());
    if (found != listener.reasons.end()) op->setAttr(kRefusal, StringAttr::get(op.getContext(), found->second));
  });
  return success();
}

} // namespace llmc::raise
