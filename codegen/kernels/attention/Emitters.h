// The emitters of the attention family; Table.cpp lists them.
#pragma once
#include "codegen/Kernel.h"

namespace llmc {

/// What both kernels refuse: heads that are not a multiple of kv heads, a head dimension that is not a multiple of 8,
/// offsets beyond 31 bits.
Refusal refuseShape(const AttentionDesc &d);

llvm::Expected<Code> emitKvAppend(const KvAppendDesc &d, bool avx512);
Refusal refuseKvAppend(const KvAppendDesc &d, const Target &target);

/// Instructions that a kernel may use beside AVX2.
struct AttentionIsa {
  bool avx512 = false, bf16 = false, vnni = false;
};
llvm::Expected<Code> emitAttention(const AttentionDesc &d, AttentionIsa isa);
Refusal refuseAttention(const AttentionDesc &d, const Target &target);

} // namespace llmc
