#include "tools/llmc-kernel/RandomWeights.h"
#include "llvm/ADT/APFloat.h"
#include <bit>
#include <cmath>
#include <cstring>

namespace llmc::tool {

RandomBits::RandomBits(uint64_t seed) {
  for (uint64_t &word : state) {
    uint64_t z = seed += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    word = z ^ z >> 31;
  }
}

uint64_t RandomBits::next() {
  uint64_t result = std::rotl(state[0] + state[3], 23) + state[0], t = state[1] << 17;
  state[2] ^= state[0], state[3] ^= state[1], state[1] ^= state[2], state[0] ^= state[3];
  state[2] ^= t;
  state[3] = std::rotl(state[3], 45);
  return result;
}

uint16_t halfBits(HalfType type, double value) {
  llvm::APFloat number(value);
  bool lost;
  number.convert(type == HalfType::F16 ? llvm::APFloat::IEEEhalf() : llvm::APFloat::BFloat(),
                 llvm::APFloat::rmNearestTiesToEven, &lost);
  return uint16_t(number.bitcastToAPInt().getZExtValue());
}

NormalHalves::NormalHalves(HalfType type, double deviation) {
  // The variance of a uniform byte is (256^2 - 1) / 12.
  const double step = deviation / std::sqrt(4 * 65535.0 / 12);
  for (int sum = 0; sum <= 4 * 255; ++sum) values[sum] = halfBits(type, (sum - 2 * 255) * step);
}

void NormalHalves::fill(RandomBits &random, llvm::MutableArrayRef<uint16_t> out) const {
  for (size_t i = 0; i < out.size(); i += 2) {
    uint64_t bits = random.next(), pairs = (bits & 0x00ff00ff00ff00ff) + (bits >> 8 & 0x00ff00ff00ff00ff);
    uint64_t sums = (pairs & 0x0000ffff0000ffff) + (pairs >> 16 & 0x0000ffff0000ffff);
    out[i] = values[uint32_t(sums)];
    if (i + 1 < out.size()) out[i + 1] = values[sums >> 32];
  }
}

void fillQ4_0(RandomBits &random, double deviation, llvm::MutableArrayRef<char> out) {
  constexpr int kScales = 256;                                  // different ones
  const double step = deviation / std::sqrt(255.0 / 12 + 0.25); // of codes 0..15, centred at 8
  uint16_t scales[kScales];
  for (int i = 0; i < kScales; ++i) scales[i] = halfBits(HalfType::F16, step * (0.75 + 0.5 * i / (kScales - 1)));
  for (size_t at = 0; at < out.size(); at += kQ4_0Bytes) {
    uint64_t low = random.next(), high = random.next();
    uint16_t scale = scales[random.next() >> 56];
    memcpy(&out[at], &scale, 2);
    memcpy(&out[at + 2], &low, 8);
    memcpy(&out[at + 10], &high, 8);
  }
}

} // namespace llmc::tool
