// I4 and I8 weights by Q8 rows with TDPBSSD (TDPBSUD where codes are unsigned). A chunk is 512 k, the strip is
// [half of the panel][k/4][2][16 columns][4 k] bytes: rows of B tiles, k in natural order, so A tiles are loaded from
// the Q8 rows as they are. Each step of k that has one scale ends in i32 tiles, which go through L1 to the f32 sums:
//   step > half of the panel > 64 k > tile; then row > 16 columns: sum = fma(w scale * x scale, float(dot), sum)
// The latter, vector instructions, are put between the tile products of the next step, which are issued every 16
// cycles. Steps: the group (64 to 256 k) with exact scales; the block of x with requantised ones and with one group.
#include "codegen/kernels/matmul/Amx.h"
#include "codegen/kernels/matmul/AmxUnpack.h"
#include <bit>

namespace llmc::matmul {
using namespace Xbyak;

namespace {
constexpr int64_t kChunk = 512;

class Emitter : public AmxEmitter {
public:
  Emitter(Assembler &a, const MatmulDesc &desc)
      : AmxEmitter(a, desc, kChunk, int8Step(desc), Int8Strip::kBytes + kProductBytes + 8 * kPendingSlots),
        strip(a, desc, own(), stepK), block(desc.x.block) {}

private:
  void startPanel() override { a.mov(pending(kRows), 0); }
  void unpack() override { strip.unpack(*this); }
  void product(int rowTiles) override;
  void finishChunk() override { addPending(); }
  int64_t chunkBytes() const override { return strip.chunkBytes(); }

  void tiles(int rowTiles, bool together);
  void multiply(const Tmm &c, const Tmm &x, const Tmm &b);
  void suspend();
  void resume();
  void addPending();
  void row(int index, int firstColumn, int columns, const RegExp &products);

  RegExp productAt(int64_t offset) const { return own(Int8Strip::kBytes + offset); }
  Address bTile(int column, int64_t k) const {
    constexpr int64_t half = Int8Strip::kHalfBytes, perK = Int8Strip::kBytesPerK;
    return a.ptr[a.rbx + tileStride + (column / 2 * half + column % 2 * 64 + k * perK)];
  }

  static constexpr int64_t kFullRows = 2 * kTileRows;
  static constexpr int64_t kProductBytes = kFullRows * kSumsStride; // i32 [32 rows][64 columns]
  /// Products of a step whose scales wait: its rows (0: none), x scales and sums of the first, its table row.
  enum Pending { kRows, kXScales, kSums, kTable, kPendingSlots };
  Address pending(Pending slot) const { return a.qword[productAt(kProductBytes + 8 * slot)]; }

  Int8Strip strip;
  const int64_t block; // k per scale of x
  // While products are added: rax x scales of the first row, r14 its sums, k1 whether sums are read (not in the very
  // first step); vectors of the row, of 16 columns each. k3: of the current step, k4: of the pending one.
  const Reg64 &xScales = a.rax, &sumsOfRow = a.r14;
  const Zmm xScale{0}, xSum{1}, xTotal{2};
  Zmm wScale(int v) const { return Zmm(28 + v); }
  Zmm offset(int v) const { return Zmm(24 + v); }
};

void Emitter::multiply(const Tmm &c, const Tmm &x, const Tmm &b) {
  if (strip.isUnsigned())
    a.tdpbsud(c, x, b);
  else
    a.tdpbssd(c, x, b);
}

/// One step's products to the i32 scratch. r12: x at the step's k, rbx: its strip. `together`: the pending step's 32
/// rows are added meanwhile, those of a half before its products are overwritten.
void Emitter::tiles(int rowTiles, bool together) {
  const int halves = rowTiles, columns = rowTiles == 2 ? 2 : 4; // 2 x 2 tiles twice, or 1 x 4
  const int productsOfHalf = int(stepK / 64) * rowTiles * columns;
  a.mov(tileStride, Int8Strip::kRowBytes);
  for (int half = 0; half < halves; ++half) {
    int done = 0;
    a.mov(rowStride, desc.xStride);
    for (int c = 0; c < 4; ++c) a.tilezero(Tmm(c));
    for (int64_t k = 0; k < stepK; k += 64) {
      for (int i = 0; i < rowTiles; ++i) a.tileloadd(Tmm(4 + i), aTile(a.r12 + size_t(k), i));
      for (int j = 0; j < columns; ++j) {
        Tmm b(rowTiles == 2 ? 6 + j : 5 + j % 3);
        a.tileloadd(b, bTile(2 * half + j, k));
        for (int i = 0; i < rowTiles; ++i, ++done) {
          multiply(Tmm(i * columns + j), Tmm(4 + i), b);
          for (int64_t r = kFullRows * done / productsOfHalf; together && r < kFullRows * (done + 1) / productsOfHalf;
               ++r)
            row(int(r), 2 * half, 2, productAt(0));
        }
      }
    }
    const Reg64 &scratchStride = rowStride;
    a.mov(scratchStride, kSumsStride);
    for (int c = 0; c < 4; ++c) {
      int64_t at = c / columns * kTileRows * kSumsStride + (2 * half + c % columns) * 64;
      a.tilestored(a.ptr[productAt(at) + scratchStride], Tmm(c));
    }
  }
}

/// Steps of a row block: the tiles of one run while the sums of the one before are scaled and added, if both have 32
/// rows; that one may be of the row block before.
void Emitter::product(int rowTiles) {
  a.lea(a.rbx, a.ptr[own()]);
  a.lea(a.r12, a.ptr[x + chunk]);
  a.xor_(a.r15d, a.r15d); // of the step, in tables
  a.kmovw(a.k3, a.k2);
  Label next, apart, done;
  a.L(next);
  if (rowTiles == 2) {
    a.cmp(rowsOfBlock(), uint32_t(kFullRows));
    a.jne(apart, a.T_NEAR);
    a.cmp(pending(kRows), uint32_t(kFullRows));
    a.jne(apart, a.T_NEAR);
    resume();
    tiles(rowTiles, true);
    a.jmp(done, a.T_NEAR);
  }
  a.L(apart);
  addPending();
  tiles(rowTiles, false);
  a.L(done);
  suspend();
  a.add(a.r12, uint32_t(stepK));
  a.add(a.rbx, uint32_t(stepK * Int8Strip::kBytesPerK));
  a.add(a.r15, uint32_t(Int8Strip::kTableRow));
  static_assert(Int8Strip::kTableRow == 256);
  a.mov(a.rax, a.r15);
  a.shr(a.rax, 8);
  a.cmp(a.rax, steps());
  a.jl(next, a.T_NEAR);
}

/// The current step becomes the pending one.
void Emitter::suspend() {
  const int stepLog = std::countr_zero(uint64_t(stepK)), blockLog = std::countr_zero(uint64_t(block));
  a.mov(a.rax, a.r15);
  a.shr(a.rax, 8 + blockLog - stepLog);
  a.mov(a.r8, chunk);
  a.shr(a.r8, blockLog);
  a.add(a.rax, a.r8); // block of x
  a.lea(a.rax, a.ptr[x + a.rax * 4 + q8ScaleOffset(desc.k, block)]);
  a.mov(pending(kXScales), a.rax);
  a.mov(pending(kSums), sums);
  a.mov(pending(kTable), a.r15);
  a.mov(a.rax, rowsOfBlock());
  a.mov(pending(kRows), a.rax);
  a.kmovw(a.k4, a.k3);
  a.kxnorw(a.k3, a.k3, a.k3);
}

/// What `row` needs of the pending step.
void Emitter::resume() {
  a.mov(a.r14, pending(kTable));
  for (int v = 0; v < 4; ++v) {
    a.vmovups(wScale(v), strip.scaleAt(v, a.r14));
    if (strip.hasZeroTable() || strip.hasMinima()) a.vmovups(offset(v), strip.offsetAt(v, a.r14));
  }
  a.mov(xScales, pending(kXScales));
  a.mov(sumsOfRow, pending(kSums));
  a.kmovw(a.k1, a.k4);
}

/// Columns [firstColumn, + columns) / 16 of the row `index` after the first; `products` is the first row's.
void Emitter::row(int index, int firstColumn, int columns, const RegExp &products) {
  const int64_t stride = index * desc.xStride, sumOfCodes = q8SumOffset(desc.k, block) - q8ScaleOffset(desc.k, block);
  a.vbroadcastss(xScale, a.ptr[xScales + stride]);
  if (strip.hasZeroTable()) a.vpbroadcastd(xSum, a.ptr[xScales + (stride + sumOfCodes)]);
  if (strip.hasMinima()) {
    a.vcvtdq2ps(xTotal, a.ptr_b[xScales + (stride + sumOfCodes)]);
    a.vmulps(xTotal, xTotal, xScale);
  }
  for (int v = firstColumn; v < firstColumn + columns; ++v) {
    const Zmm dot(3 + 3 * (v % 2)), factor(4 + 3 * (v % 2)), sum(5 + 3 * (v % 2));
    const RegExp at(size_t(index * kSumsStride + v * 64));
    if (strip.hasZeroTable()) {
      a.vpmulld(factor, xSum, offset(v));
      a.vmovdqu32(dot, a.ptr[products + at]);
      a.vpsubd(dot, dot, factor);
      a.vcvtdq2ps(dot, dot);
    } else {
      a.vcvtdq2ps(dot, a.ptr[products + at]);
    }
    a.vmulps(factor, xScale, wScale(v));
    a.vmovups(sum | a.k1 | a.T_z, a.ptr[sumsOfRow + at]);
    a.vfmadd231ps(sum, dot, factor);
    if (strip.hasMinima()) a.vfmadd231ps(sum, xTotal, offset(v));
    a.vmovups(a.ptr[sumsOfRow + at], sum);
  }
}

/// Sums += scaled products of the pending step, if there is one.
void Emitter::addPending() {
  const Reg64 &left = rowStride, &rowOffset = tileStride;
  Label none;
  a.mov(left, pending(kRows));
  a.test(left, left);
  a.jz(none, a.T_NEAR);
  resume();
  a.xor_(rowOffset.cvt32(), rowOffset.cvt32());
  auto rows = [&](int count) {
    Label next, rest;
    a.L(next);
    a.cmp(left, count);
    a.jl(rest, a.T_NEAR);
    for (int i = 0; i < count; ++i) row(i, 0, 4, productAt(0) + rowOffset);
    a.add(rowOffset, uint32_t(count * kSumsStride));
    a.add(sumsOfRow, uint32_t(count * kSumsStride));
    a.add(xScales, uint32_t(count * desc.xStride));
    a.sub(left, count);
    a.jmp(next, a.T_NEAR);
    a.L(rest);
  };
  rows(4);
  rows(1);
  a.mov(pending(kRows), 0);
  a.L(none);
}
} // namespace

llvm::Expected<Code> emitAmxInt8(const MatmulDesc &desc, const Target &) {
  return assemble([&](Assembler &a) { Emitter(a, desc).emit(); });
}

} // namespace llmc::matmul
