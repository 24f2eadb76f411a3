// Where the keys and values of a position are in the paged KV cache (KvLayout), for the portable kernels.
#pragma once
#include "codegen/portable/KernelBuilder.h"
#include "llmc_kernel.h"

namespace llmc::portable {

class CacheAccess {
public:
  CacheAccess(const AttentionDesc &desc, KernelBuilder &b) : d(desc), b(b), layout(desc.layout()) {}
  /// Reads the batch's pointers; before all else. `layerOffset`: of this layer's part of a page, bytes.
  void open(Var batch, Var layerOffset);

  /// Of a row of the batch, i64.
  Var position(Var row) { return i32At(positions, row); }
  Var sequence(Var row) { return i32At(sequences, row); }
  /// One kv head's part of page `index` of a sequence.
  Var part(Var sequence, Var index, Var kvHead);

  /// f32 lanes of kLanes positions from `slot` on: the keys' channel `channel`; keys' and values' scales (I8).
  Var keys(Var part, Var channel, int64_t slot);
  Var keyScales(Var part, int64_t slot);
  /// f32 lanes of the `valid` channels from `channel` (a multiple of kLanes) on of the value at a position, not scaled;
  /// its scale (1 but for I8).
  Var values(Var part, Var channel, int64_t valid, Var slot);
  Var valueScale(Var part, Var slot);
  /// The key or value at a position from the f32 head at `from`.
  void storeKey(Var part, Var slot, Var from);
  void storeValue(Var part, Var slot, Var from);

private:
  Var i32At(Var array, Var index) { return b.signExtend(b.load(b.i32(), array + index * 4), b.i64()); }
  /// Element `index` of dwords, as f32.
  Var element(Var dwords, Var index);
  Var valueAddress(Var part, Var channel, Var slot);
  Var storeScale(Var from, Var to);
  void storeElement(Var x, Var to, Var factor);

  const AttentionDesc &d;
  KernelBuilder &b;
  const KvLayout layout;
  Var positions, sequences, pageTables;
  Var pages; // the layer's part of page 0
};

} // namespace llmc::portable
