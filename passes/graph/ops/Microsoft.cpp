// com.microsoft of decoder graphs: weights quantised in blocks (MatMulNBits, GatherBlockQuantized) and GELU with a
// bias.
#include "passes/graph/Building.h"
#include "passes/graph/Lowerings.h"
#include "passes/graph/Scalar.h"

using namespace mlir;

namespace llmc::graph {
namespace {

//===- Packed integers ----------------------------------------------------------------===//
/// Element `place` of a row whose bytes hold 8 / bits elements each, the first in the lowest bits; as f32.
Scalar unpacked(Scalar byte, Scalar place, int64_t bits) {
  Builder &b = *byte.b;
  if (bits == 8) return convert(Scalar{&b, byte.value, true}, b.getF32Type());
  Type i32 = b.getI32Type();
  Scalar wide = convert(Scalar{&b, byte.value, true}, i32, true);
  Scalar shift = convert(place % double(8 / bits) * double(bits), i32);
  Scalar moved = {&b, arith::ShRUIOp::create(b, wide.value, shift.value), true};
  return convert(moved & constant(b, i32, (1 << bits) - 1), b.getF32Type());
}

enum Operand { kX, kWeights, kScales, kZeroPoints, kGroups, kBias };

/// A number for each block of each row, as [rows, blocks] or in one line.
Scalar blockParameter(Array p, Scalar row, Scalar block, Scalar blocks) {
  if (p.rank() == 1) return p(row * blocks + block);
  return p({row, block});
}

/// Block parameters are there for all blocks, in either form; g_idx may cover the filled columns too.
llvm::Error checkBlocks(NodeLowering &n, int64_t columns, int64_t depth, int64_t block, int64_t bits) {
  Builder &b = n.b;
  int64_t blocks = (depth + block - 1) / block, perByte = 8 / bits;
  auto number = [&](int64_t value) { return index(b, value); };
  auto parameter = [&](unsigned operand, int64_t each) {
    return n.has(operand) && n.rank(operand) == 1 ? Scalars{number(columns * each)}
                                                  : Scalars{number(columns), number(each)};
  };
  bool packedZeros = n.has(kZeroPoints) && array(n, kZeroPoints).element().isInteger(8);
  if (llvm::Error error =
          require(n, {{kWeights, "B", {number(columns), number(blocks), number((block + perByte - 1) / perByte)}},
                      {kScales, "scales", parameter(kScales, blocks)},
                      {kZeroPoints, "zero_points",
                       parameter(kZeroPoints, packedZeros ? (blocks + perByte - 1) / perByte : blocks)},
                      {kGroups, "g_idx", {Scalar()}},
                      {kBias, "bias", {number(columns)}}}))
    return error;
  if (n.has(kGroups)) check(n, (array(n, kGroups).size(0) >= double(depth)).value, "g_idx has less than K elements");
  return llvm::Error::success();
}

/// x [..., K] times the transpose of [N, K], dequantised: (q - zero point) * scale by blocks of K.
llvm::Expected<Values> lowerMatMulNBits(NodeLowering &n) {
  Builder &b = n.b;
  int64_t columns = n.intAttr("N", 0), depth = n.intAttr("K", 0), bits = n.intAttr("bits", 4),
          block = n.intAttr("block_size", 0);
  if (bits != 2 && bits != 4 && bits != 8) return refuse("bits: found " + Twine(bits) + ", expected 2, 4 or 8");
  if (columns < 1 || depth < 1 || block < 1) return refuse("N, K or block_size: found a number below 1");
  if (!n.rank(kX)) return refuse("A: found rank 0, expected 1 or more");
  if (llvm::Error error = checkBlocks(n, columns, depth, block, bits)) return error;
  Array x = array(n, kX), weights = array(n, kWeights), scales = array(n, kScales);
  Type f32 = b.getF32Type(), type = sumType(x.element());
  checkEqual(n, dimOf(b, x.tensor, x.rank() - 1), size(b, depth), "the last dim is not K");
  int64_t blocks = (depth + block - 1) / block, perByte = 8 / bits, zeroBytes = (blocks + perByte - 1) / perByte;
  bool packedZeros = n.has(kZeroPoints) && array(n, kZeroPoints).element().isInteger(8);
  auto zeroPoint = [&](Scalar row, Scalar group) {
    if (!n.has(kZeroPoints)) return constant(b, f32, 1 << (bits - 1));
    Array zeros = array(n, kZeroPoints);
    if (!packedZeros) return toF32(blockParameter(zeros, row, group, index(b, blocks)));
    return unpacked(blockParameter(zeros, row, group / double(perByte), index(b, zeroBytes)), group, bits);
  };
  auto weight = [&](Scalar row, Scalar k) {
    Scalar within = k % double(block), own = k / double(block);
    Scalar group = n.has(kGroups) ? checkedAt(n, array(n, kGroups)(k), index(b, blocks), "a group") : own;
    Scalar q = unpacked(weights({row, own, within / double(perByte)}), within, bits);
    return (q - zeroPoint(row, group)) * toF32(blockParameter(scales, row, group, index(b, blocks)));
  };
  Scalars sizes = x.sizes();
  sizes.back() = index(b, columns);
  return Values{tabulate(b, sizes, x.element(), [&](ScalarRef i) {
    Scalars at(i);
    Scalar start = n.has(kBias) ? convert(array(n, kBias)(i.back()), type) : constant(b, type, 0);
    Scalar sum = fold(index(b, 0), index(b, depth), start, [&](Scalar k, Scalar sum) {
      at.back() = k;
      return sum + convert(x(at), type) * convert(weight(i.back(), k), type);
    });
    return convert(sum, x.element());
  })};
}

/// data [rows..., packed], indices, scales and zero points by blocks of the last axis: the rows that are asked for,
/// dequantised. u8 data holds 8 / bits elements a byte and has zero points of 2^(bits-1) if there are none.
llvm::Expected<Values> lowerGatherBlockQuantized(NodeLowering &n) {
  Builder &b = n.b;
  Array data = array(n, 0), indices = array(n, 1), scales = array(n, 2);
  int64_t rank = data.rank(), bits = n.intAttr("bits", 4), block = n.intAttr("block_size", 128);
  auto gathered = n.axis("gather_axis", 0, rank), quantised = n.axis("quantize_axis", 1, rank);
  if (!gathered) return gathered.takeError();
  if (!quantised) return quantised.takeError();
  if (*quantised != rank - 1 || *gathered == rank - 1)
    return refuse("gather_axis " + Twine(*gathered) + " and quantize_axis " + Twine(*quantised) +
                  ", expected the last to be quantised");
  if (block < 1 || (bits != 4 && bits != 8)) return refuse("block_size " + Twine(block) + " or bits " + Twine(bits));
  bool isPacked = n.inType(0).isUnsignedInteger(8);
  int64_t perByte = isPacked ? 8 / bits : 1;
  Type f32 = b.getF32Type();
  Scalars sizes;
  for (int64_t axis = 0; axis < rank; ++axis) {
    if (axis != *gathered)
      sizes.push_back(axis == rank - 1 ? data.size(axis) * double(perByte) : data.size(axis));
    else
      sizes.append(indices.sizes());
  }
  Scalars parameters = data.sizes(), zeros;
  parameters.back() = (data.size(rank - 1) * double(perByte) + double(block - 1)) / double(block);
  zeros = parameters;
  zeros.back() = (zeros.back() + double(perByte - 1)) / double(perByte);
  if (llvm::Error error = require(n, {{2, "scales", parameters}, {3, "zero_points", zeros}})) return error;
  auto valueOf = [&](Array from, Scalars at) {
    Scalar column = at.back();
    if (isPacked) {
      at.back() = column / double(perByte);
      return unpacked(from(at), column, bits);
    }
    return convert(from(at), f32);
  };
  return Values{tabulate(b, sizes, scales.element(), [&](ScalarRef i) {
    Value entry = indices(i.slice(*gathered, indices.rank())).value;
    Scalars at(i.take_front(*gathered));
    at.push_back({&b, checkedIndex(n, b, entry, dimOf(b, data.tensor, *gathered), "index")});
    at.append(i.begin() + *gathered + indices.rank(), i.end());
    Scalars group(at);
    group.back() = group.back() / double(block);
    Scalar q = valueOf(data, at), scale = toF32(scales(group));
    Scalar zero = constant(b, f32, isPacked ? 1 << (bits - 1) : 0);
    if (n.has(3)) zero = valueOf(array(n, 3), group);
    return convert((q - zero) * scale, scales.element());
  })};
}

//===- Activations -------------------------------------------------------------------------===//
llvm::Expected<Values> withBias(NodeLowering &n, llvm::function_ref<Scalar(Scalar)> activation) {
  Array x = array(n, 0);
  if (llvm::Error error = require(n, {{1, "bias", {x.size(x.rank() - 1)}}})) return error;
  Type type = sumType(x.element());
  return Values{tabulate(n.b, x.sizes(), x.element(), [&](ScalarRef i) {
    Scalar value = convert(x(i), type);
    if (n.has(1)) value = value + convert(array(n, 1)(i.back()), type);
    return convert(activation(value), x.element());
  })};
}
llvm::Expected<Values> lowerBiasGelu(NodeLowering &n) {
  return withBias(n, [](Scalar x) { return x * 0.5 * (erf(x * 0.70710678118654752) + 1); });
}
llvm::Expected<Values> lowerFastGelu(NodeLowering &n) {
  return withBias(
      n, [](Scalar x) { return x * 0.5 * (tanh(x * (x * x * 0.035677408136300125 + 0.7978845608028654)) + 1); });
}
llvm::Expected<Values> lowerQuickGelu(NodeLowering &n) {
  double alpha = n.floatAttr("alpha", 1.702);
  return withBias(n, [&](Scalar x) { return x * sigmoid(x * alpha); });
}

constexpr Lowering kRows[] = {
    {"com.microsoft", "BiasGelu", lowerBiasGelu},
    {"com.microsoft", "FastGelu", lowerFastGelu},
    {"com.microsoft", "GatherBlockQuantized", lowerGatherBlockQuantized},
    {"com.microsoft", "MatMulNBits", lowerMatMulNBits},
    {"com.microsoft", "QuickGelu", lowerQuickGelu},
};
} // namespace

llvm::ArrayRef<Lowering> microsoftLowerings() { return kRows; }

} // namespace llmc::graph
