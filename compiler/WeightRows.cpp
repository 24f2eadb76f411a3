#include "compiler/WeightRows.h"
#include "llvm/ADT/TypeSwitch.h"

namespace llmc {
namespace {
using SourcePtr = std::unique_ptr<WeightSource>;
using Result = llvm::Expected<SourcePtr>;
using Inputs = std::vector<const llm::WeightView *>;

int64_t floatBytes(mlir::Type element) { return element.isF32() ? 4 : 2; }

/// llm.get_weight.
struct InputSource : WeightSource {
  llm::WeightView view;
  explicit InputSource(llm::WeightView v) : view(std::move(v)) {}

  llvm::Error pull(int64_t begin, int64_t count, WeightScratch &scratch, unsigned, WeightRows &out) const override {
    if (view.plus() != 0) { // a vector, f32 from here on
      view.readRows(begin, count, reinterpret_cast<float *>(out.floats.data()) + out.count);
    } else if (view.isFloat()) {
      view.copyRows(begin, count, out.floats.data() + out.count * view.rowBytes(0));
    } else if (view.isGathered()) {
      int64_t rowBytes = wq::gatheredRowBytes(mlir::cast<wq::EncodedType>(element), k);
      view.gatherRows(begin, count, out.gathered.data() + out.count * rowBytes, out.encoded);
    } else {
      for (int64_t r = 0; r < count; ++r) out.encoded.push_back(view.row(begin + r));
    }
    out.count += count;
    if (!view.isTransposed() && !view.isGathered()) noteConsumed(begin, count, scratch);
    return llvm::Error::success();
  }
  void noteConsumed(int64_t begin, int64_t count, WeightScratch &scratch) const {
    for (size_t part = 0; part < view.parts().size(); ++part) {
      const uint8_t *first = view.row(begin)[part], *last = first;
      for (int64_t r = 1; r < count; ++r) {
        const uint8_t *row = view.row(begin + r)[part];
        first = std::min(first, row), last = std::max(last, row);
      }
      scratch.consumed.emplace_back(first, last + view.rowBytes(part));
    }
  }
  void inputs(Inputs &out) const override { out.push_back(&view); }
};

/// wq.constant: f32.
struct ConstantSource : WeightSource {
  std::vector<float> values;
  llvm::Error pull(int64_t begin, int64_t count, WeightScratch &, unsigned, WeightRows &out) const override {
    memcpy(out.floats.data() + out.count * k * 4, values.data() + begin * k, count * k * 4);
    out.count += count;
    return llvm::Error::success();
  }
  void inputs(Inputs &) const override {}
};

/// An op on one weight that maps row to row.
struct RowwiseSource : WeightSource {
  SourcePtr from;
  llvm::Error pull(int64_t begin, int64_t count, WeightScratch &scratch, unsigned depth,
                   WeightRows &out) const override {
    WeightRows &in = scratch.level(depth);
    from->prepare(in, count);
    if (llvm::Error error = from->pull(begin, count, scratch, depth + 1, in)) return error;
    if (int64_t(scratch.row.size()) < k) scratch.row.resize(k);
    for (int64_t r = 0; r < count; ++r) {
      wq::RowParts row =
          in.encoded.empty() ? wq::RowParts{in.floats.data() + r * k * floatBytes(from->element)} : in.encoded[r];
      if (llvm::Error error = convert(row, scratch, out))
        return llvm::createStringError("row " + std::to_string(begin + r) + ": " + llvm::toString(std::move(error)));
      ++out.count;
    }
    return llvm::Error::success();
  }
  /// One row, to row out.count.
  virtual llvm::Error convert(const wq::RowParts &row, WeightScratch &scratch, WeightRows &out) const = 0;
  void inputs(Inputs &out) const override { from->inputs(out); }
};

struct DecodeSource : RowwiseSource {
  llvm::Error convert(const wq::RowParts &row, WeightScratch &scratch, WeightRows &out) const override {
    wq::decodeRow(from->element, k, row, scratch.row.data());
    memcpy(out.floats.data() + out.count * k * 4, scratch.row.data(), k * 4);
    return llvm::Error::success();
  }
};

struct QuantiseSource : RowwiseSource {
  llvm::Error convert(const wq::RowParts &row, WeightScratch &scratch, WeightRows &out) const override {
    wq::decodeRow(from->element, k, row, scratch.row.data());
    return wq::quantiseRow(out.codes.scheme, k, scratch.row.data(), out.codes.row(out.count));
  }
};

struct RecodeSource : RowwiseSource {
  llvm::Error convert(const wq::RowParts &row, WeightScratch &, WeightRows &out) const override {
    wq::recodeRow(mlir::cast<wq::EncodedType>(from->element), k, row, out.codes.row(out.count));
    return llvm::Error::success();
  }
};

struct ConcatSource : WeightSource {
  std::vector<SourcePtr> parts;
  llvm::Error pull(int64_t begin, int64_t count, WeightScratch &scratch, unsigned depth,
                   WeightRows &out) const override {
    for (const SourcePtr &part : parts) {
      int64_t first = std::max<int64_t>(begin, 0), end = std::min(begin + count, part->rows);
      if (first < end)
        if (llvm::Error error = part->pull(first, end - first, scratch, depth, out)) return error;
      begin -= part->rows; // relative to the next part
    }
    return llvm::Error::success();
  }
  void inputs(Inputs &out) const override {
    for (const SourcePtr &part : parts) part->inputs(out);
  }
};

/// Parts that take turns, `turn` rows at a time; a part's last turn is filled up with zeros.
struct InterleaveSource : ConcatSource {
  int64_t turn = 0;
  llvm::Error pull(int64_t begin, int64_t count, WeightScratch &scratch, unsigned depth,
                   WeightRows &out) const override {
    for (int64_t row = begin, left; row < begin + count; row += left) {
      const WeightSource &part = *parts[row / turn % int64_t(parts.size())];
      int64_t first = row / turn / int64_t(parts.size()) * turn + row % turn;
      left = std::min(turn - row % turn, begin + count - row);
      int64_t there = std::clamp<int64_t>(part.rows - first, 0, left);
      if (there)
        if (llvm::Error error = part.pull(first, there, scratch, depth, out)) return error;
      for (int64_t r = there; r < left; ++r) addZeroRow(out);
    }
    return llvm::Error::success();
  }
  void addZeroRow(WeightRows &out) const {
    if (!llvm::isa<wq::QuantType>(element)) {
      std::fill_n(out.floats.data() + out.count * k * floatBytes(element), k * floatBytes(element), 0);
    } else {
      wq::SchemeAttr scheme = out.codes.scheme;
      wq::SchemeRow<uint8_t> row = out.codes.row(out.count);
      uint8_t zero = scheme.getOffset() != wq::Offset::None ? 0 : scheme.getKind() == wq::Kind::I4 ? 8 : 128;
      std::fill_n(row.codes, k, zero);
      std::fill_n(row.scales, out.codes.scaleStride(), 0);
      std::fill_n(row.offsets, out.codes.offsetStride(), 0);
    }
    ++out.count;
  }
};

struct Builder {
  mlir::ModuleOp module;
  llvm::ArrayRef<llm::InputFile> files;

  Result getWeight(llm::GetWeightOp op) {
    auto symbol = module.lookupSymbol<llm::WeightOp>(op.getWeight());
    if (!symbol) return llvm::createStringError("found no weight " + op.getWeight().str());
    auto view = llm::WeightView::create(symbol, files);
    if (!view) return view.takeError();
    auto source = std::make_unique<InputSource>(std::move(*view));
    if (source->view.plus() != 0) source->element = mlir::Float32Type::get(op.getContext()); // pull() adds
    return source;
  }
  Result constant(wq::ConstantOp op) {
    auto elements = llvm::dyn_cast<mlir::DenseElementsAttr>(op.getValue());
    if (!elements || !elements.getElementType().isF32() || elements.getType() != op.getY().getType())
      return llvm::createStringError("wq.constant: expected dense f32 elements of the result's shape");
    auto source = std::make_unique<ConstantSource>();
    source->values.assign(elements.getValues<float>().begin(), elements.getValues<float>().end());
    return source;
  }
  Result concat(wq::ConcatOp op) {
    auto turns = std::make_unique<InterleaveSource>();
    turns->turn = op.getInterleave();
    std::unique_ptr<ConcatSource> source = std::make_unique<ConcatSource>();
    if (turns->turn) source = std::move(turns);
    for (mlir::Value part : op.getParts()) {
      Result made = build(part);
      if (!made) return made;
      source->parts.push_back(std::move(*made));
    }
    return source;
  }
  template <typename Source> Result rowwise(mlir::Value operand) {
    Result from = build(operand);
    if (!from) return from;
    auto source = std::make_unique<Source>();
    source->from = std::move(*from);
    return source;
  }
  Result dispatch(mlir::Operation *op) {
    return llvm::TypeSwitch<mlir::Operation *, Result>(op)
        .Case<llm::GetWeightOp>([&](auto op) { return getWeight(op); })
        .Case<wq::ConstantOp>([&](auto op) { return constant(op); })
        .Case<wq::ConcatOp>([&](auto op) { return concat(op); })
        .Case<wq::DecodeOp>([&](auto op) { return rowwise<DecodeSource>(op.getW()); })
        .Case<wq::QuantizeOp>([&](auto op) { return rowwise<QuantiseSource>(op.getW()); })
        .Case<wq::RecodeOp>([&](auto op) { return rowwise<RecodeSource>(op.getW()); })
        .Default([](mlir::Operation *op) -> Result {
          return llvm::createStringError("found " + op->getName().getStringRef().str() +
                                         ", expected an op of the weight program");
        });
  }
  Result build(mlir::Value value) {
    mlir::Operation *op = value.getDefiningOp();
    auto type = llvm::dyn_cast<mlir::RankedTensorType>(value.getType());
    if (!op || !type || !type.hasStaticShape() || type.getRank() < 1 || type.getRank() > 2)
      return llvm::createStringError(
          "found a value that is no weight, expected a static matrix or vector made by an op");
    Result source = dispatch(op);
    if (!source) return source;
    (*source)->rows = type.getDimSize(0);
    (*source)->k = type.getRank() == 2 ? type.getDimSize(1) : 1;
    if (!(*source)->element) (*source)->element = type.getElementType();
    return source;
  }
};

} // namespace

void WeightSource::prepare(WeightRows &out, int64_t capacity) const {
  out.count = 0;
  out.encoded.clear();
  if (auto quant = llvm::dyn_cast<wq::QuantType>(element))
    out.codes.reset(quant.getScheme(), k, capacity);
  else if (llvm::isa<mlir::FloatType>(element) && int64_t(out.floats.size()) < capacity * k * floatBytes(element))
    out.floats.resize(capacity * k * floatBytes(element));
  else if (wq::isGathered(element))
    out.gathered.resize(capacity * wq::gatheredRowBytes(llvm::cast<wq::EncodedType>(element), k));
}

llvm::Expected<std::unique_ptr<WeightSource>> makeWeightSource(mlir::Value value, mlir::ModuleOp module,
                                                               llvm::ArrayRef<llm::InputFile> files) {
  return Builder{module, files}.build(value);
}

} // namespace llmc
