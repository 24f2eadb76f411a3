#include "compiler/NativeTarget.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/bit.h"
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

llvm::Expected<std::vector<Target>> resolveTargets(llvm::StringRef names) {
  llvm::SmallVector<llvm::StringRef> parts;
  names.split(parts, ',');
  std::vector<Target> targets;
  for (llvm::StringRef part : parts) {
    llvm::Expected<Target> target = resolveTarget(part.trim());
    if (!target) return target.takeError();
    if (!targets.empty() && target->arch != targets.front().arch)
      return llvm::createStringError("target: found " + targets.front().name + " and " + target->name +
                                     ", expected targets of one architecture: an artifact is for one");
    if (llvm::none_of(targets, [&](const Target &t) { return t.name == target->name; })) targets.push_back(*target);
  }
  llvm::sort(targets, [](const Target &a, const Target &b) {
    int more = llvm::popcount(a.features.raw()) - llvm::popcount(b.features.raw());
    return more ? more > 0 : a.name < b.name;
  });
  return targets;
}

} // namespace llmc
