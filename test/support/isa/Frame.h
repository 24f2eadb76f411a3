// The registers of an interrupted program, in the frame of a signal (Intel SDM volume 1, chapter 13: XSAVE, standard
// form).
#pragma once
#include <cstdint>
#include <ucontext.h>

namespace llmc::test::isa {

/// A vector register: 64 bytes, those that the CPU does not have are 0.
struct Vector {
  alignas(64) uint8_t bytes[64] = {};
};

class Frame {
public:
  /// Asks CPUID where the parts of a frame are; call before the first signal.
  static void prepare();

  explicit Frame(ucontext_t *context);

  uint64_t gpr(int index) const;
  void setGpr(int index, uint64_t value);
  const uint8_t *rip() const;
  void advance(int bytes);

  /// False under kernels that save no more than SSE: vectors cannot be written then.
  bool hasVectors() const { return saved & 4; }
  Vector vector(int index) const;
  /// The whole register: VEX and EVEX instructions clear what is above their own length.
  void setVector(int index, const Vector &value);
  /// Write mask k; k0 means all ones.
  uint64_t mask(int index) const;

private:
  /// XSAVE components (bits of XCR0).
  enum Component { kSse = 1, kYmm = 2, kMask = 5, kZmmHigh = 6, kZmm16 = 7, kComponents };
  uint8_t *area(Component component) const;
  uint64_t valid() const;
  bool isValid(Component component) const { return valid() >> component & 1; }
  void makeValid(Component component, size_t bytes);

  static uint32_t offsets[kComponents];
  ucontext_t *context;
  uint8_t *xsave;
  uint64_t saved = 0; // components that the frame has room for
};

} // namespace llmc::test::isa
