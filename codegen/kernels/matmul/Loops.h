// What all x86 matmul emitters share: the register map, the loops over panels and row blocks, small pieces of code.
#pragma once
#include "codegen/x64/Assembler.h"

namespace llmc::matmul {

/// AVX2 or AVX-512: vectors of 8 or 16 floats, 16 or 32 of them.
struct Isa {
  bool avx512;
  constexpr int lanes() const { return avx512 ? 16 : 8; }
  constexpr int bytes() const { return lanes() * 4; }
  constexpr int registers() const { return avx512 ? 32 : 16; }
  constexpr int vectors() const { return int(kPanel) / lanes(); } // of a panel
  Xbyak::Xmm vec(int index) const {
    return avx512 ? static_cast<Xbyak::Xmm>(Xbyak::Zmm(index)) : static_cast<Xbyak::Xmm>(Xbyak::Ymm(index));
  }
};

/// General registers of a matmul kernel. rbp and rsp belong to the frame.
struct Gpr {
  Xbyak::Reg64 args{Xbyak::Operand::RDI};
  Xbyak::Reg64 panels{Xbyak::Operand::R8};  // panels left
  Xbyak::Reg64 panel{Xbyak::Operand::R9};   // weights of the panel
  Xbyak::Reg64 bias{Xbyak::Operand::R10};   // its bias
  Xbyak::Reg64 yPanel{Xbyak::Operand::R11}; // its column in row 0 of y
  Xbyak::Reg64 rows{Xbyak::Operand::RCX};   // rows left
  Xbyak::Reg64 x{Xbyak::Operand::RSI};      // first row of the row block
  Xbyak::Reg64 y{Xbyak::Operand::RDX};      // the panel's column in that row of y
  // Free inside a row block; these are the names of what the emitters keep there.
  Xbyak::Reg64 w{Xbyak::Operand::RAX};      // codes
  Xbyak::Reg64 scales{Xbyak::Operand::RBX}; // scales of the group
  Xbyak::Reg64 xk{Xbyak::Operand::R12};     // first row at the current k
  Xbyak::Reg64 block{Xbyak::Operand::R13};  // q8: index of the block of 32 k
  Xbyak::Reg64 outer{Xbyak::Operand::R14};  // counters
  Xbyak::Reg64 inner{Xbyak::Operand::R15};
};

/// Emits frame, panels and row blocks:
///   for panel in [begin, end): for row block of `rowBlock` rows, then the rest: body(rows of the block)
/// with g.{panel,bias,x,y} set; body keeps these and all registers above g.w. `stackBytes` are at rsp, 64-byte aligned.
/// Only row counts that desc.minRows..maxRows can lead to are emitted. With an epilogue (Epilogue.h) g.y is a tile of
/// the stack, and code of `isa` finishes the row block behind body: no vector register lives on to the next body.
void emitPanels(Assembler &a, const MatmulDesc &desc, int rowBlock, int stackBytes, llvm::function_ref<void(int)> body,
                Isa isa);

/// y[row][vector] = sum (+ bias) (+ y), for vector number `vector` of the panel. Overwrites `sum`. With an epilogue:
/// the sum to the tile.
void storeSum(Assembler &a, const MatmulDesc &desc, Isa isa, const Xbyak::Xmm &sum, int row, int vector);

/// How far ahead the weights are prefetched: the target's distance; the first row block of a panel reads memory.
int64_t prefetchDistance(const MatmulDesc &desc, const Target &target);
/// Prefetches what comes `distance` bytes after `from`, if distance is not 0.
void prefetch(Assembler &a, int64_t distance, const Xbyak::RegExp &from);

/// Counts down: body `count` times, in a loop if count > 1.
void repeat(Assembler &a, const Xbyak::Reg64 &counter, int64_t count, llvm::function_ref<void()> body);

/// The largest divisor of count that is at most `most`: how often a loop of that count is unrolled.
int unrollOf(int64_t count, int most);

/// The sums of the 8 lanes of ymm0, ymm1, ... (at most 6 rows) to 8 floats at `to`: neighbours, then pairs of these,
/// then halves, so that a sum does not depend on the other rows. Uses ymm6 and ymm7.
void sumLanes(Assembler &a, int rows, const Xbyak::RegExp &to);

/// f32 of vector number `vector` of the 64 scales at `scales` + offset, of the minima behind them; the zero points
/// behind them as i32.
void loadScales(Assembler &a, Isa isa, ScaleType type, const Xbyak::Xmm &to, const Xbyak::Reg64 &scales, int64_t offset,
                int vector);
void loadMinima(Assembler &a, Isa isa, const WeightFormat &f, const Xbyak::Xmm &to, const Xbyak::Reg64 &scales,
                int64_t offset, int vector);
void loadZeroPoints(Assembler &a, Isa isa, const WeightFormat &f, const Xbyak::Xmm &to, const Xbyak::Reg64 &scales,
                    int64_t offset, int vector);

inline void clear(Assembler &a, const Xbyak::Xmm &v) {
  if (v.isZMM())
    a.vpxord(v, v, v);
  else
    a.vpxor(v, v, v);
}
/// The same 32 bits in all lanes of `to`.
inline void broadcast(Assembler &a, const Xbyak::Xmm &to, uint32_t bits) {
  a.vpbroadcastd(to, a.ptr[a.rip + a.constant32(bits)]);
}

/// The emitters. Each takes every format of its kind of weight and any minRows..maxRows.
/// I4, I8 by Q8 rows: bytes are multiplied by vpdpbusd or (not vnni) by vpmaddubsw, then not I8 with AVX-512.
template <bool avx512, bool vnni> llvm::Expected<Code> emitIntQ8Small(const MatmulDesc &desc, const Target &target);
template <bool avx512, bool vnni> llvm::Expected<Code> emitIntQ8Large(const MatmulDesc &desc, const Target &target);
llvm::Expected<Code> emitIntF32Avx512(const MatmulDesc &desc, const Target &target); // I4, I8 by F32 rows
llvm::Expected<Code> emitIntF32Avx2(const MatmulDesc &desc, const Target &target);
llvm::Expected<Code> emitFloatAvx512(const MatmulDesc &desc, const Target &target); // F32, F16, BF16 by F32 rows
llvm::Expected<Code> emitFloatAvx2(const MatmulDesc &desc, const Target &target);
llvm::Expected<Code> emitIntRows16(const MatmulDesc &desc, const Target &target);   // I4, I8 by BF16 (pair), F16 rows
llvm::Expected<Code> emitFloatRows16(const MatmulDesc &desc, const Target &target); // BF16 by BF16 (pair), F16 by F16

} // namespace llmc::matmul
