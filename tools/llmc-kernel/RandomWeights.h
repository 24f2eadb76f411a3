// Random weights, fast: several GB a second from one thread.
#pragma once
#include "llvm/ADT/ArrayRef.h"
#include <cstdint>

namespace llmc::tool {

/// 16-bit floats of a safetensors file.
enum class HalfType { F16, BF16 };

/// A stream of random bits: xoshiro256++ (Blackman and Vigna, prng.di.unimi.it), seeded by splitmix64.
class RandomBits {
public:
  explicit RandomBits(uint64_t seed);
  uint64_t next();

private:
  uint64_t state[4];
};

/// Bits of `value`, rounded to nearest even.
uint16_t halfBits(HalfType type, double value);

/// Writes 16-bit floats of nearly normal distribution with mean 0: sums of four uniform bytes, so that no value is
/// further out than 3.45 deviations and no function of libm decides a bit.
class NormalHalves {
public:
  NormalHalves(HalfType type, double deviation);
  void fill(RandomBits &random, llvm::MutableArrayRef<uint16_t> out) const;

private:
  uint16_t values[4 * 255 + 1];
};

/// Blocks of GGUF's Q4_0: 18 bytes, an f16 scale and 32 codes of 4 bits; (code - 8) * scale. Codes are uniform, scales
/// spread by a quarter around what gives `deviation`. out.size() is a multiple of 18.
void fillQ4_0(RandomBits &random, double deviation, llvm::MutableArrayRef<char> out);
inline constexpr int64_t kQ4_0Elements = 32, kQ4_0Bytes = 18;

} // namespace llmc::tool
