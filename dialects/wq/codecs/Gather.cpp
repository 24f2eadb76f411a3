#include "dialects/wq/codecs/Gather.h"

namespace llmc::wq {
namespace {

std::string nameOf(EncodedType type) { return stringifyEncoding(type.getEncoding()).str(); }

/// What every gathered encoding needs of its parameters and its sizes.
llvm::Error check(EncodedType type, int64_t n, int64_t k) {
  auto fail = [&](const std::string &found, const std::string &expected) {
    return llvm::createStringError(nameOf(type) + ": found " + found + ", expected " + expected);
  };
  bool isAwq = type.getEncoding() == Encoding::Awq, isNf4 = type.getEncoding() == Encoding::Nf4;
  bool isOnnx = type.getEncoding() == Encoding::OnnxBlocks, isNBits = type.getEncoding() == Encoding::MatMulNBits;
  bool isTwo = isNBits && type.getBits() == 2;
  if (type.getBits() != 4 && !isTwo && (isAwq || isNf4 || type.getBits() != 8))
    return fail(std::to_string(type.getBits()) + " bits", isAwq || isNf4 ? "4" : "4 or 8");
  if (type.getBlock() < 16 || type.getBlock() % 16)
    return fail("groups of " + std::to_string(type.getBlock()), "a multiple of 16");
  if ((isNf4 && type.getZeroPoints()) || ((isNf4 || isAwq || isOnnx) && type.getActOrder()) ||
      (!isNf4 && type.getNested()) || (!isOnnx && (type.getIsSigned() || type.getTransposed())) || type.getFloatZeros())
    return fail("a parameter of another encoding", "none");
  if (isNf4 && type.getScale() != ScaleType::F32) return fail("a 16-bit scale", "f32");
  // Codes are whole words along k, but onnx_blocks and matmul_nbits have none. Blocks of nf4 run on from row to row:
  // whole ones here.
  int64_t unit = isNf4 ? type.getBlock() : isOnnx || isNBits ? 1 : 8;
  if (k % unit) return fail("rows of " + std::to_string(k) + " elements", "a multiple of " + std::to_string(unit));
  constexpr int64_t kMostElements = int64_t(1) << 56; // sizes of parts do not overflow
  if (n > kMostElements / k) return fail(std::to_string(n) + " rows", "at most " + std::to_string(kMostElements / k));
  return llvm::Error::success();
}

void decodeTable(EncodedType type, int64_t k, const RowParts &row, float *out) {
  for (int64_t i = 0; i < k; ++i)
    out[i] = load<float>(row[3], row[0][i]) * scaleToFloat(type.getScale(), row[1], i / type.getBlock());
}

void decodeActOrder(EncodedType type, int64_t k, const RowParts &row, float *out) {
  int centre = 1 << (type.getBits() - 1);
  for (int64_t i = 0; i < k; ++i) {
    int32_t group = load<int32_t>(row[3], i);
    int zero = row[2] ? row[2][group] : centre;
    out[i] = float(row[0][i] - zero) * scaleToFloat(type.getScale(), row[1], group);
  }
}

/// The scheme of the codes as they are gathered, whatever becomes of them.
SchemeAttr codeScheme(EncodedType type) {
  return SchemeAttr::get(type.getContext(), type.getBits() == 4 ? Kind::I4 : Kind::I8, type.getBlock(), type.getScale(),
                         type.getZeroPoints() ? Offset::ZeroPoint : Offset::None);
}

} // namespace

GatheredRow::GatheredRow(EncodedType type, int64_t k, uint8_t *at)
    : codes(at), scales(at + k), zeros(scales + groupsOf(type, k) * scaleBytesOf(type)) {}

const GatherCodec *gatherCodec(EncodedType type) {
  switch (type.getEncoding()) {
  case Encoding::Gptq:
  case Encoding::GptqV2: return &kGptq;
  case Encoding::Awq: return &kAwq;
  case Encoding::CompressedTensors: return &kCompressedTensors;
  case Encoding::Nf4: return &kNf4;
  case Encoding::OnnxBlocks: return &kOnnxBlocks;
  case Encoding::MatMulNBits: return type.getActOrder() ? &kMatMulNBits : nullptr;
  default: return nullptr;
  }
}

bool isGathered(mlir::Type element) {
  auto type = mlir::dyn_cast<EncodedType>(element);
  return type && gatherCodec(type);
}

llvm::Expected<int64_t> gatheredPartBytes(EncodedType type, int64_t n, int64_t k, unsigned part) {
  if (llvm::Error error = check(type, n, k)) return error;
  return gatherCodec(type)->partBytes(type, n, k, part);
}

llvm::Error checkStored(const StoredWeight &weight) {
  if (!weight.type.getActOrder()) return llvm::Error::success();
  const uint8_t *indices = weight.parts[sharedPart(weight.type)].data();
  int64_t groups = groupsOf(weight.type, weight.k);
  for (int64_t i = 0; i < weight.k; ++i)
    if (int32_t group = load<int32_t>(indices, i); group < 0 || group >= groups)
      return llvm::createStringError("found group " + std::to_string(group) + " at k = " + std::to_string(i) +
                                     ", expected 0 to " + std::to_string(groups - 1));
  return llvm::Error::success();
}

int64_t gatheredRowBytes(EncodedType type, int64_t k) {
  return k + groupsOf(type, k) * (scaleBytesOf(type) + type.getZeroPoints());
}

void gatherRows(const StoredWeight &weight, llvm::ArrayRef<int64_t> rows, uint8_t *out) {
  gatherCodec(weight.type)->gather(weight, rows, out);
}

RowParts gatheredRow(const StoredWeight &weight, const uint8_t *row) {
  GatheredRow at(weight.type, weight.k, const_cast<uint8_t *>(row));
  RowParts parts = {at.codes, at.scales, weight.type.getZeroPoints() ? at.zeros : nullptr};
  if (weight.type.getActOrder() || weight.type.getEncoding() == Encoding::Nf4)
    parts[3] = weight.parts[sharedPart(weight.type)].data();
  return parts;
}

void decodeGathered(EncodedType type, int64_t k, const RowParts &row, float *out) {
  if (type.getEncoding() == Encoding::Nf4) return decodeTable(type, k, row, out);
  if (type.getActOrder()) return decodeActOrder(type, k, row, out);
  dequantiseRow(codeScheme(type), k, {row[0], row[1], row[2]}, out);
}

void recodeGathered(EncodedType type, int64_t k, const RowParts &row, const SchemeRow<uint8_t> &out) {
  int64_t group = exactScheme(type).getGroup(), bytes = scaleBytesOf(type);
  memcpy(out.codes, row[0], k);
  for (int64_t g = 0; g * group < k; ++g) { // a block is one group, or several
    int64_t block = g * group / type.getBlock();
    memcpy(out.scales + g * bytes, row[1] + block * bytes, bytes);
    if (row[2]) out.offsets[g] = row[2][block];
  }
}

} // namespace llmc::wq
