#include "passes/raise/Match.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "passes/raise/ShapeValues.h"
#include "passes/support/Rewrite.h"
#include <cmath>
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
  auto op = value ? underRows(value).getDefiningOp<llm::OnnxNodeOp>() : llm::OnnxNodeOp();
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
bool isNear(double number, double exact) {
  auto rounded = [&](const llvm::fltSemantics &semantics) {
    APFloat value(exact);
    bool lost;
    value.convert(semantics, APFloat::rmNearestTiesToEven, &lost);
    value.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven, &lost);
    return value.convertToDouble();
  };
  return std::abs(number - exact) <= 1e-6 * std::abs(exact) || number == rounded(APFloat::IEEEhalf()) ||
         number == rounded(APFloat::BFloat());
}
static bool isFloat(Value value) {
  auto type = dyn_cast<ShapedType>(value.getType());
  return type && isa<FloatType>(type.getElementType());
}
Value beforeCasts(Value value) {
  while (value) {
    value = underRows(value);
    llm::OnnxNodeOp cast = nodeOf(value, "Cast");
    if (!cast) cast = nodeOf(value, "CastLike");
    if (!cast) cast = nodeOf(value, "Identity");
    if (!cast || !isFloat(cast.getInputs()[0]) || !isFloat(value)) break;
    value = cast.getInputs()[0];
  }
  return value;
}
bool isSame(Value a, Value b) { return a && b && beforeCasts(a) == beforeCasts(b); }
std::optional<std::pair<Value, double>> withNumber(llm::OnnxNodeOp node) {
  if (!node || node.getInputs().size() != 2) return std::nullopt;
  for (unsigned side : {0u, 1u})
    if (std::optional<double> number = scalar(beforeCasts(node.getInputs()[side])))
      return std::pair(node.getInputs()[1 - side], *number);
  return std::nullopt;
}
int64_t lastSize(Value value) {
  constexpr unsigned kMostLooks = 8;
  for (unsigned i = 0; i < kMostLooks && value; ++i) {
    auto type = dyn_cast<RankedTensorType>(value.getType());
    if (type && type.getRank() && !type.isDynamicDim(type.getRank() - 1)) return type.getShape().back();
    if (Value under = underRows(value); under != value) {
      value = under;
      continue;
    }
    // What the importer could not say: sizes that the graph computes, and nodes that keep the last axis.
    auto node = value.getDefiningOp<llm::OnnxNodeOp>();
    if (isNode(node, "Reshape")) {
      std::optional<Sizes> shape = sizesIn(node.getInputs()[1]);
      return shape && !shape->empty() && !shape->back().of && shape->back().number > 0 ? shape->back().number : -1;
    }
    auto perm =
        isNode(node, "Transpose") ? node.getOnnxAttributes().getAs<DenseI64ArrayAttr>("perm") : DenseI64ArrayAttr();
    bool keeps = perm && !perm.empty() && perm.asArrayRef().back() == perm.size() - 1;
    if (!keeps && !isNode(node, "Cast") && !isNode(node, "Identity")) return -1;
    value = node.getInputs()[0];
  }
  return -1;
}
bool isLastAxis(Value value, int64_t axis) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  return axis == -1 || (type && axis == type.getRank() - 1);
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
bool isRows(Value value) {
  auto type = value ? dyn_cast<RankedTensorType>(value.getType()) : RankedTensorType();
  return type && (type.getRank() == 2 || type.getRank() == 3) && lastSize(value) > 0 &&
         isa<FloatType>(type.getElementType()) && !value.getDefiningOp<llm::OnnxTensorOp>() &&
         !value.getDefiningOp<llm::OnnxConstantOp>();
}
RankedTensorType rowsType(MLIRContext *context, int64_t columns) {
  return RankedTensorType::get({ShapedType::kDynamic, columns}, Float32Type::get(context));
}
Value toRows(PatternRewriter &rewriter, Value value) {
  auto type = cast<RankedTensorType>(value.getType());
  RankedTensorType rows = isa<FloatType>(type.getElementType())
                              ? rowsType(type.getContext(), lastSize(value))
                              : RankedTensorType::get({ShapedType::kDynamic}, rewriter.getI32Type());
  if (Value under = underRows(value); under.getType() == rows) return under;
  return UnrealizedConversionCastOp::create(rewriter, value.getLoc(), rows, value).getResult(0);
}
Value toRowsOf(PatternRewriter &rewriter, Value value, int64_t columns) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  if (!type || type.getRank() < 2 || type.getRank() > 3 || !isa<FloatType>(type.getElementType())) return {};
  if (int64_t found = lastSize(value); found != -1 && found != columns) return {};
  RankedTensorType rows = rowsType(type.getContext(), columns);
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
  auto made =
      llm::WeightOp::create(rewriter, loc, rewriter.getStringAttr(spec.name), TypeAttr::get(spec.type),
                            rewriter.getArrayAttr(spec.storage), optional(spec.storedRows), optional(spec.rowBegin),
                            spec.transposed ? rewriter.getUnitAttr() : UnitAttr(), IntegerAttr());
  if (spec.run) made.setRun(spec.run), made.setRunStep(spec.runStep);
  if (spec.plus != 0) made.setPlusAttr(rewriter.getF32FloatAttr(spec.plus));
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

Value sliceWeight(PatternRewriter &rewriter, Operation *at, Value whole, const WeightRows &rows, StringRef part) {
  llm::WeightOp weight = weightOf(whole);
  if (!weight || (weight.getRun() && rows.run)) return {};
  RankedTensorType type = weight.getTensorType();
  int64_t run = weight.getRun().value_or(0), runStep = weight.getRunStep().value_or(0);
  // Within runs only whole ones can be taken.
  if (run && (rows.begin % run || rows.count % run)) return {};
  SmallVector<int64_t> shape(type.getShape());
  shape[0] = rows.count;
  WeightSpec spec;
  spec.name = weight.getSymName().str();
  size_t packed = std::string::npos;
  for (StringRef name : {"qkv_proj", "gate_up_proj", "query_key_value", "c_attn", "Wqkv"})
    if (packed = StringRef(spec.name).find(name); packed != std::string::npos) {
      spec.name.replace(packed, name.size(), (part + "_proj").str());
      break;
    }
  if (packed == std::string::npos) spec.name += ("." + part).str();
  spec.type = RankedTensorType::get(shape, type.getElementType());
  spec.storage.assign(weight.getStorage().begin(), weight.getStorage().end());
  spec.transposed = weight.getTransposed();
  spec.storedRows = weight.getStoredRows().value_or(type.getDimSize(0));
  spec.rowBegin = weight.getRowBegin().value_or(0) + (run ? rows.begin / run * runStep : rows.begin);
  spec.run = rows.run ? rows.run : run, spec.runStep = rows.run ? rows.runStep : runStep;
  if (weight.getPlus()) spec.plus = weight.getPlus()->convertToFloat();
  return makeWeight(rewriter, at, spec);
}

int64_t Vector::size() const {
  auto of = [](auto op) { return cast<RankedTensorType>(op.getType()).getDimSize(0); };
  return constant ? of(constant) : of(tensor);
}

std::optional<Vector> vectorOf(Value value) {
  value = value ? beforeCasts(value) : value;
  Vector vector;
  if (auto sum = withNumber(nodeOf(value, "Add"))) vector.plus = float(sum->second), value = beforeCasts(sum->first);
  vector.tensor = floatTensor(value, 1);
  auto constant = value ? value.getDefiningOp<llm::OnnxConstantOp>() : llm::OnnxConstantOp();
  if (constant && isa<DenseFPElementsAttr>(constant.getValue()) &&
      cast<RankedTensorType>(constant.getType()).getRank() == 1)
    vector.constant = constant;
  return vector.tensor || vector.constant ? std::optional(vector) : std::nullopt;
}

static Value makeConstant(PatternRewriter &rewriter, Operation *at, ArrayRef<float> values) {
  OpBuilder::InsertionGuard guard(rewriter);
  rewriter.setInsertionPoint(at);
  auto type = RankedTensorType::get({int64_t(values.size())}, rewriter.getF32Type());
  return wq::ConstantOp::create(rewriter, at->getLoc(), type, DenseElementsAttr::get(type, values));
}

Value makeSplat(PatternRewriter &rewriter, Operation *at, int64_t size, float number) {
  return makeConstant(rewriter, at, SmallVector<float>(size, number));
}

bool isSplat(Value vector, float number) {
  auto constant = vector ? vector.getDefiningOp<wq::ConstantOp>() : wq::ConstantOp();
  auto dense = constant ? dyn_cast<DenseElementsAttr>(constant.getValue()) : DenseElementsAttr();
  return dense && dense.isSplat() && dense.getElementType().isF32() && dense.getSplatValue<float>() == number;
}

Value makeVector(PatternRewriter &rewriter, llm::OnnxNodeOp node, Vector vector) {
  if (vector.constant) {
    SmallVector<float> values;
    for (APFloat number : cast<DenseFPElementsAttr>(vector.constant.getValue())) {
      bool lost;
      number.convert(APFloat::IEEEsingle(), APFloat::rmNearestTiesToEven, &lost);
      values.push_back(number.convertToFloat() + vector.plus);
    }
    return makeConstant(rewriter, node, values);
  }
  std::string nodeName;
  if (auto loc = dyn_cast<NameLoc>(node.getLoc())) nodeName = loc.getName().str();
  WeightSpec spec;
  spec.name = weightName(vector.tensor.getName(), nodeName);
  spec.type = cast<RankedTensorType>(vector.tensor.getType());
  spec.storage = {vector.tensor.getStorage()};
  spec.plus = vector.plus;
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
