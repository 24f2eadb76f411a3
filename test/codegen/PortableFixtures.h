// What the tests of the portable kernels share: the CPUs they are compiled for, and operands behind guard pages.
#pragma once
#include "codegen/portable/Executable.h"
#include "codegen/portable/Portable.h"
#include "compiler/NativeTarget.h"
#include "test/support/GuardedBuffer.h"
#include "llvm/TargetParser/Host.h"
#include <bit>
#include <cmath>
#include <gtest/gtest.h>
#include <random>

namespace llmc::test {

/// The CPUs of this architecture that this machine can run: x86-64-v2, x86-64-v3 and the machine itself.
inline std::vector<Target> runnableTargets() {
  Features host = hostFeatures();
  std::vector<Target> targets;
  for (const char *name : {"x86-64-v2", "x86-64-v3"})
    if (Target target = llvm::cantFail(findTarget(name)); host.contains(target.features)) targets.push_back(target);
  Target native = llvm::cantFail(findTarget("x86-64-v2"));
  native.name = "native";
  native.cpu = llvm::sys::getHostCPUName().str();
  native.features = host;
  targets.push_back(native);
  return targets;
}

/// Emits and compiles, or fails the test.
template <typename Desc>
std::unique_ptr<Executable> compilePortable(const Kernel<Desc> &kernel, const Desc &desc, const Target &target) {
  if (Refusal reason = refusal(kernel, desc, target)) {
    ADD_FAILURE() << kernel.name << " refuses: " << *reason;
    return nullptr;
  }
  auto code = kernel.emit(desc, target);
  if (!code) {
    ADD_FAILURE() << llvm::toString(code.takeError());
    return nullptr;
  }
  auto callable = Executable::create(*code, target);
  if (!callable) {
    ADD_FAILURE() << llvm::toString(callable.takeError());
    return nullptr;
  }
  return std::move(*callable);
}

/// Seeded numbers, the same on every machine.
class Random {
public:
  explicit Random(uint32_t seed) : engine(seed) {}
  int64_t below(int64_t n) { return int64_t(engine() % uint64_t(n)); }
  /// Uniform in [-1, 1).
  float real() { return float(int32_t(engine())) * 0x1p-31f; }
  void fill(float *x, int64_t n, float scale = 1) {
    for (int64_t i = 0; i < n; ++i) x[i] = real() * scale;
  }

private:
  std::mt19937 engine;
};

inline int64_t roundUp64(int64_t bytes) { return roundUp(bytes, kAlign); }

/// |actual - expected| <= bound * max(1, |expected|), and NaN meets NaN.
inline bool isClose(float actual, float expected, float bound) {
  if (std::isnan(expected) || std::isinf(expected))
    return std::isnan(expected) ? std::isnan(actual) : actual == expected;
  return std::fabs(actual - expected) <= bound * std::max(1.0f, std::fabs(expected));
}

/// One failure at most, with the first index that is not close.
inline void expectClose(const float *actual, const float *expected, int64_t count, float bound,
                        const std::string &what) {
  for (int64_t i = 0; i < count; ++i)
    if (!isClose(actual[i], expected[i], bound)) {
      ADD_FAILURE() << what << ": element " << i << " is " << actual[i] << ", expected " << expected[i];
      return;
    }
}

} // namespace llmc::test
