// The runtime as relocatable objects: the compiler links one into each artifact, and the JIT loads the host's.
#pragma once
#include <string_view>

namespace llmc {

/// The bytes of an ELF relocatable object for `arch` ("x86_64" or "aarch64"), 16-byte aligned; empty if this build has
/// none. It defines the functions of llmc.h (protected) and llmc_step_barrier (hidden); it needs the symbols
/// llmc_artifact and llmc_model_constants, and libc.
std::string_view runtimeObject(std::string_view arch);

} // namespace llmc
