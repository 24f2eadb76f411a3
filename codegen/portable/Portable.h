// The portable kernel family: every descriptor that the types allow, as MLIR text for any CPU that LLVM knows. It
// serves AArch64, x86-64-v2 and odd shapes, and is the second opinion in the tests of the x86 emitters. Code::mlir
// holds a module with one `func.func @kernel(!llvm.ptr)`; Lower.h brings it to the llvm dialect. After that it needs
// nothing but libm (cosf, sinf, powf, erff).
#pragma once
#include "codegen/Kernel.h"

namespace llmc {

extern const Kernel<MatmulDesc> kPortableMatmul;
extern const Kernel<RowwiseDesc> kPortableRowwise;
extern const Kernel<AttentionDesc> kPortableAttention;
extern const Kernel<KvAppendDesc> kPortableKvAppend;

} // namespace llmc
