// I4 and I8 weights by Q8 rows with TDPBSSD (TDPBSUD where codes are unsigned). A chunk is 512 k, the strip is
// [half of the panel][k/4][2][16 columns][4 k] bytes: rows of B tiles, k in natural order, so A tiles are loaded from
// the Q8 rows as they are. Each step of k that has one scale ends in i32 tiles, which go through L1 to the f32 sums:
//   step > half of the panel > 64 k > tile; then row > 16 columns: sum = fma(w scale * x scale, float(dot), sum)
// Steps: the group (64 to 256 k) with exact scales; the block of x with requantised ones and with one group.
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
      : AmxEmitter(a, desc, kChunk, int8Step(desc), Int8Strip::kBytes + kProductBytes), strip(a, desc, own(), stepK),
        block(desc.x.block) {}

private:
  void unpack() override { strip.unpack(*this); }
  void product(int rowTiles) override;
  int64_t chunkBytes() const override { return strip.chunkBytes(); }
  void tiles(int rowTiles);
  void multiply(const Tmm &c, const Tmm &x, const Tmm &b);
  void addToSums();
  void row(int index);
  RegExp productAt(int64_t offset) const { return own(Int8Strip::kBytes + offset); }
  Address bTile(int column, int64_t k) const {
    return a
        .ptr[a.rbx + tileStride + (column / 2 * Int8Strip::kHalfBytes + column % 2 * 64 + k * Int8Strip::kBytesPerK)];
  }

  static constexpr int64_t kProductBytes = 2 * kTileRows * kSumsStride; // i32 [32 rows][64 columns]
  Int8Strip strip;
  const int64_t block; // k per scale of x
  // Vectors of addToSums: of the row, of 16 columns each.
  const Zmm xScale{0}, xSum{1}, xTotal{2}, dot{3}, factor{4}, sum{5};
  Zmm wScale(int v) const { return Zmm(28 + v); }
  Zmm offset(int v) const { return Zmm(24 + v); }
};

void Emitter::multiply(const Tmm &c, const Tmm &x, const Tmm &b) {
  if (strip.isUnsigned())
    a.tdpbsud(c, x, b);
  else
    a.tdpbssd(c, x, b);
}

/// One step's products to the i32 scratch. r12: x at the step's k, rbx: its strip.
void Emitter::tiles(int rowTiles) {
  const Reg64 &scratchStride = a.rax;
  a.mov(rowStride, desc.xStride);
  a.mov(tileStride, Int8Strip::kRowBytes);
  a.mov(scratchStride, kSumsStride);
  const int halves = rowTiles, columns = rowTiles == 2 ? 2 : 4; // 2 x 2 tiles twice, or 1 x 4
  for (int half = 0; half < halves; ++half) {
    for (int c = 0; c < 4; ++c) a.tilezero(Tmm(c));
    for (int64_t k = 0; k < stepK; k += 64) {
      for (int i = 0; i < rowTiles; ++i) a.tileloadd(Tmm(4 + i), aTile(a.r12 + size_t(k), i));
      for (int j = 0; j < columns; ++j) {
        Tmm b(rowTiles == 2 ? 6 + j : 5 + j % 3);
        a.tileloadd(b, bTile(2 * half + j, k));
        for (int i = 0; i < rowTiles; ++i) multiply(Tmm(i * columns + j), Tmm(4 + i), b);
      }
    }
    for (int c = 0; c < 4; ++c)
      a.tilestored(
          a.ptr[productAt(c / columns * kTileRows * kSumsStride + (2 * half + c % columns) * 64) + scratchStride],
          Tmm(c));
  }
}

void Emitter::product(int rowTiles) {
  a.lea(a.rbx, a.ptr[own()]);
  a.lea(a.r12, a.ptr[x + chunk]);
  a.mov(a.r14, steps());
  a.xor_(a.r15d, a.r15d); // of the step, in tables
  a.kmovw(a.k1, a.k2);
  Label next;
  a.L(next);
  tiles(rowTiles);
  addToSums();
  a.add(a.r12, uint32_t(stepK));
  a.add(a.rbx, uint32_t(stepK * Int8Strip::kBytesPerK));
  a.add(a.r15, uint32_t(Int8Strip::kTableRow));
  a.dec(a.r14);
  a.jnz(next, a.T_NEAR);
}

/// The row `index` after the one at rax (its x scale) and r8 (its offset in sums and products).
void Emitter::row(int index) {
  const int64_t stride = index * desc.xStride, sumOfCodes = q8SumOffset(desc.k, block) - q8ScaleOffset(desc.k, block);
  a.vbroadcastss(xScale, a.ptr[a.rax + stride]);
  if (strip.hasZeroTable()) a.vpbroadcastd(xSum, a.ptr[a.rax + (stride + sumOfCodes)]);
  if (strip.hasMinima()) {
    a.vcvtdq2ps(xTotal, a.ptr_b[a.rax + (stride + sumOfCodes)]);
    a.vmulps(xTotal, xTotal, xScale);
  }
  for (int v = 0; v < 4; ++v) {
    int64_t at = index * kSumsStride + v * 64;
    if (strip.hasZeroTable()) {
      a.vpmulld(factor, xSum, offset(v));
      a.vmovdqu32(dot, a.ptr[productAt(at) + a.r8]);
      a.vpsubd(dot, dot, factor);
      a.vcvtdq2ps(dot, dot);
    } else {
      a.vcvtdq2ps(dot, a.ptr[productAt(at) + a.r8]);
    }
    a.vmulps(factor, xScale, wScale(v));
    a.vmovups(sum | a.k1 | a.T_z, a.ptr[sums + a.r8 + at]);
    a.vfmadd231ps(sum, dot, factor);
    if (strip.hasMinima()) a.vfmadd231ps(sum, xTotal, offset(v));
    a.vmovups(a.ptr[sums + a.r8 + at], sum);
  }
}

/// Sums += scaled products of the step at r15. The very first step finds k1 = 0 and does not read the sums.
void Emitter::addToSums() {
  const int stepLog = std::countr_zero(uint64_t(stepK)), blockLog = std::countr_zero(uint64_t(block));
  static_assert(Int8Strip::kTableRow == 256);
  a.mov(a.rax, a.r15);
  a.shr(a.rax, 8 + blockLog - stepLog);
  a.mov(a.r8, chunk);
  a.shr(a.r8, blockLog);
  a.add(a.rax, a.r8); // block of x
  a.lea(a.rax, a.ptr[x + a.rax * 4 + q8ScaleOffset(desc.k, block)]);
  for (int v = 0; v < 4; ++v) {
    a.vmovups(wScale(v), strip.scaleAt(v, a.r15));
    if (strip.hasZeroTable() || strip.hasMinima()) a.vmovups(offset(v), strip.offsetAt(v, a.r15));
  }
  const Reg64 &left = rowStride;
  a.mov(left, rowsOfBlock());
  a.xor_(a.r8d, a.r8d);
  auto rows = [&](int count) {
    Label next, done;
    a.L(next);
    a.cmp(left, count);
    a.jl(done, a.T_NEAR);
    for (int i = 0; i < count; ++i) row(i);
    a.add(a.r8, uint32_t(count * kSumsStride));
    a.add(a.rax, uint32_t(count * desc.xStride));
    a.sub(left, count);
    a.jmp(next, a.T_NEAR);
    a.L(done);
  };
  rows(4);
  rows(1);
  a.kxnorw(a.k1, a.k1, a.k1);
}
} // namespace

llvm::Expected<Code> emitAmxInt8(const MatmulDesc &desc, const Target &) {
  return assemble([&](Assembler &a) { Emitter(a, desc).emit(); });
}

} // namespace llmc::matmul
