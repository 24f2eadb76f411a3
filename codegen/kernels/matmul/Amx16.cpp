// BF16 and F16 rows with TDPBF16PS and TDPFP16PS. A chunk is 256 k; the strip is [half of the panel][k pair][2][16
// columns][2 k]: rows of B tiles, in the order of k that the row format has. Weights in it are rounded to 16 bits after
// their scale and offset: floats are not rounded, their packed panel is the strip. Tiles add up in f32, their sums wait
// in L1 or L2 from chunk to chunk.
#include "codegen/kernels/matmul/Amx.h"
#include "codegen/kernels/matmul/AmxUnpack.h"

namespace llmc::matmul {
using namespace Xbyak;

namespace {
constexpr int64_t kChunk = Strip16::kChunk, kStep = 32; // k of a chunk, of a tile
constexpr int kLines = 4;

bool isFp16(const MatmulDesc &d) { return d.x.kind == RowFormat::Kind::F16; }

/// Floats: strip [k pair][4][16 columns][2 k]. A last tile of fewer than 16 pairs is copied.
class Emitter : public AmxEmitter {
public:
  Emitter(Assembler &a, const MatmulDesc &desc)
      : AmxEmitter(a, desc, kChunk, kStep, desc.w.isInteger() ? Strip16::kBytes : kTileRows * kPanel * 4),
        integer(f.isInteger()), rowBytes(integer ? Strip16::kRowBytes : kPanel * 4), strip(a, desc, own()) {}

private:
  void startPanel() override;
  void unpack() override {
    if (integer) strip.unpack(*this);
  }
  void product(int rowTiles) override;
  int64_t chunkBytes() const override { return integer ? strip.chunkBytes() : kChunk / 2 * rowBytes; }
  void tiles(int rowTiles, int half);
  void sumTiles(int rowTiles, int half, bool load);
  void chunkOf(int rowTiles, int half);
  void step(int rowTiles, int half);
  void multiply(const Tmm &c, const Tmm &x, const Tmm &b);

  bool hasPartTile() const { return !integer && f.paddedK(desc.k) % kStep; }
  Address bTile(int column) const {
    return a.ptr[a.rbx + tileStride + (integer ? column / 2 * Strip16::kHalfBytes + column % 2 * 64 : column * 64)];
  }

  const bool integer;
  const int64_t rowBytes; // of a k pair in the strip
  Strip16 strip;          // of integers
};

void Emitter::multiply(const Tmm &c, const Tmm &x, const Tmm &b) {
  if (isFp16(desc))
    a.tdpfp16ps(c, x, b);
  else
    a.tdpbf16ps(c, x, b);
}

/// C tiles from the sums, or to them.
void Emitter::sumTiles(int rowTiles, int half, bool load) {
  const Reg64 &stride = a.rax;
  const int columns = rowTiles == 2 ? 2 : 4;
  a.mov(stride, kSumsStride);
  for (int c = 0; c < 4; ++c) {
    Address at = a.ptr[sums + stride + (c / columns * kTileRows * kSumsStride + (2 * half + c % columns) * 64)];
    if (load)
      a.tileloadd(Tmm(c), at);
    else
      a.tilestored(at, Tmm(c));
  }
}

void Emitter::step(int rowTiles, int half) {
  const int columns = rowTiles == 2 ? 2 : 4;
  for (int i = 0; i < rowTiles; ++i) a.tileloadd(Tmm(4 + i), aTile(a.r12, i));
  for (int j = 0; j < columns; ++j) {
    Tmm b(rowTiles == 2 ? 6 + j : 5 + j % 3);
    a.tileloadd(b, bTile(2 * half + j));
    for (int i = 0; i < rowTiles; ++i) multiply(Tmm(i * columns + j), Tmm(4 + i), b);
  }
}

void Emitter::chunkOf(int rowTiles, int half) {
  Label next, noWhole;
  a.lea(a.r12, a.ptr[x + chunk * 2]);
  if (integer)
    a.lea(a.rbx, a.ptr[own()]);
  else
    a.mov(a.rbx, weights());
  a.mov(a.r14, steps());
  if (hasPartTile()) { // the last step of the last chunk
    ifLastChunk([&] { a.dec(a.r14); }, [] {});
    a.test(a.r14, a.r14);
    a.jz(noWhole, a.T_NEAR);
  }
  a.L(next);
  step(rowTiles, half);
  a.add(a.r12, uint32_t(kStep * 2));
  a.add(a.rbx, uint32_t(kStep / 2 * rowBytes));
  a.dec(a.r14);
  a.jnz(next, a.T_NEAR);
  a.L(noWhole);
  if (!hasPartTile()) return;
  ifLastChunk(
      [&] {
        a.lea(a.rbx, a.ptr[own()]);
        step(rowTiles, half);
      },
      [] {});
}

void Emitter::tiles(int rowTiles, int half) {
  Label first, start;
  a.test(chunk, chunk);
  a.jz(first, a.T_NEAR);
  sumTiles(rowTiles, half, true);
  a.jmp(start, a.T_NEAR);
  a.L(first);
  for (int c = 0; c < 4; ++c) a.tilezero(Tmm(c));
  a.L(start);
  chunkOf(rowTiles, half);
  sumTiles(rowTiles, half, false);
}

void Emitter::product(int rowTiles) {
  a.mov(rowStride, desc.xStride);
  a.mov(tileStride, rowBytes);
  for (int half = 0; half < rowTiles; ++half) tiles(rowTiles, half); // 2 x 2 tiles twice, or 1 x 4
}

/// Float weights: the pairs past the last whole tile, and zeros, to a tile of their own.
void Emitter::startPanel() {
  if (!hasPartTile()) return;
  const int64_t pairs = f.paddedK(desc.k) / 2, whole = pairs / kTileRows * kTileRows;
  clear(a, a.zmm0);
  for (int64_t i = 0; i < kTileRows * kLines; ++i) {
    Address to = a.ptr[own(i * 64)];
    if (whole + i / kLines >= pairs) {
      a.vmovdqa32(to, a.zmm0);
      continue;
    }
    a.vmovdqu32(a.zmm1, a.ptr[Gpr{}.panel + (whole * rowBytes + i * 64)]);
    a.vmovdqa32(to, a.zmm1);
  }
}
} // namespace

llvm::Expected<Code> emitAmx16(const MatmulDesc &desc, const Target &) {
  return assemble([&](Assembler &a) { Emitter(a, desc).emit(); });
}

} // namespace llmc::matmul
