#pragma once
namespace llmc {
/// Of the compiler and the C ABI's package; the build defines it from the project's version.
inline constexpr const char *kVersion = LLMC_VERSION;
} // namespace llmc
