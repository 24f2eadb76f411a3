// kv_append: rope on q in place, rope on k and a copy of v into the page of (sequence, position).
#include "codegen/kernels/attention/Emitters.h"
#include "codegen/kernels/rowwise/Lanes.h"
#include "llmc_kernel.h"
#include <cstddef>
#include <cstring>

namespace llmc {
using namespace Xbyak;
namespace {

/// Registers: rdi = arguments, rbx = batch, r12 = row, r13 = end, rsi = qkv row, rdx = rope row, r8 = source head,
/// r9 = destination head, r10 = heads left, r11 = the cell of (kv head 0, position) of K, rax, rcx free.
/// Stack: one head in f32, on its way to an f16 cache.
class KvAppendEmitter {
public:
  KvAppendEmitter(Assembler &a, const KvAppendDesc &d, bool avx512) : a(a), v(a, avx512), d(d) {}
  void emit();

private:
  void row();
  void cell();
  void heads(int64_t count, int64_t destinationStep, llvm::function_ref<void()> body);
  void rotate(const Reg64 &to);
  void rotateHalf(const Reg64 &to, int64_t i, int n);
  void rotatePairs(const Reg64 &to, int64_t pair, int pairs);
  void copy(const Reg64 &to, int64_t begin, int64_t end);
  void narrow(const Reg64 &from);
  /// body(first, lanes) over channels [begin, end), a register at a time.
  void sweep(int64_t begin, int64_t end, llvm::function_ref<void(int64_t, int)> body);
  void spreadPairs(int reg, int64_t offset, int pairs);
  Label &laneConstant(uint32_t (*lane)(int));

  bool half() const { return d.kv == KvType::F16; }
  int64_t rotatedChannels() const { return d.rope == RopeStyle::None ? 0 : d.ropeDim; }
  int64_t cellBytes() const { return d.headDim * (half() ? 2 : 4); }
  int64_t headBytes() const { return LLMC_PAGE_POSITIONS * cellBytes(); }

  Assembler &a;
  Lanes v;
  const KvAppendDesc &d;
};

void KvAppendEmitter::emit() {
  Label next, done;
  a.enter({a.rbx, a.r12, a.r13}, half() ? int(roundUp(d.headDim * 4, kAlign)) : 0);
  a.mov(a.rbx, a.ptr[a.rdi + offsetof(llmc_kv_append_args, batch)]);
  a.mov(a.r12, a.ptr[a.rdi + offsetof(llmc_kv_append_args, begin)]);
  a.mov(a.r13, a.ptr[a.rdi + offsetof(llmc_kv_append_args, end)]);
  a.cmp(a.r12, a.r13);
  a.jge(done, a.T_NEAR);
  a.L(next);
  row();
  a.inc(a.r12);
  a.cmp(a.r12, a.r13);
  a.jl(next, a.T_NEAR);
  a.L(done);
  a.leave();
}

void KvAppendEmitter::row() {
  a.imul(a.rsi, a.r12, int(d.qkvStride));
  a.add(a.rsi, a.ptr[a.rdi + offsetof(llmc_kv_append_args, qkv)]);
  cell();
  a.mov(a.r8, a.rsi);
  if (rotatedChannels()) {
    a.imul(a.rdx, a.r12, int(d.ropeStride));
    a.add(a.rdx, a.ptr[a.rdi + offsetof(llmc_kv_append_args, rope)]);
    heads(d.heads, 0, [&] { rotate(a.r8); });
  } else {
    a.add(a.r8, int(d.heads * d.headDim * 4));
  }
  const Reg64 &staged = half() ? static_cast<const Reg64 &>(a.rsp) : a.r9;
  a.mov(a.r9, a.r11);
  heads(d.kvHeads, headBytes(), [&] {
    if (half() && !rotatedChannels()) return narrow(a.r8);
    rotate(staged);
    copy(staged, rotatedChannels(), d.headDim);
    if (half()) narrow(a.rsp);
  });
  heads(d.kvHeads, headBytes(), [&] { half() ? narrow(a.r8) : copy(a.r9, 0, d.headDim); });
}

/// r11 := where the keys of kv head 0 at the row's position are.
void KvAppendEmitter::cell() {
  static_assert(LLMC_PAGE_POSITIONS == 64);
  a.mov(a.rax, a.ptr[a.rbx + offsetof(llmc_batch, positions)]);
  a.movsxd(a.rcx, a.dword[a.rax + a.r12 * 4]);
  a.mov(a.rax, a.ptr[a.rbx + offsetof(llmc_batch, sequences)]);
  a.movsxd(a.rax, a.dword[a.rax + a.r12 * 4]);
  a.mov(a.r11, a.ptr[a.rbx + offsetof(llmc_batch, page_tables)]);
  a.mov(a.r11, a.ptr[a.r11 + a.rax * 8]);
  a.mov(a.rax, a.rcx);
  a.shr(a.rax, 6);
  a.movsxd(a.r11, a.dword[a.r11 + a.rax * 4]);
  a.imul(a.r11, a.r11, int(d.pageBytes));
  a.add(a.r11, a.ptr[a.rbx + offsetof(llmc_batch, pages)]);
  a.and_(a.ecx, LLMC_PAGE_POSITIONS - 1);
  a.imul(a.rcx, a.rcx, int(cellBytes()));
  a.add(a.r11, a.ptr[a.rdi + offsetof(llmc_kv_append_args, layer_offset)]);
  a.add(a.r11, a.rcx);
}

/// body once per head, r8 and r9 advancing; V follows K in the cache as it does in qkv.
void KvAppendEmitter::heads(int64_t count, int64_t destinationStep, llvm::function_ref<void()> body) {
  a.loop(a.r10, count, 1, [&] {
    body();
    a.add(a.r8, int(d.headDim * 4));
    if (destinationStep) a.add(a.r9, int(destinationStep));
  });
}

void KvAppendEmitter::sweep(int64_t begin, int64_t end, llvm::function_ref<void(int64_t, int)> body) {
  for (int64_t i = begin; i < end; i += v.count) body(i, int(std::min<int64_t>(v.count, end - i)));
}

/// The rotated channels of the head at r8, to `to` (which may be r8). The others stay as they are.
void KvAppendEmitter::rotate(const Reg64 &to) {
  if (d.rope == RopeStyle::Half) sweep(0, d.ropeDim / 2, [&](int64_t i, int n) { rotateHalf(to, i, n); });
  if (d.rope == RopeStyle::Interleaved) sweep(0, d.ropeDim, [&](int64_t i, int n) { rotatePairs(to, i / 2, n / 2); });
}

/// Products and sums are rounded one by one, as in the reference: an f16 cache would show a last bit.
void KvAppendEmitter::rotateHalf(const Reg64 &to, int64_t i, int n) {
  int low = int(4 * i), high = int(4 * i + 2 * d.ropeDim);
  Xmm first = v.reg(0), second = v.reg(1), cosine = v.reg(2), sine = v.reg(3), x = v.reg(4), y = v.reg(5);
  v.setTail(n);
  v.load(0, a.r8 + low, n);
  v.load(1, a.r8 + high, n);
  v.load(2, a.rdx + low, n);
  v.load(3, a.rdx + high, n);
  a.vmulps(x, first, cosine);
  a.vmulps(y, second, sine);
  a.vsubps(x, x, y);
  a.vmulps(second, second, cosine);
  a.vmulps(first, first, sine);
  a.vaddps(second, second, first);
  v.store(to + low, 4, n);
  v.store(to + high, 1, n);
}

/// Lanes 2j, 2j+1 are a pair. Its cosine and sine are loaded once and spread over both lanes.
void KvAppendEmitter::rotatePairs(const Reg64 &to, int64_t pair, int pairs) {
  Xmm x = v.reg(0), swapped = v.reg(1), cosine = v.reg(2), sine = v.reg(3);
  v.setTail(pairs);
  spreadPairs(2, 4 * pair, pairs);
  spreadPairs(3, 4 * pair + 2 * d.ropeDim, pairs);
  a.vxorps(sine, sine, a.ptr[a.rip + laneConstant([](int i) { return i % 2 ? 0 : 0x80000000; })]);
  v.setTail(2 * pairs);
  v.load(0, a.r8 + int(8 * pair), 2 * pairs);
  a.vpermilps(swapped, x, 0xb1);
  a.vmulps(x, x, cosine);
  a.vmulps(swapped, swapped, sine);
  a.vaddps(x, x, swapped);
  v.store(to + int(8 * pair), 0, 2 * pairs);
}

void KvAppendEmitter::spreadPairs(int reg, int64_t offset, int pairs) {
  v.load(reg, a.rdx + int(offset), pairs);
  Address order = a.ptr[a.rip + laneConstant([](int i) { return uint32_t(i / 2); })];
  a.vmovups(v.reg(4), order);
  if (v.avx512)
    a.vpermps(Zmm(reg), Zmm(4), Zmm(reg));
  else
    a.vpermps(Ymm(reg), Ymm(4), Ymm(reg));
}

Label &KvAppendEmitter::laneConstant(uint32_t (*lane)(int)) {
  std::vector<uint8_t> bytes(4 * v.count);
  for (int i = 0; i < v.count; ++i) {
    uint32_t bits = lane(i);
    memcpy(bytes.data() + 4 * i, &bits, 4);
  }
  return a.constantBytes(bytes);
}

/// Channels begin..end-1 of the head at r8, to `to`.
void KvAppendEmitter::copy(const Reg64 &to, int64_t begin, int64_t end) {
  sweep(begin, end, [&](int64_t i, int n) {
    v.setTail(n);
    v.load(0, a.r8 + int(4 * i), n);
    v.store(to + int(4 * i), 0, n);
  });
}

/// The head at `from` to the cell at r9, as f16.
void KvAppendEmitter::narrow(const Reg64 &from) {
  sweep(0, d.headDim, [&](int64_t i, int n) {
    v.load(0, from + int(4 * i), n);
    v.storeHalf(a.r9 + int(2 * i), 0, n);
  });
}

} // namespace

llvm::Expected<Code> emitKvAppend(const KvAppendDesc &d, bool avx512) {
  return assemble([&](Assembler &a) { KvAppendEmitter(a, d, avx512).emit(); });
}

Refusal refuseKvAppend(const KvAppendDesc &d, const Target &target) {
  if (Refusal reason = refuseShape(d)) return reason;
  constexpr int64_t kMaxHeadDim = 1024; // a head is unrolled
  if (d.headDim > kMaxHeadDim)
    return "headDim: found " + std::to_string(d.headDim) + ", expected at most " + std::to_string(kMaxHeadDim);
  if (d.rope != RopeStyle::None && (d.ropeDim < 2 || d.ropeDim % 2 || d.ropeDim > d.headDim))
    return "ropeDim: found " + std::to_string(d.ropeDim) + ", expected an even number, 2.." + std::to_string(d.headDim);
  if (int64_t least = (d.heads + 2 * d.kvHeads) * d.headDim * 4; d.qkvStride < least)
    return "qkvStride: found " + std::to_string(d.qkvStride) + ", expected at least " + std::to_string(least);
  return std::nullopt;
}

} // namespace llmc
