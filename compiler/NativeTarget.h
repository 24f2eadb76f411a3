// The one place that asks this machine's CPU what it is.
#pragma once
#include "codegen/Target.h"

namespace llmc {

/// What the CPU and the operating system of this machine can run.
Features hostFeatures();
Arch hostArch();

/// What `target` needs and this host lacks; empty if it can run here. Another architecture lacks everything.
Features missingOnHost(const Target &target);

/// `name`, or for "native" the richest named target that this host can run.
llvm::Expected<Target> resolveTarget(llvm::StringRef name);
/// Of a list "haswell,icelake-server": each once, those with more features first, so that the first that a CPU can run
/// is the best for it. Refuses targets of different architectures.
llvm::Expected<std::vector<Target>> resolveTargets(llvm::StringRef names);

} // namespace llmc
