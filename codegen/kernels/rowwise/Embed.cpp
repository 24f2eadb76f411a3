// Embed: one row of a packed table (layouts: kernels/matmul/README.md), 4 values of k at a time in xmm registers.
#include "codegen/kernels/rowwise/Emitters.h"
#include "codegen/kernels/rowwise/Row.h"
#include "llmc_kernel.h"
#include <cstddef>
#include <cstring>

namespace llmc {
using namespace Xbyak;
namespace {

/// Registers: rsi = codes of the column at the current step, r8 = y at the current step, rax = the column's scale in
/// the block, rdi, r9..r11 as in Row, rcx = step, rdx = y row, rbx = block, r12 = column of the panel, r13 = row of y.
class EmbedEmitter {
public:
  EmbedEmitter(Assembler &a, const RowwiseDesc &d) : a(a), d(d), w(d.w) {}
  void emit();

private:
  void row();
  void block(int64_t columns);
  void step(int64_t columns);
  void groupOperands();
  void loadCodes(int64_t columns);
  void store(int v, int64_t at, int64_t lanes);

  bool integer() const { return w.isInteger(); }
  /// Columns of a step: what 256 bytes of codes (a dword of each column of the panel) hold.
  int64_t stepColumns() const {
    switch (w.kind) {
    case WeightKind::I4: return 8;
    case WeightKind::I8: return 4;
    case WeightKind::F16:
    case WeightKind::BF16: return 2;
    case WeightKind::F32: return 1;
    }
    return 1;
  }
  Address splat(uint32_t bits) {
    uint8_t bytes[16];
    for (int i = 0; i < 4; ++i) memcpy(bytes + 4 * i, &bits, 4);
    return a.ptr[a.rip + a.constantBytes(bytes)];
  }

  Assembler &a;
  const RowwiseDesc &d;
  const WeightFormat &w;
  // values: low = the step's first 4 columns, high = its next 4 (I4)
  const Xmm low{0}, high{1}, scale{2}, offset{3}, factor{4}, temp{5};
};

void EmbedEmitter::emit() {
  Label next, done;
  a.enter({a.rbx, a.r12, a.r13});
  a.mov(a.r9, a.ptr[a.rdi + offsetof(llmc_rowwise_args, begin)]);
  a.mov(a.r10, a.ptr[a.rdi + offsetof(llmc_rowwise_args, end)]);
  a.cmp(a.r9, a.r10);
  a.jge(done, a.T_NEAR);
  a.mov(a.r11, a.ptr[a.rdi + offsetof(llmc_rowwise_args, batch)]);
  a.mov(a.r11, a.ptr[a.r11 + (d.byPosition ? offsetof(llmc_batch, positions) : offsetof(llmc_batch, tokens))]);
  a.imul(a.r13, a.r9, int(d.yStride));
  a.add(a.r13, a.ptr[a.rdi + offsetof(llmc_rowwise_args, y)]);
  a.vbroadcastss(factor, a.ptr[a.rip + a.constantF32(d.scale)]);
  a.L(next);
  row();
  a.add(a.r13, int(d.yStride));
  a.inc(a.r9);
  a.cmp(a.r9, a.r10);
  a.jl(next, a.T_NEAR);
  a.L(done);
  a.leave();
}

void EmbedEmitter::row() {
  a.movsxd(a.rbx, a.dword[a.r11 + a.r9 * 4]);
  a.mov(a.r12, a.rbx);
  a.and_(a.r12d, int(kPanel - 1));
  a.shr(a.rbx, 6);
  static_assert(kPanel == 1 << 6);
  a.imul(a.rbx, a.rbx, int(w.panelBytes(d.columns)));
  a.add(a.rbx, a.ptr[a.rdi + offsetof(llmc_rowwise_args, w)]);
  a.mov(a.r8, a.r13);
  if (!integer()) return block(d.columns);
  Label next;
  int64_t whole = d.columns / w.group;
  if (whole) {
    a.lea(a.rdx, a.ptr[a.r13 + int(whole * w.group * 4)]);
    a.L(next);
    block(w.group);
    a.add(a.rbx, int(w.blockBytes()));
    a.cmp(a.r8, a.rdx);
    a.jb(next, a.T_NEAR);
  }
  if (int64_t rest = d.columns % w.group) block(rest);
}

/// The first `columns` of the block at rbx; advances r8 past the whole steps.
void EmbedEmitter::block(int64_t columns) {
  if (integer()) groupOperands();
  a.lea(a.rsi, a.ptr[a.rbx + a.r12 * 4]);
  // 16-bit and 32-bit floats: 2 or 4 steps at a time make 4 columns.
  int64_t once = std::max<int64_t>(stepColumns(), 4), whole = columns / once;
  a.loop(a.rcx, whole, 1, [&] {
    step(once);
    a.add(a.rsi, int(once / stepColumns() * 256));
    a.add(a.r8, int(once * 4));
  });
  if (columns % once) step(columns % once);
}

/// scale and offset: what is subtracted from a code (symmetric, zero point), or the minimum that is added.
void EmbedEmitter::groupOperands() {
  auto halfWord = [&](const Xmm &to, const Address &from, bool f16) {
    a.vpbroadcastw(to, from);
    if (f16)
      a.vcvtph2ps(to, to);
    else
      a.vpslld(to, to, 16);
  };
  int at = int(w.codeBytes());
  if (w.scale == ScaleType::F32)
    a.vbroadcastss(scale, a.ptr[a.rbx + a.r12 * 4 + at]);
  else
    halfWord(scale, a.ptr[a.rbx + a.r12 * 2 + at], w.scale == ScaleType::F16);
  at += int(w.scaleBytes());
  switch (w.offset) {
  case Offset::None: a.vmovups(offset, splat(w.kind == WeightKind::I4 ? 8 : 128)); break;
  case Offset::ZeroPoint:
    a.movzx(a.eax, a.byte[a.rbx + a.r12 + at]);
    a.vmovd(offset, a.eax);
    a.vpbroadcastd(offset, offset);
    break;
  case Offset::MinF16: halfWord(offset, a.ptr[a.rbx + a.r12 * 2 + at], true); break;
  case Offset::MinF32: a.vbroadcastss(offset, a.ptr[a.rbx + a.r12 * 4 + at]); break;
  }
}

/// The first `columns` of a step (a whole one, or the row's last): decode, scale, store.
void EmbedEmitter::step(int64_t columns) {
  loadCodes(columns);
  int64_t registers = (columns + 3) / 4;
  for (int i = 0; i < registers; ++i) {
    Xmm v(i);
    if (integer()) {
      bool minimum = w.offset == Offset::MinF16 || w.offset == Offset::MinF32;
      if (!minimum) a.vpsubd(v, v, offset);
      a.vcvtdq2ps(v, v);
      if (minimum)
        a.vfmadd213ps(v, scale, offset);
      else
        a.vmulps(v, v, scale);
    }
    a.vmulps(v, v, factor);
    store(i, 16 * i, std::min<int64_t>(4, columns - 4 * i));
  }
}

/// low (and high) := the integer codes, or the floats, of up to `columns` columns.
void EmbedEmitter::loadCodes(int64_t columns) {
  switch (w.kind) {
  case WeightKind::I4:
    a.vmovd(high, a.ptr[a.rsi]);
    a.vpand(low, high, splat(0x0f0f0f0f));
    a.vpmovzxbd(low, low);
    a.vpsrld(high, high, 4);
    a.vpand(high, high, splat(0x0f0f0f0f));
    a.vpmovzxbd(high, high);
    return;
  case WeightKind::I8: return a.vpmovzxbd(low, a.ptr[a.rsi]);
  case WeightKind::F16:
  case WeightKind::BF16:
    a.vmovd(low, a.ptr[a.rsi]);
    if (columns > 2) a.vpinsrd(low, low, a.ptr[a.rsi + 256], 1);
    if (w.kind == WeightKind::F16) return a.vcvtph2ps(low, low);
    a.vpmovzxwd(low, low);
    return a.vpslld(low, low, 16);
  case WeightKind::F32:
    a.vmovss(low, a.ptr[a.rsi]);
    for (int i = 1; i < columns; ++i) a.vinsertps(low, low, a.ptr[a.rsi + 256 * i], uint8_t(i << 4));
    return;
  }
}

void EmbedEmitter::store(int v, int64_t at, int64_t lanes) {
  if (lanes == 4) return a.vmovups(a.ptr[a.r8 + int(at)], Xmm(v));
  for (int i = 0; i < lanes; ++i) a.vextractps(a.ptr[a.r8 + int(at + 4 * i)], Xmm(v), uint8_t(i));
}

} // namespace

llvm::Expected<Code> emitEmbed(const RowwiseDesc &d, const Target &) {
  return assemble([&](Assembler &a) { EmbedEmitter(a, d).emit(); });
}

Refusal refuseEmbed(const RowwiseDesc &d, const Target &) {
  if (Refusal reason = refuseRowwise(d, RowwiseOp::Embed, /*q8Allowed=*/false)) return reason;
  if (d.w.isInteger() && (d.w.group < 16 || d.w.group % 8))
    return "group size: found " + std::to_string(d.w.group) + ", expected a multiple of 8, at least 16";
  if (int64_t bytes = d.w.panelBytes(d.columns); bytes > INT32_MAX)
    return "bytes of a panel: found " + std::to_string(bytes) + ", expected less than 2^31";
  return std::nullopt;
}

} // namespace llmc
