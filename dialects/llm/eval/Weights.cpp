#include "dialects/llm/eval/Weights.h"
#include "llvm/ADT/TypeSwitch.h"

namespace llmc::llm::eval {
namespace {

struct WeightReader {
  mlir::ModuleOp module;
  llvm::ArrayRef<InputFile> files;
  using Result = llvm::Expected<Tensor>;

  Result read(mlir::Value value);
  Result getWeight(GetWeightOp op);
  Result constant(wq::ConstantOp op);
  Result quantize(wq::QuantizeOp op);
  Result concat(wq::ConcatOp op);
  Result interleave(wq::ConcatOp op);
  Result getPacked(wq::GetPackedOp op);
};

mlir::RankedTensorType tensorType(mlir::Value v) { return llvm::cast<mlir::RankedTensorType>(v.getType()); }

WeightReader::Result WeightReader::getWeight(GetWeightOp op) {
  auto symbol = module.lookupSymbol<WeightOp>(op.getWeight());
  if (!symbol) return llvm::createStringError("found no weight " + op.getWeight().str());
  auto view = WeightView::create(symbol, files);
  if (!view) return view.takeError();
  Tensor t(view->rows(), view->k());
  view->readRows(0, t.rows, t.data.data());
  return t;
}

WeightReader::Result WeightReader::constant(wq::ConstantOp op) {
  auto elements = llvm::dyn_cast<mlir::DenseElementsAttr>(op.getValue());
  if (!elements || !elements.getElementType().isF32())
    return llvm::createStringError("wq.constant: expected dense f32 elements");
  auto type = tensorType(op.getY());
  Tensor t(type.getDimSize(0), type.getRank() == 2 ? type.getDimSize(1) : 1);
  llvm::copy(elements.getValues<float>(), t.data.begin());
  return t;
}

WeightReader::Result WeightReader::quantize(wq::QuantizeOp op) {
  Result t = read(op.getW());
  if (!t) return t;
  wq::RowBlock block;
  block.reset(llvm::cast<wq::QuantType>(tensorType(op.getY()).getElementType()).getScheme(), t->columns, 1);
  for (int64_t r = 0; r < t->rows; ++r) {
    if (llvm::Error error = wq::quantiseRow(block.scheme, t->columns, t->row(r), block.row(0))) return error;
    wq::dequantiseRow(block.scheme, t->columns, std::as_const(block).row(0), t->row(r));
  }
  return t;
}

WeightReader::Result WeightReader::interleave(wq::ConcatOp op) {
  int64_t turn = op.getInterleave(), parts = int64_t(op.getParts().size());
  Tensor y;
  for (auto [p, part] : llvm::enumerate(op.getParts())) {
    Result t = read(part);
    if (!t) return t;
    if (p == 0) y = Tensor(tensorType(op.getY()).getDimSize(0), t->columns);
    for (int64_t r = 0; r < t->rows; ++r)
      std::copy_n(t->row(r), t->columns, y.row((r / turn * parts + int64_t(p)) * turn + r % turn));
  }
  return y;
}

WeightReader::Result WeightReader::concat(wq::ConcatOp op) {
  if (op.getInterleave()) return interleave(op);
  Tensor y;
  for (mlir::Value part : op.getParts()) {
    Result t = read(part);
    if (!t) return t;
    y.rows += t->rows, y.columns = t->columns;
    y.data.insert(y.data.end(), t->data.begin(), t->data.end());
  }
  return y;
}

WeightReader::Result WeightReader::getPacked(wq::GetPackedOp op) {
  mlir::Value stored;
  module.walk([&](wq::StoreOp store) {
    if (store.getPacked() == op.getPacked()) stored = store.getW();
  });
  if (!stored) return llvm::createStringError("found no wq.store of " + op.getPacked().str());
  return read(stored);
}

WeightReader::Result WeightReader::read(mlir::Value value) {
  mlir::Operation *def = value.getDefiningOp();
  if (!def) return llvm::createStringError("found an argument, expected an op on weights");
  return llvm::TypeSwitch<mlir::Operation *, Result>(def)
      .Case<GetWeightOp>([&](auto op) { return getWeight(op); })
      .Case<wq::ConstantOp>([&](auto op) { return constant(op); })
      .Case<wq::QuantizeOp>([&](auto op) { return quantize(op); })
      .Case<wq::ConcatOp>([&](auto op) { return concat(op); })
      .Case<wq::GetPackedOp>([&](auto op) { return getPacked(op); })
      .Case<wq::DecodeOp, wq::RecodeOp, wq::PackOp>([&](auto op) { return read(op.getW()); })
      .Default([](mlir::Operation *op) -> Result {
        return llvm::createStringError("found " + op->getName().getStringRef().str() + ", expected an op on weights");
      });
}

} // namespace

bool isWeight(mlir::Value value) {
  return llvm::isa_and_nonnull<GetWeightOp, wq::DecodeOp, wq::QuantizeOp, wq::RecodeOp, wq::ConcatOp, wq::ConstantOp,
                               wq::PackOp, wq::GetPackedOp>(value.getDefiningOp());
}

llvm::Expected<Tensor> weight(mlir::Value value, mlir::ModuleOp module, llvm::ArrayRef<InputFile> files) {
  return WeightReader{module, files}.read(value);
}

} // namespace llmc::llm::eval
