#include "test/support/isa/Frame.h"
#include <cpuid.h>
#include <cstring>

namespace llmc::test::isa {

uint32_t Frame::offsets[kComponents];

void Frame::prepare() {
  offsets[kSse] = 160;
  for (unsigned component = kYmm; component < kComponents; ++component) {
    unsigned size = 0, offset = 0, c = 0, d = 0;
    __cpuid_count(0xd, component, size, offset, c, d); // they differ between AMD and Intel
    offsets[component] = offset;
  }
}

Frame::Frame(ucontext_t *context) : context(context), xsave(reinterpret_cast<uint8_t *>(context->uc_mcontext.fpregs)) {
  // struct _fpx_sw_bytes of Linux's asm/sigcontext.h, in the last 48 bytes of the legacy area.
  constexpr uint32_t kMagic = 0x46505853;
  uint32_t magic;
  memcpy(&magic, xsave + 464, 4);
  if (magic == kMagic) memcpy(&saved, xsave + 472, 8);
}

static int registerOf(int index) {
  static constexpr int kOrder[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                     REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
  return kOrder[index & 15];
}

uint64_t Frame::gpr(int index) const { return uint64_t(context->uc_mcontext.gregs[registerOf(index)]); }
void Frame::setGpr(int index, uint64_t value) { context->uc_mcontext.gregs[registerOf(index)] = greg_t(value); }
const uint8_t *Frame::rip() const { return reinterpret_cast<const uint8_t *>(context->uc_mcontext.gregs[REG_RIP]); }
void Frame::advance(int bytes) { context->uc_mcontext.gregs[REG_RIP] += bytes; }

uint8_t *Frame::area(Component component) const { return xsave + offsets[component]; }

uint64_t Frame::valid() const {
  uint64_t bits;
  memcpy(&bits, xsave + 512, 8); // XSTATE_BV
  return bits;
}

/// A component whose bit is clear is in its initial state: its bytes mean nothing.
void Frame::makeValid(Component component, size_t bytes) {
  if (isValid(component)) return;
  memset(area(component), 0, bytes);
  uint64_t bits = valid() | uint64_t(1) << component;
  memcpy(xsave + 512, &bits, 8);
}

Vector Frame::vector(int index) const {
  Vector v;
  if (index >= 16) {
    if (isValid(kZmm16)) memcpy(v.bytes, area(kZmm16) + 64 * (index - 16), 64);
    return v;
  }
  if (isValid(kSse)) memcpy(v.bytes, area(kSse) + 16 * index, 16);
  if (isValid(kYmm)) memcpy(v.bytes + 16, area(kYmm) + 16 * index, 16);
  if (isValid(kZmmHigh)) memcpy(v.bytes + 32, area(kZmmHigh) + 32 * index, 32);
  return v;
}

void Frame::setVector(int index, const Vector &value) {
  if (index >= 16) {
    makeValid(kZmm16, 1024);
    memcpy(area(kZmm16) + 64 * (index - 16), value.bytes, 64);
    return;
  }
  makeValid(kSse, 256);
  memcpy(area(kSse) + 16 * index, value.bytes, 16);
  makeValid(kYmm, 256);
  memcpy(area(kYmm) + 16 * index, value.bytes + 16, 16);
  if (!(saved >> kZmmHigh & 1)) return;
  makeValid(kZmmHigh, 512);
  memcpy(area(kZmmHigh) + 32 * index, value.bytes + 32, 32);
}

uint64_t Frame::mask(int index) const {
  if (index == 0) return ~uint64_t(0);
  uint64_t bits = 0;
  if (isValid(kMask)) memcpy(&bits, area(kMask) + 8 * index, 8);
  return bits;
}

} // namespace llmc::test::isa
