#include "test/support/CallableMlir.h"
#include "codegen/portable/Lower.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "test/support/Callable.h"
#include "llvm/ExecutionEngine/Orc/ExecutionUtils.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/SmallVectorMemoryBuffer.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/TargetParser/Host.h"

namespace llmc::test {
namespace {
struct JitCode : Callable {
  std::unique_ptr<llvm::orc::LLJIT> jit;
};

llvm::Expected<std::unique_ptr<llvm::TargetMachine>> machineFor(const Target &target) {
  static const bool initialised = [] {
    llvm::InitializeAllTargetInfos();
    llvm::InitializeAllTargets();
    llvm::InitializeAllTargetMCs();
    llvm::InitializeAllAsmPrinters();
    return true;
  }();
  (void)initialised;
  llvm::Triple triple(target.triple);
  std::string error;
  const llvm::Target *backend = llvm::TargetRegistry::lookupTarget(triple, error);
  if (!backend) return llvm::createStringError(target.name + ": " + error);
  return std::unique_ptr<llvm::TargetMachine>(
      backend->createTargetMachine(triple, target.cpu, "", llvm::TargetOptions(), llvm::Reloc::PIC_));
}

/// Parses, lowers and translates; errors carry the first diagnostics.
llvm::Expected<std::unique_ptr<llvm::Module>> translate(const std::string &text, llvm::LLVMContext &llvmContext) {
  mlir::DialectRegistry registry;
  registerPortableDialects(registry);
  mlir::registerBuiltinDialectTranslation(registry);
  mlir::registerLLVMDialectTranslation(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  std::string errors;
  mlir::ScopedDiagnosticHandler handler(&context, [&](mlir::Diagnostic &d) { (errors += d.str()) += "\n"; });
  auto module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
  if (!module || failed(lowerPortable(*module))) return llvm::createStringError("portable kernel: " + errors);
  auto translated = mlir::translateModuleToLLVMIR(*module, llvmContext);
  if (!translated) return llvm::createStringError("portable kernel: " + errors);
  return translated;
}

void optimise(llvm::Module &module, llvm::TargetMachine &machine) {
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager graph;
  llvm::ModuleAnalysisManager modules;
  llvm::PassBuilder builder(&machine);
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(graph);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, graph, modules);
  builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O2).run(module, modules);
}
} // namespace

llvm::Expected<std::unique_ptr<llvm::MemoryBuffer>> compileMlirObject(const std::string &mlir, const Target &target) {
  auto machine = machineFor(target);
  if (!machine) return machine.takeError();
  llvm::LLVMContext context;
  auto module = translate(mlir, context);
  if (!module) return module.takeError();
  (*module)->setTargetTriple(llvm::Triple(target.triple));
  (*module)->setDataLayout((*machine)->createDataLayout());
  for (llvm::Function &function : **module) function.addFnAttr("target-cpu", target.cpu);
  optimise(**module, **machine);
  llvm::SmallVector<char, 0> object;
  llvm::raw_svector_ostream out(object);
  llvm::legacy::PassManager emission;
  if ((*machine)->addPassesToEmitFile(emission, out, nullptr, llvm::CodeGenFileType::ObjectFile))
    return llvm::createStringError(target.name + ": found no object emission, expected it of every LLVM target");
  emission.run(**module);
  return std::make_unique<llvm::SmallVectorMemoryBuffer>(std::move(object), "kernel.o");
}

llvm::Expected<std::unique_ptr<Callable>> compileMlirKernel(const std::string &mlir, const Target &target) {
  auto object = compileMlirObject(mlir, target);
  if (!object) return object.takeError();
  llvm::InitializeNativeTargetAsmPrinter();
  auto jit = llvm::orc::LLJITBuilder().create();
  if (!jit) return jit.takeError();
  auto process =
      llvm::orc::DynamicLibrarySearchGenerator::GetForCurrentProcess((*jit)->getDataLayout().getGlobalPrefix());
  if (!process) return process.takeError();
  (*jit)->getMainJITDylib().addGenerator(std::move(*process)); // libm
  if (llvm::Error error = (*jit)->addObjectFile(std::move(*object))) return error;
  auto address = (*jit)->lookup("kernel");
  if (!address) return address.takeError();
  auto code = std::make_unique<JitCode>();
  code->function = address->toPtr<llmc_kernel_fn>();
  code->jit = std::move(*jit);
  return code;
}

} // namespace llmc::test
