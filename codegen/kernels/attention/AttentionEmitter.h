// The attention emitter: one code for decode and prefill, so that a row's result does not depend on its company.
#pragma once
#include "codegen/kernels/rowwise/Lanes.h"
#include "llmc_kernel.h"

namespace llmc {

/// Registers that stay during a page: r12 = K or V tile of (page, kv head) in f32, or in f16 where that is read
/// directly; r13 = position of the run's first row minus that of the page's first key; r14 = rows of the run; r15 = K
/// tile in the cache. In a row of a phase: rsi = q of the group's first head, rdi = y of it, rdx = its state, rcx = row
/// of the run, [r8, r9) = the page's visible keys. Free: rax, rbx, r10, r11.
///
/// The state of each (row of the run, head of the group) is on the stack: scores of the page (64 f32), the softmax sum
/// as a vector, the maximum so far, the correction of the page. y holds the output sums until the last division.
class AttentionEmitter {
public:
  AttentionEmitter(Assembler &a, const AttentionDesc &d, bool avx512);
  void emit();
  /// Bytes of stack that `emit` takes.
  int64_t frameBytes() const;

private:
  // AttentionEmitter.cpp: units, runs, pages, rows
  enum Slot {
    kUnit,
    kUnits,
    kRow,
    kRowEnd,
    kQ,
    kY,
    kHeadOffset,
    kPageTable,
    kPosition,
    kPage,
    kLastPage,
    kNextTile,
    kBatch,
    kArgs,
    kSlots
  };
  Xbyak::Address slot(Slot s) { return a.qword[a.rsp + 8 * int(s)]; }
  void unit();
  void run();
  void findRun();
  void page();
  void rows(llvm::function_ref<void()> body);
  void visibleRows(llvm::function_ref<void()> body);
  void heads(llvm::function_ref<void()> body);
  void startRow();
  void finishRow();
  void widenTile();

  // Scores.cpp: scratch[row][head][position] = scale * q.k
  void scores();
  void scoreBlock(int positions);
  void addAcross(int vectors);

  // Softmax.cpp: weights in place of scores; maximum, correction and sum
  void softmax();
  void visibleMasks();
  void maskScores(int i);

  // Values.cpp: y = y * correction + sum over positions of weight * v
  void values();
  struct ValueTile {
    int heads, firstChunk, chunks;
    bool prefetch; // the next page's keys
  };
  void valueGroup(int heads, bool prefetch);
  void valueTile(int heads, int firstChunk, int tileChunks, bool prefetch);
  void scaleOutputs(const ValueTile &tile);
  void valuePosition(const ValueTile &tile, int ahead, int sums, int weights);
  Xbyak::RegExp output(const ValueTile &tile, int head, int c) const;
  bool valuesAsHalf() const { return d.kv == KvType::F16 && !widenValues; }

  /// Decode reads each tile once, from memory: values are fetched during the scores, the next page's keys during the
  /// values, because the hardware finds no stream across tiles and none of these phases waits for the next one's data.
  bool prefetches() const { return runRows == 1; }
  int chunks() const { return int((d.headDim + v.count - 1) / v.count); }
  int chunkLanes(int chunk) const { return int(std::min<int64_t>(v.count, d.headDim - chunk * v.count)); }
  int64_t elementBytes() const { return d.kv == KvType::F32 ? 4 : 2; }
  int64_t tileBytes() const { return LLMC_PAGE_POSITIONS * d.headDim * elementBytes(); }

  Assembler &a;
  Lanes v;
  const AttentionDesc &d;
  const int group;                   // query heads per kv head
  const int runRows;                 // at most so many rows share a tile
  const bool widenKeys, widenValues; // f16 tiles become f32 on the stack first
  // Offsets of an entry of the state, and of its parts.
  static constexpr int kScores = 0, kSum = 256, kMaximum = 320, kCorrection = 324, kEntry = 384;
  int64_t stateOffset() const { return roundUp(8 * kSlots, kAlign); }
  int64_t tileOffset() const { return stateOffset() + int64_t(runRows) * group * kEntry; }
};

} // namespace llmc
