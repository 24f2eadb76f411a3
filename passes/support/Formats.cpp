#include "passes/support/Formats.h"
#include "llmc_kernel.h"

using namespace mlir;

namespace llmc {

// The two enums have the same order; Formats is the only place that relies on it.
static_assert(int(wq::Kind::I4) == int(WeightKind::I4) && int(wq::Kind::F32) == int(WeightKind::F32));
static_assert(int(wq::ScaleType::F32) == int(ScaleType::F32) && int(wq::ScaleType::BF16) == int(ScaleType::BF16));
static_assert(int(wq::RowKind::Q8) == int(RowFormat::Kind::Q8) && int(wq::RowKind::F16) == int(RowFormat::Kind::F16));
static_assert(int(wq::Offset::ZeroPoint) == int(Offset::ZeroPoint) && int(wq::Offset::MinF32) == int(Offset::MinF32));

WeightFormat toWeightFormat(wq::SchemeAttr scheme) {
  return {WeightKind(scheme.getKind()), scheme.getGroup(), ScaleType(scheme.getScale()), Offset(scheme.getOffset())};
}

int64_t packedBytes(RankedTensorType type) {
  if (type.getRank() == 1) return roundUp(type.getDimSize(0), kPanel) * 4;
  return toWeightFormat(cast<wq::PackedType>(type.getElementType()).getScheme())
      .bytes(type.getDimSize(0), type.getDimSize(1));
}

RowFormat toRowFormat(wq::RowFormatAttr attr) {
  return attr ? RowFormat{RowFormat::Kind(attr.getKind()), attr.getBlock(), WeightKind(attr.getOrder())}
              : RowFormat::F32;
}

RowFormat fewRows(RankedTensorType rows) {
  auto type = dyn_cast<wq::RowsType>(rows.getElementType());
  return type ? toRowFormat(type.getFew()) : RowFormat::F32;
}

RowFormat manyRows(RankedTensorType rows) {
  auto type = dyn_cast<wq::RowsType>(rows.getElementType());
  return type ? toRowFormat(type.getMany()) : RowFormat::F32;
}

RowFormat xFormat(kernel::MatmulAttr attr, int64_t maxRows) {
  return toRowFormat(maxRows <= LLMC_FEW_ROWS ? attr.getXFew() : attr.getXMany());
}

int64_t xStride(kernel::MatmulAttr attr, int64_t maxRows) {
  RowFormat x = xFormat(attr, maxRows);
  return x == RowFormat::F32 ? attr.getXStride() : rowStride(x, attr.getK());
}

RowFormat yFormat(kernel::MatmulAttr attr, int64_t maxRows) {
  return toRowFormat(maxRows <= LLMC_FEW_ROWS ? attr.getYFew() : attr.getYMany());
}

int64_t yStride(kernel::MatmulAttr attr, int64_t maxRows) {
  RowFormat y = yFormat(attr, maxRows);
  return y == RowFormat::F32 ? attr.getYStride() : rowStride(y, attr.getGlu() ? attr.getN() / 2 : attr.getN());
}

int64_t strideOf(RankedTensorType rows) {
  auto stride = [&](RowFormat format) {
    int64_t columns = rows.getDimSize(1);
    return rowStride(format, format == RowFormat::F32 ? roundUp(columns, kPanel) : columns);
  };
  return std::max(stride(fewRows(rows)), stride(manyRows(rows)));
}

wq::RowFormatAttr fewOf(RankedTensorType rows) { return toAttr(rows.getContext(), fewRows(rows)); }
wq::RowFormatAttr manyOf(RankedTensorType rows) { return toAttr(rows.getContext(), manyRows(rows)); }

wq::SchemeAttr schemeOf(Value packed) {
  return cast<wq::PackedType>(cast<RankedTensorType>(packed.getType()).getElementType()).getScheme();
}

wq::RowFormatAttr toAttr(MLIRContext *context, RowFormat format) {
  if (format == RowFormat::F32) return {};
  return wq::RowFormatAttr::get(context, wq::RowKind(format.kind), format.block, wq::Kind(format.order));
}

} // namespace llmc
