// What a kernel computes: plain structs, one per kernel family. A descriptor and a target are all that an emitter may
// depend on. Layouts are drawn in codegen/kernels/*/README.md, argument structs are in llmc_kernel.h.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace llmc {

inline constexpr int64_t kPanel = 64;           // output columns of a weight panel
inline constexpr int64_t kActivationBlock = 32; // k per activation scale of a q8 row
inline constexpr int64_t kAlign = 64;           // of buffers and row strides, bytes

constexpr int64_t roundUp(int64_t x, int64_t to) { return (x + to - 1) / to * to; }

/// How the elements of a packed weight are stored.
enum class WeightKind : uint8_t { I4, I8, F16, BF16, F32 };
enum class ScaleType : uint8_t { F16, BF16, F32 };
/// What is added to code*scale: nothing (codes are centred: code-8, code-128), an integer zero point
/// ((code-zp)*scale, u8), or a float minimum (code*scale+min).
enum class Offset : uint8_t { None, ZeroPoint, MinF16, MinF32 };

/// Packed weight of N columns (outputs) and K inputs: layouts P1 (I4), P8 (I8), P16 (F16, BF16), P32 (F32).
struct WeightFormat {
  WeightKind kind = WeightKind::F32;
  int64_t group = 0; // k per scale for I4 and I8 (a multiple of 16); 0 for floats
  ScaleType scale = ScaleType::F16;
  Offset offset = Offset::None;

  bool isInteger() const { return kind == WeightKind::I4 || kind == WeightKind::I8; }
  bool hasMinimum() const { return offset == Offset::MinF16 || offset == Offset::MinF32; }
  /// K as stored: whole groups for integers (padded codes decode to 0 times the group's scale, see README), even for
  /// 16-bit floats.
  int64_t paddedK(int64_t k) const;
  int64_t codeBytes() const;   // of one block (64 columns x one group); floats: of one k (F32) or one k pair (F16/BF16)
  int64_t scaleBytes() const;  // 64 scales
  int64_t offsetBytes() const; // 64 zero points or minima, 0 if none
  int64_t blockBytes() const { return codeBytes() + scaleBytes() + offsetBytes(); }
  int64_t panelBytes(int64_t k) const;       // one panel: all blocks, k ascending
  int64_t bytes(int64_t n, int64_t k) const; // all panels, n rounded up to 64
  std::string name() const;                  // "w4g32", "w4g32zp", "w8g16sf32", "wf32"
  bool operator==(const WeightFormat &) const = default;
};

/// How the rows of an activation are stored, k ascending unless said otherwise.
/// F32: columns floats. Q8: codes with a scale per block, see q8* below. BF16, F16: 16 bits each, zeros up to
/// paddedK16(columns), in the order of k that the consumer's weights are unpacked in (`order`: the kind of those
/// weights):
///   BF16/F16 weights natural; I8 per 4 k: 0,2,1,3; I4 per 8 k: 0,2,4,6,1,3,5,7 (as pairs come out of packed lines).
/// BF16Pair: two such BF16 rows one after the other: bf16(x), then bf16(x - bf16(x)).
struct RowFormat {
  enum class Kind : uint8_t { F32, Q8, BF16, BF16Pair, F16 };
  Kind kind = Kind::F32;
  int64_t block = 0;                  // Q8: k per scale: 32, 64, 128, 256 or 512; else 0
  WeightKind order = WeightKind::F32; // 16-bit kinds: weights of the consumer; else F32

  static const RowFormat F32, Q8; // Q8: blocks of 32
  static constexpr RowFormat q8(int64_t block) { return {Kind::Q8, block}; }
  constexpr bool isQ8() const { return kind == Kind::Q8; }
  constexpr bool is16Bit() const { return kind == Kind::BF16 || kind == Kind::BF16Pair || kind == Kind::F16; }
  std::string name() const; // "f32", "q8b32", "bf16", "bf16pair", "f16"
  constexpr bool operator==(const RowFormat &) const = default;
};
inline constexpr RowFormat RowFormat::F32{}, RowFormat::Q8{Kind::Q8, kActivationBlock};

/// Row of Q8 with k columns and blocks of B: symmetric, scale = max|x|/127 of each block, code = round to nearest even
/// of x*127/max|x| (0 if max is 0), sum = sum of the codes of the block. kp = k rounded up to 256 (512 if B is 512), so
/// that every group size has whole groups:
///   codes s8 [kp] | scales f32 [kp/B] | sums i32 [kp/B] | if B is 32: half sums i32 [kp/16], of each half block
/// Codes, scales and sums past k are 0. Kernels with f32 rows read x[0..k) only.
constexpr int64_t q8PaddedK(int64_t k, int64_t block = kActivationBlock) {
  return roundUp(k, block > 256 ? block : 256);
}
constexpr int64_t q8ScaleOffset(int64_t k, int64_t block = kActivationBlock) { return q8PaddedK(k, block); }
constexpr int64_t q8SumOffset(int64_t k, int64_t block = kActivationBlock) {
  return q8ScaleOffset(k, block) + q8PaddedK(k, block) / block * 4;
}
constexpr int64_t q8HalfSumOffset(int64_t k, int64_t block = kActivationBlock) {
  return q8SumOffset(k, block) + q8PaddedK(k, block) / block * 4;
}
constexpr int64_t q8RowBytes(int64_t k, int64_t block = kActivationBlock) {
  return q8HalfSumOffset(k, block) + (block == 32 ? q8PaddedK(k, block) / 16 * 4 : 0);
}
/// Columns of a 16-bit row as stored: a multiple of 128 (AMX: four tiles of 32).
constexpr int64_t paddedK16(int64_t k) { return roundUp(k, 128); }
/// Bytes of a row, padding included.
int64_t rowBytes(RowFormat format, int64_t columns);
/// Bytes from row to row: a multiple of 64; never a multiple of 4096 (rows would share L1 sets).
int64_t rowStride(RowFormat format, int64_t columns);

enum class Activation : uint8_t { None, Silu, GeluTanh, GeluErf, Relu };

/// y = x W^T (+ bias) (+ y). One kernel serves rows minRows..maxRows.
struct MatmulDesc {
  int64_t n = 0, k = 0;
  WeightFormat w;
  RowFormat x = RowFormat::F32;
  bool bias = false;
  bool accumulate = false; // y += instead of y =
  /// Epilogue, in this order: bias, activation, glu, accumulate, y's format.
  Activation activation = Activation::None;
  /// Of each panel of W the first 32 columns are gates, the others ups (n counts both):
  /// y[r, 32p+i] = activation(gate[32p+i]) * up[32p+i], so y has n/2 columns and a panel makes 32 of them.
  bool glu = false;
  RowFormat y = RowFormat::F32; // or Q8 in blocks of 32 (or, without glu, 64)
  /// Q8 rows only: weights are requantised to s8 with a scale per (512 k, column) while they are unpacked. Not
  /// exact: relative to the largest weight of such a block the error is up to 1/254.
  bool requantise = false;
  int64_t minRows = 1, maxRows = INT64_MAX;
  int64_t xStride = 0, yStride = 0; // bytes
  bool operator==(const MatmulDesc &) const = default;
};

enum class RowwiseOp : uint8_t {
  RmsNorm,
  Glu,
  Quantize,
  Add,
  Embed,
  GatherRows,
  RopeTable,
  LayerNorm,
  Activate,
  QkNorm,
  Scale,
  MoeChoose,
  MoeSort,
  MoeGather,
  MoeScatter
};
constexpr bool isMoe(RowwiseOp op) { return op >= RowwiseOp::MoeChoose; }
/// Rotary tables. Formula: angle = position * inv_freq[i]. Dynamic: NTK base by the sequence's length (FAMILIES.md).
/// Table: row `position` of a stored [positions][dim] table, cosines then sines. Long: a second set of frequencies,
/// stored behind the first, for long sequences (LongRoPE).
enum class RopeKind : uint8_t { Formula, Dynamic, Table, Long };

/// One op over rows of `columns` (README of the family has the formula of each).
struct RowwiseDesc {
  RowwiseOp op = RowwiseOp::Add;
  int64_t columns = 0;                      // of the output; for RopeTable: rope_dim
  RowFormat out = RowFormat::F32;           // RmsNorm, Glu, Quantize may write Q8
  int64_t xStride = 0, yStride = 0;         // bytes
  float epsilon = 0;                        // RmsNorm, LayerNorm
  bool bias = false;                        // LayerNorm
  Activation activation = Activation::None; // Activate; Glu: y = activation(x[:, 0:columns]) * x[:, columns:2*columns]
  WeightFormat w;                           // Embed: format of the packed table
  float scale = 1;         // Embed: y = scale * row; RopeTable: attention factor of cosines and sines; Scale
  float softcap = 0;       // Scale: 0 is none
  bool byPosition = false; // Embed: by the row's position, not its token
  RopeKind rope = RopeKind::Formula;
  float ropeBase = 0, ropeFactor = 1; // Dynamic; Long: the factor is that of cosines and sines of long sequences
  int64_t ropeMaxPositions = 0;       // Dynamic, Long: original positions; Table: rows of the table
  int64_t k = 1;                      // Moe*: experts of a row
  int64_t parts = 1;                  // MoeScatter: runs of columns, each a unit
  int64_t experts = 0;                // MoeGather, MoeScatter
  bool renormalise = false;           // MoeChoose: the weights of a row add up to `scale`
  bool accumulate = false;            // MoeScatter: y += instead of y =
  int64_t heads = 0, kvHeads = 0;     // QkNorm
  bool operator==(const RowwiseDesc &) const = default;
};

/// MoeScatter: columns of a part; the last ones may have fewer, or none.
constexpr int64_t moePartColumns(int64_t columns, int64_t parts) { return roundUp((columns + parts - 1) / parts, 64); }

/// At most so many rows are a unit of attention over many rows (prefill): a key or value that is read serves all their
/// heads.
inline constexpr int64_t kAttentionRowBlock = 32;

/// Elements of the KV cache. I8: codes -127..127 with an f32 scale for the key and one for the value of each position
/// and kv head: scale = max|x|/127, code = round to nearest even of x*(127/max|x|).
enum class KvType : uint8_t { F32, F16, BF16, I8 };
/// Positions per page; LLMC_PAGE_POSITIONS of llmc_kernel.h.
inline constexpr int64_t kPagePositions = 64;
/// Positions that attention sums up before it adds them to what it has. Where chunks are borders is a function of the
/// position alone, and so are a row's bits: they do not depend on how many threads share a row.
inline constexpr int64_t kAttentionChunk = 256;

/// A kv head's part of a page, codegen/kernels/attention/README.md has the picture: positions (keys) or channels
/// (values) lie in lanes, and the `together()` elements that one dot product takes share a dword of the lane.
struct KvLayout {
  KvType type = KvType::F32;
  int64_t headDim = 0;

  int64_t elementBytes() const { return type == KvType::F32 ? 4 : type == KvType::I8 ? 1 : 2; }
  int64_t together() const { return type == KvType::I8 ? 4 : type == KvType::BF16 ? 2 : 1; }
  int64_t keyBytes() const { return roundUp(headDim, together()) * kPagePositions * elementBytes(); }
  int64_t valueBytes() const { return headDim * kPagePositions * elementBytes(); }
  int64_t scaleBytes() const { return type == KvType::I8 ? kPagePositions * 4 : 0; }
  /// Offsets from the start of the part: of key and value of a channel and a position of the page, of their scales.
  int64_t keyOffset(int64_t channel, int64_t slot) const {
    return ((channel / together() * kPagePositions + slot) * together() + channel % together()) * elementBytes();
  }
  int64_t keyScaleOffset(int64_t slot) const { return keyBytes() + 4 * slot; }
  int64_t valuesOffset() const { return keyBytes() + scaleBytes(); }
  int64_t valueOffset(int64_t channel, int64_t slot) const {
    int64_t block = channel / 64 * 64, width = headDim - block < 64 ? headDim - block : 64;
    int64_t inBlock = (slot / together() * width + channel - block) * together() + slot % together();
    return valuesOffset() + (block * kPagePositions + inBlock) * elementBytes();
  }
  int64_t valueScaleOffset(int64_t slot) const { return valuesOffset() + valueBytes() + 4 * slot; }
  int64_t bytes() const { return valuesOffset() + valueBytes() + scaleBytes(); }
};

/// Of a mixture of experts (README.md of the family). Choice: of each row k experts (i32), then k weights (f32). Plan:
/// first[E + 1] (i32), where the rows of each expert begin when all rows are sorted by expert; then at moePlanRows the
/// row of each place [rows * k] and the place of each choice [rows][k].
constexpr int64_t moeChoiceBytes(int64_t k) { return roundUp(8 * k, kAlign); }
constexpr int64_t moePlanRows(int64_t experts) { return roundUp(4 * (experts + 1), kAlign); }
/// Bytes of a plan for each row: any number of rows fits into that many times as much.
constexpr int64_t moePlanBytes(int64_t experts, int64_t k) { return moePlanRows(experts) + roundUp(8 * k, kAlign); }

enum class RopeStyle : uint8_t { None, Half, Interleaved };

/// The two kernels of fused attention. Cache: at pages + p*pageBytes + layer_offset (an argument) there are kvHeads
/// parts of KvLayout. Score of a query at position i and a key at position j: s = scale * q.k; s = softcap *
/// tanh(s/softcap) if softcap > 0; s += slope * (j-i) if alibi (slope: alibiSlope). With sinks, each head has one more
/// logit in the sum of the softmax, without a value.
struct AttentionDesc {
  int64_t heads = 0, kvHeads = 0, headDim = 0;
  KvType kv = KvType::F32;
  float scale = 0; // of q.k
  RopeStyle rope = RopeStyle::Half;
  int64_t ropeDim = 0; // rotated channels, <= headDim
  int64_t pageBytes = 0;
  int64_t qkvStride = 0, ropeStride = 0, yStride = 0; // bytes
  int64_t window = 0;                                 // 0: full; else a query sees itself and window-1 keys before it
  bool alibi = false;
  float softcap = 0; // 0: none
  bool sinks = false;
  /// Queries, keys, values and softmax weights may be rounded to bf16 for their products.
  bool bf16 = false;
  int64_t minRows = 1; // of the steps that the kernel is for; it takes any
  RowFormat out = RowFormat::F32;
  KvLayout layout() const { return {kv, headDim}; }
  int64_t kvLayerBytes() const { return kvHeads * layout().bytes(); }
  /// Of one row and one chunk in llmc_batch::partials.
  int64_t partialHeadBytes() const { return roundUp(headDim * 4 + 8, kAlign); }
  int64_t partialBytes() const { return heads * partialHeadBytes(); }
  bool operator==(const AttentionDesc &) const = default;
};
/// Of head h of `heads` (arXiv 2108.12409, section 3 and the authors' code for heads that are no power of two).
float alibiSlope(int64_t heads, int64_t h);
struct KvAppendDesc : AttentionDesc {};

} // namespace llmc
