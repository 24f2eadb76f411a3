// y = y * correction + sum over visible positions, ascending, of weight * v: one chain of fused multiply-adds for each
// (head, channel).
#include "codegen/kernels/attention/AttentionEmitter.h"

namespace llmc {
using namespace Xbyak;

/// Even parts, none above `most`: 9 with most 6 gives 5.
static int evenPart(int whole, int most) {
  int parts = (whole + most - 1) / most;
  return (whole + parts - 1) / parts;
}

/// One row. Several heads at a time share the read of v.
void AttentionEmitter::values() {
  const int most = v.avx512 ? 6 : 3, together = evenPart(group, most);
  const int whole = group / together, rest = group % together;
  auto step = [&] {
    a.add(a.rbx, together * kEntry);
    a.add(a.rax, int(together * d.headDim * 4));
  };
  a.mov(a.rbx, a.rdx);
  a.mov(a.rax, a.rdi);
  if (prefetches()) a.mov(a.rsi, slot(kNextTile));
  valueGroup(together, prefetches());
  if (whole + bool(rest) > 1) step();
  if (whole > 1) {
    Label next;
    a.lea(a.r11, a.ptr[a.rdx + whole * together * kEntry]);
    a.L(next);
    valueGroup(together, false);
    step();
    a.cmp(a.rbx, a.r11);
    a.jb(next, a.T_NEAR);
  }
  if (rest) valueGroup(rest, false);
}

/// Heads from rbx (state) and rax (y) on, tile by tile of channels.
void AttentionEmitter::valueGroup(int heads, bool prefetch) {
  const int registers = v.avx512 ? 24 : 12, most = evenPart(chunks(), std::max(1, registers / heads));
  for (int c = 0; c < chunks(); c += most) valueTile(heads, c, std::min(most, chunks() - c), prefetch && c == 0);
}

/// Registers: `streams` times heads * chunks sums, one weight for each head, one v. A chain of fused multiply-adds
/// waits 4 cycles for each position; positions are dealt to several chains where there are too few of them otherwise.
void AttentionEmitter::valueTile(int heads, int firstChunk, int tileChunks, bool prefetch) {
  const int64_t positionBytes = d.headDim * (valuesAsHalf() ? 2 : 4);
  const int sums = heads * tileChunks, registers = v.avx512 ? 24 : 12, enough = 8;
  const ValueTile tile = {heads, firstChunk, tileChunks, prefetch};
  int streams = 1;
  while (streams * sums < enough && 2 * streams * sums <= registers) streams *= 2;
  scaleOutputs(tile);
  for (int i = sums; i < streams * sums; ++i) v.zero(i);
  Label many, last, next, done; // r10 = position, rdx = its v
  a.push(a.rdx);
  a.mov(a.r10, a.r8);
  a.imul(a.rdx, a.r8, int(positionBytes));
  a.add(a.rdx, a.r12);
  auto step = [&](int positions) {
    for (int i = 0; i < positions; ++i) valuePosition(tile, i, i * sums, streams * sums);
    a.add(a.rdx, int(positions * positionBytes));
    a.add(a.r10, positions);
  };
  if (streams > 1) {
    a.sub(a.r9, streams - 1); // the last position at which a whole step begins, plus 1
    a.cmp(a.r10, a.r9);
    a.jge(last, a.T_NEAR);
    a.L(many);
    step(streams);
    a.cmp(a.r10, a.r9);
    a.jl(many, a.T_NEAR);
    a.L(last);
    a.add(a.r9, streams - 1);
    a.cmp(a.r10, a.r9);
    a.jge(done, a.T_NEAR);
  }
  a.L(next);
  step(1);
  a.cmp(a.r10, a.r9);
  a.jl(next, a.T_NEAR);
  a.L(done);
  a.pop(a.rdx);
  for (int half = streams / 2; half; half /= 2)
    for (int i = 0; i < half * sums; ++i) a.vaddps(v.reg(i), v.reg(i), v.reg(i + half * sums));
  for (int head = 0; head < heads; ++head)
    for (int c = 0; c < tileChunks; ++c)
      v.store(output(tile, head, c), head * tileChunks + c, chunkLanes(firstChunk + c));
}

RegExp AttentionEmitter::output(const ValueTile &tile, int head, int c) const {
  return a.rax + int(4 * (head * d.headDim + (tile.firstChunk + c) * v.count));
}

/// The sums of stream 0 := y * correction.
void AttentionEmitter::scaleOutputs(const ValueTile &tile) {
  for (int head = 0; head < tile.heads; ++head) {
    const int correction = tile.heads * tile.chunks;
    a.vbroadcastss(v.reg(correction), a.ptr[a.rbx + head * kEntry + kCorrection]);
    for (int c = 0; c < tile.chunks; ++c) {
      const int sum = head * tile.chunks + c;
      v.load(sum, output(tile, head, c), chunkLanes(tile.firstChunk + c));
      a.vmulps(v.reg(sum), v.reg(sum), v.reg(correction));
    }
  }
}

/// Adds weight * v of position r10 + `ahead` to the sums from register `sums` on; `weights`.. are free.
void AttentionEmitter::valuePosition(const ValueTile &tile, int ahead, int sums, int weights) {
  const int value = weights + tile.heads, element = valuesAsHalf() ? 2 : 4;
  for (int head = 0; head < tile.heads; ++head)
    a.vbroadcastss(v.reg(weights + head), a.ptr[a.rbx + a.r10 * 4 + (head * kEntry + kScores + 4 * ahead)]);
  for (int c = 0; c < tile.chunks; ++c) {
    const int lanes = chunkLanes(tile.firstChunk + c);
    RegExp from = a.rdx + int((tile.firstChunk + c) * v.count * element + ahead * d.headDim * element);
    if (tile.heads == 1 && element == 4 && lanes == v.count) {
      a.vfmadd231ps(v.reg(sums + c), v.reg(weights), a.ptr[from]);
      continue;
    }
    element == 2 ? v.loadHalf(value, from, lanes) : v.load(value, from, lanes);
    for (int head = 0; head < tile.heads; ++head)
      a.vfmadd231ps(v.reg(sums + head * tile.chunks + c), v.reg(weights + head), v.reg(value));
  }
  if (!tile.prefetch) return;
  for (int64_t line = 0; line < d.headDim * elementBytes(); line += kAlign) a.prefetcht0(a.ptr[a.rsi + int(line)]);
  a.add(a.rsi, int(d.headDim * elementBytes()));
}

} // namespace llmc
