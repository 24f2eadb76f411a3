#include "dialects/wq/Wq.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

#include "dialects/wq/WqDialect.cpp.inc"
#include "dialects/wq/WqEnums.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "dialects/wq/WqAttrs.cpp.inc"
#define GET_TYPEDEF_CLASSES
#include "dialects/wq/WqTypes.cpp.inc"
#define GET_OP_CLASSES
#include "dialects/wq/WqOps.cpp.inc"

namespace llmc::wq {

void WqDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/wq/WqAttrs.cpp.inc"
      >();
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialects/wq/WqTypes.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/wq/WqOps.cpp.inc"
      >();
}

LogicalResult SchemeAttr::verify(function_ref<InFlightDiagnostic()> error, Kind kind, int64_t group, ScaleType scale,
                                 Offset offset) {
  bool integer = kind == Kind::I4 || kind == Kind::I8;
  if (integer && (group < 16 || group % 16)) return error() << "found group " << group << ", expected a multiple of 16";
  if (!integer && (group || offset != Offset::None)) return error() << "a float scheme has no group and no offset";
  return success();
}

/// k per scale of the scheme: a block, or the widest group that a wider block holds a whole number of.
static int64_t groupOf(EncodedType e) {
  constexpr int64_t kWidest = 256;
  if (e.getBlock() <= kWidest || e.getEncoding() != Encoding::OnnxBlocks) return e.getBlock();
  for (int64_t group : {128, 64, 32})
    if (e.getBlock() % group == 0) return group;
  return 16;
}

SchemeAttr exactScheme(EncodedType e) {
  auto scheme = [&](Kind kind, int64_t group, ScaleType scale, Offset offset) {
    return SchemeAttr::get(e.getContext(), kind, group, scale, offset);
  };
  switch (e.getEncoding()) {
  case Encoding::Q4_0: return scheme(Kind::I4, 32, ScaleType::F16, Offset::None);
  case Encoding::Q4_1: return scheme(Kind::I4, 32, ScaleType::F16, Offset::MinF16);
  case Encoding::Q5_0: // 5 and 6 bits are centred at 128 in bytes
  case Encoding::Q8_0: return scheme(Kind::I8, 32, ScaleType::F16, Offset::None);
  case Encoding::Q5_1: return scheme(Kind::I8, 32, ScaleType::F16, Offset::MinF16);
  // A K-quant's scale is the product of a 6- or 8-bit scale and an f16: exact in f32 only.
  case Encoding::Q4_K: return scheme(Kind::I4, 32, ScaleType::F32, Offset::MinF32);
  case Encoding::Q5_K: return scheme(Kind::I8, 32, ScaleType::F32, Offset::MinF32);
  case Encoding::Q6_K: return scheme(Kind::I8, 16, ScaleType::F32, Offset::None);
  case Encoding::MatMulNBits:
    if (e.getActOrder()) break;
    return scheme(e.getBits() == 8 ? Kind::I8 : Kind::I4, e.getBlock(), e.getScale(),
                  e.getFloatZeros()   ? Offset::MinF32 // code * scale - zero * scale
                  : e.getZeroPoints() ? Offset::ZeroPoint
                                      : Offset::None);
  case Encoding::Gptq:
  case Encoding::GptqV2:
  case Encoding::Awq:
  case Encoding::CompressedTensors:
  case Encoding::OnnxBlocks:
    if (e.getActOrder()) break; // the groups of k are no runs
    return scheme(e.getBits() == 4 ? Kind::I4 : Kind::I8, groupOf(e), e.getScale(),
                  e.getZeroPoints() ? Offset::ZeroPoint : Offset::None);
  case Encoding::Nf4: break; // 16 arbitrary levels
  }
  return floatScheme(Float32Type::get(e.getContext()));
}

SchemeAttr floatScheme(Type element) {
  Kind kind = element.isF16() ? Kind::F16 : element.isBF16() ? Kind::BF16 : Kind::F32;
  return SchemeAttr::get(element.getContext(), kind, 0, ScaleType::F16, Offset::None);
}

static RankedTensorType tensor(Value v) { return cast<RankedTensorType>(v.getType()); }
static bool sameShape(Value a, Value b) { return tensor(a).getShape() == tensor(b).getShape(); }

LogicalResult QuantizeOp::verify() {
  if (!sameShape(getW(), getY())) return emitOpError("changes the shape");
  if (!isa<FloatType>(tensor(getW()).getElementType())) return emitOpError("expects a float weight");
  auto type = dyn_cast<QuantType>(tensor(getY()).getElementType());
  if (!type || !type.getScheme().isInteger()) return emitOpError("expects an integer scheme");
  return success();
}

LogicalResult RecodeOp::verify() {
  if (!sameShape(getW(), getY())) return emitOpError("changes the shape");
  auto from = dyn_cast<EncodedType>(tensor(getW()).getElementType());
  auto to = dyn_cast<QuantType>(tensor(getY()).getElementType());
  if (!from || !to) return emitOpError("expects an encoded weight and a scheme");
  if (to.getScheme() != exactScheme(from))
    return emitOpError() << "expects " << exactScheme(from) << ", the scheme that holds the encoding exactly";
  return success();
}

LogicalResult DecodeOp::verify() {
  if (!sameShape(getW(), getY())) return emitOpError("changes the shape");
  if (!tensor(getY()).getElementType().isF32()) return emitOpError("expects an f32 result");
  if (!isa<EncodedType, FloatType>(tensor(getW()).getElementType())) return emitOpError("expects an encoded weight");
  return success();
}

LogicalResult ConcatOp::verify() {
  if (getParts().empty()) return emitOpError("expects parts");
  int64_t rows = 0, turn = getInterleave(), first = tensor(getParts()[0]).getDimSize(0);
  if (turn < 0) return emitOpError() << "has turns of " << turn << " rows";
  for (Value part : getParts()) {
    if (tensor(part).getElementType() != tensor(getY()).getElementType()) return emitOpError("mixes element types");
    if (tensor(part).getRank() != tensor(getY()).getRank() ||
        tensor(part).getShape().drop_front() != tensor(getY()).getShape().drop_front())
      return emitOpError("mixes row lengths");
    int64_t partRows = tensor(part).getDimSize(0);
    if (turn && partRows != first)
      return emitOpError() << "takes turns of parts with " << first << " and " << partRows << " rows";
    if (turn && partRows % turn && isa<EncodedType>(tensor(part).getElementType()))
      return emitOpError() << "pads encoded rows: found " << partRows << ", expected a multiple of " << turn;
    rows += turn ? (partRows + turn - 1) / turn * turn : partRows;
  }
  if (rows != tensor(getY()).getDimSize(0))
    return emitOpError() << "has " << rows << " rows, its result " << tensor(getY()).getDimSize(0);
  return success();
}

LogicalResult PackOp::verify() {
  if (!sameShape(getW(), getY())) return emitOpError("changes the shape");
  auto packed = dyn_cast<PackedType>(tensor(getY()).getElementType());
  if (!packed) return emitOpError("expects a packed result");
  Type from = tensor(getW()).getElementType();
  auto quant = dyn_cast<QuantType>(from);
  SchemeAttr expected = quant ? quant.getScheme() : isa<FloatType>(from) ? floatScheme(from) : SchemeAttr();
  if (packed.getScheme() != expected) return emitOpError() << "expects the operand's scheme " << expected;
  return success();
}

LogicalResult PackedOp::verify() {
  auto type = dyn_cast<RankedTensorType>(getType());
  if (!type || !isa<PackedType>(type.getElementType())) return emitOpError("expects a packed tensor type");
  if (getOffset() % 64 || getBytes() <= 0) return emitOpError("expects a 64-byte aligned offset and a positive size");
  return success();
}

LogicalResult QuantizeRowsOp::verify() {
  if (!sameShape(getX(), getY())) return emitOpError("changes the shape");
  if (!isa<RowsType>(tensor(getY()).getElementType())) return emitOpError("expects a result of !wq.rows");
  return success();
}

LogicalResult LinearOp::verify() {
  auto x = tensor(getX()), w = tensor(getW()), y = tensor(getY());
  if (x.getRank() != 2 || w.getRank() != 2 || y.getRank() != 2) return emitOpError("expects matrices");
  if (!isa<PackedType, QuantType, FloatType>(w.getElementType())) return emitOpError("expects a weight in a scheme");
  if (x.getDimSize(1) != w.getDimSize(1))
    return emitOpError() << "has rows of " << x.getDimSize(1) << " and a weight of K = " << w.getDimSize(1);
  if (y.getDimSize(1) != w.getDimSize(0))
    return emitOpError() << "gives " << y.getDimSize(1) << " columns, its weight has N = " << w.getDimSize(0);
  if (getBias() && (tensor(getBias()).getRank() != 1 || tensor(getBias()).getDimSize(0) != w.getDimSize(0)))
    return emitOpError("expects a bias of N elements");
  if (getResidual() && getResidual().getType() != getY().getType())
    return emitOpError("expects a residual of y's type");
  return success();
}

} // namespace llmc::wq
