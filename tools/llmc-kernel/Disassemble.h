// Emitted kernels as text.
#pragma once
#include "codegen/Kernel.h"

namespace llmc::tool {

/// One instruction a line. Machine code: as LLVM decodes it, each with its offset, then the size of the constants;
/// bytes that are no instruction are an error that names the offset. A portable kernel: as LLVM emits it.
llvm::Expected<std::string> disassemble(const Code &code, const Target &target);

} // namespace llmc::tool
