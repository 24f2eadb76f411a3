// Appending one kv head of one row, for kv_append and for attention that appends its own rows.
#pragma once
#include "codegen/portable/Cache.h"

namespace llmc::portable {

/// A row of the step: its q, k and v, its cosines and sines, where it is.
struct AppendRow {
  Var qkv, rope, sequence, position;
};
/// `scratch`: a head in f32.
void appendHead(KernelBuilder &b, const AttentionDesc &d, CacheAccess &cache, const AppendRow &row, Var head,
                Var scratch);

} // namespace llmc::portable
