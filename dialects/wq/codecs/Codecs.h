// Rows of checkpoint weights: to f32 values, or exactly to the codes, scales and offsets of a scheme. One file per
// encoding in this folder; this header is what others use. Plain loops over one row, no allocation, no shared state:
// any number of threads.
#pragma once
#include "dialects/wq/Wq.h"
#include "llvm/Support/Error.h"
#include <array>

namespace llmc::wq {

/// Where one row of a weight is, in each of its storage parts (LlmOps.td, `storage`; `!wq.encoded` lists the parts of
/// each encoding). Absent parts are null. Any alignment. Of a gathered row: see gatheredRow().
using RowParts = std::array<const uint8_t *, 4>;

/// The most storage parts that a weight has.
inline constexpr unsigned kMostParts = 5;
/// Number of storage parts of a weight with this element type: 1 for floats and GGUF encodings.
unsigned partCount(mlir::Type element);
/// Bytes of one row of k elements in a part; fails if the type is neither f16, bf16, f32 nor an encoding, or if k is
/// not a whole number of the encoding's blocks. Not for gathered encodings.
llvm::Expected<int64_t> rowBytes(mlir::Type element, int64_t k, unsigned part);

/// One row to values: out[0..k). Bit for bit ggml's values for GGUF encodings; f32 (code - zero) * scale for
/// MatMulNBits and the other integer encodings, level * absmax for nf4. rowBytes() or gatheredPartBytes()
/// must have accepted (element, k).
void decodeRow(mlir::Type element, int64_t k, const RowParts &row, float *out);

/// A stored weight of n rows in a gathered encoding: all bytes of each of its parts.
struct StoredWeight {
  EncodedType type;
  int64_t n = 0, k = 0;
  std::array<llvm::ArrayRef<uint8_t>, kMostParts> parts;
};
/// Whether rows of this type are spread over their parts (all after matmul_nbits), so that gatherRows()
/// must bring them together before decodeRow() or recodeRow(). Other rows are runs of bytes.
bool isGathered(mlir::Type element);
/// Bytes of a part; fails if the encoding has no such parameters, n or k. n, k > 0.
llvm::Expected<int64_t> gatheredPartBytes(EncodedType type, int64_t n, int64_t k, unsigned part);
/// Checks the values that others are looked up by (group indices). Parts have their sizes.
llvm::Error checkStored(const StoredWeight &weight);
/// Bytes of one gathered row.
int64_t gatheredRowBytes(EncodedType type, int64_t k);
/// Stored row rows[i] to out + i * gatheredRowBytes().
void gatherRows(const StoredWeight &weight, llvm::ArrayRef<int64_t> rows, uint8_t *out);
/// The parts of a gathered row: codes u8 [k]; scales [groups]; zero points u8 [groups]; what all rows share (group
/// indices, or the levels of nf4). They refer to `row` and to the weight's bytes.
RowParts gatheredRow(const StoredWeight &weight, const uint8_t *row);

/// Scales (and offsets) of a row of k elements: ceil(k / group).
inline int64_t groupCount(SchemeAttr scheme, int64_t k) { return (k + scheme.getGroup() - 1) / scheme.getGroup(); }
/// Bytes of one scale, of one offset (0: the scheme has none).
int64_t scaleBytes(SchemeAttr scheme);
int64_t offsetBytes(SchemeAttr scheme);

/// One row of an integer scheme: codes [k], one a byte; scales and offsets [groups], raw bits of the scheme's types (u8
/// zero points, f16 or f32 minima). `Byte` is uint8_t or const uint8_t.
template <typename Byte> struct SchemeRow {
  Byte *codes, *scales, *offsets;
};

/// Scale `index` of an array of them.
float scaleToFloat(ScaleType type, const void *scales, int64_t index);

/// One encoded row to exactScheme(encoded), which must be an integer scheme, losing nothing.
void recodeRow(EncodedType encoded, int64_t k, const RowParts &row, const SchemeRow<uint8_t> &out);

/// Round-to-nearest (WqOps.td, wq.quantize) of x[0..k). A last group shorter than scheme.group is quantised by itself.
/// With a float minimum: min and scale = (max-min)/15 (or 255) of the group, both rounded, code =
/// clamp(round((w-min)/scale)). Fails on a value that is not finite and on a scale that its type cannot hold. A group
/// whose rounded scale is 0 has codes that decode to 0 (with a minimum: to it).
llvm::Error quantiseRow(SchemeAttr scheme, int64_t k, const float *x, const SchemeRow<uint8_t> &out);

/// The values of a row in a scheme: (code - zero) * scale, or code * scale + minimum, each operation rounded to f32.
void dequantiseRow(SchemeAttr scheme, int64_t k, const SchemeRow<const uint8_t> &row, float *out);

/// Rows of one weight in an integer scheme, row after row.
struct RowBlock {
  SchemeAttr scheme;
  int64_t k = 0, rows = 0;
  std::vector<uint8_t> codes, scales, offsets; // at least rows * {k, groups * scaleBytes, groups * offsetBytes}

  /// No rows, room for `capacity`; never shrinks its memory, so one object serves many weights.
  void reset(SchemeAttr newScheme, int64_t newK, int64_t capacity);
  int64_t scaleStride() const { return groupCount(scheme, k) * scaleBytes(scheme); }
  int64_t offsetStride() const { return groupCount(scheme, k) * offsetBytes(scheme); }
  SchemeRow<uint8_t> row(int64_t r) {
    return {codes.data() + r * k, scales.data() + r * scaleStride(), offsets.data() + r * offsetStride()};
  }
  SchemeRow<const uint8_t> row(int64_t r) const {
    return {codes.data() + r * k, scales.data() + r * scaleStride(), offsets.data() + r * offsetStride()};
  }
};

} // namespace llmc::wq
