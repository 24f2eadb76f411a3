// The path of a portable kernel through LLVM, for tests: MLIR text -> llvm dialect -> LLVM IR -> object.
#pragma once
#include "codegen/Target.h"
#include "llvm/Support/MemoryBuffer.h"

namespace llmc::test {

/// An object file with the function `kernel`, optimised at O2 for the target's triple and cpu.
llvm::Expected<std::unique_ptr<llvm::MemoryBuffer>> compileMlirObject(const std::string &mlir, const Target &target);

} // namespace llmc::test
