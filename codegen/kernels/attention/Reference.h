// The meaning of the two attention kernels, in plain scalar code: what every emitter of the family is tested against.
#pragma once
#include "codegen/Descriptor.h"
#include "llmc_kernel.h"

namespace llmc {

/// Rows [args.begin, args.end): rotates q in place, writes the rotated k and v into the cache. Products and sums are
/// rounded one by one (no fused multiply-add), as Hugging Face does; an emitter agrees bit by bit.
void referenceKvAppend(const KvAppendDesc &desc, const llmc_kv_append_args &args);

/// Units [args.begin, args.end). Dot products, softmax and sums in double, rounded once at the end: the order of an
/// emitter's sums is its own.
void referenceAttention(const AttentionDesc &desc, const llmc_attention_args &args);

} // namespace llmc
