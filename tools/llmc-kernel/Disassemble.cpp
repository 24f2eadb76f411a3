#include "tools/llmc-kernel/Disassemble.h"
#include "codegen/portable/Compile.h"
#include "llvm/MC/MCAsmInfo.h"
#include "llvm/MC/MCContext.h"
#include "llvm/MC/MCDisassembler/MCDisassembler.h"
#include "llvm/MC/MCInst.h"
#include "llvm/MC/MCInstPrinter.h"
#include "llvm/MC/MCInstrInfo.h"
#include "llvm/MC/MCRegisterInfo.h"
#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/MC/MCTargetOptions.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Support/raw_ostream.h"

namespace llmc::tool {
namespace {

/// All that LLVM wants for decoding: alive as long as the decoder.
struct Decoder {
  std::unique_ptr<llvm::MCRegisterInfo> registers;
  std::unique_ptr<llvm::MCAsmInfo> assembly;
  std::unique_ptr<llvm::MCSubtargetInfo> subtarget;
  std::unique_ptr<llvm::MCInstrInfo> instructions;
  std::unique_ptr<llvm::MCContext> context;
  std::unique_ptr<llvm::MCDisassembler> disassembler;
  std::unique_ptr<llvm::MCInstPrinter> printer;
};

llvm::Expected<Decoder> makeDecoder(const Target &target) {
  llvm::InitializeAllTargetInfos();
  llvm::InitializeAllTargetMCs();
  llvm::InitializeAllDisassemblers();
  llvm::Triple triple(target.triple);
  std::string error;
  const llvm::Target *backend = llvm::TargetRegistry::lookupTarget(triple, error);
  if (!backend) return llvm::createStringError(target.name + ": " + error);
  Decoder d;
  llvm::MCTargetOptions options;
  d.registers.reset(backend->createMCRegInfo(triple));
  d.assembly.reset(backend->createMCAsmInfo(*d.registers, triple, options));
  d.subtarget.reset(backend->createMCSubtargetInfo(triple, target.cpu, ""));
  d.instructions.reset(backend->createMCInstrInfo());
  d.context = std::make_unique<llvm::MCContext>(triple, d.assembly.get(), d.registers.get(), d.subtarget.get());
  d.disassembler.reset(backend->createMCDisassembler(*d.subtarget, *d.context));
  constexpr unsigned kIntelSyntax = 1; // X86's variant: destination first, as Xbyak's source has it
  unsigned syntax = target.arch == Arch::X86_64 ? kIntelSyntax : d.assembly->getAssemblerDialect();
  d.printer.reset(backend->createMCInstPrinter(triple, syntax, *d.assembly, *d.instructions, *d.registers));
  if (!d.disassembler || !d.printer)
    return llvm::createStringError(target.name + ": found no disassembler in this LLVM");
  return d;
}

llvm::Expected<std::string> disassembleBytes(const Code &code, const Target &target) {
  auto decoder = makeDecoder(target);
  if (!decoder) return decoder.takeError();
  std::string text;
  llvm::raw_string_ostream os(text);
  llvm::ArrayRef<uint8_t> bytes(code.bytes);
  for (size_t at = 0; at < code.codeBytes;) {
    llvm::MCInst instruction;
    uint64_t size = 0;
    if (decoder->disassembler->getInstruction(instruction, size, bytes.slice(at, code.codeBytes - at), at,
                                              llvm::nulls()) != llvm::MCDisassembler::Success ||
        !size)
      return llvm::createStringError("found no instruction at offset " + std::to_string(at));
    os << llvm::format("%6zx:", at);
    decoder->printer->printInst(&instruction, at, "", *decoder->subtarget, os);
    os << "\n";
    at += size;
  }
  os << "; " << code.codeBytes << " bytes of instructions, " << code.bytes.size() - code.codeBytes
     << " bytes of constants\n";
  return text;
}

} // namespace

llvm::Expected<std::string> disassemble(const Code &code, const Target &target) {
  if (!code.bytes.empty()) return disassembleBytes(code, target);
  auto text = compileKernel(code.mlir, target, /*assembly=*/true);
  if (!text) return text.takeError();
  return std::string(text->data(), text->size());
}

} // namespace llmc::tool
