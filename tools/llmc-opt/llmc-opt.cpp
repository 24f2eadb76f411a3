// mlir-opt with our dialects and passes: any pass, or pipeline of passes, on any module.
#include "dialects/kernel/Kernel.h"
#include "dialects/llm/Llm.h"
#include "dialects/wq/Wq.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "mlir/Transforms/Passes.h"
#include "passes/Passes.h"
#include "passes/graph/Graph.h"
#include "passes/raise/Raise.h"

using namespace llmc;

int main(int argc, char **argv) {
  mlir::registerTransformsPasses(); // cse, canonicalize, symbol-dce, ...
  registerLlmcPasses();
  registerRaisePasses();
  registerGraphPasses();
  mlir::DialectRegistry registry;
  registry.insert<llm::LlmDialect, wq::WqDialect, kernel::KernelDialect, mlir::func::FuncDialect,
                  mlir::LLVM::LLVMDialect>();
  registerGraphDialects(registry);
  return mlir::asMainReturnCode(mlir::MlirOptMain(argc, argv, "llmc-opt: passes of llmc on MLIR modules\n", registry));
}
