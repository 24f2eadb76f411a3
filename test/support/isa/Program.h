// Short programs for the emulator's tests.
#pragma once
#include "codegen/portable/Executable.h"
#include "codegen/x64/Assembler.h"
#include "test/support/isa/Host.h"
#include <cstring>
#include <gtest/gtest.h>
#include <random>

namespace llmc::test::isa {

/// Machine code of one argument (rdi), which `body` emits without the return.
class Program {
public:
  explicit Program(llvm::function_ref<void(Assembler &)> body) {
    auto code = assemble([&](Assembler &a) {
      body(a);
      a.leave();
    });
    executable = llvm::cantFail(Executable::create(llvm::cantFail(std::move(code)), Target{}));
  }
  void operator()(const void *argument) const { executable->function(argument); }

private:
  std::unique_ptr<Executable> executable;
};

/// All vector registers, a mask and some memory.
struct State {
  alignas(64) uint8_t zmm[32][64];
  uint64_t k1;
  uint8_t memory[256];

  void fill(std::mt19937 &random) {
    auto *bytes = reinterpret_cast<uint8_t *>(this);
    for (size_t i = 0; i < sizeof *this; ++i) bytes[i] = uint8_t(random());
  }
  /// 16-bit elements without infinities and NaN.
  void fillWithHalves(std::mt19937 &random) {
    fill(random);
    auto *bytes = reinterpret_cast<uint8_t *>(this);
    for (size_t i = 1; i < sizeof *this; i += 2)
      if ((bytes[i] & 0x7c) == 0x7c) bytes[i] ^= 0x40;
  }
  bool operator==(const State &other) const { return !memcmp(this, &other, sizeof *this); }
};

/// Runs `body` on a State: loads all registers from it, stores them to it. rsi: its memory.
class StateProgram : public Program {
public:
  explicit StateProgram(llvm::function_ref<void(Assembler &)> body)
      : Program([&](Assembler &a) {
          for (int i = 0; i < 32; ++i) a.vmovdqu32(Xbyak::Zmm(i), a.ptr[a.rdi + 64 * i]);
          a.kmovq(a.k1, a.ptr[a.rdi + offsetof(State, k1)]);
          a.lea(a.rsi, a.ptr[a.rdi + offsetof(State, memory)]);
          body(a);
          for (int i = 0; i < 32; ++i) a.vmovdqu32(a.ptr[a.rdi + 64 * i], Xbyak::Zmm(i));
          a.kmovq(a.ptr[a.rdi + offsetof(State, k1)], a.k1);
        }) {}
};

/// A test that needs the registers of AVX-512.
class StateTest : public testing::Test {
protected:
  void SetUp() override {
    install();
    Features missing = kAvx512 - nativeFeatures();
    ASSERT_TRUE(missing.empty()) << "this CPU lacks " << toString(missing) << "; the test needs one that has it";
  }
  std::mt19937 random{5};
};

} // namespace llmc::test::isa
