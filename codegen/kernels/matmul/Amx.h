// What the AMX emitters share: the loops over rows, panels, chunks of K and row blocks, and the tile configuration.
#pragma once
#include "codegen/kernels/matmul/Loops.h"

namespace llmc::matmul {

/// One kernel of tile products. A chunk of K is unpacked to B tiles in L1, for the 64 columns of a panel; then all row
/// blocks of up to 32 rows pass over it:
///   for block of up to kSuperRows rows: for panel in [begin, end):
///     for chunk of chunkK(): unpack(); for row block: product(tiles)
///     finish: bias, accumulate or the epilogue, from the sums
/// Sums are f32 [rows of the block][64] on the stack. The tiles of a row block of 17..32 rows: C 0..3 (2 x 2), A 4 and
/// 5, B 6 and 7, once for each half of the panel; of 1..16 rows: C 0..3 (the whole panel), A 4, B 5, 6 and 7.
class AmxEmitter {
public:
  virtual ~AmxEmitter() = default;
  void emit();

  // For the unpacking of a chunk.
  /// Steps of the current chunk (memory, 64 bits): those that the K of the row has.
  Xbyak::Address steps() const { return slot(kSteps); }
  /// Weights of the current chunk, in the panel (memory).
  Xbyak::Address weights() const { return slot(kWeights); }
  /// Branches on whether the chunk is the last one; emits only what can happen.
  void ifLastChunk(llvm::function_ref<void()> last, llvm::function_ref<void()> other);
  int64_t chunks() const { return (desc.k + chunkK - 1) / chunkK; }
  int64_t lastChunkK() const { return desc.k - (chunks() - 1) * chunkK; }

protected:
  /// `stepK` inputs make a step; chunkK is a multiple. `ownBytes` of the frame are the derived class's, at own().
  AmxEmitter(Assembler &a, const MatmulDesc &desc, int64_t chunkK, int64_t stepK, int64_t ownBytes);

  /// Once a panel, before its chunks. Like `unpack`, may use rax, rbx, rdx, r12, r14, r15, rsi, rdi, r8, rcx and all
  /// vectors.
  virtual void startPanel() {}
  /// The chunk at k = `chunk` to what `product` reads.
  virtual void unpack() = 0;
  /// Adds the product of a row block and the chunk to the sums. `x` is the row block's first row, `sums` are its sums;
  /// free: rax, rbx, rdi, r8, r12, r14, r15, vectors, k1. k2 is 0 in the first chunk, else all ones.
  virtual void product(int rowTiles) = 0;
  /// Behind the last row block of a chunk: finishes what `product` left for later.
  virtual void finishChunk() {}

  // What `product` has, and how it calls the strides of tile loads: of rows of x, of rows of B.
  const Xbyak::Reg64 x = Gpr{}.x, sums = Gpr{}.y, chunk = Gpr{}.block, rowStride{Xbyak::Operand::RDI},
                     tileStride{Xbyak::Operand::R8};

  /// Rows of the row block (memory).
  Xbyak::Address rowsOfBlock() const { return slot(kRows); }
  Xbyak::RegExp own(int64_t offset = 0) const { return a.rsp + (ownAt + offset); }
  /// Bytes of the panel that a whole chunk takes.
  virtual int64_t chunkBytes() const = 0;

  /// A tile of a row block at `x` + offset: rows 0..15 (`second`: 16..31).
  Xbyak::Address aTile(const Xbyak::RegExp &from, bool second) const {
    return a.ptr[from + rowStride + (second ? kTileRows * desc.xStride : 0)];
  }

  static constexpr int64_t kTileRows = 16, kSumsStride = kPanel * 4;
  Assembler &a;
  const MatmulDesc &desc;
  const WeightFormat &f;
  const int64_t chunkK, stepK;

private:
  enum Slot { kArgs, kPanels, kRowsLeft, kSuperRows, kX, kY, kWeights, kSteps, kRows, kSlots };
  static constexpr int64_t kSuperRowsMost = 256, kSlotsAt = 64;
  Xbyak::Address slot(Slot s) const { return a.qword[a.rsp + (kSlotsAt + 8 * s)]; }
  void superBlock();
  void panel();
  void rowBlocks();
  void configure();
  void finish();

  const int64_t superRows, sumsAt, ownAt, frameBytes;
  Xbyak::Label epilogue;
};

llvm::Expected<Code> emitAmxInt8(const MatmulDesc &desc, const Target &target); // I4, I8 by Q8 rows
llvm::Expected<Code> emitAmx16(const MatmulDesc &desc, const Target &target);   // I4, I8, BF16, F16 by BF16, F16 rows

/// What the AMX rows do not take.
Refusal refuseAmx(const MatmulDesc &desc, WeightKind kind, RowFormat::Kind x);
/// Seconds, one core.
double costOfAmx(const MatmulDesc &desc, const Target &target);

} // namespace llmc::matmul
