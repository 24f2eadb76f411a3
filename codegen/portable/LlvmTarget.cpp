#include "codegen/portable/LlvmTarget.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/TargetParser/Triple.h"
#include <mutex>

namespace llmc {
namespace {
std::string baseline(const Target &target) { return target.arch == Arch::X86_64 ? "x86-64" : "generic"; }

std::string featureString(const Target &target) {
  std::string text;
  for (unsigned i = 0; i < unsigned(Feature::Count); ++i)
    if (target.features.has(Feature(i))) (text += text.empty() ? "+" : ",+") += featureName(Feature(i));
  return text;
}
} // namespace

llvm::Expected<std::unique_ptr<llvm::TargetMachine>> createTargetMachine(const Target &target) {
  static std::once_flag once;
  std::call_once(once, [] {
    LLVMInitializeX86TargetInfo(), LLVMInitializeX86Target(), LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter(), LLVMInitializeX86AsmParser();
    LLVMInitializeAArch64TargetInfo(), LLVMInitializeAArch64Target(), LLVMInitializeAArch64TargetMC();
    LLVMInitializeAArch64AsmPrinter(), LLVMInitializeAArch64AsmParser();
  });
  llvm::Triple triple(target.triple);
  std::string error;
  const llvm::Target *llvmTarget = llvm::TargetRegistry::lookupTarget(triple, error);
  if (!llvmTarget) return llvm::createStringError(target.name + ": " + error);
  return std::unique_ptr<llvm::TargetMachine>(
      llvmTarget->createTargetMachine(triple, baseline(target), featureString(target), llvm::TargetOptions(),
                                      llvm::Reloc::PIC_, llvm::CodeModel::Small, llvm::CodeGenOptLevel::Default));
}

void setTargetAttributes(llvm::Function &function, const Target &target) {
  function.addFnAttr("target-cpu", baseline(target));
  function.addFnAttr("target-features", featureString(target));
  function.addFnAttr("tune-cpu", target.cpu);
  // Full registers: kernels are short bursts in a step that is vector code anyway.
  if (target.features.has(Feature::Avx512f)) function.addFnAttr("prefer-vector-width", "512");
}

} // namespace llmc
