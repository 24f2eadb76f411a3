// Where the keys and values of a position are in the paged KV cache, for the portable kernels.
#pragma once
#include "codegen/portable/KernelBuilder.h"
#include "llmc_kernel.h"

namespace llmc::portable {

class CacheAccess {
public:
  CacheAccess(const AttentionDesc &desc, KernelBuilder &b) : d(desc), b(b) {}
  /// Reads the batch's pointers; before all else. `layerOffset`: of this layer's keys in a page, bytes.
  void open(Var batch, Var layerOffset);

  /// Of a row of the batch, i64.
  Var position(Var row) { return i32At(positions, row); }
  Var sequence(Var row) { return i32At(sequences, row); }
  /// Slot 0 of page `index` of a sequence, for one kv head.
  Var keys(Var sequence, Var index, Var kvHead);
  Var values(Var sequence, Var index, Var kvHead);
  /// Bytes from slot to slot.
  int64_t rowBytes() const { return d.headDim * elementBytes(); }
  /// Lanes of f32 from a key or value, and back.
  Var load(Var slot, Var column, int64_t valid);
  void store(Var x, Var slot, Var column, int64_t valid);

private:
  int64_t elementBytes() const { return d.kv == KvType::F32 ? 4 : 2; }
  Var i32At(Var array, Var index) { return b.signExtend(b.load(b.i32(), array + index * 4), b.i64()); }

  const AttentionDesc &d;
  KernelBuilder &b;
  Var positions, sequences, pageTables;
  Var pages; // the layer's part of page 0
};

} // namespace llmc::portable
