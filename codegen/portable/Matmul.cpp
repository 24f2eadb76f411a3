// Matmul for every weight format: a tile of rows x lines of 16 columns is summed over k in registers. Loops, outer to
// inner: panel, rows of a tile, lines of a tile, weight group, q8 block, step of a line. Numerics: README.md in
// codegen/kernels/matmul; the order of additions of one (row, column) is the same in every tile.
#include "codegen/kernels/matmul/Epilogue.h"
#include "codegen/kernels/matmul/Quantize.h"
#include "codegen/portable/MatmulEpilogue.h"
#include "codegen/portable/Portable.h"
#include "codegen/portable/Weight.h"
#include "llmc_kernel.h"

namespace llmc {
using namespace portable;

namespace {
/// Rows and lines that are summed together: rows x lines accumulators of 16 f32 stay in registers.
struct Tile {
  int64_t rows, lines;
};

/// Tiles for many rows and for single ones.
struct Tiles {
  Tile block, single;
};

Tiles tilesFor(const Target &target) {
  if (target.features.has(Feature::Avx512f)) return {{4, 4}, {1, 4}}; // 16 of 32 registers
  if (target.features.has(Feature::Avx2)) return {{4, 1}, {1, 2}};    // 8 of 16, and codes
  if (target.arch == Arch::AArch64) return {{4, 1}, {1, 2}};          // 16 of 32
  return {{2, 1}, {1, 1}};                                            // SSE: 8 of 16
}

class MatmulEmitter {
public:
  MatmulEmitter(const MatmulDesc &desc, KernelBuilder &b)
      : desc(desc), b(b), layout(lineLayout(desc.w.kind)), quantized(desc.x.isQ8()),
        unit(desc.w.isInteger() && quantized ? std::min(desc.w.group, unitOf(desc.w, desc.k, desc.x.block)) : kLanes) {}
  void emit();

private:
  // A tile at (row, line) of a panel.
  struct Place {
    Var panel;  // of the weight
    Var row;    // first row
    Var line;   // first line, 0..3
    Var column; // of y and bias
  };
  // Values of one group of k in a tile, per line.
  struct Group {
    Var codes; // the first line's codes
    Vars scales, zeroPoints, minima;
  };

  void emitRows(const Tile &tile, Var panel, Var column, Var begin, Var end);
  void emitTile(const Tile &tile, const Place &place);
  Vars sumFloats(const Tile &tile, const Place &place, Vars sums);
  Vars sumGroup(const Tile &tile, const Place &place, Var index, int64_t valid, Vars sums);
  Vars addFloatBlock(const Tile &tile, const Place &place, const Group &group, Var k, int64_t valid, Vars sums);
  Vars addQ8Unit(const Tile &tile, const Place &place, const Group &group, Var k, Var codes, int64_t valid, Vars sums);
  Vars accumulate(const Tile &tile, Var codes, llvm::ArrayRef<Var> x, int64_t valid, llvm::ArrayRef<Var> centres,
                  Vars sums);
  Vars addStep(const Tile &tile, Var codes, llvm::ArrayRef<Var> x, int64_t valid, llvm::ArrayRef<Var> centres,
               Vars sums);
  void storeTile(const Tile &tile, const Place &place, Vars sums);
  Var rowOf(const Place &place, int64_t r) { return x + (place.row + r) * desc.xStride; }
  Vars zeros(int64_t count) { return Vars(count, b.splat(0)); }
  Var sumOfCodes(Var row, llvm::ArrayRef<Var> decoded, Var k);
  int64_t scaleOffset() const { return q8ScaleOffset(desc.k, desc.x.block); }

  const MatmulDesc &desc;
  KernelBuilder &b;
  const LineLayout layout;
  const bool quantized;
  const int64_t unit; // k of one dot product with q8 rows
  Var x, y, bias;
  Var scratch;   // scratchK codes of each row of a tile as f32
  Var panelSums; // with an epilogue: of each row of a tile
  int64_t scratchK() const { return desc.w.isInteger() ? unit : kActivationBlock; }
};

void MatmulEmitter::emit() {
  Var args = b.args();
  auto field = [&](mlir::Type type, size_t offset) { return b.load(type, args + int64_t(offset)); };
  Var rows = field(b.i64(), offsetof(llmc_matmul_args, rows));
  x = field(b.ptr(), offsetof(llmc_matmul_args, x));
  y = field(b.ptr(), offsetof(llmc_matmul_args, y));
  if (desc.bias) bias = field(b.ptr(), offsetof(llmc_matmul_args, bias));
  Var w = field(b.ptr(), offsetof(llmc_matmul_args, w));
  Tiles tiles = tilesFor(b.target);
  tiles.block.rows = std::min(tiles.block.rows, desc.maxRows);
  if (quantized) scratch = b.stack(tiles.block.rows * scratchK() * 4);
  if (matmul::hasEpilogue(desc)) panelSums = b.stack(tiles.block.rows * kPanel * 4);
  Var whole = rows - rows % tiles.block.rows;
  b.loop(field(b.i64(), offsetof(llmc_matmul_args, begin)), field(b.i64(), offsetof(llmc_matmul_args, end)), 1,
         [&](Var panel) {
           Var weight = w + panel * desc.w.panelBytes(desc.k);
           Var column = panel * kPanel;
           if (tiles.block.rows > 1) emitRows(tiles.block, weight, column, b.constant(b.i64(), 0), whole);
           emitRows(tiles.single, weight, column, tiles.block.rows > 1 ? whole : b.constant(b.i64(), 0), rows);
         });
}

void MatmulEmitter::emitRows(const Tile &tile, Var panel, Var column, Var begin, Var end) {
  b.loop(begin, end, tile.rows, [&](Var row) {
    b.loop(0, kPanel / kLanes, tile.lines,
           [&](Var line) { emitTile(tile, {panel, row, line, column + line * kLanes}); });
    for (int64_t r = 0; panelSums.value && r < tile.rows; ++r)
      finishPanel(b, desc, panelSums + r * kPanel * 4, bias, y + (row + r) * desc.yStride, column / kPanel);
  });
}

void MatmulEmitter::emitTile(const Tile &tile, const Place &place) {
  Vars sums = zeros(tile.rows * tile.lines);
  if (!desc.w.isInteger())
    sums = sumFloats(tile, place, sums);
  else {
    int64_t group = desc.w.group, whole = desc.k / group;
    if (whole > 0)
      sums = b.loop(0, whole, 1, sums, [&](Var g, Vars carried) { return sumGroup(tile, place, g, group, carried); });
    if (desc.k % group) sums = sumGroup(tile, place, b.constant(b.i64(), double(whole)), desc.k % group, sums);
  }
  storeTile(tile, place, sums);
}

/// Float weights: one accumulator over all k; q8 rows are decoded block by block (code * scale, rounded to f32).
Vars MatmulEmitter::sumFloats(const Tile &tile, const Place &place, Vars sums) {
  Var codes = place.panel + place.line * 64;
  Vars none;
  if (!quantized) {
    Vars rows;
    for (int64_t r = 0; r < tile.rows; ++r) rows.push_back(rowOf(place, r));
    return accumulate(tile, codes, rows, desc.k, none, sums);
  }
  return b.columns(desc.k, kActivationBlock, sums, [&](Var k, int64_t valid, Vars carried) {
    Vars rows;
    for (int64_t r = 0; r < tile.rows; ++r) {
      Var row = rowOf(place, r), decoded = scratch + r * kActivationBlock * 4;
      Var scale = b.load(b.f32(), row + scaleOffset() + k / desc.x.block * 4);
      for (int64_t i = 0; i < kActivationBlock; i += kLanes) {
        Var c = b.signExtend(b.load(b.lanes(b.i8()), row + k + i), b.i32());
        b.store(b.toFloat(c) * scale, decoded + i * 4);
      }
      rows.push_back(decoded);
    }
    return accumulate(tile, codes + k / layout.stepK * layout.stepBytes, rows, valid, none, carried);
  });
}

/// Adds group `index`, of which `valid` k exist, to the sums.
Vars MatmulEmitter::sumGroup(const Tile &tile, const Place &place, Var index, int64_t valid, Vars sums) {
  const WeightFormat &w = desc.w;
  Var block = place.panel + index * w.blockBytes();
  Group group{block + place.line * 64, {}, {}, {}};
  for (int64_t l = 0; l < tile.lines; ++l) {
    Var column = (place.line + l) * kLanes;
    Var scales = block + w.codeBytes() + column * scaleElementBytes(w.scale);
    Var offsets = block + (w.codeBytes() + w.scaleBytes()) + column * offsetElementBytes(w.offset);
    group.scales.push_back(loadScales(b, w.scale, scales));
    if (w.offset == Offset::None) group.zeroPoints.push_back(b.splat(centre(w.kind)));
    if (w.offset == Offset::ZeroPoint) group.zeroPoints.push_back(loadZeroPoints(b, offsets));
    if (w.hasMinimum()) group.minima.push_back(loadMinima(b, w.offset, offsets));
  }
  Var k = index * w.group;
  if (!quantized) return addFloatBlock(tile, place, group, k, valid, sums);
  return b.columns(valid, unit, sums, [&](Var inGroup, int64_t inBlock, Vars carried) {
    Var codes = group.codes + inGroup / layout.stepK * layout.stepBytes;
    return addQ8Unit(tile, place, group, k + inGroup, codes, inBlock, carried);
  });
}

/// sum = fma(scale, sum_k x * (code - centre), sum), then with minima sum = fma(min, sum_k x, sum).
Vars MatmulEmitter::addFloatBlock(const Tile &tile, const Place &place, const Group &group, Var k, int64_t valid,
                                  Vars sums) {
  Vars rows;
  for (int64_t r = 0; r < tile.rows; ++r) rows.push_back(rowOf(place, r) + k * 4);
  Vars dots = accumulate(tile, group.codes, rows, valid, group.zeroPoints, zeros(tile.rows * tile.lines));
  for (int64_t r = 0; r < tile.rows; ++r) {
    Var total;
    if (!group.minima.empty())
      total = b.loop(0, valid, 1, {b.constant(b.f32(), 0)},
                     [&](Var i, Vars carried) { return Vars{carried[0] + b.load(b.f32(), rows[r] + i * 4)}; })[0];
    for (int64_t l = 0; l < tile.lines; ++l) {
      Var &sum = sums[r * tile.lines + l];
      sum = b.fma(group.scales[l], dots[r * tile.lines + l], sum);
      if (total.value) sum = b.fma(group.minima[l], total, sum);
    }
  }
  return sums;
}

/// Sum of the codes of a unit at k: as stored if the unit is a block or half of one, else of `decoded`, its f32 lanes.
Var MatmulEmitter::sumOfCodes(Var row, llvm::ArrayRef<Var> decoded, Var k) {
  int64_t block = desc.x.block;
  if (unit == block || desc.w.group >= desc.k)
    return b.toFloat(b.load(b.i32(), row + q8SumOffset(desc.k, block) + k / block * 4));
  if (unit == 16 && block == 32) return b.toFloat(b.load(b.i32(), row + q8HalfSumOffset(desc.k) + k / unit * 4));
  Var total = decoded[0];
  for (Var lanes : decoded.drop_front()) total = total + lanes;
  return b.toFloat(b.sum(b.toInt(total, b.i32())));
}

/// sum = fma(scale * x scale, dot, sum) for one unit. The dot product is exact in f32: no partial sum exceeds
/// 512 * 127 * 255 < 2^24; so the centre is taken off afterwards, times the sum of the activation codes.
Vars MatmulEmitter::addQ8Unit(const Tile &tile, const Place &place, const Group &group, Var k, Var codes, int64_t valid,
                              Vars sums) {
  Vars rows, sumsOfX;
  for (int64_t r = 0; r < tile.rows; ++r) {
    rows.push_back(scratch + r * unit * 4);
    Vars decoded;
    for (int64_t i = 0; i < roundUp(valid, kLanes); i += kLanes) {
      decoded.push_back(b.toFloat(b.signExtend(b.load(b.lanes(b.i8()), rowOf(place, r) + k + i), b.i32())));
      b.store(decoded.back(), rows[r] + i * 4);
    }
    sumsOfX.push_back(sumOfCodes(rowOf(place, r), decoded, k));
  }
  Vars dots = accumulate(tile, codes, rows, valid, {}, zeros(tile.rows * tile.lines));
  for (int64_t r = 0; r < tile.rows; ++r) {
    Var xScale = b.load(b.f32(), rowOf(place, r) + scaleOffset() + k / desc.x.block * 4);
    for (int64_t l = 0; l < tile.lines; ++l) {
      Var &sum = sums[r * tile.lines + l], dot = dots[r * tile.lines + l];
      if (group.minima.empty()) dot = dot - group.zeroPoints[l] * sumsOfX[r];
      sum = b.fma(group.scales[l] * xScale, dot, sum);
      if (!group.minima.empty()) sum = b.fma(group.minima[l] * xScale, sumsOfX[r], sum);
    }
  }
  return sums;
}

/// sums[r, l] += sum over `valid` k of x[r][k] * (element - centre), k ascending; x are f32 rows at the first k.
Vars MatmulEmitter::accumulate(const Tile &tile, Var codes, llvm::ArrayRef<Var> x, int64_t valid,
                               llvm::ArrayRef<Var> centres, Vars sums) {
  return b.columns(valid, layout.stepK, sums, [&](Var k, int64_t inStep, Vars carried) {
    Vars at;
    for (Var row : x) at.push_back(row + k * 4);
    return addStep(tile, codes + k / layout.stepK * layout.stepBytes, at, inStep, centres, carried);
  });
}

Vars MatmulEmitter::addStep(const Tile &tile, Var codes, llvm::ArrayRef<Var> x, int64_t valid,
                            llvm::ArrayRef<Var> centres, Vars sums) {
  Vars dwords;
  for (int64_t l = 0; l < tile.lines; ++l) dwords.push_back(b.load(b.lanes(b.i32()), codes + l * 64));
  for (int64_t j = 0; j < valid; ++j) {
    Vars activations;
    for (Var row : x) activations.push_back(b.broadcast(b.load(b.f32(), row + j * 4)));
    for (int64_t l = 0; l < tile.lines; ++l) {
      Var w = element(b, desc.w.kind, dwords[l], j);
      if (!centres.empty()) w = w - centres[l];
      for (int64_t r = 0; r < tile.rows; ++r) {
        Var &sum = sums[r * tile.lines + l];
        sum = b.fma(activations[r], w, sum);
      }
    }
  }
  return sums;
}

void MatmulEmitter::storeTile(const Tile &tile, const Place &place, Vars sums) {
  for (int64_t r = 0; r < tile.rows; ++r)
    for (int64_t l = 0; l < tile.lines; ++l) {
      Var sum = sums[r * tile.lines + l], bytes = (place.column + l * kLanes) * 4;
      if (panelSums.value) {
        b.store(sum, panelSums + r * kPanel * 4 + (place.line + l) * kLanes * 4);
        continue;
      }
      Var out = y + (place.row + r) * desc.yStride + bytes;
      if (desc.bias) sum = sum + b.load(b.lanes(b.f32()), bias + bytes);
      if (desc.accumulate) sum = sum + b.load(b.lanes(b.f32()), out);
      b.store(sum, out);
    }
}

Refusal refuse(const MatmulDesc &desc, const Target &) {
  if (desc.x != RowFormat::F32 && !desc.x.isQ8()) return "activations are " + desc.x.name() + ", expected f32 or q8";
  if (int64_t block = desc.x.block; desc.x.isQ8() && (block < 32 || block > 512 || block & (block - 1)))
    return "activation blocks of " + std::to_string(block) + " k, expected 32, 64, 128, 256 or 512";
  if (desc.requantise) return std::string("requantised weights, expected exact group scales");
  if (Refusal reason = matmul::refuseEpilogue(desc)) return reason;
  return refuseFormat(desc.w);
}

/// Decoding and multiplying take about 6 vector instructions per 16 weights and row block.
double cost(const MatmulDesc &desc, const Target &target) {
  double work = double(roundUp(desc.n, kPanel)) * double(desc.k) * double(desc.minRows);
  return double(desc.w.bytes(desc.n, desc.k)) / target.bytesPerSecond + 8 * work / target.fmaPerSecond;
}

llvm::Expected<Code> emit(const MatmulDesc &desc, const Target &target) {
  KernelBuilder b(target);
  MatmulEmitter(desc, b).emit();
  return b.finish();
}
} // namespace

const Kernel<MatmulDesc> kPortableMatmul = {
    .name = "matmul_any_portable", .anyArch = true, .needs = {}, .refuse = refuse, .cost = cost, .emit = emit};

} // namespace llmc
