#include "compiler/NativeTarget.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/TargetParser/Triple.h"

namespace llmc {

Features hostFeatures() {
  Features all;
  auto host = llvm::sys::getHostCPUFeatures(); // CPUID and, for vector state, XCR0
  for (unsigned i = 0; i < unsigned(Feature::Count); ++i)
    if (host.lookup(featureName(Feature(i)))) all = all | Features{Feature(i)};
  return all;
}

Arch hostArch() { return llvm::Triple(llvm::sys::getProcessTriple()).isAArch64() ? Arch::AArch64 : Arch::X86_64; }

Features missingOnHost(const Target &target) {
  return target.arch == hostArch() ? target.features - hostFeatures() : target.features;
}

llvm::Expected<Target> resolveTarget(llvm::StringRef name) {
  if (name != "native") return findTarget(name);
  const Target *best = nullptr;
  for (const Target &target : allTargets()) {
    if (target.arch != hostArch() || !missingOnHost(target).empty()) continue;
    if (!best || target.features.contains(best->features)) best = &target;
  }
  if (!best) return llvm::createStringError("target: this host runs none of the known targets (llmc targets)");
  return *best;
}

} // namespace llmc
