// AVX-VNNI (VPDPBUSD, VPDPBUSDS, VPDPWSSD, VPDPWSSDS in VEX form) and AVX-VNNI-INT8 (VPDPB{UU,SU,SS}D and their
// saturating forms).
#include "test/support/isa/Instructions.h"
#include <algorithm>
#include <cstring>

namespace llmc::test::isa {
namespace {

int byteProducts(const Vector &a, const Vector &b, int lane, bool signedA, bool signedB) {
  int sum = 0;
  for (int j = 4 * lane; j < 4 * lane + 4; ++j) {
    int x = signedA ? int8_t(a.bytes[j]) : a.bytes[j], y = signedB ? int8_t(b.bytes[j]) : b.bytes[j];
    sum += x * y;
  }
  return sum;
}

int64_t wordProducts(const Vector &a, const Vector &b, int lane) {
  int16_t x[2], y[2];
  memcpy(x, a.bytes + 4 * lane, 4);
  memcpy(y, b.bytes + 4 * lane, 4);
  return int64_t(x[0]) * y[0] + int64_t(x[1]) * y[1];
}

} // namespace

std::optional<Group> executeVnni(Frame &frame, const Instruction &i) {
  const bool bytes = i.opcode <= 0x51;
  if (i.evex || i.map != 2 || i.opcode < 0x50 || i.opcode > 0x53 || i.wide || (!bytes && i.prefix != 1))
    return std::nullopt;
  if (!frame.hasVectors()) return std::nullopt;
  const int length = i.vectorLength ? 32 : 16;
  Vector sums = frame.vector(i.reg), a = frame.vector(i.vvvv), b;
  if (i.memory)
    memcpy(b.bytes, i.address(frame), size_t(length));
  else
    b = frame.vector(i.rm);
  // No prefix: u8 by u8, 66: u8 by s8, F3: s8 by u8, F2: s8 by s8.
  const bool signedA = i.prefix >= 2, signedB = i.prefix & 1, isUnsigned = bytes && i.prefix == 0;
  const bool saturates = i.opcode & 1;
  for (int lane = 0; lane < length / 4; ++lane) {
    int32_t old;
    memcpy(&old, sums.bytes + 4 * lane, 4);
    int64_t sum = (isUnsigned ? int64_t(uint32_t(old)) : old) +
                  (bytes ? byteProducts(a, b, lane, signedA, signedB) : wordProducts(a, b, lane));
    if (saturates)
      sum = isUnsigned ? std::min<int64_t>(sum, UINT32_MAX) : std::clamp<int64_t>(sum, INT32_MIN, INT32_MAX);
    uint32_t low = uint32_t(sum);
    memcpy(sums.bytes + 4 * lane, &low, 4);
  }
  memset(sums.bytes + length, 0, size_t(64 - length));
  frame.setVector(i.reg, sums);
  return i.prefix == 1 ? Group::Vnni : Group::VnniInt8;
}

} // namespace llmc::test::isa
