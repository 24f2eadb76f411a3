// The meaning of the two attention kernels, in plain scalar code: what every emitter of the family is tested against.
#pragma once
#include "codegen/Descriptor.h"
#include "llmc_kernel.h"
#include <vector>

namespace llmc {

/// One kv head's key and value at one position: where they are in the cache and what they stand for.
class KvCell {
public:
  KvCell(const AttentionDesc &d, const llmc_batch &batch, int64_t layerOffset, int64_t sequence, int64_t position,
         int64_t kvHead);
  float key(int64_t channel) const { return get(layout.keyOffset(channel, slot), layout.keyScaleOffset(slot)); }
  float value(int64_t channel) const { return get(layout.valueOffset(channel, slot), layout.valueScaleOffset(slot)); }
  /// Writes a whole key or value of headDim channels in the cache's type.
  void setKey(const float *x) const;
  void setValue(const float *x) const;

private:
  float get(int64_t offset, int64_t scaleOffset) const;
  void set(int64_t offset, float x) const;
  /// The codes' factor 127/max|x| (0 if that is not finite); writes the scale.
  float setScale(const float *x, int64_t offset) const;

  KvLayout layout;
  int64_t slot;
  char *part;
};

/// Rows [args.begin, args.end): writes the rotated k and v into the cache. Products and sums are rounded one by one (no
/// fused multiply-add), as Hugging Face does; an emitter agrees bit by bit.
void referenceKvAppend(const KvAppendDesc &desc, const llmc_kv_append_args &args);

/// All rows of the batch, whatever units and phase; appends first if `args` says so. Dot products, softmax and sums in
/// double, rounded once at the end: the order of an emitter's sums is its own.
void referenceAttention(const AttentionDesc &desc, const llmc_attention_args &args);

} // namespace llmc
