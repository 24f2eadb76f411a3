// kernel dialect descriptors as codegen's structs, for selection and emission.
#pragma once
#include "codegen/Kernel.h"
#include "dialects/kernel/Kernel.h"

namespace llmc {

MatmulDesc toDesc(kernel::MatmulAttr attr, int64_t minRows, int64_t maxRows);
RowwiseDesc toDesc(kernel::RowwiseAttr attr, int64_t maxRows);
AttentionDesc toDesc(kernel::AttentionAttr attr);
/// f32, f16, bf16 or int8; nothing for other names.
std::optional<KvType> kvTypeOf(llvm::StringRef name);

/// "RmsNorm": as #kernel.rowwise spells the op.
llvm::StringRef rowwiseOpName(RowwiseOp op);

/// Emits the kernel that a kernel.func names, or says why it can't.
llvm::Expected<Code> emitKernel(kernel::FuncOp func, const Target &target);

} // namespace llmc
