// The emitters of the rowwise family, one file each; Table.cpp lists them.
#pragma once
#include "codegen/Kernel.h"

namespace llmc {

/// `bf16`: AVX512-BF16 is there.
llvm::Expected<Code> emitRmsNorm(const RowwiseDesc &d, bool avx512, bool bf16);
llvm::Expected<Code> emitLayerNorm(const RowwiseDesc &d, bool avx512, bool bf16);
llvm::Expected<Code> emitActivate(const RowwiseDesc &d, bool avx512, bool bf16);
llvm::Expected<Code> emitGlu(const RowwiseDesc &d, bool avx512, bool bf16);
llvm::Expected<Code> emitQuantize(const RowwiseDesc &d, bool avx512, bool bf16);
llvm::Expected<Code> emitAdd(const RowwiseDesc &d, bool avx512);
llvm::Expected<Code> emitGatherRows(const RowwiseDesc &d, bool avx512);

/// One AVX2 form for all x86 targets: a row is a gather of 4 bytes per 256 of the packed table, so width buys nothing.
llvm::Expected<Code> emitEmbed(const RowwiseDesc &d, const Target &target);
Refusal refuseEmbed(const RowwiseDesc &d, const Target &target);

} // namespace llmc
