#include "codegen/portable/Compile.h"
#include "codegen/portable/LlvmTarget.h"
#include "codegen/portable/Lower.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/Builders.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/Passes/PassBuilder.h"

using namespace mlir;

namespace llmc {

llvm::Expected<std::unique_ptr<llvm::Module>> translateLlvmOps(ModuleOp module, llvm::LLVMContext &context) {
  OwningOpRef<ModuleOp> only = ModuleOp::create(module.getLoc());
  OpBuilder builder = OpBuilder::atBlockEnd(only->getBody());
  for (Operation &op : *module.getBody())
    if (isa<LLVM::LLVMDialect>(op.getDialect())) builder.clone(op);
  registerBuiltinDialectTranslation(*module.getContext());
  registerLLVMDialectTranslation(*module.getContext());
  std::unique_ptr<llvm::Module> translated = translateModuleToLLVMIR(*only, context, "llmc");
  if (!translated) return llvm::createStringError("translation to LLVM IR failed");
  return translated;
}

llvm::Expected<std::unique_ptr<llvm::Module>> translateKernel(const std::string &mlir, const Target &target,
                                                              llvm::LLVMContext &context) {
  auto machine = createTargetMachine(target);
  if (!machine) return machine.takeError();
  DialectRegistry registry;
  registerPortableDialects(registry);
  MLIRContext mlirContext(registry, MLIRContext::Threading::DISABLED);
  std::string errors;
  ScopedDiagnosticHandler handler(&mlirContext, [&](Diagnostic &d) { (errors += d.str()) += "\n"; });
  OwningOpRef<ModuleOp> kernel = parseSourceString<ModuleOp>(mlir, &mlirContext);
  if (!kernel || failed(lowerPortable(*kernel))) return llvm::createStringError("portable kernel: " + errors);
  llvm::Expected<std::unique_ptr<llvm::Module>> module = translateLlvmOps(*kernel, context);
  if (!module) return module.takeError();
  if (!(*module)->getFunction("kernel")) return llvm::createStringError("portable kernel: defines no @kernel");
  (*module)->setTargetTriple((*machine)->getTargetTriple());
  (*module)->setDataLayout((*machine)->createDataLayout());
  for (llvm::Function &function : **module)
    if (!function.isDeclaration()) setTargetAttributes(function, target);
  return module;
}

void optimiseModule(llvm::Module &module, llvm::TargetMachine &machine) {
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

llvm::Expected<llvm::SmallVector<char, 0>> emitModule(llvm::Module &module, const Target &target, bool assembly) {
  auto machine = createTargetMachine(target);
  if (!machine) return machine.takeError();
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream os(bytes);
  llvm::legacy::PassManager passes;
  auto kind = assembly ? llvm::CodeGenFileType::AssemblyFile : llvm::CodeGenFileType::ObjectFile;
  if ((*machine)->addPassesToEmitFile(passes, os, nullptr, kind))
    return llvm::createStringError(target.name + ": LLVM emits no such file for this target");
  passes.run(module);
  return bytes;
}

llvm::Expected<llvm::SmallVector<char, 0>> compileKernel(const std::string &mlir, const Target &target, bool assembly) {
  llvm::LLVMContext context;
  auto machine = createTargetMachine(target);
  if (!machine) return machine.takeError();
  auto module = translateKernel(mlir, target, context);
  if (!module) return module.takeError();
  optimiseModule(**module, **machine);
  return emitModule(**module, target, assembly);
}

} // namespace llmc
