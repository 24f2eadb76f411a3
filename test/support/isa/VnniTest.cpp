// Emulated AVX-VNNI and AVX-VNNI-INT8 against scalar loops, and against the CPU's own where it has them; all registers.
#include "test/support/isa/Program.h"
#include <algorithm>

namespace llmc::test::isa {
namespace {

using Vnni = StateTest;

struct Operation {
  const char *name;
  void (*emit)(Assembler &); // ymm1, ymm2, ymm3
  bool words, signedA, signedB, saturates;
};

const Operation kOperations[] = {
    {"vpdpbusd", [](Assembler &a) { a.vpdpbusd(a.ymm1, a.ymm2, a.ymm3, Xbyak::VexEncoding); }, false, false, true,
     false},
    {"vpdpbusds", [](Assembler &a) { a.vpdpbusds(a.ymm1, a.ymm2, a.ymm3, Xbyak::VexEncoding); }, false, false, true,
     true},
    {"vpdpwssd", [](Assembler &a) { a.vpdpwssd(a.ymm1, a.ymm2, a.ymm3, Xbyak::VexEncoding); }, true, true, true, false},
    {"vpdpwssds", [](Assembler &a) { a.vpdpwssds(a.ymm1, a.ymm2, a.ymm3, Xbyak::VexEncoding); }, true, true, true,
     true},
    {"vpdpbuud", [](Assembler &a) { a.vpdpbuud(a.ymm1, a.ymm2, a.ymm3); }, false, false, false, false},
    {"vpdpbuuds", [](Assembler &a) { a.vpdpbuuds(a.ymm1, a.ymm2, a.ymm3); }, false, false, false, true},
    {"vpdpbsud", [](Assembler &a) { a.vpdpbsud(a.ymm1, a.ymm2, a.ymm3); }, false, true, false, false},
    {"vpdpbsuds", [](Assembler &a) { a.vpdpbsuds(a.ymm1, a.ymm2, a.ymm3); }, false, true, false, true},
    {"vpdpbssd", [](Assembler &a) { a.vpdpbssd(a.ymm1, a.ymm2, a.ymm3); }, false, true, true, false},
    {"vpdpbssds", [](Assembler &a) { a.vpdpbssds(a.ymm1, a.ymm2, a.ymm3); }, false, true, true, true},
};

template <typename T> T at(const uint8_t *bytes, int index) {
  T value;
  memcpy(&value, bytes + index * int(sizeof(T)), sizeof(T));
  return value;
}

uint32_t expectedLane(const Operation &op, const State &s, int lane) {
  int64_t sum = 0;
  for (int j = 0; j < (op.words ? 2 : 4); ++j) {
    int i = lane * (op.words ? 2 : 4) + j;
    int64_t x = op.words ? at<int16_t>(s.zmm[2], i) : op.signedA ? at<int8_t>(s.zmm[2], i) : at<uint8_t>(s.zmm[2], i);
    int64_t y = op.words ? at<int16_t>(s.zmm[3], i) : op.signedB ? at<int8_t>(s.zmm[3], i) : at<uint8_t>(s.zmm[3], i);
    sum += x * y;
  }
  bool isUnsigned = !op.signedA && !op.signedB;
  sum += isUnsigned ? int64_t(at<uint32_t>(s.zmm[1], lane)) : at<int32_t>(s.zmm[1], lane);
  int64_t least = isUnsigned ? 0 : INT32_MIN, most = isUnsigned ? UINT32_MAX : INT32_MAX;
  return uint32_t(op.saturates ? std::clamp(sum, least, most) : sum);
}

TEST_F(Vnni, EqualsScalarLoops) {
  for (const Operation &op : kOperations) {
    SCOPED_TRACE(op.name);
    StateProgram program([&](Assembler &a) {
      a.ud2(); // even if the CPU has the instruction
      op.emit(a);
    });
    Counts before = counts();
    for (int run = 0; run < 500; ++run) {
      State s, expected;
      s.fill(random);
      for (int lane = 0; lane < 16 && run % 2; ++lane) // sums near the ends of the range
        s.zmm[1][4 * lane + 3] = lane % 2 ? 0x7f : lane % 4 ? 0x80 : 0xff, s.zmm[1][4 * lane + 2] = lane % 2 ? 0xff : 0;
      expected = s;
      for (int lane = 0; lane < 16; ++lane) {
        uint32_t value = lane < 8 ? expectedLane(op, s, lane) : 0;
        memcpy(expected.zmm[1] + 4 * lane, &value, 4);
      }
      program(&s);
      ASSERT_EQ(s, expected) << "run " << run;
    }
    Counts after = counts();
    EXPECT_EQ(after.of(Group::Vnni) + after.of(Group::VnniInt8) - before.of(Group::Vnni) - before.of(Group::VnniInt8),
              500u);
  }
}

void expectSame(const StateProgram &emulated, const StateProgram &native, std::mt19937 &random) {
  for (int run = 0; run < 500; ++run) {
    State a;
    a.fill(random);
    State b = a;
    emulated(&a), native(&b);
    ASSERT_EQ(a, b) << "run " << run;
  }
}

TEST_F(Vnni, EqualsAvx512) {
  Features missing = kAvx512Vnni - nativeFeatures();
  ASSERT_TRUE(missing.empty()) << "this CPU lacks " << toString(missing) << "; the test needs one that has it";
  auto both = [&](void (*emit)(Assembler &, Xbyak::PreferredEncoding)) {
    expectSame(StateProgram([&](Assembler &a) { a.mov(a.eax, 3), a.ud2(), emit(a, Xbyak::VexEncoding); }),
               StateProgram([&](Assembler &a) { a.mov(a.eax, 3), emit(a, Xbyak::EvexEncoding); }), random);
  };
  both([](Assembler &a, auto encoding) { a.vpdpbusd(a.ymm1, a.ymm2, a.ymm3, encoding); });
  both([](Assembler &a, auto encoding) { a.vpdpbusds(a.ymm14, a.ymm2, a.ymm13, encoding); });
  both([](Assembler &a, auto encoding) { a.vpdpwssd(a.xmm1, a.xmm2, a.xmm3, encoding); });
  both([](Assembler &a, auto encoding) { a.vpdpwssds(a.ymm1, a.ymm2, a.ptr[a.rsi + 32], encoding); });
  both([](Assembler &a, auto encoding) { a.vpdpbusd(a.xmm14, a.xmm9, a.ptr[a.rsi + 16], encoding); });
  both([](Assembler &a, auto encoding) { a.vpdpbusd(a.ymm0, a.ymm15, a.ptr[a.rsi + a.rax * 8 + 130], encoding); });
}

/// Registers in their initial state are not in the frame.
TEST_F(Vnni, InitialState) {
  expectSame(StateProgram([](Assembler &a) {
               a.vzeroall();
               a.ud2();
               a.vpdpbusd(a.ymm1, a.ymm2, a.ymm3, Xbyak::VexEncoding);
               a.mov(a.eax, 7);
               a.vmovd(a.xmm5, a.eax);
               a.ud2();
               a.vpdpbusd(a.ymm1, a.ymm5, a.ymm5, Xbyak::VexEncoding);
             }),
             StateProgram([](Assembler &a) {
               a.vzeroall();
               a.mov(a.eax, 7);
               a.vmovd(a.xmm5, a.eax);
               a.mov(a.eax, 49);
               a.vmovd(a.xmm1, a.eax);
             }),
             random);
}

} // namespace
} // namespace llmc::test::isa
