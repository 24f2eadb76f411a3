// CPUs as data. Nothing here or in an emitter asks the machine what it is: see compiler/NativeTarget.cpp for that.
#pragma once
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include <cstdint>
#include <string>

namespace llmc {

/// An instruction-set feature that a kernel may need. Names are LLVM's.
enum class Feature : uint8_t {
  Sse42,
  Avx,
  Avx2,
  Fma,
  F16c,
  Bmi2,
  AvxVnni,
  Avx512f,
  Avx512bw,
  Avx512dq,
  Avx512vl,
  Avx512cd,
  Avx512vnni,
  Avx512vbmi,
  Avx512bf16,
  Avx512fp16,
  AmxTile,
  AmxInt8,
  AmxBf16,
  AmxFp16,
  Neon,
  Dotprod,
  I8mm,
  Bf16,
  Sve,
  Count
};
/// LLVM's name of a feature ("avx512vnni").
llvm::StringRef featureName(Feature feature);

/// A set of features; a value type.
class Features {
public:
  constexpr Features() = default;
  constexpr Features(std::initializer_list<Feature> list) {
    for (Feature f : list) bits |= uint64_t(1) << unsigned(f);
  }
  constexpr bool has(Feature f) const { return bits >> unsigned(f) & 1; }
  constexpr bool contains(Features other) const { return (bits & other.bits) == other.bits; }
  constexpr Features operator|(Features other) const {
    Features r;
    r.bits = bits | other.bits;
    return r;
  }
  constexpr Features operator-(Features other) const {
    Features r;
    r.bits = bits & ~other.bits;
    return r;
  }
  constexpr bool operator==(const Features &) const = default;
  constexpr bool empty() const { return bits == 0; }
  constexpr uint64_t raw() const { return bits; }
  static constexpr Features fromRaw(uint64_t raw) {
    Features r;
    r.bits = raw;
    return r;
  }

private:
  uint64_t bits = 0;
};
/// "avx2, fma": in the order of the enum, for messages.
std::string toString(Features features);

inline constexpr Features kX86_64_v2 = {Feature::Sse42};
inline constexpr Features kAvx2 =
    Features{Feature::Sse42, Feature::Avx, Feature::Avx2, Feature::Fma, Feature::F16c, Feature::Bmi2};
inline constexpr Features kAvx512 =
    kAvx2 | Features{Feature::Avx512f, Feature::Avx512bw, Feature::Avx512dq, Feature::Avx512vl, Feature::Avx512cd};
inline constexpr Features kAvx512Vnni = kAvx512 | Features{Feature::Avx512vnni};

enum class Arch : uint8_t { X86_64, AArch64 };

/// A CPU to compile for: what it can do, and rough speeds per core for the cost model.
struct Target {
  std::string name; // "icelake-server": as in --target
  Arch arch = Arch::X86_64;
  std::string triple;           // "x86_64-unknown-linux-gnu"
  std::string cpu;              // LLVM's -mcpu name
  Features features;            // what emitters may use
  double bytesPerSecond = 15e9; // memory read, one core
  double fmaPerSecond = 30e9;   // f32 multiply-adds, one core
  double dot8PerSecond = 120e9; // int8 multiply-adds, one core
  double tileDot8PerSecond = 0; // int8 multiply-adds with AMX tiles, one core; of 16 bits half as many
  int64_t prefetchBytes = 0;    // how far ahead of its reads a kernel that streams weights prefetches; 0: not at all
  double bf16PerSecond = 60e9;  // bf16 multiply-adds by vdpbf16ps, one core
};

/// All named targets, in the order that `llmc targets` prints.
llvm::ArrayRef<Target> allTargets();
/// The target of that name, or an error that lists the names.
llvm::Expected<Target> findTarget(llvm::StringRef name);

} // namespace llmc
