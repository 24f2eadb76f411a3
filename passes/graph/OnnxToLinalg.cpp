// Walks a graph node by node: each is lowered by its operator's row.
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "passes/graph/Building.h"
#include "passes/graph/Graph.h"
#include "passes/support/Schemes.h"
#include "llvm/Support/MathExtras.h"

namespace llmc {
#define GEN_PASS_DEF_ONNXTOLINALG
#include "passes/graph/GraphPasses.h.inc"

using namespace mlir;
using namespace llmc::graph;

namespace {

constexpr int64_t kWeightAlign = 64; // bytes
constexpr StringLiteral kNameAttr = "llm.name", kDimsAttr = "llm.dims";

/// Elements of the file that are stored as they are computed with.
bool storedAsLowered(Type element) { return !element.isInteger(1) && element.getIntOrFloatBitWidth() >= 8; }

class GraphLowering {
public:
  GraphLowering(ModuleOp module, func::FuncOp step) : module(module), step(step), b(step.getLoc(), step) {}

  llvm::Error run() {
    removeUnused(step.getBody());
    if (llvm::Error error = makeFunction()) return error;
    llvm::Expected<Values> results = lowerBlock(step.getBody().front());
    if (!results) return results.takeError();
    SmallVector<Type> types;
    for (Value &result : *results) {
      if (isPartOfAnother(result)) result = copied(result);
      types.push_back(result.getType());
    }
    function.setFunctionType(b.getFunctionType(function.getArgumentTypes(), types));
    func::ReturnOp::create(b, *results);
    describe(types);
    module->setAttr(kGraphWeights, b.getArrayAttr(weights));
    module->setAttr(kWeightBytes, b.getI64IntegerAttr(llvm::alignTo(weightBytes, kWeightAlign)));
    step.erase();
    return llvm::Error::success();
  }

private:
  static void removeUnused(Region &region) {
    for (Block &block : region)
      for (Operation &op : llvm::make_early_inc_range(llvm::reverse(block))) {
        bool isNode = isa<llm::OnnxNodeOp, llm::OnnxTensorOp, llm::OnnxConstantOp, llm::OnnxNoneOp>(op);
        if (isNode && op.use_empty()) {
          op.erase();
          continue;
        }
        for (Region &inner : op.getRegions()) removeUnused(inner);
      }
  }

  /// A slice is a view with strides of its own. Bufferization returns it as if it had none when its dims are dynamic: a
  /// cast of its layout to the identity counts as one that cannot fail.
  static bool isPartOfAnother(Value value) {
    Operation *op = value.getDefiningOp();
    while (isa_and_nonnull<tensor::CastOp, tensor::CollapseShapeOp, tensor::ExpandShapeOp>(op))
      op = op->getOperand(0).getDefiningOp();
    return isa_and_nonnull<tensor::ExtractSliceOp>(op);
  }
  Value copied(Value x) {
    Type element = cast<RankedTensorType>(x.getType()).getElementType();
    return generate(b, dimsOf(b, x), element, [&](Builder &inner, ValueRange at) { return graph::at(inner, x, at); });
  }

  StringAttr nameOf(unsigned argument) {
    auto name = step.getArgAttrOfType<StringAttr>(argument, kNameAttr);
    return name ? name : b.getStringAttr("input " + llvm::Twine(argument));
  }

  llvm::Error makeFunction() {
    auto ptr = LLVM::LLVMPointerType::get(b.getContext());
    SmallVector<Type> types{ptr, MemRefType::get({ShapedType::kDynamic}, b.getI8Type())};
    for (auto [i, type] : llvm::enumerate(step.getArgumentTypes())) {
      auto ranked = dyn_cast<RankedTensorType>(type);
      if (!ranked)
        return llvm::createStringError("input '" + nameOf(i).getValue() +
                                       "': found no dims, expected as many as it has");
      types.push_back(ranked.clone(loweredElement(ranked.getElementType())));
    }
    function = func::FuncOp::create(b, kGraph, b.getFunctionType(types, {}));
    Block *body = function.addEntryBlock();
    for (auto [i, argument] : llvm::enumerate(step.getArguments())) {
      function.setArgAttr(i + 2, bufferization::BufferizationDialect::kWritableAttrName, b.getBoolAttr(false));
      values[argument] = body->getArgument(i + 2);
    }
    b.setInsertionPointToStart(body);
    return llvm::Error::success();
  }

  //===- Values ------------------------------------------------------------------===//
  llvm::Expected<Value> lowered(Value value) {
    if (value.getDefiningOp<llm::OnnxNoneOp>()) return Value();
    auto found = values.find(value);
    if (found != values.end()) return found->second;
    if (auto tensor = value.getDefiningOp<llm::OnnxTensorOp>()) return weight(tensor);
    return llvm::createStringError("found a value that is not of the imported graph");
  }

  /// A place for an initialiser's bytes in the weights.
  int64_t offsetOf(llm::StorageAttr storage) {
    auto [place, isNew] = offsets.try_emplace(storage, 0);
    if (!isNew) return place->second;
    weightBytes = llvm::alignTo(weightBytes, kWeightAlign);
    place->second = weightBytes;
    weights.push_back(b.getDictionaryAttr(
        {b.getNamedAttr("storage", storage), b.getNamedAttr("offset", b.getI64IntegerAttr(weightBytes))}));
    weightBytes += storage.getBytes();
    return place->second;
  }

  Value viewOf(int64_t offset, ArrayRef<int64_t> shape, Type element) {
    auto view = memref::ViewOp::create(b, MemRefType::get(shape, element), function.getArgument(1),
                                       indexConstant(b, offset), ValueRange());
    return bufferization::ToTensorOp::create(b, RankedTensorType::get(shape, element), view, /*restrict=*/true);
  }

  /// An initialiser: its bytes where they are, or unpacked where it is used.
  Value weight(llm::OnnxTensorOp op) {
    auto type = cast<RankedTensorType>(op.getY().getType());
    Type element = type.getElementType();
    int64_t offset = offsetOf(op.getStorage());
    if (storedAsLowered(element)) {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(&function.front());
      return values[op.getY()] = viewOf(offset, type.getShape(), loweredElement(element));
    }
    Type i8 = b.getI8Type();
    Sizes dims;
    for (int64_t dim : type.getShape()) dims.push_back(size(b, dim));
    if (element.isInteger(1)) {
      Value bytes = viewOf(offset, type.getShape(), i8);
      return generate(b, dims, element, [&](Builder &inner, ValueRange at) {
        return arith::CmpIOp::create(inner, arith::CmpIPredicate::ne, graph::at(inner, bytes, at), zero(inner, i8));
      });
    }
    return unpack(viewOf(offset, {op.getStorage().getBytes()}, i8), type, dims);
  }

  /// Several elements to a byte, the first in the lowest bits.
  Value unpack(Value bytes, RankedTensorType type, ArrayRef<Size> dims) {
    Type element = type.getElementType(), i8 = b.getI8Type();
    int64_t bits = element.getIntOrFloatBitWidth(), perByte = 8 / bits;
    Value line = generate(b, {size(b, type.getNumElements())}, i8, [&](Builder &inner, ValueRange at) -> Value {
      Value count = indexConstant(inner, perByte);
      Value byte = graph::at(inner, bytes, ValueRange{arith::DivUIOp::create(inner, at[0], count)});
      Value place = arith::IndexCastOp::create(inner, i8, arith::RemUIOp::create(inner, at[0], count));
      // To the top and back down: extends by the sign, or by zeros.
      Value up = arith::SubIOp::create(inner, integer(inner, i8, 8 - bits),
                                       arith::MulIOp::create(inner, place, integer(inner, i8, bits)));
      Value top = arith::ShLIOp::create(inner, byte, up);
      if (auto whole = dyn_cast<IntegerType>(element); whole && whole.isSigned())
        return arith::ShRSIOp::create(inner, top, integer(inner, i8, 8 - bits));
      return arith::ShRUIOp::create(inner, top, integer(inner, i8, 8 - bits));
    });
    return reshape(b, line, dims);
  }

  //===- Nodes -------------------------------------------------------------------===//
  llvm::Expected<Values> lowerBlock(Block &block) {
    for (Operation &op : block) {
      b.setLoc(op.getLoc());
      if (isa<llm::OnnxTensorOp, llm::OnnxNoneOp>(op)) continue;
      if (auto constant = dyn_cast<llm::OnnxConstantOp>(op)) {
        auto dense = dyn_cast<DenseElementsAttr>(constant.getValue());
        if (!dense) return llvm::createStringError("found a constant whose elements are elsewhere");
        values[constant.getY()] = constantTensor(b, dense);
      } else if (auto node = dyn_cast<llm::OnnxNodeOp>(op)) {
        if (llvm::Error error = lowerNode(node))
          return llvm::createStringError(place(node) + llvm::toString(std::move(error)));
      } else if (op.hasTrait<OpTrait::IsTerminator>()) {
        Values results;
        for (Value operand : op.getOperands()) {
          llvm::Expected<Value> value = lowered(operand);
          if (!value) return value.takeError();
          results.push_back(*value);
        }
        return results;
      } else {
        return llvm::createStringError("found " + op.getName().getStringRef() + ", expected nodes of an ONNX graph");
      }
    }
    return llvm::createStringError("found a graph without an end");
  }

  /// Errors of a node in a subgraph already have the place of that one.
  static std::string place(llm::OnnxNodeOp node) {
    std::string name;
    if (auto loc = dyn_cast<NameLoc>(node.getLoc())) name = loc.getName().str();
    return "node '" + name + "' (" + node.getOpType().str() + "): ";
  }

  llvm::Error lowerNode(llm::OnnxNodeOp node) {
    Values operands;
    for (Value input : node.getInputs()) {
      llvm::Expected<Value> value = lowered(input);
      if (!value) return value.takeError();
      operands.push_back(*value);
    }
    const Lowering *row = findLowering(node.getDomain(), node.getOpType());
    if (!row)
      return refuse("operator " + (node.getDomain().empty() ? "" : node.getDomain() + ".") + node.getOpType() +
                    " has no lowering");
    for (Value output : node.getOutputs())
      if (!output.use_empty() && !isa<ShapedType>(output.getType())) return refuse("a result is not a tensor");
    auto lowerRegion = [&](Region &region, ValueRange arguments) -> llvm::Expected<Values> {
      Block &block = region.front();
      if (block.getNumArguments() != arguments.size())
        return refuse("a subgraph has " + llvm::Twine(block.getNumArguments()) + " inputs, expected " +
                      llvm::Twine(arguments.size()));
      for (auto [argument, value] : llvm::zip(block.getArguments(), arguments)) values[argument] = value;
      Location loc = b.getLoc();
      llvm::Expected<Values> results = lowerBlock(block);
      b.setLoc(loc);
      return results;
    };
    NodeLowering lowering{node, b, operands, lowerRegion};
    llvm::Expected<Values> results = row->lower(lowering);
    if (!results) return results.takeError();
    for (unsigned i = 0; i < node.getNumResults(); ++i) {
      Value result = i < results->size() ? (*results)[i] : Value();
      if (!result) {
        if (lowering.wants(i)) return refuse("result " + llvm::Twine(i) + " has no lowering");
        continue;
      }
      auto type = cast<RankedTensorType>(result.getType());
      if (type.getElementType() != lowering.element(i))
        return refuse("result " + llvm::Twine(i) + " is lowered to elements of another type");
      values[node.getResult(i)] = result;
    }
    return llvm::Error::success();
  }

  //===- What the runtime tells ---------------------------------------------------===//
  Attribute describe(StringAttr name, Type element, ArrayRef<int64_t> shape, ArrayAttr symbols) {
    SmallVector<int64_t> dims;
    for (int64_t dim : shape) dims.push_back(ShapedType::isDynamic(dim) ? -1 : dim);
    return b.getDictionaryAttr({b.getNamedAttr("name", name), b.getNamedAttr("type", TypeAttr::get(element)),
                                b.getNamedAttr("dims", b.getDenseI64ArrayAttr(dims)),
                                b.getNamedAttr("symbols", symbols ? symbols : b.getArrayAttr({}))});
  }
  void describe(ArrayRef<Type> resultTypes) {
    SmallVector<Attribute> inputs, outputs;
    for (auto [i, type] : llvm::enumerate(step.getArgumentTypes())) {
      auto shaped = cast<RankedTensorType>(type);
      inputs.push_back(describe(nameOf(i), shaped.getElementType(), shaped.getShape(),
                                step.getArgAttrOfType<ArrayAttr>(i, kDimsAttr)));
    }
    for (auto [i, type] : llvm::enumerate(resultTypes)) {
      auto name = step.getResultAttrOfType<StringAttr>(i, kNameAttr);
      Type element = cast<ShapedType>(step.getResultTypes()[i]).getElementType();
      outputs.push_back(describe(name ? name : b.getStringAttr("output " + llvm::Twine(i)), element,
                                 cast<RankedTensorType>(type).getShape(),
                                 step.getResultAttrOfType<ArrayAttr>(i, kDimsAttr)));
    }
    module->setAttr(kGraphInputs, b.getArrayAttr(inputs));
    module->setAttr(kGraphOutputs, b.getArrayAttr(outputs));
  }

  ModuleOp module;
  func::FuncOp step, function;
  Builder b;
  DenseMap<Value, Value> values;
  DenseMap<Attribute, int64_t> offsets;
  SmallVector<Attribute> weights;
  int64_t weightBytes = 0;
};

struct OnnxToLinalg : impl::OnnxToLinalgBase<OnnxToLinalg> {
  void runOnOperation() override {
    auto step = getOperation().lookupSymbol<func::FuncOp>(llm::kStep);
    if (!step || step.isExternal()) {
      getOperation().emitError("found no @step, expected an imported graph");
      return signalPassFailure();
    }
    if (llvm::Error error = GraphLowering(getOperation(), step).run()) {
      getOperation().emitError(llvm::toString(std::move(error)));
      signalPassFailure();
    }
  }
};

} // namespace
} // namespace llmc
