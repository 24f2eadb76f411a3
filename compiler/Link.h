// The artifact's ELF: object + runtime -> shared object, by lld in this process.
#pragma once
#include "codegen/Target.h"
#include "llvm/ADT/ArrayRef.h"

namespace llmc {

/// Links `object` with the runtime of the target's architecture into a shared object at `path` that needs libc and libm
/// only. An architecture whose runtime or C library this build does not have is an error that says so.
llvm::Error linkSharedObject(llvm::ArrayRef<char> object, const Target &target, const std::string &path);

} // namespace llmc
