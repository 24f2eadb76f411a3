#include "codegen/Target.h"
#include "llvm/ADT/StringExtras.h"

namespace llmc {
using enum Feature;

llvm::StringRef featureName(Feature feature) {
  static constexpr const char *names[] = {"sse4.2",     "avx",      "avx2",       "fma",        "f16c",
                                          "bmi2",       "avxvnni",  "avx512f",    "avx512bw",   "avx512dq",
                                          "avx512vl",   "avx512cd", "avx512vnni", "avx512vbmi", "avx512bf16",
                                          "avx512fp16", "amx-tile", "amx-int8",   "amx-bf16",   "amx-fp16",
                                          "neon",       "dotprod",  "i8mm",       "bf16",       "sve"};
  static_assert(std::size(names) == unsigned(Feature::Count));
  return names[unsigned(feature)];
}

std::string toString(Features features) {
  std::string s;
  for (unsigned i = 0; i < unsigned(Feature::Count); ++i)
    if (features.has(Feature(i))) (s += s.empty() ? "" : ", ") += featureName(Feature(i));
  return s;
}

static constexpr Features kIcelake = kAvx512Vnni | Features{Avx512vbmi};
static constexpr Features kSapphire = kIcelake | Features{AvxVnni, Avx512bf16, Avx512fp16, AmxTile, AmxInt8, AmxBf16};
static constexpr const char *kLinuxX64 = "x86_64-unknown-linux-gnu";

llvm::ArrayRef<Target> allTargets() {
  // Speeds: one core of a typical server part; only their ratios matter, they rank kernels (see Target). Code for any
  // CPU with AVX2 or AVX-512 prefetches, as Zen 5 reads at 0.6 of its rate without; targets that are one CPU do where
  // measured.
  static const Target targets[] = {
      {"x86-64-v2", Arch::X86_64, kLinuxX64, "x86-64-v2", kX86_64_v2, 10e9, 10e9, 10e9},
      {"x86-64-v3", Arch::X86_64, kLinuxX64, "x86-64-v3", kAvx2, 12e9, 48e9, 96e9, 0, 8192},
      {"x86-64-v4", Arch::X86_64, kLinuxX64, "x86-64-v4", kAvx512, 12e9, 64e9, 128e9, 0, 8192},
      {"haswell", Arch::X86_64, kLinuxX64, "haswell", kAvx2, 12e9, 48e9, 96e9, 0, 8192},
      {"skylake-avx512", Arch::X86_64, kLinuxX64, "skylake-avx512", kAvx512, 12e9, 80e9, 160e9},
      {"icelake-server", Arch::X86_64, kLinuxX64, "icelake-server", kIcelake, 13e9, 80e9, 320e9},
      {"sapphirerapids", Arch::X86_64, kLinuxX64, "sapphirerapids", kSapphire, 14e9, 90e9, 360e9, 3.5e12, 0, 90e9},
      {"graniterapids", Arch::X86_64, kLinuxX64, "graniterapids", kSapphire | Features{AmxFp16}, 15e9, 90e9, 360e9,
       3.5e12, 0, 90e9},
      {"znver3", Arch::X86_64, kLinuxX64, "znver3", kAvx2, 20e9, 56e9, 112e9},
      {"znver4", Arch::X86_64, kLinuxX64, "znver4", kIcelake | Features{Avx512bf16}, 30e9, 59e9, 235e9, 0, 0, 118e9},
      {"znver5", Arch::X86_64, kLinuxX64, "znver5", kIcelake | Features{Avx512bf16, AvxVnni}, 30e9, 118e9, 470e9, 0,
       8192, 236e9}, // measured: codegen/kernels/matmul/README.md
      {"aarch64", Arch::AArch64, "aarch64-unknown-linux-gnu", "generic", {Neon}, 10e9, 16e9, 32e9},
  };
  return targets;
}

llvm::Expected<Target> findTarget(llvm::StringRef name) {
  std::string names;
  for (const Target &target : allTargets()) {
    if (target.name == name) return target;
    (names += names.empty() ? "" : ", ") += target.name;
  }
  return llvm::createStringError("target: found '" + name.str() + "', expected native or one of " + names);
}

} // namespace llmc
