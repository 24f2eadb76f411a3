#include "codegen/kernels/attention/KvWriter.h"
#include "llmc_kernel.h"
#include <cstddef>
#include <cstring>

namespace llmc {
using namespace Xbyak;

namespace {
// Registers of the quantiser.
enum { kMax = 2, kTemp = 3, kUsable = 4, kInverse = 5 };
} // namespace

void KvWriter::findPage(const Reg64 &layerOffset) {
  static_assert(LLMC_PAGE_POSITIONS == 64);
  a.mov(a.r9, a.ptr[a.rbx + offsetof(llmc_batch, page_tables)]);
  a.mov(a.r9, a.ptr[a.r9 + a.rax * 8]);
  a.mov(a.r10, a.rcx);
  a.shr(a.r10, 6);
  a.movsxd(a.r9, a.dword[a.r9 + a.r10 * 4]);
  a.imul(a.r9, a.r9, int(d.pageBytes));
  a.add(a.r9, a.ptr[a.rbx + offsetof(llmc_batch, pages)]);
  a.add(a.r9, layerOffset);
  a.mov(a.r10d, a.ecx);
  a.and_(a.r10d, LLMC_PAGE_POSITIONS - 1);
}

void KvWriter::store(const RegExp &scratch) {
  const RegExp packed = scratch + int(scratchBytes() / 2);
  const bool rotated = rotation.channels(), plain = layout.type == KvType::F32;
  if (rotated) rotation.emit(a.rsi, a.rdx, scratch);
  const RegExp key = rotated ? scratch : RegExp(a.rsi);
  if (!plain) convert(key, packed, layout.keyScaleOffset(0));
  storeKey(plain ? key : packed);
  if (!plain) convert(a.r8, packed, layout.valueScaleOffset(0));
  storeValue(plain ? RegExp(a.r8) : packed);
}

void KvWriter::sweep(llvm::function_ref<void(int64_t, int)> body) {
  for (int64_t i = 0; i < d.headDim; i += v.count) body(i, int(std::min<int64_t>(v.count, d.headDim - i)));
}

/// The f32 head at `from` in the cache's type, channel by channel; its scale to where the position's is.
void KvWriter::convert(const RegExp &from, const RegExp &to, int64_t scaleOffset) {
  if (layout.type == KvType::I8) return toCodes(from, to, scaleOffset);
  sweep([&](int64_t i, int n) {
    v.load(0, from + int(4 * i), n);
    if (layout.type == KvType::F16)
      v.storeHalf(to + int(2 * i), 0, n);
    else
      toBf16(n, to + int(2 * i));
  });
}

/// n lanes of vector 0, rounded to nearest even; NaN becomes a quiet NaN. vcvtneps2bf16 would flush denormals.
void KvWriter::toBf16(int n, const RegExp &to) {
  const Xmm x = v.reg(0), rounded = v.reg(1), quiet = v.reg(2), unordered = v.reg(3);
  a.vpsrld(rounded, x, 16);
  if (v.avx512) {
    a.vpandd(rounded, rounded, v.constantBits(1));
    a.vpord(quiet, x, v.constantBits(0x400000));
  } else {
    a.vpand(rounded, rounded, v.constantBits(1));
    a.vpor(quiet, x, v.constantBits(0x400000));
  }
  a.vpaddd(rounded, rounded, x);
  a.vpaddd(rounded, rounded, v.constantBits(0x7fff));
  constexpr uint8_t kUnordered = 3;
  if (v.avx512) {
    a.vcmpps(a.k2, Zmm(0), Zmm(0), kUnordered);
    a.vmovaps(rounded | a.k2, quiet);
    a.vpsrld(rounded, rounded, 16);
    a.vpmovdw(Ymm(1), Zmm(1));
    return n == 16 ? a.vmovups(a.ptr[to], Ymm(1)) : a.vmovups(a.ptr[to], Xmm(1));
  }
  a.vcmpps(unordered, x, x, kUnordered);
  a.vblendvps(Ymm(1), Ymm(1), Ymm(2), Ymm(3));
  a.vpsrld(rounded, rounded, 16);
  a.vpackusdw(Ymm(1), Ymm(1), Ymm(1));
  a.vpermq(Ymm(1), Ymm(1), 0x08);
  a.vmovups(a.ptr[to], Xmm(1));
}

void KvWriter::toCodes(const RegExp &from, const RegExp &to, int64_t scaleOffset) {
  v.zero(kMax);
  sweep([&](int64_t i, int n) { // the largest |x| by its bits, so that NaN arrives in the scale
    v.load(0, from + int(4 * i), n);
    a.vandps(v.reg(0), v.reg(0), v.constantBits(0x7fffffff));
    a.vpmaxsd(v.reg(kMax), v.reg(kMax), v.reg(0));
  });
  v.maxBits(kMax, kTemp);
  factorOfLargest(scaleOffset);
  sweep([&](int64_t i, int n) {
    v.load(0, from + int(4 * i), n);
    a.vmulps(v.reg(0), v.reg(0), v.reg(kInverse));
    a.vcvtps2dq(v.reg(0), v.reg(0));
    a.vandps(v.reg(0), v.reg(0), v.reg(kUsable));
    if (v.avx512) {
      a.vpmovsdb(Xmm(0), Zmm(0));
      return n == 16 ? a.vmovups(a.ptr[to + int(i)], Xmm(0)) : a.vmovq(a.ptr[to + int(i)], Xmm(0));
    }
    a.vpackssdw(Ymm(0), Ymm(0), Ymm(0));
    a.vpermq(Ymm(0), Ymm(0), 0x08);
    a.vpacksswb(Xmm(0), Xmm(0), Xmm(0));
    a.vmovq(a.ptr[to + int(i)], Xmm(0));
  });
}

/// From the largest |x| in lane 0: its scale to the cache; kInverse := 127/max, kUsable := all ones if that is a
/// positive number (else codes are 0; a maximum that is not finite makes the scale so).
void KvWriter::factorOfLargest(int64_t scaleOffset) {
  const Xmm max = Xmm(kMax), temp = Xmm(kTemp), usable = Xmm(kUsable), inverse = Xmm(kInverse);
  a.vmovss(inverse, v.scalar(127.0f));
  a.vdivss(inverse, inverse, max);
  a.vdivss(max, max, v.scalar(127.0f));
  a.vmovd(temp, a.ptr[a.rip + a.constant32(0x7f800000)]);
  a.vcmpneqps(usable, inverse, temp);
  a.vandps(max, max, usable);
  a.vmovss(a.ptr[a.r9 + a.r10 * 4 + int(scaleOffset)], max);
  a.vpcmpgtd(usable, temp, inverse);
  v.zero(kTemp);
  a.vpcmpgtd(temp, inverse, temp);
  a.vandps(usable, usable, temp);
  a.vbroadcastss(v.reg(kUsable), usable);
  a.vbroadcastss(v.reg(kInverse), inverse);
}

void KvWriter::storeKey(const RegExp &from) {
  const int piece = together * element;
  a.lea(a.r11, a.ptr[from]);
  a.imul(a.rcx, a.r10, piece);
  a.add(a.rcx, a.r9);
  scatter(d.headDim / together, piece, kPagePositions * piece);
}

void KvWriter::storeValue(const RegExp &from) {
  for (int64_t first = 0; first < d.headDim; first += 64)
    storeValueBlock(first, std::min<int64_t>(64, d.headDim - first), from + int(first * element));
}

/// Channels first..first+width of the value.
void KvWriter::storeValueBlock(int64_t first, int64_t width, const RegExp &from) {
  a.mov(a.eax, a.r10d);
  if (together > 1) a.shr(a.eax, together == 4 ? 2 : 1);
  a.imul(a.rcx, a.rax, int(width * together * element));
  if (together > 1) {
    a.mov(a.eax, a.r10d);
    a.and_(a.eax, together - 1);
    if (element == 2) a.add(a.eax, a.eax);
    a.add(a.rcx, a.rax);
  }
  a.lea(a.rcx, a.ptr[a.rcx + a.r9 + int(layout.valueOffset(first, 0))]);
  if (together > 1) {
    a.lea(a.r11, a.ptr[from]);
    return scatter(width, element, 4);
  }
  const int most = v.avx512 ? 64 : 32, bytes = int(width * element); // a multiple of 16
  for (int i = 0; i < bytes;) {
    int n = std::min(most, bytes - i);
    n = n >= 64 ? 64 : n >= 32 ? 32 : 16;
    const Xmm reg = n == 64 ? Xmm(Operand::ZMM, 0) : n == 32 ? Xmm(Operand::YMM, 0) : Xmm(0);
    a.vmovups(reg, a.ptr[from + i]);
    a.vmovups(a.ptr[a.rcx + i], reg);
    i += n;
  }
}

void KvWriter::scatter(int64_t count, int bytes, int64_t stride) {
  constexpr int kUnroll = 16;
  if (int64_t turns = count / kUnroll) {
    Label next;
    if (turns > 1) a.mov(a.edi, uint32_t(turns));
    a.L(next);
    for (int i = 0; i < kUnroll; ++i) movePiece(bytes, i * bytes, i * stride);
    a.add(a.r11, kUnroll * bytes);
    a.add(a.rcx, int(kUnroll * stride));
    if (turns > 1) {
      a.dec(a.edi);
      a.jnz(next, a.T_NEAR);
    }
  }
  for (int i = 0; i < count % kUnroll; ++i) movePiece(bytes, i * bytes, i * stride);
}

void KvWriter::movePiece(int bytes, int64_t from, int64_t to) {
  if (bytes == 4) {
    a.mov(a.eax, a.dword[a.r11 + int(from)]);
    a.mov(a.dword[a.rcx + int(to)], a.eax);
  } else if (bytes == 2) {
    a.movzx(a.eax, a.word[a.r11 + int(from)]);
    a.mov(a.word[a.rcx + int(to)], a.ax);
  } else {
    a.movzx(a.eax, a.byte[a.r11 + int(from)]);
    a.mov(a.byte[a.rcx + int(to)], a.al);
  }
}

} // namespace llmc
