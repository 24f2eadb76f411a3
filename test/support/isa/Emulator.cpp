#include "test/support/isa/Emulator.h"
#include "compiler/NativeTarget.h"
#include "test/support/isa/Instructions.h"
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <immintrin.h>
#include <unistd.h>

namespace llmc::test::isa {
namespace {

thread_local Counts threadCounts; // plain data: nothing may be constructed inside a handler
struct sigaction previous;

void abortWith(const char *what, const void *rip) {
  const auto *p = static_cast<const uint8_t *>(rip);
  char text[256];
  int length = snprintf(text, sizeof text, "isa emulator: %s at %p: %02x %02x %02x %02x %02x %02x\n", what, rip, p[0],
                        p[1], p[2], p[3], p[4], p[5]);
  (void)!write(2, text, size_t(length));
  abort();
}

bool isUd2(const uint8_t *at) { return at[0] == 0x0f && at[1] == 0x0b; }

/// Executes the instruction at the program counter if the emulator knows it.
bool step(Frame &frame) {
  const int skipped = isUd2(frame.rip()) ? 2 : 0;
  Instruction i;
  if (!decode(frame.rip() + skipped, i)) return false;
  for (auto execute : {executeAmx, executeVnni, executeFp16})
    if (std::optional<Group> group = execute(frame, i)) {
      ++threadCounts.instructions[unsigned(*group)];
      frame.advance(skipped + i.length);
      return true;
    }
  return false;
}

void passOn(int signal, siginfo_t *info, void *context, const void *rip) {
  if (previous.sa_flags & SA_SIGINFO && previous.sa_sigaction) return previous.sa_sigaction(signal, info, context);
  if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) return previous.sa_handler(signal);
  onFault("illegal instruction, none that is emulated", rip);
}

/// A signal costs about 12 microseconds, so it goes on while the next instruction is an emulated one too.
__attribute__((force_align_arg_pointer)) void handle(int signal, siginfo_t *info, void *context) {
  const unsigned mxcsr = _mm_getcsr();
  _mm_setcsr(0x1f80); // the default: what the program had is in the frame
  Frame frame(static_cast<ucontext_t *>(context));
  ++threadCounts.signals;
  bool any = false;
  while (step(frame)) any = true;
  _mm_setcsr(mxcsr);
  if (!any) passOn(signal, info, context, frame.rip());
}

} // namespace

void (*onFault)(const char *, const void *) = abortWith;

Counts counts() { return threadCounts; }

void install() {
  static const bool installed = [] {
    Frame::prepare();
    struct sigaction action = {};
    action.sa_sigaction = handle;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGILL, &action, &previous)) abort();
    return true;
  }();
  (void)installed;
}

Features emulatedFeatures() {
  using enum Feature;
  Features host = hostFeatures(), all = {AmxTile, AmxInt8, AmxBf16, AmxFp16};
  if (host.contains(kAvx2)) all = all | Features{AvxVnni};
  if (host.contains(kAvx512)) all = all | Features{Avx512fp16};
  return all;
}

} // namespace llmc::test::isa
