// LLVM's view of a target: exactly its features, tuned for its CPU.
#pragma once
#include "codegen/Target.h"
#include "llvm/IR/Function.h"
#include "llvm/Target/TargetMachine.h"
#include <memory>

namespace llmc {

/// Position-independent code for the architecture's baseline plus the target's features: LLVM must not use what a CPU
/// of that name usually has and the loader does not check for.
llvm::Expected<std::unique_ptr<llvm::TargetMachine>> createTargetMachine(const Target &target);
void setTargetAttributes(llvm::Function &function, const Target &target);

} // namespace llmc
