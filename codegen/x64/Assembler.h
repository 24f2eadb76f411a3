// Xbyak with llvm::Error, a System V frame and a constant pool. XBYAK_NO_EXCEPTION is defined by the build: Xbyak then
// keeps the first error in a thread-local, which `assemble` turns into an llvm::Error.
#pragma once
#include "codegen/Kernel.h"
#include "llvm/ADT/FunctionExtras.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include <map>
#include <xbyak/xbyak.h>

namespace llmc {

/// An assembler for one kernel. Arguments come in rdi. Callee-saved registers that the kernel uses are named once, in
/// `enter`; `leave` restores them and returns. Constants are shared by value and stand behind the code, 64-byte
/// aligned.
class Assembler : public Xbyak::CodeGenerator {
public:
  Assembler() : Xbyak::CodeGenerator(1 << 16, Xbyak::AutoGrow) {}

  /// Pushes the named callee-saved registers (rbx, rbp, r12..r15) and reserves `stackBytes`, 64-byte aligned, at rsp.
  void enter(llvm::ArrayRef<Xbyak::Reg64> calleeSaved, int stackBytes = 0);
  /// Undoes `enter`, vzeroupper, ret.
  void leave();

  /// A 32-bit constant in the pool, as an address for a broadcast ({1to16}: use ptr_b; AVX2: vbroadcastss).
  Xbyak::Label &constant32(uint32_t bits);
  Xbyak::Label &constantF32(float value);
  /// A constant table of bytes (64-byte aligned).
  Xbyak::Label &constantBytes(llvm::ArrayRef<uint8_t> bytes);

  /// A counted loop: body runs with `counter` from 0 in steps of `step` while counter < limit (a register or constant).
  void loop(const Xbyak::Reg64 &counter, int64_t limit, int64_t step, llvm::function_ref<void()> body);
  void loop(const Xbyak::Reg64 &counter, const Xbyak::Reg64 &limit, int64_t step, llvm::function_ref<void()> body);

private:
  friend llvm::Expected<Code> assemble(llvm::function_ref<void(Assembler &)> body);
  std::vector<Xbyak::Reg64> saved;
  bool framed = false;
  std::map<std::string, std::unique_ptr<Xbyak::Label>> pool; // by content
};

/// Runs `body`, appends the constant pool and returns the code, or what Xbyak refused.
llvm::Expected<Code> assemble(llvm::function_ref<void(Assembler &)> body);

} // namespace llmc
