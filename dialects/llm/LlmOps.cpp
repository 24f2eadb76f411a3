#include "dialects/llm/Llm.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

#include "dialects/llm/LlmDialect.cpp.inc"
#include "dialects/llm/LlmEnums.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "dialects/llm/LlmAttrs.cpp.inc"
#define GET_OP_CLASSES
#include "dialects/llm/LlmOps.cpp.inc"

using namespace mlir;

namespace llmc::llm {

void LlmDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/llm/LlmAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/llm/LlmOps.cpp.inc"
      >();
}

//===- Rope -----------------------------------------------------------------===//
Attribute RopeAttr::parse(AsmParser &parser, Type) {
  int64_t dim = 0, dynamicMax = 0;
  double scale = 1, base = 0, factor = 1, longScale = 1;
  StringRef style;
  SmallVector<F32> frequencies, longOnes;
  auto loc = parser.getCurrentLocation();
  auto list = [&](SmallVector<F32> &out) {
    return parser.parseCommaSeparatedList(AsmParser::Delimiter::Square, [&]() -> ParseResult {
      double value;
      if (parser.parseFloat(value)) return failure();
      out.push_back(float(value));
      return success();
    });
  };
  if (parser.parseLess() || parser.parseInteger(dim) || parser.parseComma() || parser.parseKeyword(&style) ||
      parser.parseComma() || list(frequencies))
    return {};
  while (succeeded(parser.parseOptionalComma())) {
    StringRef key;
    if (parser.parseKeyword(&key) || parser.parseEqual()) return {};
    if (key == "scale"            ? bool(parser.parseFloat(scale))
        : key == "dynamic_max"    ? bool(parser.parseInteger(dynamicMax))
        : key == "dynamic_base"   ? bool(parser.parseFloat(base))
        : key == "dynamic_factor" ? bool(parser.parseFloat(factor))
        : key == "long_inv_freq"  ? bool(list(longOnes))
        : key == "long_scale"     ? bool(parser.parseFloat(longScale))
                                  : true) {
      parser.emitError(loc, "rope: found '") << key
                                             << "', expected scale, dynamic_max, dynamic_base, dynamic_factor, "
                                                "long_inv_freq or long_scale";
      return {};
    }
  }
  if (parser.parseGreater()) return {};
  std::optional<RopeStyle> known = symbolizeRopeStyle(style);
  if (!known) {
    parser.emitError(loc, "rope: found style '") << style << "', expected half or interleaved";
    return {};
  }
  return RopeAttr::getChecked([&] { return parser.emitError(loc); }, parser.getContext(), dim, *known, frequencies,
                              F32(scale), dynamicMax, F32(base), F32(factor), longOnes, F32(longScale));
}

void RopeAttr::print(AsmPrinter &printer) const {
  printer << "<" << getDim() << ", " << stringifyRopeStyle(getStyle()) << ", [";
  llvm::interleaveComma(getInvFreq(), printer, [&](F32 f) { printer << f; });
  printer << "]";
  if (float(getScale()) != 1.0f) printer << ", scale = " << getScale();
  if (getDynamicMax()) printer << ", dynamic_max = " << getDynamicMax();
  if (!getLongInvFreq().empty()) {
    printer << ", long_inv_freq = [";
    llvm::interleaveComma(getLongInvFreq(), printer, [&](F32 f) { printer << f; });
    printer << "], long_scale = " << getLongScale();
  } else if (getDynamicMax()) {
    printer << ", dynamic_base = " << getDynamicBase() << ", dynamic_factor = " << getDynamicFactor();
  }
  printer << ">";
}

LogicalResult RopeAttr::verify(function_ref<InFlightDiagnostic()> error, int64_t dim, RopeStyle,
                               ArrayRef<F32> frequencies, F32, int64_t dynamicMax, F32, F32, ArrayRef<F32> longOnes,
                               F32) {
  if (dim <= 0 || dim % 2) return error() << "rope: found " << dim << " channels, expected an even number";
  if (int64_t(frequencies.size()) != dim / 2)
    return error() << "rope: found " << frequencies.size() << " frequencies, expected " << dim / 2;
  if (!longOnes.empty() && (longOnes.size() != frequencies.size() || dynamicMax <= 0))
    return error() << "rope: found " << longOnes.size() << " long frequencies after " << dynamicMax
                   << " positions, expected as many as the others and a positive number";
  return success();
}

//===- Verifiers --------------------------------------------------------------===//
static RankedTensorType tensor(Value v) { return cast<RankedTensorType>(v.getType()); }
static int64_t columns(Value v) { return tensor(v).getRank() == 2 ? tensor(v).getDimSize(1) : -1; }

LogicalResult WeightOp::verify() {
  auto type = dyn_cast<RankedTensorType>(getType());
  if (!type || !type.hasStaticShape() || type.getRank() < 1 || type.getRank() > 2)
    return emitOpError("expects a static matrix or vector type");
  if (getStorage().empty()) return emitOpError("has no storage");
  for (auto part : getStorage().getAsRange<StorageAttr>())
    if (part.getFile() < 0 || part.getOffset() < 0 || part.getBytes() <= 0)
      return emitOpError("expects non-negative offsets and a positive size");
  if (getTransposed() && !isa<FloatType>(type.getElementType())) return emitOpError("only floats can be transposed");
  int64_t begin = getRowBegin().value_or(0), stored = getStoredRows().value_or(type.getDimSize(0));
  int64_t rows = type.getDimSize(0), last = begin + rows;
  if (int64_t run = getRun().value_or(0); run || getRunStep()) {
    int64_t step = getRunStep().value_or(0);
    if (run <= 0 || step < run || rows % run || step > (int64_t(1) << 40) / rows)
      return emitOpError() << "has " << rows << " rows in runs of " << run << " every " << step;
    last = begin + (rows / run - 1) * step + run;
  }
  if (begin < 0 || last > stored) return emitOpError() << "is rows " << begin << " to " << last << " of " << stored;
  if (getPlus() && (type.getRank() != 1 || !isa<FloatType>(type.getElementType())))
    return emitOpError("adds to the elements of what is no vector of floats");
  if (auto heads = getInterleavedHeads(); heads && (*heads <= 0 || type.getDimSize(0) % (2 * *heads)))
    return emitOpError() << "has " << type.getDimSize(0) << " rows for " << *heads << " interleaved heads";
  return success();
}

LogicalResult GetWeightOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto weight = symbols.lookupNearestSymbolFrom<WeightOp>(*this, getWeightAttr());
  if (!weight) return emitOpError() << "names an unknown weight " << getWeightAttr();
  if (weight.getType() != getY().getType())
    return emitOpError() << "differs from the weight's type " << weight.getType();
  return success();
}

LogicalResult EmbedOp::verify() {
  if (tensor(getTable()).getRank() != 2 || columns(getTable()) != columns(getY()))
    return emitOpError("expects rows of the table's width");
  return success();
}

LogicalResult LinearOp::verify() {
  if (tensor(getW()).getRank() != 2 || columns(getX()) != columns(getW()))
    return emitOpError() << "has rows of " << columns(getX()) << " and a weight of K = " << columns(getW());
  if (columns(getY()) != tensor(getW()).getDimSize(0))
    return emitOpError() << "gives " << columns(getY())
                         << " columns, its weight has N = " << tensor(getW()).getDimSize(0);
  if (getBias() && (tensor(getBias()).getRank() != 1 || tensor(getBias()).getDimSize(0) != columns(getY())))
    return emitOpError("expects a bias of N elements");
  return success();
}

template <typename Op> static LogicalResult verifyNorm(Op op) {
  if (tensor(op.getX()).getShape() != tensor(op.getY()).getShape()) return op.emitOpError("changes the shape");
  auto w = tensor(op.getWeight());
  if (w.getRank() != 1 || w.getDimSize(0) != columns(op.getX()))
    return op.emitOpError("expects a weight of the row's width");
  if (!(op.getEpsilon().convertToFloat() > 0)) return op.emitOpError("expects epsilon > 0");
  return success();
}

LogicalResult RmsNormOp::verify() { return verifyNorm(*this); }

LogicalResult LayerNormOp::verify() {
  if (failed(verifyNorm(*this))) return failure();
  if (getBias() && getBias().getType() != getWeight().getType())
    return emitOpError("expects a bias of the weight's type");
  return success();
}

LogicalResult HeadNormOp::verify() {
  auto w = tensor(getWeight());
  if (w.getRank() != 1 || w.getDimSize(0) < 1 || columns(getX()) % w.getDimSize(0))
    return emitOpError("expects a weight of the width of a head");
  if (!(getEpsilon().convertToFloat() > 0)) return emitOpError("expects epsilon > 0");
  return success();
}

LogicalResult QkNormOp::verify() {
  auto q = tensor(getQ()), k = tensor(getK());
  if (q.getRank() != 1 || q.getShape() != k.getShape() || getHeads() < 1 || getKvHeads() < 1 ||
      columns(getX()) != int64_t(getHeads() + 2 * getKvHeads()) * q.getDimSize(0))
    return emitOpError("expects weights of the width of a head, and heads + 2 * kv_heads of them in a row");
  if (!(getEpsilon().convertToFloat() > 0)) return emitOpError("expects epsilon > 0");
  return success();
}

LogicalResult ActivateOp::verify() {
  if (tensor(getX()).getShape() != tensor(getY()).getShape()) return emitOpError("changes the shape");
  return success();
}

LogicalResult ScaleOp::verify() {
  if (!(getSoftcap().convertToFloat() >= 0)) return emitOpError("expects softcap >= 0");
  return success();
}

LogicalResult RopeOp::verify() {
  if (getHeads() <= 0 || columns(getX()) % int64_t(getHeads())) return emitOpError("expects heads that divide the row");
  if (getRope().getDim() > columns(getX()) / int64_t(getHeads()))
    return emitOpError("rotates more channels than a head has");
  return success();
}

LogicalResult RopeTableOp::verify() {
  if (columns(getY()) != getRope().getDim()) return emitOpError("expects rows of rope.dim");
  return success();
}

template <typename Op> static LogicalResult verifyHeads(Op op) {
  int64_t heads = op.getHeads(), kvHeads = op.getKvHeads(), dim = op.getHeadDim();
  if (heads <= 0 || kvHeads <= 0 || heads % kvHeads) return op.emitOpError("expects kv_heads that divide heads");
  if (dim <= 0) return op.emitOpError("expects a positive head_dim");
  if (columns(op.getY()) != heads * dim) return op.emitOpError("expects a result of heads * head_dim columns");
  if (!(op.getSoftcap().convertToFloat() >= 0)) return op.emitOpError("expects softcap >= 0");
  if (Value sinks = op.getSinks(); sinks && (tensor(sinks).getRank() != 1 || tensor(sinks).getDimSize(0) != heads))
    return op.emitOpError("expects a sink for each head");
  return success();
}

LogicalResult AttentionOp::verify() {
  if (failed(verifyHeads(*this))) return failure();
  int64_t kv = getKvHeads() * getHeadDim();
  if (columns(getQ()) != columns(getY()) || columns(getK()) != kv || columns(getV()) != kv)
    return emitOpError("expects q of heads * head_dim, k and v of kv_heads * head_dim columns");
  return success();
}

LogicalResult AttentionKvOp::verify() {
  if (failed(verifyHeads(*this))) return failure();
  if (columns(getQkv()) != int64_t(getHeads() + 2 * getKvHeads()) * int64_t(getHeadDim()))
    return emitOpError("expects qkv of (heads + 2 * kv_heads) * head_dim columns");
  if (bool(getTable()) != bool(getRope())) return emitOpError("expects a table and a rope together");
  return success();
}

LogicalResult ConcatColumnsOp::verify() {
  int64_t sum = 0;
  for (Value part : getParts()) sum += columns(part);
  if (sum != columns(getY())) return emitOpError() << "has " << sum << " columns, its result " << columns(getY());
  return success();
}

LogicalResult GluLinearOp::verify() {
  auto w = cast<RankedTensorType>(getW().getType());
  if (w.getRank() != 2 || w.getDimSize(1) != columns(getX()))
    return emitOpError() << "expects a weight of K = " << columns(getX()) << ", has " << w;
  if (w.getDimSize(0) != 2 * columns(getY()) || columns(getY()) % 32)
    return emitOpError() << "expects a weight of twice as many rows as the result has columns, in turns of 32: has "
                         << w.getDimSize(0) << " rows and " << columns(getY()) << " columns";
  if (getBias() && cast<RankedTensorType>(getBias().getType()).getDimSize(0) != w.getDimSize(0))
    return emitOpError("expects a bias for each row of the weight");
  return success();
}

template <typename Op> static LogicalResult verifyRouting(Op op, int64_t experts) {
  int64_t k = op.getK();
  if (k < 1 || k > experts)
    return op.emitOpError() << "chooses " << k << " of " << experts << " experts, expected 1 or more of them";
  if (op.getActivation() == Activation::None) return op.emitOpError("expects an activation");
  return success();
}

LogicalResult MoeOp::verify() {
  int64_t experts = columns(getLogits()), hidden = columns(getX());
  if (failed(verifyRouting(*this, experts))) return failure();
  for (auto [name, list] : {std::pair("gate", getGate()), {"up", getUp()}, {"down", getDown()}})
    if (int64_t(list.size()) != experts)
      return emitOpError() << "has " << list.size() << " " << name << " weights and " << experts << " logits";
  int64_t inner = tensor(getGate()[0]).getDimSize(0);
  auto isMatrix = [](Value v, int64_t n, int64_t k) {
    return tensor(v).getRank() == 2 && tensor(v).getDimSize(0) == n && tensor(v).getDimSize(1) == k;
  };
  for (auto [gate, up, down] : llvm::zip(getGate(), getUp(), getDown()))
    if (!isMatrix(gate, inner, hidden) || !isMatrix(up, inner, hidden) || !isMatrix(down, hidden, inner))
      return emitOpError() << "expects gate and up of " << inner << " x " << hidden << ", down of " << hidden << " x "
                           << inner << " elements";
  return success();
}

LogicalResult ExpertsOp::verify() {
  int64_t experts = numExperts(), hidden = columns(getX()), inner = hiddenColumns();
  if (failed(verifyRouting(*this, experts))) return failure();
  if (inner % 32 || hidden % 64)
    return emitOpError() << "expects hidden rows of a multiple of 32 columns and rows of a multiple of 64, has "
                         << inner << " and " << hidden;
  if (tensor(getGateUp()).getShape() != ArrayRef<int64_t>{experts * 2 * inner, hidden} ||
      tensor(getDown()).getShape() != ArrayRef<int64_t>{experts * hidden, inner})
    return emitOpError() << "expects weights of " << experts << " experts: " << experts * 2 * inner << " x " << hidden
                         << " and " << experts * hidden << " x " << inner << " elements";
  if (columns(getY()) != hidden || (getResidual() && getResidual().getType() != getY().getType()))
    return emitOpError("changes the width of its rows");
  return success();
}

LogicalResult GluOp::verify() {
  if (columns(getX()) != 2 * columns(getY())) return emitOpError("expects rows twice as wide as the result");
  return success();
}

//===- Import of ONNX -------------------------------------------------------===//
LogicalResult OnnxNodeOp::verify() {
  for (auto [i, body] : llvm::enumerate(getBodies())) {
    auto yield = dyn_cast<OnnxYieldOp>(body.front().back());
    if (!yield) return emitOpError() << "expects body " << i << " to end in llm.onnx_yield";
    // A loop yields its condition first.
    size_t results = getNumResults() + (getOpType() == "Loop");
    if (yield.getValues().size() != results)
      return emitOpError() << "expects body " << i << " to yield " << results << " values, found "
                           << yield.getValues().size();
  }
  return success();
}

} // namespace llmc::llm
